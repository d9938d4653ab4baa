// Frames on their way from stores that no session may read itself: remote ones, and encrypted ones. Whoever misses a page asks here and
// waits; fetch workers take what is asked for, get the packed bytes, and leave them for all who want the same frame.
//
//   free ──Ask──► asked ──Take──► taken ──Finish──► ready ──(used longest ago, and nobody reads it)──► free
//                   ▲               │                 failed ──(the last who waits has gone)──► free
//                   └────GiveBack───┘
//
// Memory of all processes of one server, made anew with it. Nothing here allocates, raises or processes interrupts: sessions are in it in
// critical sections. A process that is killed in it takes the server down with it, as any other that holds shared memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/demand/frame_source.h"
#include "core/demand/index.h"

namespace pitr::demand {

// Is a place of the index one that fetch workers open?
bool IsFetched(const IndexView& index, std::uint32_t place) noexcept;
bool HasFetchedPlaces(const IndexView& index) noexcept;

// What a waiting process looks at now and then; each may be null. Given once to a process and those it forks.
struct WaitWatch {
  // It shall end, or leave what it does: it does not wait then, except while `critical` says that an error would end the server.
  const volatile int* die = nullptr;
  const volatile int* cancel = nullptr;
  const volatile std::uint32_t* critical = nullptr;
  // The server's main process; when it is gone nobody fetches any more. 0: none.
  int parent = 0;
};
void WatchWaits(const WaitWatch& watch) noexcept;

class FetchTable {
 public:
  static constexpr std::uint32_t kSlots = 32;
  static std::size_t SharedSize() noexcept;

  FetchTable() = default;
  // `memory`: SharedSize() bytes, zero the first time, 64-byte aligned.
  explicit FetchTable(void* memory) noexcept;
  explicit operator bool() const noexcept { return head_ != nullptr; }
  // How many workers there are; with none nothing is waited for.
  void SetWorkers(std::uint32_t workers) const noexcept;

  // -- of whoever misses a page
  // The packed bytes of a frame into `packed` (kMaxPackedBytes), at the latest after a minute. False: `failure` says why.
  bool Fetch(const IndexView& index, std::uint32_t frame, std::uint32_t place, std::uint8_t* packed,
             FetchFailure* failure) const noexcept;
  // It is going to be wanted: it is fetched when there is room and a worker has nothing better to do.
  void Expect(std::uint32_t frame, std::uint32_t place) const noexcept;
  // It is here, or on its way.
  bool Knows(std::uint32_t frame, std::uint32_t place) const noexcept;
  // What was fetched is damaged: the next one who wants it asks anew.
  void Forget(std::uint32_t frame, std::uint32_t place) const noexcept;

  // -- of workers
  struct Work {
    std::uint32_t slot, frame, place;
    std::uint8_t* packed;  // kMaxPackedBytes
  };
  // What somebody waits for first, else what is expected. False: nothing is to be done.
  bool Take(Work* work) const noexcept;
  // Until something may have been asked for, at most so long, or until a signal comes.
  void WaitForWork(int milliseconds) const noexcept;
  void Finish(const Work& work, const char* failure) const noexcept;  // nullptr: it is there
  void GiveBack(const Work& work) const noexcept;                     // the worker has to end

 private:
  enum State : std::uint32_t { kFree, kAsked, kTaken, kReady, kFailed };
  struct Slot {
    std::atomic<std::uint32_t> state;  // who waits sleeps on it
    std::uint32_t frame, place;
    std::uint32_t waiting;  // those who hold it
    std::uint64_t used;     // of the head's clock
    char failure[sizeof(FetchFailure::text)];
  };
  struct Head {
    std::atomic<std::uint32_t> lock;
    std::atomic<std::uint32_t> asked;  // counts up; workers sleep on it
    std::atomic<std::uint32_t> workers;
    std::uint64_t clock;
    Slot slots[kSlots];
  };
  class Locked;

  Slot* Find(std::uint32_t frame, std::uint32_t place) const noexcept;
  Slot* FindFree(bool for_waiting) const noexcept;
  void Ask(Slot* slot, std::uint32_t frame, std::uint32_t place) const noexcept;
  Slot* Hold(std::uint32_t frame, std::uint32_t place) const noexcept;
  void Release(Slot* slot) const noexcept;
  void Wake() const noexcept;
  std::uint8_t* BytesOf(const Slot* slot) const noexcept {
    return bytes_ + static_cast<std::size_t>(slot - head_->slots) * kMaxPackedBytes;
  }

  Head* head_ = nullptr;
  std::uint8_t* bytes_ = nullptr;
};

}  // namespace pitr::demand

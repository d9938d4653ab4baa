#include "core/demand/fetch_table.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>

#include "core/base/fault.h"

namespace pitr::demand {

namespace {

constexpr std::int64_t kPatienceMs = 60'000;
constexpr int kLookMs = 100;  // how often a waiting process looks around
constinit WaitWatch watch;

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));

std::int64_t Now() noexcept {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// While `word` is `value`; a signal ends it as well. errno stays.
void Sleep(const std::atomic<std::uint32_t>* word, std::uint32_t value, int milliseconds) noexcept {
  const int saved = errno;
  const timespec limit = {milliseconds / 1000, (milliseconds % 1000) * 1'000'000L};
  (void)::syscall(SYS_futex, word, FUTEX_WAIT, value, &limit, nullptr, 0);
  errno = saved;
}

void WakeUp(const std::atomic<std::uint32_t>* word, int count) noexcept {
  const int saved = errno;
  (void)::syscall(SYS_futex, word, FUTEX_WAKE, count, nullptr, nullptr, 0);
  errno = saved;
}

// Why this process should not go on waiting; nullptr: it should.
const char* ReasonToLeave() noexcept {
  if (watch.parent != 0 && ::getppid() != watch.parent) {
    return "the server has ended";
  }
  if (watch.critical != nullptr && *watch.critical != 0) {
    return nullptr;
  }
  const bool dies = watch.die != nullptr && *watch.die != 0;
  return dies || (watch.cancel != nullptr && *watch.cancel != 0) ? "waiting for it was cancelled"
                                                                 : nullptr;
}

}  // namespace

bool IsFetched(const IndexView& index, std::uint32_t place) noexcept {
  return index.Text(index.places()[place]).starts_with(kFetchPrefix);
}

bool HasFetchedPlaces(const IndexView& index) noexcept {
  for (std::uint32_t place = 0; place < index.places().size(); place++) {
    if (IsFetched(index, place)) return true;
  }
  return false;
}

void WatchWaits(const WaitWatch& wanted) noexcept { watch = wanted; }

// Held for a look at the slots; never across a copy or a wait.
class FetchTable::Locked {
 public:
  explicit Locked(Head* head) noexcept : head_(head) {
    while (head_->lock.exchange(1, std::memory_order_acquire) != 0) {
      ::sched_yield();
    }
  }
  ~Locked() { head_->lock.store(0, std::memory_order_release); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  Head* head_;
};

std::size_t FetchTable::SharedSize() noexcept {
  return sizeof(Head) + std::size_t{kSlots} * kMaxPackedBytes;
}

FetchTable::FetchTable(void* memory) noexcept
    : head_(static_cast<Head*>(memory)),
      bytes_(static_cast<std::uint8_t*>(memory) + sizeof(Head)) {}

void FetchTable::SetWorkers(std::uint32_t workers) const noexcept { head_->workers = workers; }

// Not one that failed: that answer is for those who waited, and who comes now tries anew.
FetchTable::Slot* FetchTable::Find(std::uint32_t frame, std::uint32_t place) const noexcept {
  for (Slot& slot : head_->slots) {
    const std::uint32_t state = slot.state.load(std::memory_order_relaxed);
    if (state != kFree && state != kFailed && slot.frame == frame && slot.place == place) {
      return &slot;
    }
  }
  return nullptr;
}

// For somebody who waits also what is only expected, and not begun, has to go.
FetchTable::Slot* FetchTable::FindFree(bool for_waiting) const noexcept {
  Slot* oldest = nullptr;
  for (Slot& slot : head_->slots) {
    const std::uint32_t state = slot.state.load(std::memory_order_relaxed);
    if (state == kFree) {
      return &slot;
    }
    const bool may_go = slot.waiting == 0 && (state == kReady || (for_waiting && state == kAsked));
    if (may_go && (oldest == nullptr || slot.used < oldest->used)) {
      oldest = &slot;
    }
  }
  return oldest;
}

void FetchTable::Ask(Slot* slot, std::uint32_t frame, std::uint32_t place) const noexcept {
  slot->frame = frame;
  slot->place = place;
  slot->waiting = 0;
  slot->used = ++head_->clock;
  slot->state.store(kAsked, std::memory_order_release);
}

FetchTable::Slot* FetchTable::Hold(std::uint32_t frame, std::uint32_t place) const noexcept {
  bool is_new = false;
  Slot* slot = nullptr;
  {
    const Locked locked(head_);
    slot = Find(frame, place);
    is_new = slot == nullptr;
    if (is_new && (slot = FindFree(true)) == nullptr) {
      return nullptr;
    }
    if (is_new) Ask(slot, frame, place);
    slot->waiting++;
    slot->used = ++head_->clock;
  }
  if (is_new) Wake();
  return slot;
}

void FetchTable::Release(Slot* slot) const noexcept {
  const Locked locked(head_);
  if (--slot->waiting == 0 && slot->state.load(std::memory_order_relaxed) == kFailed) {
    slot->state.store(kFree, std::memory_order_relaxed);
  }
}

void FetchTable::Wake() const noexcept {
  head_->asked.fetch_add(1, std::memory_order_acq_rel);
  WakeUp(&head_->asked, 1);
}

bool FetchTable::Fetch(const IndexView& index, std::uint32_t frame, std::uint32_t place,
                       std::uint8_t* packed, FetchFailure* failure) const noexcept {
  const char* const repository = index.Chars(index.places()[place]) + kFetchPrefix.size();
  const int size = static_cast<int>(std::strcspn(repository, "?"));  // without parameters
  if (head_->workers.load(std::memory_order_relaxed) == 0) {
    Say(failure, "no fetch worker of this server reads repository \"%.*s\": restart the server",
        size, repository);
    return false;
  }
  const std::int64_t end = Now() + kPatienceMs;
  Slot* slot = Hold(frame, place);
  const char* reason = nullptr;
  for (std::uint32_t state = kAsked; reason == nullptr;) {
    if (slot != nullptr) {
      state = slot->state.load(std::memory_order_acquire);
      if (state == kReady || state == kFailed) break;
      Sleep(&slot->state, state, kLookMs);
    } else {  // more processes wait than there are slots
      const timespec nap = {0, 5'000'000};
      ::nanosleep(&nap, nullptr);
      slot = Hold(frame, place);
    }
    reason = ReasonToLeave();
    if (reason == nullptr && Now() >= end) reason = "it did not answer within a minute";
  }
  bool is_there = false;
  if (reason != nullptr) {
    Say(failure, "a page could not be loaded from repository \"%.*s\": %s", size, repository,
        reason);
  } else if (slot->state.load(std::memory_order_acquire) == kFailed) {
    Say(failure, "a page could not be loaded from repository \"%.*s\": %.500s", size, repository,
        slot->failure);
  } else {
    std::memcpy(packed, BytesOf(slot), index.frames()[frame].packed_size);
    is_there = true;
  }
  if (slot != nullptr) Release(slot);
  return is_there;
}

void FetchTable::Expect(std::uint32_t frame, std::uint32_t place) const noexcept {
  {
    const Locked locked(head_);
    if (head_->workers.load(std::memory_order_relaxed) == 0 || Find(frame, place) != nullptr) {
      return;
    }
    Slot* const slot = FindFree(false);
    if (slot == nullptr) {
      return;
    }
    Ask(slot, frame, place);
  }
  Wake();
}

bool FetchTable::Knows(std::uint32_t frame, std::uint32_t place) const noexcept {
  const Locked locked(head_);
  return Find(frame, place) != nullptr;
}

void FetchTable::Forget(std::uint32_t frame, std::uint32_t place) const noexcept {
  const Locked locked(head_);
  Slot* const slot = Find(frame, place);
  if (slot != nullptr && slot->waiting == 0 &&
      slot->state.load(std::memory_order_relaxed) == kReady) {
    slot->state.store(kFree, std::memory_order_relaxed);
  }
}

bool FetchTable::Take(Work* work) const noexcept {
  const Locked locked(head_);
  Slot* best = nullptr;
  for (Slot& slot : head_->slots) {
    if (slot.state.load(std::memory_order_relaxed) != kAsked) continue;
    // Somebody waits before nobody does, then the one that was asked for first.
    const bool is_better = best == nullptr || (slot.waiting > 0) > (best->waiting > 0) ||
                           ((slot.waiting > 0) == (best->waiting > 0) && slot.used < best->used);
    if (is_better) best = &slot;
  }
  if (best == nullptr) {
    return false;
  }
  best->state.store(kTaken, std::memory_order_release);
  *work = {static_cast<std::uint32_t>(best - head_->slots), best->frame, best->place,
           BytesOf(best)};
  return true;
}

void FetchTable::WaitForWork(int milliseconds) const noexcept {
  const std::uint32_t asked = head_->asked.load(std::memory_order_acquire);
  for (const Slot& slot : head_->slots) {
    if (slot.state.load(std::memory_order_acquire) == kAsked) return;
  }
  Sleep(&head_->asked, asked, milliseconds);
}

void FetchTable::Finish(const Work& work, const char* failure) const noexcept {
  (void)PITR_FAULT_PLAIN("demand.remote.fetched");
  Slot& slot = head_->slots[work.slot];
  {
    const Locked locked(head_);
    std::uint32_t state = kReady;
    if (failure != nullptr) {
      std::strncpy(slot.failure, failure, sizeof slot.failure - 1);
      state = slot.waiting > 0 ? kFailed : kFree;
    }
    slot.state.store(state, std::memory_order_release);
  }
  WakeUp(&slot.state, INT_MAX);
}

void FetchTable::GiveBack(const Work& work) const noexcept {
  head_->slots[work.slot].state.store(kAsked, std::memory_order_release);
  Wake();
}

}  // namespace pitr::demand

#include "core/demand/presence.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "core/base/fault.h"
#include "core/base/hash.h"

namespace pitr::demand {

namespace {

constexpr std::uint32_t kPagesPerWord = 64;

std::size_t WordsOf(const FileEntry& file) {
  return (file.pages + kPagesPerWord - 1) / kPagesPerWord;
}

// A claim is held for one write of 256 KiB, or while a file is cut: 20 µs mostly. Whoever waits this long waits for a disk that is gone.
constexpr int kSpins = 100;
constexpr long kNapNanos = 50'000;
constexpr int kMaxNaps = 5 * 60 * 20'000;

void Nap(int round) noexcept {
  if (round >= kSpins) {
    const int saved = errno;
    const timespec nap = {0, kNapNanos};
    ::nanosleep(&nap, nullptr);
    errno = saved;
  }
}

}  // namespace

bool WriteAt(int fd, const void* bytes, std::size_t size, std::uint64_t offset) noexcept {
  const char* from = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t got = ::pwrite(fd, from, size, static_cast<off_t>(offset));
    if (got <= 0) {
      if (got < 0 && errno == EINTR) continue;
      if (got == 0) errno = ENOSPC;
      return false;
    }
    from += got;
    size -= static_cast<std::size_t>(got);
    offset += static_cast<std::uint64_t>(got);
  }
  return true;
}

std::uint64_t BitsWordsOffset(const IndexHeader& index) {
  return (sizeof(BitsHeader) + index.files + 7) & ~std::uint64_t{7};
}

std::uint64_t BitsFileSize(const IndexHeader& index) {
  return BitsWordsOffset(index) + index.words * sizeof(std::uint64_t);
}

BitsHeader MakeBitsHeader(const IndexHeader& index) {
  BitsHeader header = {};
  std::memcpy(header.magic, kBitsMagic, sizeof header.magic);
  header.version = kBitsVersion;
  header.files = index.files;
  header.id = index.id;
  header.words = index.words;
  header.header_hash =
      Xxh3({reinterpret_cast<const std::uint8_t*>(&header), offsetof(BitsHeader, header_hash)});
  return header;
}

bool IsHeaderOf(const BitsHeader& bits, const IndexHeader& index) {
  const BitsHeader wanted = MakeBitsHeader(index);
  return std::memcmp(&bits, &wanted, sizeof bits) == 0;
}

std::size_t SharedSize(const IndexHeader& index) {
  return sizeof(SharedHead) + index.files * sizeof(SharedFile) +
         index.words * sizeof(std::uint64_t) + index.pages;
}

Presence::Presence(const IndexView& index, void* memory, int bits_fd)
    : index_(index), bits_fd_(bits_fd) {
  auto* at = static_cast<std::uint8_t*>(memory);
  head_ = reinterpret_cast<SharedHead*>(at);
  at += sizeof(SharedHead);
  files_ = reinterpret_cast<SharedFile*>(at);
  at += index.header().files * sizeof(SharedFile);
  words_ = reinterpret_cast<std::atomic<std::uint64_t>*>(at);
  at += index.header().words * sizeof(std::uint64_t);
  states_ = reinterpret_cast<std::atomic<std::uint8_t>*>(at);
}

bool Presence::TryClaim(const FileEntry& file, std::uint32_t page) const noexcept {
  std::uint8_t expected = kAbsent;
  return states_[file.first_page + page].compare_exchange_strong(expected, kClaimed,
                                                                 std::memory_order_acq_rel);
}

bool Presence::WaitUnclaimed(const FileEntry& file, std::uint32_t page) const noexcept {
  for (int round = 0; State(file, page) == kClaimed; round++) {
    if (round > kMaxNaps) {
      errno = EIO;
      return false;
    }
    Nap(round);
  }
  return true;
}

// In ascending order, so that two who claim ranges never wait for each other in a circle; a fetch waits for nobody while it claims.
bool Presence::ClaimAll(const FileEntry& file, std::uint32_t first,
                        std::uint32_t end) const noexcept {
  for (std::uint32_t page = first; page < end; page++) {
    while (State(file, page) != kPresent && !TryClaim(file, page)) {
      if (!WaitUnclaimed(file, page)) {
        Settle(file, first, page, kAbsent);
        return false;
      }
    }
  }
  return true;
}

void Presence::Settle(const FileEntry& file, std::uint32_t first, std::uint32_t end,
                      PageState to) const noexcept {
  std::uint64_t arrived = 0;
  for (std::uint32_t page = first; page < end; page++) {
    std::atomic<std::uint8_t>& state = states_[file.first_page + page];
    if (state.load(std::memory_order_relaxed) == kClaimed) {
      arrived += to == kPresent ? 1 : 0;
      state.store(to, std::memory_order_release);
    }
  }
  head_->absent_pages.fetch_sub(arrived, std::memory_order_relaxed);
}

bool Presence::Snapshot(const FileEntry& file, std::uint64_t* words) const noexcept {
  bool has_new = false;
  for (std::size_t i = 0; i < WordsOf(file); i++) {
    const std::uint32_t begin = static_cast<std::uint32_t>(i) * kPagesPerWord;
    const std::uint32_t count = std::min(kPagesPerWord, file.pages - begin);
    const std::uint64_t durable = words_[file.first_word + i].load(std::memory_order_acquire);
    std::uint64_t word = durable;
    for (std::uint32_t bit = 0; bit < count; bit++) {
      word |= std::uint64_t{State(file, begin + bit) == kPresent} << bit;
    }
    words[i] = word;
    has_new = has_new || word != durable;
  }
  return has_new;
}

bool Presence::Lock(std::uint32_t number) const noexcept {
  for (int round = 0; files_[number].lock.exchange(1, std::memory_order_acquire) != 0; round++) {
    if (round > kMaxNaps) {
      errno = EIO;
      return false;
    }
    Nap(round);
  }
  return true;
}

void Presence::Unlock(std::uint32_t number) const noexcept {
  files_[number].lock.store(0, std::memory_order_release);
}

bool Presence::Failed() const noexcept {
  head_->has_failed = 1;
  return false;
}

bool Presence::WriteWords(const FileEntry& file, std::size_t first,
                          std::size_t end) const noexcept {
  const std::uint64_t at =
      BitsWordsOffset(index_.header()) + (file.first_word + first) * sizeof(std::uint64_t);
  if (!WriteAt(bits_fd_, &words_[file.first_word + first], (end - first) * sizeof(std::uint64_t),
               at)) {
    return Failed();
  }
  head_->dirty.fetch_add(1, std::memory_order_acq_rel);
  return true;
}

bool Presence::Record(std::uint32_t number, std::uint64_t* words) const noexcept {
  const FileEntry& file = index_.files()[number];
  if (!Lock(number)) {
    return Failed();
  }
  std::size_t first = WordsOf(file), end = 0;
  for (std::size_t i = 0; i < WordsOf(file); i++) {
    const std::uint64_t before =
        words_[file.first_word + i].fetch_or(words[i], std::memory_order_acq_rel);
    if ((before | words[i]) != before) {
      first = std::min(first, i);
      end = i + 1;
    }
  }
  (void)PITR_FAULT_PLAIN("demand.bits.before_write");
  const bool written = first >= end || WriteWords(file, first, end);
  Unlock(number);
  return written;
}

bool Presence::RecordRange(std::uint32_t number, std::uint32_t first,
                           std::uint32_t end) const noexcept {
  const FileEntry& file = index_.files()[number];
  if (first >= end) {
    return true;
  }
  if (!Lock(number)) {
    return Failed();
  }
  bool has_new = false;
  for (std::uint32_t word = first / kPagesPerWord; word <= (end - 1) / kPagesPerWord; word++) {
    const std::uint32_t begin = word * kPagesPerWord;
    const std::uint32_t low = std::max(first, begin) - begin;
    const std::uint32_t high = std::min(end - begin, kPagesPerWord);
    const std::uint64_t mask = (~std::uint64_t{0} << low) & (~std::uint64_t{0} >> (64 - high));
    const std::uint64_t before =
        words_[file.first_word + word].fetch_or(mask, std::memory_order_acq_rel);
    has_new = has_new || (before | mask) != before;
  }
  const bool written =
      !has_new || WriteWords(file, first / kPagesPerWord, (end - 1) / kPagesPerWord + 1);
  Unlock(number);
  return written;
}

bool Presence::RecordDead(std::uint32_t number) const noexcept {
  if (files_[number].is_dead.exchange(1, std::memory_order_acq_rel) != 0) {
    return true;
  }
  const std::uint8_t dead = 1;
  if (!WriteAt(bits_fd_, &dead, 1, sizeof(BitsHeader) + number)) {
    return Failed();
  }
  head_->dirty.fetch_add(1, std::memory_order_acq_rel);
  return true;
}

bool Presence::SyncBits() const noexcept {
  if (head_->has_failed.load(std::memory_order_acquire) != 0) {
    errno = EIO;
    return false;
  }
  const std::uint64_t dirty = head_->dirty.load(std::memory_order_acquire);
  std::uint64_t synced = head_->synced.load(std::memory_order_acquire);
  if (synced >= dirty) {
    return true;
  }
  if (PITR_FAULT_PLAIN("demand.bits.before_sync") || ::fdatasync(bits_fd_) != 0) {
    // The kernel may have dropped what it could not write: never again (internals 2e).
    return Failed();
  }
  while (synced < dirty && !head_->synced.compare_exchange_weak(synced, dirty)) {
  }
  return true;
}

bool Presence::IsFull(std::uint32_t number) const noexcept {
  if (IsDead(number)) {
    return true;
  }
  const FileEntry& file = index_.files()[number];
  for (std::size_t i = 0; i < WordsOf(file); i++) {
    const std::uint32_t count =
        std::min(kPagesPerWord, file.pages - static_cast<std::uint32_t>(i) * kPagesPerWord);
    const std::uint64_t full = ~std::uint64_t{0} >> (64 - count);
    if ((words_[file.first_word + i].load(std::memory_order_acquire) & full) != full) {
      return false;
    }
  }
  return true;
}

void Presence::SetStates(const FileEntry& file, std::uint32_t first, std::uint32_t count,
                         PageState state) const noexcept {
  static_assert(sizeof *states_ == 1);
  std::memset(reinterpret_cast<std::uint8_t*>(states_ + file.first_page + first), state, count);
}

}  // namespace pitr::demand

#include "core/store/member_ledger.h"

#include <algorithm>
#include <atomic>

namespace pitr {

namespace {

constexpr std::int64_t kFirstRestMs = 2000, kLongestRestMs = 60'000;
constexpr int kMostDoublings = 5;

constinit std::atomic<MemberLedger*> g_ledger{nullptr};

}  // namespace

std::int64_t RestMs(int failures, Code code) {
  if (code == Code::kForeign) {
    return 0;
  }
  const int doublings = std::clamp(failures - 1, 0, kMostDoublings);
  return std::min(kFirstRestMs << doublings, kLongestRestMs);
}

bool ProcessLedger::IsResting(const std::string& place) {
  const std::lock_guard lock(mutex_);
  return clock_.MonotonicMillis() < members_[place].rests_until_ms;
}

void ProcessLedger::Failed(const std::string& place, const Status& status) {
  const std::lock_guard lock(mutex_);
  Member& member = members_[place];
  member.failures++;
  member.rests_until_ms = clock_.MonotonicMillis() + RestMs(member.failures, status.code());
}

void ProcessLedger::Answered(const std::string& place) {
  const std::lock_guard lock(mutex_);
  Member& member = members_[place];
  member.failures = 0;
  member.rests_until_ms = 0;
}

void ProcessLedger::Missed(const std::string& place, const std::string&, std::uint64_t) {
  const std::lock_guard lock(mutex_);
  members_[place].missed++;
}

bool ProcessLedger::IsBehind(const std::string& place, bool otherwise) {
  const std::lock_guard lock(mutex_);
  return members_[place].missed > 0 || otherwise;
}

void ProcessLedger::Damaged(const std::string& place, const std::string&) {
  const std::lock_guard lock(mutex_);
  members_[place].damaged++;
}

int ProcessLedger::missed(const std::string& place) {
  const std::lock_guard lock(mutex_);
  return members_[place].missed;
}

int ProcessLedger::damaged(const std::string& place) {
  const std::lock_guard lock(mutex_);
  return members_[place].damaged;
}

void SetMemberLedger(MemberLedger* ledger) { g_ledger.store(ledger, std::memory_order_release); }

MemberLedger* GetMemberLedger() {
  MemberLedger* const ledger = g_ledger.load(std::memory_order_acquire);
  if (ledger != nullptr) {
    return ledger;
  }
  // Never destroyed: threads may still read when the process ends.
  static MemberLedger* const own = new ProcessLedger();
  return own;
}

}  // namespace pitr

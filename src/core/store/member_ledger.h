// What is known of the members of mirrored stores (mirrored_store.h) from one call to the next: who failed a moment ago and is left
// alone, who may lack objects. Members are named by StoreAddress::place. A process has one ledger; in a server all processes share what
// theirs know, so that a store that is away is waited for once and not by everybody.
//
// Implementations may be used by several threads at once, and neither raise nor throw but for want of memory.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "core/base/clock.h"
#include "core/base/status.h"

namespace pitr {

class MemberLedger {
 public:
  virtual ~MemberLedger() = default;
  // It failed and is left alone for the moment.
  virtual bool IsResting(const std::string& place) = 0;
  virtual void Failed(const std::string& place, const Status& status) = 0;
  virtual void Answered(const std::string& place) = 0;
  // A put of so many bytes, or a removal (0), of the object did not reach it; the catch-up (repo/replicate.h) has work.
  virtual void Missed(const std::string& place, const std::string& name, std::uint64_t bytes) = 0;
  // It may lack objects that another member has. What is not known is answered by `otherwise`.
  virtual bool IsBehind(const std::string& place, bool otherwise) = 0;
  // What it holds under this name is damaged.
  virtual void Damaged(const std::string& place, const std::string& name) = 0;
  // It is empty, and was a whole member before: a disk that is not mounted looks like that.
  virtual bool WasMember(const std::string& place) = 0;
};

// Of this process alone.
class ProcessLedger final : public MemberLedger {
 public:
  explicit ProcessLedger(const Clock& clock = SystemClock()) : clock_(clock) {}
  bool IsResting(const std::string& place) override;
  void Failed(const std::string& place, const Status& status) override;
  void Answered(const std::string& place) override;
  void Missed(const std::string& place, const std::string& name, std::uint64_t bytes) override;
  bool IsBehind(const std::string& place, bool otherwise) override;
  void Damaged(const std::string& place, const std::string& name) override;
  bool WasMember(const std::string&) override { return false; }

  int missed(const std::string& place);
  int damaged(const std::string& place);

 private:
  struct Member {
    int failures = 0, missed = 0, damaged = 0;
    std::int64_t rests_until_ms = 0;
  };
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Member> members_;
};

// For how long a member is left alone after so many failures in a row: 2 s, doubled up to a minute. Not at all when it answered and is
// another repository: that is refused each time, and passes only when the settings are put right.
std::int64_t RestMs(int failures, Code code);

// The ledger of this process; set once, before the first store is opened. Not set: a ProcessLedger.
void SetMemberLedger(MemberLedger* ledger);
MemberLedger* GetMemberLedger();

}  // namespace pitr

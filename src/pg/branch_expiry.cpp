#include "pg/branch_expiry.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kSecond = 1000000, kMostTtl = 30LL * 86400 * kSecond;

}  // namespace

Result<Timestamp> CheckExpiry(Timestamp at, Timestamp now) {
  at.micros -= at.micros % kSecond;
  if (at <= now) {
    return Status(Code::kInvalidArgument, "expires_at lies in the past: " + FormatTime(at, 0));
  }
  if (at.micros - now.micros > kMostTtl) {
    return Status(Code::kInvalidArgument,
                  "expires_at lies more than 30 days ahead: " + FormatTime(at, 0));
  }
  return at;
}

Status CheckMayExpire(const BranchSet& set, const Branch& branch) {
  const auto refuse = [&](const char* why) {
    return Status(Code::kNotReady, "branch \"" + branch.name + "\" " + why + " and cannot expire");
  };
  if (branch.is_default) return refuse("is the default branch");
  if (branch.is_protected) return refuse("is protected");
  if (!set.ChildrenOf(branch.id).empty()) return refuse("has children");
  return Status::Ok();
}

}  // namespace pitr::pg

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

Status CheckMayReturn(const BranchSet& set, const BranchId& id, const std::string& name,
                      Timestamp now) {
  PITR_ASSIGN_OR_RETURN(const Branch* branch, set.FindDeleted(id, now));
  if (set.IsNameTaken(name)) {
    return Status(Code::kAlreadyExists, "branch \"" + name + "\" exists already")
        .WithHint("Choose another name for the one that comes back: new_name => '...'.");
  }
  const Branch* parent = branch->parent ? set.FindId(*branch->parent) : nullptr;
  if (parent != nullptr && !parent->deleted_at && parent->expires_at) {
    return Status(Code::kNotReady,
                  "branch \"" + parent->name + "\" expires and cannot have children")
        .WithHint("Clear it first with pitr_set_branch_expiration(branch).");
  }
  return Status::Ok();
}

}  // namespace pitr::pg

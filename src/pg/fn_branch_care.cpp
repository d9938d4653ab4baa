// What is noted of a branch: pitr_protect_branch, pitr_set_default_branch, pitr_set_branch_expiration.
#include "pg/branch_expiry.h"
#include "pg/branch_rows.h"
#include "pg/operation.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// Changes the entry of a branch, in the catalogue as it is at that moment.
Result<Datum> ChangeBranch(FunctionCallInfo fcinfo, const char* function,
                           const std::string& arguments, const std::string& name,
                           const std::function<Status(BranchSet*, Branch*)>& change) {
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const Branch* found, session.BranchArg(name));
  const BranchId id = found->id;
  const std::string full_name = found->name;
  PITR_RETURN_IF_ERROR(UpdateBranches(session.repo.get(), [&](BranchSet* set) {
    Branch* branch = set->FindId(id);
    if (branch == nullptr || branch->deleted_at)
      return Status(Code::kNotFound, "branch \"" + name + "\" not found");
    PITR_RETURN_IF_ERROR(change(set, branch));
    branch->updated_at = SystemClock().Now();
    return Status::Ok();
  }));
  PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), full_name, function, arguments));
  return BranchRowOf(fcinfo, &session, id);
}

Result<Datum> Protect(FunctionCallInfo fcinfo) {
  constexpr const char* kFunction = "pitr_protect_branch";
  const bool wanted = IsNull(fcinfo, 1) || BoolArg(fcinfo, 1);
  return AuditedByName(fcinfo, kFunction, "branch", [&](const std::string& name) {
    const std::string arguments = Quoted(name) + (wanted ? "" : ", false");
    return ChangeBranch(fcinfo, kFunction, arguments, name, [&](BranchSet*, Branch* branch) {
      if (wanted && branch->expires_at) {
        return Status(Code::kNotReady,
                      "branch \"" + branch->name + "\" expires and cannot be protected")
            .WithHint("Clear it first with pitr_set_branch_expiration(branch).");
      }
      branch->is_protected = wanted;
      return Status::Ok();
    });
  });
}

Result<Datum> SetDefault(FunctionCallInfo fcinfo) {
  constexpr const char* kFunction = "pitr_set_default_branch";
  return AuditedByName(fcinfo, kFunction, "branch", [&](const std::string& name) {
    return ChangeBranch(fcinfo, kFunction, Quoted(name), name, [&](BranchSet* set, Branch* branch) {
      if (branch->expires_at) {
        return Status(Code::kNotReady,
                      "branch \"" + branch->name + "\" expires and cannot be the default branch")
            .WithHint("Clear it first with pitr_set_branch_expiration(branch).");
      }
      if (branch->state == "creating") {
        return Status(Code::kInUse, "branch \"" + branch->name + "\" is still being made");
      }
      for (Branch& other : set->branches)
        other.is_default = other.id == branch->id;
      return Status::Ok();
    });
  });
}

// At most one of the two; neither clears.
Result<std::optional<Timestamp>> ExpiryArg(FunctionCallInfo fcinfo, Timestamp now) {
  if (!IsNull(fcinfo, 1) && !IsNull(fcinfo, 2)) {
    return Status(Code::kInvalidArgument, "only one of expires_at and ttl can be given");
  }
  if (IsNull(fcinfo, 1) && IsNull(fcinfo, 2)) return std::optional<Timestamp>();
  Timestamp at = {now.micros + (IsNull(fcinfo, 2) ? 0 : IntervalArg(fcinfo, 2))};
  if (!IsNull(fcinfo, 1)) {
    PITR_ASSIGN_OR_RETURN(at, TimeArg(fcinfo, 1));
  }
  PITR_ASSIGN_OR_RETURN(const Timestamp checked, CheckExpiry(at, now));
  return std::optional(checked);
}

Result<Datum> SetExpiration(FunctionCallInfo fcinfo) {
  constexpr const char* kFunction = "pitr_set_branch_expiration";
  return AuditedByName(fcinfo, kFunction, "branch", [&](const std::string& name) -> Result<Datum> {
    const Timestamp now = SystemClock().Now();
    PITR_ASSIGN_OR_RETURN(const std::optional<Timestamp> at, ExpiryArg(fcinfo, now));
    const std::string arguments = Quoted(name) + (at ? ", " + Quoted(FormatTime(*at, 0)) : "");
    return ChangeBranch(fcinfo, kFunction, arguments, name, [&](BranchSet* set, Branch* branch) {
      if (at) PITR_RETURN_IF_ERROR(CheckMayExpire(*set, *branch));
      branch->expires_at = at;
      branch->ttl_seconds.reset();
      if (at) branch->ttl_seconds = (at->micros - now.micros) / 1000000;
      return Status::Ok();
    });
  });
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_protect_branch) { return pitr::pg::Protect(fcinfo); }
PITR_FUNCTION(pitr_set_default_branch) { return pitr::pg::SetDefault(fcinfo); }
PITR_FUNCTION(pitr_set_branch_expiration) { return pitr::pg::SetExpiration(fcinfo); }

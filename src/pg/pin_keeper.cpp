#include "pg/pin_keeper.h"

#include <map>
#include <optional>
#include <vector>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/demand/folder.h"
#include "core/repo/catalogue.h"
#include "core/repo/pins.h"
#include "pg/boundary.h"
#include "pg/branch_rows.h"
#include "pg/compute.h"
#include "pg/demand.h"
#include "pg/log.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// A directory of this machine, with the snapshot that it is loaded from; none when it is complete.
struct Local {
  std::string directory;
  std::optional<SnapshotId> snapshot;
};
using Locals = std::map<BranchId, Local>;

// What was found at the last look, when all of it was as it should be, and until when that holds.
constinit Locals* settled = nullptr;
constinit std::int64_t settled_until = 0;

bool IsSame(const Locals& a, const Locals& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.first == other.first && one.second.directory == other.second.directory &&
           one.second.snapshot == other.second.snapshot;
  });
}

// Paths alone tell little: another machine's directory may have the same one.
bool IsDirectoryOf(const std::string& directory, const BranchId& branch) {
  const Result<Identity> identity = LoadIdentity(directory);
  return identity.ok() && identity->branch_id == branch;
}

Result<Locals> FindLocals(const BranchSet& branches, const Identity& identity) {
  Locals locals;
  PITR_ASSIGN_OR_RETURN(const std::string live, RealDataDirectory());
  const demand::Directory* incomplete = IncompleteDirectory();
  locals[identity.branch_id] = {live, incomplete == nullptr
                                          ? std::optional<SnapshotId>()
                                          : SnapshotId(incomplete->index().snapshot())};
  for (const Branch& branch : branches.branches) {
    // One whose server does not run has nobody else.
    const bool is_ours = branch.kind == BranchKind::kUndo || (branch.compute && !IsCompute());
    if (branch.id == identity.branch_id || branch.deleted_at || branch.state == "creating" ||
        !is_ours || !branch.directory || !IsDirectoryOf(*branch.directory, branch.id)) {
      continue;
    }
    const Result<std::optional<std::string>> snapshot = demand::SnapshotOfFolder(*branch.directory);
    // One that cannot be read keeps the pin that it has.
    if (snapshot.ok()) locals[branch.id] = {*branch.directory, *snapshot};
  }
  return locals;
}

Status KeepPin(Repository* repo, const BranchId& branch, const Local& local, const Pin* pin,
               Timestamp now) {
  if (!local.snapshot) return pin == nullptr ? Status::Ok() : UnpinBranch(repo, branch);
  const bool is_young = pin != nullptr && pin->snapshot == *local.snapshot &&
                        pin->renewed_at.micros > now.micros - kPinRenewMicros;
  if (is_young) return Status::Ok();
  const Status pinned = PinSnapshot(repo, NewPin(*local.snapshot, branch, local.directory, now));
  if (pinned.code() != Code::kNotFound) return pinned;
  // Pages that are missing cannot be had any more. Sessions that want one get an error that says so; it is told here as well, now and then.
  LogStatus(WARNING, "the data directory \"" + local.directory + "\" cannot be completed", pinned);
  return Status::Ok();
}

}  // namespace

void ForgetPins() { settled_until = 0; }

Status KeepPins(Repository* repo, const BranchSet& branches, const Identity& identity) {
  const Timestamp now = SystemClock().Now();
  PITR_ASSIGN_OR_RETURN(Locals locals, FindLocals(branches, identity));
  if (settled != nullptr && now.micros < settled_until && IsSame(*settled, locals)) {
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const Json document, ReadSnapshotFlags(repo));
  PITR_ASSIGN_OR_RETURN(const std::vector<Pin> pins, PinsIn(document));
  for (const auto& [branch, local] : locals) {
    const Pin* found = nullptr;
    for (const Pin& pin : pins) {
      if (pin.branch == branch) found = &pin;
    }
    PITR_RETURN_IF_ERROR(KeepPin(repo, branch, local, found, now));
  }
  if (settled == nullptr) settled = new Locals;
  *settled = std::move(locals);
  settled_until = now.micros + kPinRenewMicros / 2;
  return Status::Ok();
}

}  // namespace pitr::pg

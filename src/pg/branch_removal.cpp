#include "pg/branch_removal.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <csignal>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/repo/identity.h"
#include "core/repo/records.h"
#include "core/work/socket_lock.h"
#include "core/work/tablespaces.h"
#include "pg/boundary.h"
#include "pg/branch_directory.h"
#include "pg/branch_hold.h"
#include "pg/branch_kept.h"
#include "pg/compute.h"
#include "pg/log.h"
#include "pg/operation_slots.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kLockMillis = 120000;
constexpr long kPollMs = 20;

// A branch and, with cascade, everything below it; children first.
void Collect(const BranchSet& set, const BranchId& id, std::vector<BranchId>* ids) {
  for (const Branch* child : set.ChildrenOf(id))
    Collect(set, child->id, ids);
  ids->push_back(id);
}

Status CheckDeletable(const BranchSet& set, const BranchId& id, const BranchId& self,
                      bool cascade) {
  const Branch* branch = set.FindId(id);
  if (branch == nullptr || branch->deleted_at)
    return Status(Code::kNotFound, "branch \"" + id + "\" not found");
  if (id == self) {
    return Status(Code::kInUse, "branch \"" + branch->name + "\" is the one you are connected to");
  }
  if (branch->is_protected)
    return Status(Code::kProtected, "branch \"" + branch->name + "\" is protected");
  if (branch->state == "creating")
    return Status(Code::kInUse, "branch \"" + branch->name + "\" is still being made");
  if (branch->state == "restoring")
    return Status(Code::kInUse, "branch \"" + branch->name + "\" is being restored");
  if (branch->is_default)
    return Status(Code::kInUse, "branch \"" + branch->name + "\" is the default branch");
  // One that was built for a root is given up by that.
  if (branch->kind == BranchKind::kRoot && !branch->built) {
    return Status(Code::kNotReady,
                  "branch \"" + branch->name + "\" is a root and cannot be deleted");
  }
  if (cascade) return Status::Ok();
  Status status = set.CheckNoChildren(*branch);
  if (!status.ok())
    status = std::move(status).WithHint("Use cascade => true to delete them as well.");
  return status;
}

}  // namespace

Result<std::vector<Branch>> DeleteInCatalogue(Repository* repo, const BranchId& id,
                                              const BranchId& self, bool cascade, bool force,
                                              Timestamp now, BranchSet* left) {
  std::vector<Branch> deleted;
  PITR_RETURN_IF_ERROR(UpdateBranches(repo, [&](BranchSet* set) {
    deleted.clear();
    std::vector<BranchId> ids;
    if (cascade) {
      Collect(*set, id, &ids);
    } else {
      ids.push_back(id);  // or children would be gone before they are looked for
    }
    for (const BranchId& one : ids) {
      PITR_RETURN_IF_ERROR(CheckDeletable(*set, one, self, cascade));
      Branch* branch = set->FindId(one);
      branch->deleted_at = branch->updated_at = now;
      if (force) branch->gone_at = now;
      deleted.push_back(*branch);
    }
    *left = *set;
    return Status::Ok();
  }));
  return deleted;
}

Status RemoveExpired(Repository* repo, const BranchSet& branches, const Identity& identity,
                     const std::string& live) {
  const Timestamp now = SystemClock().Now();
  for (const Branch& branch : branches.branches) {
    if (!branch.expires_at || *branch.expires_at > now || branch.deleted_at ||
        !HasComputeHere(branch)) {
      continue;
    }
    BranchSet left;
    Result<std::vector<Branch>> deleted =
        DeleteInCatalogue(repo, branch.id, identity.branch_id, false, false, now, &left);
    // It has got children since, or somebody was faster: there is nothing to do now.
    if (!deleted.ok() && deleted.status().code() != Code::kUnavailable) continue;
    PITR_RETURN_IF_ERROR(deleted.status());
    LogQuietly(LOG, "pitr_ext: branch \"" + branch.name + "\" has expired and is deleted");
    for (const Branch& one : *deleted)
      PITR_RETURN_IF_ERROR(RemoveFromDisk(repo, left, one, live));
    PITR_RETURN_IF_ERROR(AppendAudit(
        repo, {now, "", "", branch.name, "pitr_delete_branch", "expired", "", "done", ""}));
  }
  return Status::Ok();
}

const Branch* OwnerOf(const BranchSet& branches, const std::string& directory) {
  const Result<Identity> identity = LoadIdentity(directory);
  return branches.FindId(identity.ok() ? identity->branch_id : BaseName(directory));
}

Status RemoveWhatLiesBeside(const BranchSet& branches, const std::string& directory) {
  if (PathExists(directory)) return Status::Ok();
  const std::string beside = directory + ".pitr";
  const Result<std::vector<std::string>> names = ListDirectory(beside);
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    if (!IsBranchId(name)) continue;
    const Branch* owner = OwnerOf(branches, JoinPath(beside, name));
    if (owner != nullptr && !owner->deleted_at) return Status::Ok();
  }
  // One by one, since each may have tablespaces elsewhere.
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    if (IsBranchId(WithoutGone(name)))
      PITR_RETURN_IF_ERROR(RemoveDataDirectory(JoinPath(beside, name), std::string()));
  }
  PITR_RETURN_IF_ERROR(RemoveTree(beside));
  return RemoveFile(ComputeLog(directory));
}

Result<File> LockForRemoval(const std::string& directory, std::int64_t patience_ms) {
  PITR_ASSIGN_OR_RETURN(File lock, File::Open(directory, O_RDONLY | O_DIRECTORY));
  const std::int64_t give_up = SystemClock().MonotonicMillis() + patience_ms;
  while (::flock(lock.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return Status::FromErrno(errno, "lock \"" + directory + "\"");
    }
    if (SystemClock().MonotonicMillis() >= give_up) {
      return Status(Code::kLockTimeout, "\"" + directory + "\" is still being removed");
    }
    NapOnLatch(kPollMs);
    CheckInterrupts();
  }
  // It has another name, or none, when somebody else was done before.
  if (!PathExists(directory)) return Status(Code::kNotFound, "\"" + directory + "\" is gone");
  return lock;
}

Status RemoveFromDisk(Repository* repo, const BranchSet& branches, const Branch& branch,
                      const std::string& live) {
  if (!IsOurDirectory(branch) || *branch.directory == live) return Status::Ok();
  const Result<File> lock = LockForRemoval(*branch.directory, kLockMillis);
  if (lock.status().code() == Code::kNotFound) return Status::Ok();
  PITR_RETURN_IF_ERROR(lock.status());
  PITR_FAULT("branch.delete.before_stop");
  if (branch.compute) {
    PITR_RETURN_IF_ERROR(StopForGood(*branch.directory));
    // Of one that was killed.
    for (const std::string& sockets : SocketDirectories())
      RemoveDeadSocket(SocketPath(sockets, branch.compute->port), *branch.directory);
  }
  PITR_RETURN_IF_ERROR(KeepForUndelete(repo, branch));
  PITR_FAULT("branch.delete.before_remove");
  // Another server of the machine may have brought it back since.
  PITR_ASSIGN_OR_RETURN(const BranchSet now, ReadBranches(repo));
  const Branch* still = now.FindId(branch.id);
  if (still != nullptr && !still->deleted_at) return Status::Ok();
  PITR_RETURN_IF_ERROR(RemoveDataDirectory(*branch.directory, live));
  return branch.compute ? RemoveWhatLiesBeside(branches, *branch.directory) : Status::Ok();
}

}  // namespace pitr::pg

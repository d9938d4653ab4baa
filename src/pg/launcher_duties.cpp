#include "pg/launcher_duties.h"

#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <set>

#include "core/base/file.h"
#include "core/repo/collect.h"
#include "core/repo/intent.h"
#include "core/repo/manifest.h"
#include "core/repo/pins.h"
#include "core/repo/records.h"
#include "core/repo/unbuilt.h"
#include "core/work/idle_server.h"
#include "core/work/living_server.h"
#include "core/work/tablespaces.h"
#include "pg/archive_drop.h"
#include "pg/boundary.h"
#include "pg/branch_directory.h"
#include "pg/branch_kept.h"
#include "pg/branch_removal.h"
#include "pg/branch_room.h"
#include "pg/completion.h"
#include "pg/compute.h"
#include "pg/demand.h"
#include "pg/dump_keeper.h"
#include "pg/finish_exchange.h"
#include "pg/guc.h"
#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/look_keeper.h"
#include "pg/operation.h"
#include "pg/pin_keeper.h"
#include "pg/recover_keeper.h"
#include "pg/replay_bound.h"
#include "pg/retention_keeper.h"
#include "pg/schedule_keeper.h"
#include "pg/server_facts.h"
#include "pg/ship_file.h"
#include "pg/shmem.h"
#include "pg/tail.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#include "storage/latch.h"
}

namespace pitr::pg {

namespace {

constexpr std::int64_t kSecond = 1000000, kOrphanMillis = 5000;
constinit std::int64_t next_snapshot_try = 0, next_sweep = 0, next_dumps = 0;
constinit bool is_disk_filling = false;
constinit CollectState* collect_state = nullptr;  // of the repository that LauncherStartup saw

bool HasSlot(const std::string& id) { return FindOperation(id).has_value(); }

// Operations that an end of the server interrupted: nobody else will say how they ended.
Status CloseDangling(Repository* repo, const BranchSet& branches, const Identity& identity) {
  PITR_ASSIGN_OR_RETURN(const std::vector<OperationRecord> records, ReadOperations(repo, 200));
  PITR_ASSIGN_OR_RETURN(const std::string data, RealDataDirectory());
  const Result<Intent> intent = ReadIntent(data);
  for (OperationRecord record : records) {
    if (record.state != "running" && record.state != "queued") continue;
    if (HasSlot(record.id) || (intent.ok() && intent->operation == record.id)) continue;
    // Others are of servers that run beside this one, and theirs to close, unless they are gone.
    const Branch* branch = branches.FindId(record.branch_id);
    if (branch == nullptr || (branch->id != identity.branch_id && !branch->deleted_at)) {
      continue;
    }
    record.state = "failed";
    record.error = "interrupted by an end of the server or of the operation's worker";
    record.sqlstate = "57P01";
    record.finished_at = SystemClock().Now();
    PITR_RETURN_IF_ERROR(AppendOperation(repo, record));
  }
  return Status::Ok();
}

// A server that a killed build left running on a replacement directory, or one of a branch that is deleted. False when it stays.
// Of a deleted branch what it has committed is still to come into the repository: it may be undeleted.
bool StopOrphan(const std::string& directory, const Branch* branch) {
  if (!LivingServer(directory) && !LivingHolder(directory)) return true;
  LogQuietly(LOG, "pitr_ext: stopping a server that was left in \"" + directory + "\"");
  if (branch != nullptr && branch->compute && branch->deleted_at &&
      StopServer(directory, SIGINT, kOrphanMillis).ok()) {
    return true;
  }
  return StopServer(directory, SIGQUIT, kOrphanMillis).ok();
}

bool HasLostDirectory(const Branch& branch) {
  return branch.kind == BranchKind::kUndo && IsOurDirectory(branch) &&
         !PathExists(*branch.directory);
}

// A move that ended half way (operation_restore_other.cpp).
std::optional<std::string> FindMoved(const Branch& branch) {
  const Result<std::string> place = ComputesDirectory();
  const Result<std::vector<std::string>> names =
      place.ok() ? ListDirectory(*place) : Result<std::vector<std::string>>(place.status());
  if (!names.ok()) return std::nullopt;
  for (const std::string& name : *names) {
    if (!IsBranchId(name)) continue;
    const std::string path = JoinPath(*place, name);
    const Result<Identity> identity = LoadIdentity(path);
    if (identity.ok() && identity->branch_id == branch.id) return path;
  }
  return std::nullopt;
}

// After an exchange the builder's name is on another line, and nobody is at work under the old one.
bool IsByThisServer(const BranchSet& branches, const Branch& branch, const Identity& identity) {
  if (!branch.builder) return false;
  const Branch* builder = branches.FindId(*branch.builder);
  return *branch.builder == identity.branch_id || builder == nullptr ||
         builder->kind == BranchKind::kUndo;
}

bool IsBuiltHere(const BranchSet& branches, const Branch& branch, const Identity& identity) {
  return branch.state == "creating" && IsByThisServer(branches, branch, identity);
}

// A restore of another branch that ended between its stop and its start (operation_restore_other.cpp): it runs on, as what it is.
bool IsLeftRestoring(const BranchSet& branches, const Branch& branch, const Identity& identity) {
  return branch.state == "restoring" && !branch.deleted_at &&
         IsByThisServer(branches, branch, identity);
}

// Lines that this server was building, directories that are gone. Only of what `branches` held before it was clear that no operation
// runs: by now the next one may have begun.
Status SweepBranches(Repository* repo, const BranchSet& branches, const Identity& identity) {
  std::set<BranchId> unfinished, left_restoring;
  bool has_lost = false;
  for (const Branch& branch : branches.branches) {
    if (IsBuiltHere(branches, branch, identity)) unfinished.insert(branch.id);
    if (IsLeftRestoring(branches, branch, identity)) left_restoring.insert(branch.id);
    has_lost = has_lost || HasLostDirectory(branch);
  }
  PITR_RETURN_IF_ERROR(DropUnbuilt(repo, unfinished, SystemClock().Now()));
  if (left_restoring.empty() && !has_lost) return Status::Ok();
  TellOfComputes();
  return UpdateBranches(repo, [&](BranchSet* set) {
    for (Branch& branch : set->branches) {
      if (left_restoring.contains(branch.id) && branch.state == "restoring") {
        branch.state = "running";
        branch.builder.reset();
      }
      if (!HasLostDirectory(branch)) continue;
      branch.directory = FindMoved(branch);
      if (branch.directory) continue;
      branch.directory_place.reset();
      branch.directory_expires_at.reset();
    }
    return Status::Ok();
  });
}

// What the helper of an exchange did is worth reading for a while.
bool IsRecentLog(const std::string& name, const std::string& path, Timestamp now) {
  struct stat info {};
  return name.starts_with("op-") && name.ends_with(".log") && stat(path.c_str(), &info) == 0 &&
         info.st_mtime > now.micros / kSecond - 7 * 86400;
}

// What a name in the branch directory is to the sweep.
enum class Leftover { kNone, kTree, kDirectory, kBeside, kKept };

// A directory belongs to the branch that its identity names, wherever it stands: exchanges move branches between directories.
Leftover Judge(const std::string& path, const BranchSet& branches, const Identity& identity,
               Timestamp now) {
  const std::string name = BaseName(path);
  if (name.starts_with("op-") || (name.size() == 8 && name.find('.') == std::string::npos)) {
    return Leftover::kTree;
  }
  if (name.ends_with(kGoneSuffix) && IsBranchId(WithoutGone(name))) return Leftover::kDirectory;
  const std::size_t dot = name.find('.');
  if (name.ends_with(kKeptSuffix) && IsBranchId(name.substr(0, dot))) return Leftover::kKept;
  if (dot != std::string::npos) {
    return IsBranchId(name.substr(0, dot)) ? Leftover::kBeside : Leftover::kNone;
  }
  if (!IsBranchId(name)) return Leftover::kNone;
  const Branch* branch = OwnerOf(branches, path);
  if (branch == nullptr || branch->deleted_at) return Leftover::kDirectory;
  if (branch->state == "creating")
    return IsBuiltHere(branches, *branch, identity) ? Leftover::kDirectory : Leftover::kNone;
  const bool is_expired =
      !branch->compute && branch->directory_expires_at && *branch->directory_expires_at < now;
  return is_expired ? Leftover::kDirectory : Leftover::kNone;
}

Status SweepOne(Repository* repo, const BranchSet& branches, const Identity& identity,
                const std::string& path) {
  const Timestamp now = SystemClock().Now();
  PITR_ASSIGN_OR_RETURN(const std::string data, RealDataDirectory());
  if (IsRecentLog(BaseName(path), path, now)) return Status::Ok();
  switch (Judge(path, branches, identity, now)) {
    case Leftover::kNone:
      return Status::Ok();
    case Leftover::kTree:
      return StopOrphan(path, nullptr) ? RemoveTree(path) : Status::Ok();
    case Leftover::kKept:
      return IsKeptInVain(branches, BaseName(path), now) ? RemoveTree(path) : Status::Ok();
    case Leftover::kBeside:
      return RemoveWhatLiesBeside(branches, path.substr(0, path.rfind('.')));
    case Leftover::kDirectory:
      break;
  }
  const Branch* branch = OwnerOf(branches, path);
  const Result<File> lock = LockForRemoval(path, 0);
  if (!lock.ok()) {
    const bool is_at_it =
        lock.status().code() == Code::kLockTimeout || lock.status().code() == Code::kNotFound;
    return is_at_it ? Status::Ok() : lock.status();
  }
  if (!StopOrphan(path, branch)) return Status::Ok();
  if (branch != nullptr && branch->directory == path)
    PITR_RETURN_IF_ERROR(KeepForUndelete(repo, *branch));
  PITR_RETURN_IF_ERROR(RemoveDataDirectory(path, data));
  return branch == nullptr ? Status::Ok() : UnpinBranch(repo, branch->id);
}

// Undo directories of branches with a server of their own, which may have ended before them. REQUIRES: beside a directory in a branch directory of ours.
Status SweepUndoOf(Repository* repo, const BranchSet& branches, const Identity& identity,
                   const std::string& beside) {
  const Result<std::vector<std::string>> names = ListDirectory(beside);
  if (!names.ok()) return Status::Ok();
  for (const std::string& name : *names) {
    const std::string path = JoinPath(beside, name);
    const Branch* owner = IsBranchId(name) ? OwnerOf(branches, path) : nullptr;
    // What is under way there is that server's.
    if (owner == nullptr || owner->kind != BranchKind::kUndo) continue;
    PITR_RETURN_IF_ERROR(SweepOne(repo, branches, identity, path));
  }
  return Status::Ok();
}

// Directories that no branch owns and no operation builds; undo directories whose time is over.
Status SweepDirectories(Repository* repo, const BranchSet& known, const Identity& identity) {
  PITR_ASSIGN_OR_RETURN(const std::string directory, BranchDirectory());
  Result<std::vector<std::string>> names = ListDirectory(directory);
  if (!names.ok() || !IsOurBranchDirectory(directory)) return Status::Ok();
  for (const OperationSlot& slot : AllOperations()) {
    if (slot.finished_at == 0 && slot.kind != std::string_view(kCompletion)) return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const std::string data, RealDataDirectory());
  if (PathExists(IntentPath(data))) return Status::Ok();
  // Read behind the list: servers of branches make directories here as well, of lines that are in the catalogue by then.
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  for (const std::string& name : *names) {
    const std::string path = JoinPath(directory, name);
    if (name.ends_with(".pitr")) PITR_RETURN_IF_ERROR(SweepUndoOf(repo, branches, identity, path));
    PITR_RETURN_IF_ERROR(SweepOne(repo, branches, identity, path));
  }
  return SweepBranches(repo, known, identity);
}

// A test need not wait that long.
std::int64_t SecondsOf([[maybe_unused]] const char* variable, std::int64_t seconds) {
#ifdef PITR_FAULTS
  if (const char* text = std::getenv(variable)) return std::atoll(text);
#endif
  return seconds;
}

Status SweepRepository(Repository* repo) {
  const Timestamp now = SystemClock().Now();
  const std::int64_t age = SecondsOf("PITR_ABANDONED_SECONDS", 3600) * kSecond;
  PITR_RETURN_IF_ERROR(CollectAbandonedPacks(repo, {now.micros - age}, now, collect_state));
  if (now.micros < next_dumps) return Status::Ok();
  next_dumps = now.micros + SecondsOf("PITR_DUMPS_SECONDS", 600) * kSecond;
  return KeepDumps(repo, {now.micros - age}, now);
}

bool ArchivingIsOurs() {
  return SettingValue("archive_library") == "pitr_ext" && SettingValue("archive_mode") != "off";
}

// A branch that has no snapshot on its line cannot be restored at all: the first one is taken without being asked for.
Status TakeFirstSnapshot(Repository* repo, const BranchSet& branches, const Identity& identity) {
  const std::int64_t now = SystemClock().Now().micros;
  if (now < next_snapshot_try || !ArchivingIsOurs() || InRecovery() ||
      IncompleteDirectory() != nullptr) {
    return Status::Ok();
  }
  next_snapshot_try = now + 10 * kSecond;
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> snapshots, ListSnapshots(repo, nullptr));
  PITR_ASSIGN_OR_RETURN(const std::vector<const Branch*> line,
                        branches.AncestryOf(identity.branch_id));
  for (const ManifestHead& snapshot : snapshots) {
    for (const Branch* branch : line) {
      if (snapshot.manifest.branch == branch->id) {
        next_snapshot_try = now + 3600 * kSecond;
        return Status::Ok();
      }
    }
  }
  NewOperation operation;
  operation.kind = "snapshot";
  operation.branch = line.front()->name;
  operation.branch_id = identity.branch_id;
  operation.request["origin"] = "first";
  operation.request["name"] = "first_" + FormatTime({now}, 0);
  operation.wait = false;
  Result<std::string> started = StartOperationNow(operation);
  // Whatever went wrong with one attempt, the next is made later.
  next_snapshot_try = now + (started.ok() ? 60 : 15) * kSecond;
  if (!started.ok() && started.status().code() != Code::kLockTimeout) return started.status();
  return Status::Ok();
}

// Only where the server has no room for a tail shipper, or archives nothing.
void ServeShipRequest() {
  if (!IsShipAsked() || HasTailShipper()) return;
  Tail tail(&ServerCancel());
  (void)AnswerShipRequest(&tail);
}

// A line when it begins, and one when it is over.
void WatchDisks() {
  const Status disks = CheckDisks();
  const bool is_filling = disks.code() == Code::kDiskFull;
  if (is_filling && !is_disk_filling) LogStatus(WARNING, "pitr_ext", disks);
  if (!is_filling && is_disk_filling) LogQuietly(LOG, "pitr_ext: there is room on disk again");
  is_disk_filling = is_filling;
}

}  // namespace

Status LauncherStartup(Repository* repo, const Identity& identity) {
  PITR_RETURN_IF_ERROR(FinishExchange(repo, identity));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  next_snapshot_try = next_sweep = next_dumps = 0;
  ForgetReplayBound();
  LookForGapsAnew();
  ForgetSchedules();
  ForgetPins();
  ForgetRetention();
  delete collect_state;
  collect_state = new CollectState;
  return CloseDangling(repo, branches, identity);
}

Status LauncherTick(Repository* repo, const Identity& identity, BranchSizer* sizer,
                    ComputeKeeper* computes, IdleWatch* idle) {
  {
    const LockHolder lock(OperationsLock());
    GetShared()->operations.launcher_pid = MyProcPid;
  }
  PITR_RETURN_IF_ERROR(FinishExchange(repo, identity));
  ServeShipRequest();
  PITR_RETURN_IF_ERROR(AnswerShipFile());
  PITR_RETURN_IF_ERROR(TellOfGaps(repo, identity));
  if (IsCompute()) {
    PITR_RETURN_IF_ERROR(idle->Tick());
  } else if (!InRecovery()) {
    PITR_RETURN_IF_ERROR(computes->Tick(repo));
  }
  WatchDisks();
  PITR_RETURN_IF_ERROR(KeepLooks(repo));
  sizer->Tick();
  if (ArchivingIsOurs()) {
    PITR_RETURN_IF_ERROR(KeepSchedules(repo, identity));
    PITR_RETURN_IF_ERROR(KeepReplayShort(repo, identity));
    PITR_RETURN_IF_ERROR(KeepRetention(repo, identity));
  }
  const std::int64_t now = SystemClock().Now().micros;
  if (now < next_sweep && now < next_snapshot_try) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  sizer->Take(branches, identity);
  computes->Take(branches);
  if (now >= next_sweep) {
    next_sweep = now + SecondsOf("PITR_SWEEP_SECONDS", 30) * kSecond;
    PITR_RETURN_IF_ERROR(CloseDangling(repo, branches, identity));
    PITR_RETURN_IF_ERROR(SweepDirectories(repo, branches, identity));
    PITR_RETURN_IF_ERROR(TidyRecovered(branches, identity));
    PITR_RETURN_IF_ERROR(DropGivenUp(repo, branches, identity.branch_id, SystemClock().Now()));
    PITR_RETURN_IF_ERROR(KeepPins(repo, branches, identity));
    if (!IsCompute()) {
      PITR_ASSIGN_OR_RETURN(const std::string live, RealDataDirectory());
      PITR_RETURN_IF_ERROR(RemoveExpired(repo, branches, identity, live));
      PITR_RETURN_IF_ERROR(SweepRepository(repo));
    }
  }
  return TakeFirstSnapshot(repo, branches, identity);
}

}  // namespace pitr::pg

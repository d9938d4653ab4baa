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
#include "core/work/tablespaces.h"
#include "pg/boundary.h"
#include "pg/branch_directory.h"
#include "pg/completion.h"
#include "pg/demand.h"
#include "pg/finish_exchange.h"
#include "pg/guc.h"
#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/pin_keeper.h"
#include "pg/replay_bound.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/tail.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#include "storage/latch.h"
}

namespace pitr::pg {

namespace {

constexpr std::int64_t kSecond = 1000000;
constinit std::int64_t next_snapshot_try = 0, next_sweep = 0;
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
    const Branch* branch = branches.FindId(record.branch_id);
    if (branch == nullptr || branch->root != identity.root) continue;
    record.state = "failed";
    record.error = "interrupted by an end of the server or of the operation's worker";
    record.sqlstate = "57P01";
    record.finished_at = SystemClock().Now();
    PITR_RETURN_IF_ERROR(AppendOperation(repo, record));
  }
  return Status::Ok();
}

// A server that a killed build left running on a replacement directory.
void StopOrphan(const std::string& directory) {
  Result<std::string> lock = ReadTextFile(JoinPath(directory, "postmaster.pid"), 4096);
  if (!lock.ok()) return;
  const int pid = std::atoi(lock->c_str());
  if (pid <= 1) return;
  // Only when that process really works in that directory: pids are used again.
  char link[PATH_MAX];
  const ssize_t size =
      readlink(("/proc/" + std::to_string(pid) + "/cwd").c_str(), link, sizeof link - 1);
  if (size <= 0 || std::string(link, static_cast<std::size_t>(size)) != directory) return;
  LogQuietly(LOG, "pitr_ext: stopping a server that an interrupted operation left in \"" +
                      directory + "\"");
  kill(pid, SIGQUIT);
}

bool HasLostDirectory(const Branch& branch) {
  return branch.kind == BranchKind::kUndo && IsOurDirectory(branch) &&
         !PathExists(*branch.directory);
}

bool IsBuiltHere(const Branch& branch, const Identity& identity) {
  return branch.state == "creating" && branch.builder == identity.branch_id;
}

// Lines that this server was building, directories that are gone. Only of what `branches` held before it was clear that no operation
// runs: by now the next one may have begun.
Status SweepBranches(Repository* repo, const BranchSet& branches, const Identity& identity) {
  std::set<BranchId> unfinished;
  bool has_lost = false;
  for (const Branch& branch : branches.branches) {
    if (IsBuiltHere(branch, identity)) unfinished.insert(branch.id);
    has_lost = has_lost || HasLostDirectory(branch);
  }
  PITR_RETURN_IF_ERROR(DropUnbuilt(repo, unfinished));
  if (!has_lost) return Status::Ok();
  return UpdateBranches(repo, [&](BranchSet* set) {
    for (Branch& branch : set->branches) {
      if (!HasLostDirectory(branch)) continue;
      branch.directory.reset();
      branch.directory_place.reset();
      branch.directory_expires_at.reset();
    }
    return Status::Ok();
  });
}

// What the helper of an exchange did is worth reading for a while.
bool IsRecentLog(const std::string& name, const std::string& path, Timestamp now) {
  struct stat info {};
  return name.ends_with(".log") && stat(path.c_str(), &info) == 0 &&
         info.st_mtime > now.micros / kSecond - 7 * 86400;
}

// Directories that no branch owns and no operation builds; undo directories whose time is over.
Status SweepDirectories(Repository* repo, const BranchSet& branches, const Identity& identity) {
  PITR_ASSIGN_OR_RETURN(const std::string directory, BranchDirectory());
  Result<std::vector<std::string>> names = ListDirectory(directory);
  if (!names.ok() || !IsOurBranchDirectory(directory)) return Status::Ok();
  for (const OperationSlot& slot : AllOperations()) {
    if (slot.finished_at == 0 && slot.kind != std::string_view(kCompletion)) return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const std::string data, RealDataDirectory());
  if (PathExists(IntentPath(data))) return Status::Ok();
  const Timestamp now = SystemClock().Now();
  for (const std::string& name : *names) {
    const std::string path = JoinPath(directory, name);
    const Branch* branch = branches.FindId(name);
    const bool is_guard =
        name.starts_with("op-") || (name.size() == 8 && name.find('.') == std::string::npos);
    const bool expired =
        branch != nullptr && branch->directory_expires_at && *branch->directory_expires_at < now;
    // A server that was made from this one passes for it; what it is building is its own all the same.
    const bool orphan = IsBranchId(name) &&
                        (branch == nullptr || IsBuiltHere(*branch, identity) || branch->deleted_at);
    const bool is_gone = name.ends_with(kGoneSuffix) && IsBranchId(WithoutGone(name));
    if ((!orphan && !expired && !is_guard && !is_gone) || IsRecentLog(name, path, now)) continue;
    StopOrphan(path);
    PITR_RETURN_IF_ERROR(is_guard ? RemoveTree(path) : RemoveDataDirectory(path, data));
    if (branch != nullptr) PITR_RETURN_IF_ERROR(UnpinBranch(repo, branch->id));
  }
  return SweepBranches(repo, branches, identity);
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
  return CollectAbandonedPacks(repo, {now.micros - age}, now, collect_state);
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

}  // namespace

Status LauncherStartup(Repository* repo, const Identity& identity) {
  PITR_RETURN_IF_ERROR(FinishExchange(repo, identity));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  next_snapshot_try = next_sweep = 0;
  ForgetReplayBound();
  ForgetPins();
  delete collect_state;
  collect_state = new CollectState;
  return CloseDangling(repo, branches, identity);
}

Status LauncherTick(Repository* repo, const Identity& identity, BranchSizer* sizer) {
  {
    const LockHolder lock(OperationsLock());
    GetShared()->operations.launcher_pid = MyProcPid;
  }
  PITR_RETURN_IF_ERROR(FinishExchange(repo, identity));
  ServeShipRequest();
  sizer->Tick();
  if (ArchivingIsOurs()) PITR_RETURN_IF_ERROR(KeepReplayShort(repo, identity));
  const std::int64_t now = SystemClock().Now().micros;
  if (now < next_sweep && now < next_snapshot_try) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  sizer->Take(branches, identity);
  if (now >= next_sweep) {
    next_sweep = now + SecondsOf("PITR_SWEEP_SECONDS", 30) * kSecond;
    PITR_RETURN_IF_ERROR(CloseDangling(repo, branches, identity));
    PITR_RETURN_IF_ERROR(SweepDirectories(repo, branches, identity));
    PITR_RETURN_IF_ERROR(DropGivenUp(repo, branches, identity.branch_id, SystemClock().Now()));
    PITR_RETURN_IF_ERROR(KeepPins(repo, branches, identity));
    PITR_RETURN_IF_ERROR(SweepRepository(repo));
  }
  return TakeFirstSnapshot(repo, branches, identity);
}

}  // namespace pitr::pg

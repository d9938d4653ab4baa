// The postmaster opens an incomplete directory whenever it makes shared memory: at its start, after a crash, after an exchange. Nothing is
// held but the memory; children inherit it.
#include "pg/demand.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/demand/calls.h"
#include "core/demand/control_state.h"
#include "core/demand/path.h"
#include "core/work/tablespaces.h"
#include "pg/boundary.h"
#include "pg/error_map.h"
#include "pg/fetch_worker.h"
#include "pg/guc.h"
#include "pg/log.h"
#include "pg/redirect.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "catalog/objectaccess.h"
#include "catalog/pg_control.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
}

namespace pitr::pg {

namespace {

// Of the postmaster, inherited; never destroyed but by the next one.
constinit demand::Directory* opened = nullptr;
constinit shmem_startup_hook_type previous_startup = nullptr;
constinit emit_log_hook_type previous_emit_log = nullptr;
constinit object_access_hook_type previous_object_access = nullptr;

demand::FrameSource* LocalSource() {
  static auto* const packs = new demand::LocalPacks();
  return packs;
}

// Set by the program `pitr` beside PITR_STAGING, while the directory can be made again.
bool IsBeingRebuilt() {
  const char* staging = std::getenv("PITR_STAGING");
  const char* rebuilt = std::getenv("PITR_REBUILDABLE");
  return staging != nullptr && std::strcmp(staging, "1") == 0 && rebuilt != nullptr &&
         std::strcmp(rebuilt, "1") == 0;
}

Status CheckSettings() {
  if (!enableFsync) {
    return Status(Code::kNotReady, "fsync is off")
        .WithHint("What is loaded and changed would be lost track of; set fsync = on.");
  }
  // Reads of the kernel's own are not seen (internals 23).
  if (SettingValue("io_method") == "io_uring") {
    return Status(Code::kNotReady, "io_method is io_uring").WithHint("Set io_method = worker.");
  }
  return Status::Ok();
}

Status CheckServer() {
  PITR_RETURN_IF_ERROR(RedirectionStatus());
  if (IsBinaryUpgrade) {
    return Status(Code::kNotReady, "pg_upgrade cannot read it");
  }
  return CheckSettings();
}

// Those made later hold nothing that is missing.
Result<std::vector<std::pair<std::string, std::string>>> TablespacePaths() {
  std::vector<std::pair<std::string, std::string>> paths;
  PITR_ASSIGN_OR_RETURN(const auto links, TablespaceLinks(DataDirectory()));
  for (const TablespaceLink& link : links) {
    const std::string folder = "pg_tblspc/" + link.oid;
    paths.emplace_back(folder, link.target);
    char real[PATH_MAX];
    if (realpath(link.target.c_str(), real) != nullptr && link.target != real)
      paths.emplace_back(folder, real);
  }
  return paths;
}

Status OpenDirectory() {
  demand::UseDirectory(nullptr);
  delete opened;
  opened = nullptr;
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<demand::Directory> directory,
                        demand::Directory::Open(DataDirectory(), LocalSource()));
  if (directory == nullptr) return Status::Ok();
  Status server = CheckServer();
  if (!server.ok()) {
    return std::move(server).Prefix(
        "the data directory is incomplete and cannot be used like this");
  }
  PITR_ASSIGN_OR_RETURN(const std::string real, RealDataDirectory());
  PITR_ASSIGN_OR_RETURN(auto tablespaces, TablespacePaths());
  opened = directory.release();
  demand::UsePaths(DataDir, real.c_str(), std::move(tablespaces));
  demand::UseDirectory(opened);
  demand::WatchFsyncSetting(&enableFsync);
  demand::SyncOnlyWhatIsMapped(IsBeingRebuilt());
  demand::WatchWaits({&ProcDiePending, &QueryCancelPending, &CritSectionCount, PostmasterPid});
  if (opened->fetches()) {
    opened->fetches().SetWorkers(static_cast<std::uint32_t>(RegisteredFetchWorkers()));
  }
  LogQuietly(LOG, "pitr_ext: the data directory is incomplete: " +
                      std::to_string(opened->AbsentBytes() >> 20) +
                      " MiB are loaded when they are read, and in the background");
  return Status::Ok();
}

// The postmaster has read the control file before it loaded the library, and has made it known to all by now (xlog.c XLOGShmemInit, 15 to
// 18). RAISES.
void ShowShutdownInMemory() {
  bool is_there = false;
  auto* control = static_cast<ControlFileData*>(
      ShmemInitStruct("Control File", sizeof(ControlFileData), &is_there));
  if (is_there) control->state = static_cast<DBState>(demand::ShownState(control->state));
}

// From 18 on reads are made by a few I/O workers, and one that waits for the repository holds up the reads of everybody (internals 26). Where
// nobody has chosen their number there are more of them on an incomplete directory. RAISES.
void SetIoWorkers() {
#if PG_VERSION_NUM >= 180000
  static bool is_raised = false;
  if ((opened != nullptr) == is_raised) return;
  is_raised = opened != nullptr;
  SetConfigOption("io_workers", is_raised ? "16" : "3", PGC_POSTMASTER, PGC_S_DYNAMIC_DEFAULT);
#endif
}

// pg_backup_start is for programs that read files by themselves, which would find holes (internals 4). A base backup over the
// replication protocol is complete: the server reads for it.
void RefuseBackupStart() {
  Report report;
  const Outcome outcome =
      Run([] { return RequireCompleteDirectory("an exclusive reader of the data directory"); },
          &report);
  if (outcome != Outcome::kOk) Raise(outcome, report);
}

extern "C" {

// Of the postmaster: what follows, a crash cycle's look at the control file among it, is not about this directory's map.
static void ForgetDirectory(int, Datum) { demand::UseDirectory(nullptr); }

static void StartDemand() {
  if (previous_startup != nullptr) previous_startup();
  if (IsUnderPostmaster) return;
  Report report;
  const Outcome outcome = Run(OpenDirectory, &report);
  // In the postmaster an ERROR is FATAL.
  if (outcome != Outcome::kOk) Raise(outcome, report);
  ShowShutdownInMemory();
  SetIoWorkers();
  if (opened != nullptr) on_shmem_exit(ForgetDirectory, 0);
}

// A read that fails says "Input/output error"; what was behind it is known here. Of the calling session's error alone.
static void ExplainFailure(ErrorData* error) {
  if (previous_emit_log != nullptr) previous_emit_log(error);
  if (error->elevel < ERROR || opened == nullptr) return;
  const char* text = nullptr;
  if (demand::Directory::HasFailure()) {
    text = demand::Directory::LastFailure()->text;
  } else if (error->saved_errno == EIO && opened->AbsentBytes() > 0) {
    text = opened->RecentFailure();
  }
  demand::Directory::ForgetFailure();
  if (text != nullptr && error->detail == nullptr && error->saved_errno != 0) {
    error->detail = MemoryContextStrdup(ErrorContext, text);
  }
}

static void OnObjectAccess(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
                           void* argument) {
  if (previous_object_access != nullptr)
    previous_object_access(access, class_id, object_id, sub_id, argument);
  if (access == OAT_FUNCTION_EXECUTE && object_id == F_PG_BACKUP_START) RefuseBackupStart();
}
}

}  // namespace

void DemandInit() {
  RedirectCalls();
  previous_startup = shmem_startup_hook;
  shmem_startup_hook = StartDemand;
  previous_emit_log = emit_log_hook;
  emit_log_hook = ExplainFailure;
  previous_object_access = object_access_hook;
  object_access_hook = OnObjectAccess;
}

const demand::Directory* IncompleteDirectory() noexcept {
  return opened == nullptr || opened->IsComplete() ? nullptr : opened;
}

Status RequireCompleteDirectory(const std::string& what) {
  const demand::Directory* directory = IncompleteDirectory();
  if (directory == nullptr) return Status::Ok();
  return Status(Code::kNotReady, what + " needs a complete data directory")
      .WithDetail(std::to_string(directory->AbsentBytes()) +
                  " bytes are still to be loaded from the repository.")
      .WithHint("Wait with SELECT * FROM pitr_complete_branch().");
}

void DirectoryIsComplete() noexcept {
  if (opened != nullptr) opened->presence().head().is_complete = 1;
}

Status CheckDemandLoading() {
  if (!DemandLoadSetting()) {
    return Status(Code::kNotReady, "pitr.demand_load is off");
  }
  PITR_RETURN_IF_ERROR(RedirectionStatus());
  PITR_RETURN_IF_ERROR(CheckSettings());
  if (PreloadName().empty()) {
    return Status(Code::kNotReady, "shared_preload_libraries does not list pitr_ext");
  }
  if (NeedsFetchWorkersSetting() && RegisteredFetchWorkers() == 0) {
    return Status(Code::kNotReady,
                  "no fetch workers run, since pitr.repository was a plain folder when the server "
                  "started");
  }
  return Status::Ok();
}

std::string PreloadName() {
  std::string list = SettingValue("shared_preload_libraries");
  std::size_t begin = 0;
  while (begin < list.size()) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    std::string name = list.substr(begin, end - begin);
    begin = end + 1;
    std::erase_if(name, [](char c) { return c == ' ' || c == '"' || c == '\t'; });
    std::string base = name.substr(name.rfind('/') + 1);
    if (base.ends_with(".so")) base.resize(base.size() - 3);
    if (base == "pitr_ext") return name;
  }
  return {};
}

}  // namespace pitr::pg

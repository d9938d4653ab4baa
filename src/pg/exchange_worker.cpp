#include "pg/exchange_worker.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/process.h"
#include "core/wal/layout.h"
#include "pg/boundary.h"
#include "pg/error_map.h"
#include "pg/exchange_order.h"
#include "pg/guc.h"
#include "pg/log.h"
#include "pg/memory_release.h"
#include "pg/server_facts.h"
#include "pg/sessions.h"
#include "pg/shmem.h"
#include "pg/version.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#include "port/atomics.h"
#include "postmaster/bgwriter.h"
#include "postmaster/interrupt.h"
#include "postmaster/postmaster.h"
#include "postmaster/syslogger.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/wait_event.h"
}

extern "C" char** environ;

namespace pitr::pg {

namespace {

// How long the answer row may take to leave after its statement has committed, and how long a statement may take to commit
// after its row was ready (a client that reads its answer slowly, or not at all).
constexpr std::int64_t kFlushMillis = 1000, kCommitMillis = 60000;
// The guard lets a new directory that long to become ready.
constexpr int kGuardSeconds = 60;

int GuardSeconds() {
#ifdef PITR_FAULTS
  if (const char* seconds = std::getenv("PITR_GUARD_SECONDS")) return std::atoi(seconds);
#endif
  return kGuardSeconds;
}

void Nap(long milliseconds) {
  Call([milliseconds] {
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
              PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
  });
  CheckInterrupts();
}

Status RolledBack() {
  return Status(Code::kCancelled, "the statement that asked for the restore was rolled back");
}

// Until the caller's statement has committed and its row is out (rules.md 3), or nobody waits for a row.
Status WaitForCaller(RunningOperation* operation) {
  const std::int64_t began = SystemClock().MonotonicMillis();
  std::int64_t committed_at = 0;
  const bool has_caller = operation->CallerPid() != 0;
  while (!operation->CallerGone()) {
    const std::int64_t now = SystemClock().MonotonicMillis();
    if (operation->CancelRequested()) return RolledBack();
    if (operation->CallerCommitted()) {
      if (committed_at == 0) committed_at = now;
      if (IsSessionIdle(operation->CallerPid()) || now - committed_at > kFlushMillis)
        return Status::Ok();
    } else if (now - began > kCommitMillis) {
      return Status(Code::kCancelled, "the statement that asked for the restore did not end");
    }
    Nap(5);
  }
  // A caller that was interrupted or ended before its statement had committed has not asked for anything.
  const bool is_withdrawn =
      operation->CancelRequested() || (has_caller && !operation->CallerCommitted());
  return is_withdrawn ? RolledBack() : Status::Ok();
}

Status WriteIntents(const Intent& intent) {
  PITR_FAULT("exchange.before_intent");
  PITR_RETURN_IF_ERROR(WriteIntent(intent.staged_directory, intent));
  PITR_RETURN_IF_ERROR(WriteIntent(intent.live_directory, intent));
  PITR_FAULT("exchange.after_intent");
  return Status::Ok();
}

// /proc/<postmaster>/<what> split at NUL bytes.
Result<Json> ProcStrings(const char* what) {
  PITR_ASSIGN_OR_RETURN(
      const std::string text,
      ReadTextFile("/proc/" + std::to_string(PostmasterPid) + "/" + what, 4U << 20));
  Json list = Json::array();
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = text.find('\0', begin);
    list.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  return list;
}

// Everything that is needed to start the server again as it was started, if the new directory does not come up (internals 9).
Result<std::string> WriteGuardOptions(const Intent& intent) {
  Json options;
  PITR_ASSIGN_OR_RETURN(options["argv"], ProcStrings("cmdline"));
  PITR_ASSIGN_OR_RETURN(options["env"], ProcStrings("environ"));
  // Paths on its command line may be relative to where it was started, which nobody knows any more: the last one wins.
  for (const std::string& word :
       {std::string("-D"), DataDirectory(), std::string("-c"),
        "config_file=" + std::string(ConfigFileName == nullptr ? "" : ConfigFileName)}) {
    options["argv"].push_back(word);
  }
  options["cwd"] = "/";
  options["program"] = std::string(my_exec_path);
  PITR_ASSIGN_OR_RETURN(const std::string branches, BranchDirectory());
  const std::string path = JoinPath(branches, intent.operation + ".guard.json");
  PITR_RETURN_IF_ERROR(WriteFileDurably(path, AsBytes(DumpJson(options))));
  return path;
}

Status StartGuard(const Intent& intent) {
  PITR_ASSIGN_OR_RETURN(const std::string options, WriteGuardOptions(intent));
  const std::string program = PitrProgram();
  std::vector<std::string> words = {"pitr",
                                    "guard",
                                    "--directory",
                                    intent.live_directory,
                                    "--pid",
                                    std::to_string(PostmasterPid),
                                    "--nonce",
                                    intent.nonce,
                                    "--timeout",
                                    std::to_string(GuardSeconds()),
                                    "--bin-directory",
                                    BinDirectory(),
                                    "--options-file",
                                    options,
                                    "--log",
                                    options + ".log"};
  // A server that the guard starts writes to where this one does; with a collector that is a pipe which ends with it.
  const bool keeps_output = !Logging_collector;
  if (keeps_output) words.insert(words.end(), {"--server-output", "3"});
  const std::vector<char*> arguments = ExecPointers(&words);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  if (keeps_output) posix_spawn_file_actions_adddup2(&actions, 2, 3);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, keeps_output ? 4 : 3);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  // A session of its own: the crash cycle signals process groups (internals 19).
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, program.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0)
    return Status(Code::kIo, "could not start \"" + program + " guard\": " + std::strerror(error));
  return Status::Ok();
}

// The settings that decide what the postmaster does with a crash, as of now (internals 21).
Status CheckCrashSettings() {
  Call([] {
    if (ConfigReloadPending) {
      ConfigReloadPending = false;
      ProcessConfigFile(PGC_SIGHUP);
    }
  });
  if (!restart_after_crash)
    return Status(Code::kNotReady, "restart_after_crash was turned off meanwhile");
  if (SettingValue("send_abort_for_crash") == "on") {
    return Status(Code::kNotReady, "send_abort_for_crash is on")
        .WithHint("Turn it off: every process would dump core.");
  }
  return Status::Ok();
}

void Arm(const Intent& intent) {
  ExchangeOrder& order = GetShared()->exchange.order;
  std::memset(&order, 0, sizeof order);
  CopyText(intent.nonce, order.nonce, sizeof order.nonce);
  CopyText(intent.staged_directory, order.staged, sizeof order.staged);
  CopyText(intent.live_directory, order.live, sizeof order.live);
  CopyText(intent.log_directory, order.log_directory, sizeof order.log_directory);
  ExchangeOrder sealed = order;
  sealed.magic = kArmedMagic;
  order.checksum = OrderChecksum(sealed);
  pg_write_barrier();
  order.magic = kArmedMagic;
  pg_write_barrier();
}

// From the first session cut to the crash on purpose: nothing slow, no way to fail but before arming.
Status CutAndArm(const Intent& intent) {
  PITR_RETURN_IF_ERROR(CheckCrashSettings());
  const bool may_release_late = MayReleaseMemoryLate();
  PITR_FAULT("exchange.before_cut");
  RefuseSessions(true);
  const int left = CutSessions(CurrentSettings().terminate_timeout_ms);
  PITR_FAULT("exchange.after_cut");
  PITR_RETURN_IF_ERROR(CheckCrashSettings());
  // Commits that nobody has waited for (synchronous_commit = off) belong to the old branch as well.
  Call([] { XLogFlush(wal::page::EndBefore(GetXLogInsertRecPtr(), wal_segment_size)); });
  LogQuietly(LOG,
             "pitr_ext: restoring branch \"" + intent.branch_name +
                 "\" in place: the restart of the server that "
                 "follows is on purpose",
             left == 0 ? std::string()
                       : std::to_string(left) + " sessions did not end in time and are cut by it");
  Arm(intent);
  (void)PITR_FAULT_PLAIN("exchange.armed");
  if (may_release_late) ReleaseMemoryLate();
  _exit(2);
}

}  // namespace

Status CheckNoExchangePending() {
  PITR_ASSIGN_OR_RETURN(const std::string data, RealDataDirectory());
  if (!PathExists(IntentPath(data))) return Status::Ok();
  return Status(Code::kLockTimeout, "an earlier restore is still being finished")
      .WithHint(
          "It needs the repository; pitr_status shows what is wrong if it takes longer than "
          "seconds.");
}

void BeginCheckpoint() {
  Call([] { RequestCheckpoint(PITR_CHECKPOINT_FAST); });
}

Status PerformExchange(const OperationContext& context, Intent intent, const Json& answer) {
  RunningOperation* operation = context.operation;
  operation->SetPhase("checkpoint");
  Call([] { RequestCheckpoint(PITR_CHECKPOINT_FAST | CHECKPOINT_FORCE | CHECKPOINT_WAIT); });
  PITR_ASSIGN_OR_RETURN(const Bytes nonce, RandomBytes(16));
  intent.nonce = ToHex(nonce);
  if (!operation->ForbidCancel()) return Status(Code::kCancelled, "the operation was cancelled");
  Status status = WriteIntents(intent);
  if (status.ok()) status = StartGuard(intent);
  if (status.ok()) {
    operation->PublishExchanging(answer);
    status = WaitForCaller(operation);
  }
  if (status.ok()) status = CutAndArm(intent);
  // Not armed: the server stays as it is.
  RefuseSessions(false);
  Status removed = RemoveIntent(intent.live_directory);
  if (removed.ok()) removed = RemoveIntent(intent.staged_directory);
  if (!removed.ok()) LogStatus(WARNING, "could not remove the intent of the exchange", removed);
  return status;
}

}  // namespace pitr::pg

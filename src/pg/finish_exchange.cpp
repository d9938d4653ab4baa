#include "pg/finish_exchange.h"

#include <dirent.h>
#include <unistd.h>

#include <csignal>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/repo/intent.h"
#include "core/repo/records.h"
#include "core/repo/wal_archive.h"
#include "core/work/tablespaces.h"
#include "pg/boundary.h"
#include "pg/branch_directory.h"
#include "pg/guc.h"
#include "pg/interrupts.h"
#include "pg/launcher_duties.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/server_facts.h"
#include "pg/sessions.h"
#include "pg/ship_line.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "postmaster/postmaster.h"
#include "postmaster/syslogger.h"
}

namespace pitr::pg {

namespace {

// The collector survived the exchange and follows the old directory; it heeds no signal but SIGKILL, and the postmaster
// starts the next one in the new directory (internals 16).
void RestartCollector() {
  Result<std::vector<std::string>> processes = ListDirectory("/proc");
  if (!processes.ok()) return;
  for (const std::string& name : *processes) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    Result<std::string> stat = ReadTextFile("/proc/" + name + "/stat", 4096);
    Result<std::string> command = ReadTextFile("/proc/" + name + "/cmdline", 65536);
    if (!stat.ok() || !command.ok()) continue;
    // "pid (comm) state ppid": the name may hold anything, its end is the last parenthesis.
    const std::size_t paren = stat->rfind(')');
    if (paren == std::string::npos || paren + 4 >= stat->size()) continue;
    if (std::atoi(stat->c_str() + paren + 4) != PostmasterPid) continue;
    if (command->starts_with("postgres: ") && command->find("logger") != std::string::npos) {
      kill(std::atoi(name.c_str()), SIGKILL);
    }
  }
}

// Names, kinds and states change hands; the ids stay with their directories (internals 12).
Status MoveNames(Repository* repo, const Intent& intent, const std::string& old_directory) {
  const std::string place = OwnDirectoryPlace();
  return UpdateBranches(repo, [&](BranchSet* set) {
    Branch* incoming = set->FindId(intent.incoming);
    Branch* outgoing = set->FindId(intent.outgoing);
    if (incoming == nullptr || outgoing == nullptr) {
      return Status(Code::kCorrupt, "a branch of the exchange is not in the repository");
    }
    if (incoming->name == intent.branch_name) return Status::Ok();
    const Timestamp now = intent.cut_at;
    // Somebody may have given the name away since it was chosen; the exchange has happened all the same.
    const auto is_taken = [&](const std::string& name) { return set->IsNameTaken(name); };
    const std::string undo_name =
        is_taken(intent.undo_name)
            ? UndoBranchName(intent.branch_name, FormatTime(now, 0), is_taken)
            : intent.undo_name;
    set->HandOver(outgoing->id, incoming->id, undo_name, now, intent.below_backup);
    if (intent.reset && incoming->ttl_seconds)
      incoming->expires_at = Timestamp{now.micros + *incoming->ttl_seconds * 1000000};
    incoming->state = "running";
    incoming->directory = intent.live_directory;
    incoming->directory_place.reset();
    incoming->directory_expires_at.reset();
    outgoing->state = "stopped";
    outgoing->directory = old_directory;
    outgoing->directory_place = place;
    outgoing->directory_expires_at =
        Timestamp{now.micros + intent.undo_directory_seconds * 1000000};
    if (!intent.preserve) outgoing->deleted_at = now;
    return Status::Ok();
  });
}

// The old directory is called after its own branch from here on. IDEMPOTENT.
Status RenameOldDirectory(const Intent& intent, const std::string& old_directory) {
  if (PathExists(old_directory) || !PathExists(intent.staged_directory)) return Status::Ok();
  if (rename(intent.staged_directory.c_str(), old_directory.c_str()) != 0) {
    return Status::FromErrno(errno, "rename \"" + intent.staged_directory + "\"");
  }
  PITR_RETURN_IF_ERROR(SyncDirectory(DirectoryName(intent.staged_directory)));
  return SyncDirectory(DirectoryName(old_directory));
}

// The new timeline's history file decides which numbers later restores may use: success is reported only when the repository
// has it (internals 12).
Status ShipHistory(Repository* repo, const Identity& identity) {
  const TimelineId timeline = CurrentTimeline();
  if (timeline <= 1) return Status::Ok();
  const std::string name = HistoryName(timeline);
  const std::string path = JoinPath(JoinPath(DataDirectory(), "pg_wal"), name);
  if (!PathExists(path)) return Status::Ok();
  ShipOptions options;
  options.branch = identity.branch_id;
  options.root = identity.root;
  options.compression_level = CurrentSettings().backlog_compression_level;
  options.cancel = &ServerCancel();
  PITR_ASSIGN_OR_RETURN(const ShipResult shipped, ShipWalFile(repo, options, path, name));
  (void)shipped;
  return Status::Ok();
}

// Slots of the old directory would hold its WAL for ever, and nobody can use them (internals 13).
Status DropSlots(const std::string& old_directory) {
  const std::string slots = JoinPath(old_directory, "pg_replslot");
  Result<std::vector<std::string>> names = ListDirectory(slots);
  if (!names.ok()) return Status::Ok();
  for (const std::string& name : *names)
    PITR_RETURN_IF_ERROR(RemoveTree(JoinPath(slots, name)));
  return Status::Ok();
}

const char* FunctionOf(const Intent& intent) {
  if (intent.kind == "undo") return "pitr_undo_restore";
  return intent.kind == "finalize" ? "pitr_finalize_restore" : "pitr_restore_branch";
}

Status RecordEnd(Repository* repo, const Intent& intent, const std::string& state,
                 const std::string& error, const std::string& sqlstate) {
  PITR_ASSIGN_OR_RETURN(const std::vector<OperationRecord> records, ReadOperations(repo, 200));
  OperationRecord record;
  record.id = intent.operation;
  record.kind = intent.kind;
  record.branch = intent.branch_name;
  record.started_at = intent.cut_at;
  for (const OperationRecord& known : records) {
    if (known.id == intent.operation) record = known;
  }
  record.state = state;
  record.phase = "exchange";
  record.error = error;
  record.sqlstate = sqlstate;
  record.finished_at = SystemClock().Now();
  PITR_RETURN_IF_ERROR(AppendOperation(repo, record));
  return AppendAudit(
      repo, {SystemClock().Now(), intent.role_name, "", intent.branch_name, FunctionOf(intent),
             intent.notes.empty() ? intent.arguments : intent.arguments + " -- " + intent.notes,
             intent.operation, state, sqlstate});
}

Status FinishHappened(Repository* repo, const Identity& identity, const Intent& intent) {
  // What came in may have stood elsewhere, beside the servers of other branches.
  PITR_ASSIGN_OR_RETURN(const std::string place, BranchDirectory());
  const std::string old_directory = JoinPath(place, intent.outgoing);
  PITR_FAULT("finish.before_names");
  PITR_RETURN_IF_ERROR(MoveNames(repo, intent, old_directory));
  PITR_FAULT("finish.after_names");
  PITR_RETURN_IF_ERROR(RenameOldDirectory(intent, old_directory));
  PITR_FAULT("finish.after_rename");
  if (PathExists(old_directory)) {
    PITR_RETURN_IF_ERROR(ShipLine(repo, identity.root, intent.outgoing, old_directory));
    PITR_RETURN_IF_ERROR(DropSlots(old_directory));
  }
  PITR_FAULT("finish.after_rest");
  PITR_RETURN_IF_ERROR(ShipHistory(repo, identity));
  if (!intent.preserve) PITR_RETURN_IF_ERROR(RemoveDataDirectory(old_directory, DataDirectory()));
  PITR_RETURN_IF_ERROR(RecordEnd(repo, intent, "done", "", ""));
  PITR_FAULT("finish.before_close");
  if (PathExists(old_directory)) PITR_RETURN_IF_ERROR(RemoveIntent(old_directory));
  PITR_RETURN_IF_ERROR(RemoveIntent(intent.live_directory));
  LogQuietly(LOG, "pitr_ext: restore of branch \"" + intent.branch_name + "\" is done",
             intent.preserve ? "The state before it is branch \"" + intent.undo_name + "\"." : "");
  return Status::Ok();
}

Status FinishNotHappened(Repository* repo, const Intent& intent) {
  if (intent.kind == "restore") {
    PITR_RETURN_IF_ERROR(RemoveDataDirectory(intent.staged_directory, DataDirectory()));
    PITR_RETURN_IF_ERROR(UpdateBranches(repo, [&](BranchSet* set) {
      std::erase_if(set->branches,
                    [&](const Branch& branch) { return branch.id == intent.incoming; });
      std::erase_if(set->name_spans,
                    [&](const NameSpan& span) { return span.id == intent.incoming; });
      return Status::Ok();
    }));
  } else {
    PITR_RETURN_IF_ERROR(RemoveIntent(intent.staged_directory));
  }
  PITR_RETURN_IF_ERROR(RecordEnd(repo, intent, "failed",
                                 "the exchange did not happen, the server is as it was", "58000"));
  PITR_RETURN_IF_ERROR(RemoveIntent(intent.live_directory));
  LogQuietly(WARNING, "pitr_ext: restore of branch \"" + intent.branch_name + "\" did not happen",
             "The data directory is the one from before; nothing is lost.");
  return Status::Ok();
}

// The operation that wrote the intent is still at work in this life of the server: before its exchange, that is.
bool IsStillRunning(const Intent& intent) {
  const std::optional<OperationSlot> slot = FindOperation(intent.operation);
  return slot && slot->state == OperationState::kExchanging;
}

}  // namespace

void LauncherConfirmExchange() {
  if (GetShared()->exchange.confirmed) return;
  Result<std::string> data = RealDataDirectory();
  Result<Intent> intent = data.ok() ? ReadIntent(*data) : data.status();
  Result<Identity> identity = LoadIdentity(DataDirectory());
  bool has_happened = false;
  if (intent.ok() && identity.ok() && identity->branch_id == intent->incoming &&
      intent->state == "armed") {
    if (PITR_FAULT_PLAIN("exchange.before_confirm")) return;
    intent->state = "confirmed";
    intent->cut_at = SystemClock().Now();
    const Status written = WriteIntent(*data, *intent);
    if (!written.ok()) {
      static bool has_told = false;
      if (!has_told)
        LogStatus(WARNING, "could not confirm the exchange, no sessions are let in", written);
      has_told = true;
      return;
    }
    (void)PITR_FAULT_PLAIN("exchange.confirmed");
    has_happened = true;
  } else if (intent.ok() && IsStillRunning(*intent)) {
    return;  // the launcher was restarted alone while a worker is between its intent and its exchange
  } else if (!intent.ok() && intent.status().code() != Code::kNotFound) {
    LogStatus(WARNING, "could not read the intent of an exchange", intent.status());
  }
  GetShared()->exchange.confirmed = true;
  RefuseSessions(false);
  // Nobody waits for this one.
  if (has_happened && Logging_collector) RestartCollector();
}

Status FinishExchange(Repository* repo, const Identity& identity) {
  PITR_ASSIGN_OR_RETURN(const std::string data, RealDataDirectory());
  Result<Intent> intent = ReadIntent(data);
  if (!intent.ok())
    return intent.status().code() == Code::kNotFound ? Status::Ok() : intent.status();
  if (identity.branch_id == intent->incoming) {
    if (intent->state == "armed")
      return Status::Ok();  // confirmed first, by LauncherConfirmExchange
    return FinishHappened(repo, identity, *intent);
  }
  if (IsStillRunning(*intent)) return Status::Ok();
  return FinishNotHappened(repo, *intent);
}

}  // namespace pitr::pg

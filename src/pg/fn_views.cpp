// The functions behind the views. They wait for the network a second at most. When the repository cannot be used they answer from memory,
// or with what they answered last (view_cache.h), and pitr_status says why.
#include <algorithm>

#include "core/base/cancel.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/manifest.h"
#include "pg/boundary.h"
#include "pg/branch_rows.h"
#include "pg/demand.h"
#include "pg/operation.h"
#include "pg/repositories.h"
#include "pg/retention_keeper.h"
#include "pg/schedule_rows.h"
#include "pg/server_facts.h"
#include "pg/session.h"
#include "pg/shmem.h"
#include "pg/synchronous.h"
#include "pg/tail.h"
#include "pg/view_cache.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::size_t kRecords = 500;

// A window as it was when pitr_branches was last answered whole.
BranchWindow KeptWindow(const std::optional<KeptView>& kept, const BranchId& id) {
  const auto time = [](const Json& value) {
    return value.is_number_integer()
               ? std::optional<Timestamp>(Timestamp{value.get<std::int64_t>()})
               : std::nullopt;
  };
  for (std::size_t i = 0; kept && i < kept->rows.size(); i++) {
    const Json& row = kept->rows[i];
    if (row.is_array() && row.size() > kWindowColumn + 1 && row[kBranchIdColumn] == id) {
      return {time(row[kWindowColumn]), time(row[kWindowColumn + 1])};
    }
  }
  return {};
}

// Branches are as they are now even when there was no time left to find every window.
Status BranchRows(RowBuilder* rows) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  const BranchSizes sizes = BranchSizes::Load();
  for (const Branch& branch : session.branches.branches) {
    const Result<BranchWindow> window = WindowOf(session, branch);
    WriteBranchRow(
        rows, session, branch,
        {window.ok() ? *window : KeptWindow(LoadView("branches"), branch.id), sizes.Of(branch.id)});
  }
  return Status::Ok();
}

// Snapshots that are being taken or failed have no manifest: their operations stand in for them.
void WriteUnfinishedSnapshots(RowBuilder* rows, const Session& session) {
  for (const OperationSlot& slot : AllOperations()) {
    const OperationRecord record = RecordOfSlot(slot);
    if (record.kind != "snapshot" || record.state == "done") continue;
    const Result<Json> request = ParseJson({slot.request, slot.request_size}, "request");
    rows->Text(request.ok() ? request->value("name", record.id) : record.id)
        .Null()
        .Text(session.self().name);
    rows->Text("full").Text(request.ok() ? request->value("origin", "manual") : "manual");
    rows->Text(record.state == "queued"    ? "running"
               : record.state == "running" ? "running"
                                           : "failed");
    rows->Null().Null().Null().Time(record.started_at).TimeOrNull(record.finished_at).EndRow();
  }
}

Status SnapshotRows(RowBuilder* rows) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads,
                        ListSnapshots(session.repo.get(), nullptr));
  PITR_ASSIGN_OR_RETURN(const Json flags, ReadSnapshotFlags(session.repo.get()));
  for (const ManifestHead& head : heads)
    WriteSnapshotRow(rows, session, head, FlagsOf(flags, head.manifest.id));
  WriteUnfinishedSnapshots(rows, session);
  return WriteSkippedSnapshots(rows, session);
}

bool IsInMemory(const std::vector<OperationSlot>& slots, const std::string& id) {
  return std::any_of(slots.begin(), slots.end(),
                     [&](const OperationSlot& slot) { return id == slot.id; });
}

// Those that memory has are newer there.
Result<std::vector<OperationRecord>> RecordedOperations() {
  const WaitLimit limit(ViewTimeMs("operations"));
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  return ReadOperations(session.repo.get(), kRecords);
}

// Works without the repository, then as far as memory goes back.
Result<Datum> Operations(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  const std::vector<OperationSlot> slots = AllOperations();
  RowBuilder rows(fcinfo);
  const Result<std::vector<OperationRecord>> records = RecordedOperations();
  for (std::size_t i = 0; records.ok() && i < records->size(); i++) {
    const OperationRecord& record = (*records)[i];
    if (!IsInMemory(slots, record.id)) WriteOperationRow(&rows, record, 0);
  }
  for (const OperationSlot& slot : slots) {
    const bool is_idle = slot.kind == std::string_view(kRetention) &&
                         slot.state == OperationState::kDone &&
                         !DidRetentionAct(ResultOfSlot(slot));
    if (!is_idle) WriteOperationRow(&rows, RecordOfSlot(slot), slot.worker_pid);
  }
  return rows.Finish();
}

Status AuditRows(RowBuilder* rows) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const std::vector<AuditRecord> records,
                        ReadAudit(session.repo.get(), kRecords));
  for (const AuditRecord& record : records) {
    rows->Time(record.at).Text(record.role_name);
    if (record.client_addr.empty()) {
      rows->Null();
    } else {
      rows->Input(record.client_addr);
    }
    rows->Text(record.branch).Text(record.function).Text(record.arguments);
    rows->TextOrNull(std::string_view(record.operation_id)).Text(record.outcome);
    rows->TextOrNull(std::string_view(record.sqlstate)).EndRow();
  }
  return Status::Ok();
}

struct Backlog {
  std::int64_t files = 0, bytes = 0;
};

Backlog CountBacklog() {
  Backlog backlog;
  const Result<std::vector<std::string>> names =
      ListDirectory(JoinPath(JoinPath(DataDirectory(), "pg_wal"), "archive_status"));
  if (!names.ok()) return backlog;
  backlog.files = std::count_if(names->begin(), names->end(),
                                [](const std::string& name) { return name.ends_with(".ready"); });
  backlog.bytes = backlog.files * static_cast<std::int64_t>(ServerIdentity().segment_size);
  return backlog;
}

ArchiveShared CopyArchive() {
  const LockHolder lock(ArchiveLock(), false);
  return GetShared()->archive;
}

std::optional<Timestamp> OptionalTime(std::int64_t micros) {
  return micros == 0 ? std::nullopt : std::optional<Timestamp>(Timestamp{micros});
}

Result<Datum> Archive(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  const ArchiveShared archive = CopyArchive();
  RowBuilder rows(fcinfo);
  if (archive.timeline == 0) {
    rows.Null();
  } else {
    rows.Int4(static_cast<std::int32_t>(archive.timeline));
  }
  rows.TextOrNull(std::string_view(archive.last_archived_wal))
      .TimeOrNull(OptionalTime(archive.last_archived_at));
  rows.TextOrNull(std::string_view(archive.last_failed_wal))
      .TimeOrNull(OptionalTime(archive.last_failed_at));
  rows.TextOrNull(std::string_view(archive.last_error));
  rows.Int8(static_cast<std::int64_t>(archive.archived_count))
      .Int8(static_cast<std::int64_t>(archive.failed_count));
  rows.Int8(CountBacklog().files).Int8(static_cast<std::int64_t>(archive.raw_bytes));
  rows.Int8(static_cast<std::int64_t>(archive.stored_bytes));
  const TailReport tail = ReadTailReport(SystemClock().Now());
  rows.LsnOrNull(tail.durable).TimeOrNull(tail.advanced_at).Bool(AreCommitsSynchronous());
  rows.EndRow();
  return rows.Finish();
}

// What stands between this server and a restore, worst first.
struct Health {
  std::string archive_state = "ok", problem, hint;
  bool can_restore = false;
  std::optional<Timestamp> window_start, window_end, last_snapshot, last_verified;
};

void LookAtArchive(Health* health, const Backlog& backlog) {
  const ArchiveShared archive = CopyArchive();
  if (SettingValue("archive_mode") == "off" || SettingValue("archive_library") != "pitr_ext") {
    health->archive_state = "off";
    health->problem = "WAL is not archived by this extension";
    health->hint = "Set archive_mode = on (restart) and archive_library = 'pitr_ext'.";
  } else if (archive.failing_code != 0) {
    health->archive_state = "failing";
    health->problem = "archiving fails: " + std::string(archive.last_error);
    health->hint = "WAL is kept until it works again; pg_wal grows meanwhile.";
  } else if (backlog.files > 64) {
    health->archive_state = "behind";
    health->problem = std::to_string(backlog.files) + " WAL files wait to be archived";
    health->hint = "Raise pitr.archive_workers or look at the repository's speed.";
  }
}

// No repository that is well takes so long.
constexpr std::int64_t kLongWait = 5 * 1000000LL;

// Whoever looks why nothing commits must find it here, whatever else is wrong.
void LookAtCommits(Health* health, Timestamp now) {
  const Status status = CheckCommitsGoOn();
  if (!status.ok()) {
    health->problem = status.message();
    health->hint = status.hint();
  } else if (AreCommitsSynchronous() && ReadTailReport(now).behind_micros > kLongWait) {
    health->problem = "commits wait for the repository" +
                      (health->problem.empty() ? std::string() : ": " + health->problem);
    if (health->hint.empty()) {
      health->hint = "The server log says what the tail shipper met.";
    }
  }
}

Status LookAtRepository(Health* health) {
  const WaitLimit limit(ViewTimeMs("status"));
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(
      const std::vector<WindowRow> window,
      RestoreWindow(session.repo.get(), session.branches, session.identity.branch_id));
  for (const WindowRow& row : window) {
    health->can_restore = true;
    if (row.earliest_time &&
        (!health->window_start || *row.earliest_time < *health->window_start)) {
      health->window_start = row.earliest_time;
    }
    if (row.latest_time && (!health->window_end || *row.latest_time > *health->window_end)) {
      health->window_end = row.latest_time;
    }
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads,
                        ListSnapshots(session.repo.get(), nullptr));
  if (!heads.empty()) health->last_snapshot = heads.back().manifest.finished_at;
  PITR_ASSIGN_OR_RETURN(const Json flags, ReadSnapshotFlags(session.repo.get()));
  for (const ManifestHead& head : heads) {
    const SnapshotFlags one = FlagsOf(flags, head.manifest.id);
    if (one.verified_at && (!health->last_verified || *one.verified_at > *health->last_verified)) {
      health->last_verified = one.verified_at;
    }
  }
  if (!health->can_restore && health->problem.empty()) {
    health->problem = "there is no snapshot yet";
    health->hint =
        "The first one is taken by itself; SELECT * FROM pitr_create_snapshot() takes one now.";
  }
  return Status::Ok();
}

// How long what was seen last stands for what is.
constexpr std::int64_t kStillTrue = 90 * 1000000LL;

// The members of Health that only the repository knows, in one row.
std::vector<std::optional<Timestamp>*> KeptTimes(Health* health) {
  return {&health->window_start, &health->window_end, &health->last_snapshot,
          &health->last_verified};
}

void KeepHealth(Health* health, Timestamp now) {
  Json times = Json::array();
  for (const std::optional<Timestamp>* time : KeptTimes(health))
    times.push_back(*time ? Json((*time)->micros) : Json());
  times.push_back(health->can_restore);
  KeepView("status", {now, now, Json::array({times})});
}

// What it was when it was last seen. A repository that only answers too slowly has not lost it all at once.
Timestamp RecallHealth(Health* health, const Status& problem, Timestamp now) {
  const std::optional<KeptView> kept = LoadView("status");
  const std::vector<std::optional<Timestamp>*> times = KeptTimes(health);
  const bool has_kept = kept && kept->rows.size() == 1 && kept->rows[0].size() == times.size() + 1;
  health->can_restore = has_kept && problem.code() == Code::kUnavailable &&
                        now.micros - kept->as_of.micros < kStillTrue &&
                        kept->rows[0][times.size()] == true;
  if (!health->can_restore) {
    health->problem = problem.message();
    health->hint = problem.hint();
  }
  if (!has_kept) return now;
  for (std::size_t i = 0; i < times.size(); i++) {
    const Json& value = kept->rows[0][i];
    *times[i] = value.is_number_integer()
                    ? std::optional<Timestamp>(Timestamp{value.get<std::int64_t>()})
                    : std::nullopt;
  }
  return kept->as_of;
}

// How much time's work would be gone if this machine were gone now.
std::optional<std::int64_t> LossMicros(const Health& health, Timestamp now) {
  if (!health.can_restore) return std::nullopt;  // everything
  const TailReport tail = ReadTailReport(now);
  if (tail.behind_micros) return tail.behind_micros;
  if (!health.window_end) return std::nullopt;
  return now.micros - health.window_end->micros;
}

Result<Datum> StatusRow(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  const Backlog backlog = CountBacklog();
  Health health;
  LookAtArchive(&health, backlog);
  const Timestamp now = SystemClock().Now();
  Timestamp as_of = now;
  const Status status = LookAtRepository(&health);
  if (status.ok()) {
    KeepHealth(&health, now);
  } else {
    as_of = RecallHealth(&health, status, now);
  }
  LookAtCommits(&health, now);
  const Status repositories = health.problem.empty() ? ProblemOfRepositories() : Status::Ok();
  if (!repositories.ok()) {
    health.problem = repositories.message();
    health.hint = repositories.hint();
  }
  if (health.problem.empty() && IncompleteDirectory() != nullptr) {
    health.hint =
        "The data directory is incomplete: do not copy, rewind, upgrade or checksum it offline;"
        " pitr_operations shows its completion.";
  }
  RowBuilder rows(fcinfo);
  rows.Bool(health.can_restore).TimeOrNull(health.window_start).TimeOrNull(health.window_end);
  rows.IntervalOrNull(LossMicros(health, now));
  rows.Text(health.archive_state)
      .Int8(backlog.files)
      .Int8(backlog.bytes)
      .TimeOrNull(health.last_snapshot);
  rows.TimeOrNull(health.last_verified).Null().TextOrNull(std::string_view(health.problem));
  rows.TextOrNull(std::string_view(health.hint)).Time(as_of).EndRow();
  return rows.Finish();
}

Result<Datum> Errors(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  RowBuilder rows(fcinfo);
  const ArchiveShared archive = CopyArchive();
  if (archive.last_failed_at != 0) {
    rows.Time({archive.failing_since != 0 ? archive.failing_since : archive.last_failed_at})
        .Text("archive");
    rows.Text(archive.last_error).Int8(static_cast<std::int64_t>(archive.failed_count));
    rows.Time({archive.last_failed_at}).EndRow();
  }
  for (const OperationSlot& slot : AllOperations()) {
    if (slot.error[0] == '\0') continue;
    rows.Time({slot.finished_at})
        .Text(slot.kind)
        .Text(slot.error)
        .Int8(1)
        .Time({slot.finished_at})
        .EndRow();
  }
  return rows.Finish();
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_internal_status) { return pitr::pg::StatusRow(fcinfo); }
PITR_FUNCTION(pitr_internal_archive) { return pitr::pg::Archive(fcinfo); }
PITR_FUNCTION(pitr_internal_branches) {
  return pitr::pg::RowsOrKept(fcinfo, "branches", pitr::pg::BranchRows);
}
PITR_FUNCTION(pitr_internal_snapshots) {
  return pitr::pg::RowsOrKept(fcinfo, "snapshots", pitr::pg::SnapshotRows);
}
PITR_FUNCTION(pitr_internal_operations) { return pitr::pg::Operations(fcinfo); }
PITR_FUNCTION(pitr_internal_audit) {
  return pitr::pg::RowsOrKept(fcinfo, "audit", pitr::pg::AuditRows);
}
PITR_FUNCTION(pitr_internal_errors) { return pitr::pg::Errors(fcinfo); }

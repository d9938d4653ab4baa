// The functions behind the views. They answer from memory when the repository cannot be used: then only the rows that memory
// holds, and pitr_status says why.
#include <algorithm>

#include "core/base/file.h"
#include "core/repo/manifest.h"
#include "pg/boundary.h"
#include "pg/branch_rows.h"
#include "pg/operation.h"
#include "pg/server_facts.h"
#include "pg/session.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::size_t kRecords = 500;

Result<Datum> Branches(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  RowBuilder rows(fcinfo);
  for (const Branch& branch : session.branches.branches)
    WriteBranchRow(&rows, session, branch, true);
  return rows.Finish();
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

Result<Datum> Snapshots(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads,
                        ListSnapshots(session.repo.get(), nullptr));
  PITR_ASSIGN_OR_RETURN(const Json flags, ReadSnapshotFlags(session.repo.get()));
  RowBuilder rows(fcinfo);
  for (const ManifestHead& head : heads)
    WriteSnapshotRow(&rows, session, head, FlagsOf(flags, head.manifest.id));
  WriteUnfinishedSnapshots(&rows, session);
  return rows.Finish();
}

Result<Datum> Operations(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  const std::vector<OperationSlot> slots = AllOperations();
  RowBuilder rows(fcinfo);
  Status problem;
  if (const std::optional<Session> session = TryOpenSession(&problem)) {
    PITR_ASSIGN_OR_RETURN(const std::vector<OperationRecord> records,
                          ReadOperations(session->repo.get(), kRecords));
    for (const OperationRecord& record : records) {
      const bool in_memory =
          std::any_of(slots.begin(), slots.end(),
                      [&](const OperationSlot& slot) { return record.id == slot.id; });
      if (!in_memory) WriteOperationRow(&rows, record, 0);
    }
  }
  for (const OperationSlot& slot : slots)
    WriteOperationRow(&rows, RecordOfSlot(slot), slot.worker_pid);
  return rows.Finish();
}

Result<Datum> Audit(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const std::vector<AuditRecord> records,
                        ReadAudit(session.repo.get(), kRecords));
  RowBuilder rows(fcinfo);
  for (const AuditRecord& record : records) {
    rows.Time(record.at).Text(record.role_name);
    if (record.client_addr.empty()) {
      rows.Null();
    } else {
      rows.Input(record.client_addr);
    }
    rows.Text(record.branch).Text(record.function).Text(record.arguments);
    rows.TextOrNull(std::string_view(record.operation_id)).Text(record.outcome);
    rows.TextOrNull(std::string_view(record.sqlstate)).EndRow();
  }
  return rows.Finish();
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
  Lsn tail;
  std::int64_t tried_at = 0;
  {
    const LockHolder lock(OperationsLock(), false);
    tail = {GetShared()->operations.ship_done};
    tried_at = GetShared()->operations.ship_tried_at;
  }
  const std::optional<Timestamp> tail_at = OptionalTime(tried_at);
  rows.LsnOrNull(tail).TimeOrNull(tail.valid() ? tail_at : std::nullopt).Bool(false);
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

void LookAtRepository(Health* health) {
  Status problem;
  const std::optional<Session> session = TryOpenSession(&problem);
  if (!session) {
    health->problem = problem.message();
    health->hint = problem.hint();
    return;
  }
  const Result<std::vector<WindowRow>> window =
      RestoreWindow(session->repo.get(), session->branches, session->identity.branch_id);
  if (window.ok()) {
    for (const WindowRow& row : *window) {
      health->can_restore = true;
      if (row.earliest_time &&
          (!health->window_start || *row.earliest_time < *health->window_start)) {
        health->window_start = row.earliest_time;
      }
      if (row.latest_time && (!health->window_end || *row.latest_time > *health->window_end)) {
        health->window_end = row.latest_time;
      }
    }
  }
  const Result<std::vector<ManifestHead>> heads = ListSnapshots(session->repo.get(), nullptr);
  if (heads.ok() && !heads->empty()) health->last_snapshot = heads->back().manifest.finished_at;
  const Result<Json> flags = ReadSnapshotFlags(session->repo.get());
  for (std::size_t i = 0; heads.ok() && flags.ok() && i < heads->size(); i++) {
    const SnapshotFlags one = FlagsOf(*flags, (*heads)[i].manifest.id);
    if (one.verified_at && (!health->last_verified || *one.verified_at > *health->last_verified)) {
      health->last_verified = one.verified_at;
    }
  }
  if (!health->can_restore && health->problem.empty()) {
    health->problem = "there is no snapshot yet";
    health->hint =
        "The first one is taken by itself; SELECT * FROM pitr_create_snapshot() takes one now.";
  }
}

Result<Datum> StatusRow(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  const Backlog backlog = CountBacklog();
  Health health;
  LookAtArchive(&health, backlog);
  LookAtRepository(&health);
  const Timestamp now = SystemClock().Now();
  RowBuilder rows(fcinfo);
  rows.Bool(health.can_restore).TimeOrNull(health.window_start).TimeOrNull(health.window_end);
  rows.IntervalOrNull(health.window_end
                          ? std::optional<std::int64_t>(now.micros - health.window_end->micros)
                          : std::nullopt);
  rows.Text(health.archive_state)
      .Int8(backlog.files)
      .Int8(backlog.bytes)
      .TimeOrNull(health.last_snapshot);
  rows.TimeOrNull(health.last_verified).Null().TextOrNull(std::string_view(health.problem));
  rows.TextOrNull(std::string_view(health.hint)).Time(now).EndRow();
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
PITR_FUNCTION(pitr_internal_branches) { return pitr::pg::Branches(fcinfo); }
PITR_FUNCTION(pitr_internal_snapshots) { return pitr::pg::Snapshots(fcinfo); }
PITR_FUNCTION(pitr_internal_operations) { return pitr::pg::Operations(fcinfo); }
PITR_FUNCTION(pitr_internal_audit) { return pitr::pg::Audit(fcinfo); }
PITR_FUNCTION(pitr_internal_errors) { return pitr::pg::Errors(fcinfo); }

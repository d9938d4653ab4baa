// The functions behind the views. They wait for the network a second at most. When the repository cannot be used they answer from memory,
// or with what they answered last (view_cache.h), and pitr_status says why.
#include <algorithm>

#include "core/base/cancel.h"
#include "core/base/json.h"
#include "core/repo/manifest.h"
#include "pg/archive_report.h"
#include "pg/boundary.h"
#include "pg/branch_rows.h"
#include "pg/health.h"
#include "pg/operation.h"
#include "pg/retention_keeper.h"
#include "pg/schedule_rows.h"
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

std::optional<Timestamp> OptionalTime(std::int64_t micros) {
  return micros == 0 ? std::nullopt : std::optional<Timestamp>(Timestamp{micros});
}

Result<Datum> Archive(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  const ArchiveCounters archive = ReadArchiveCounters();
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

Result<Datum> StatusRow(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  const Health health = ReadHealth();
  RowBuilder rows(fcinfo);
  rows.Bool(health.can_restore).TimeOrNull(health.window_start).TimeOrNull(health.window_end);
  rows.IntervalOrNull(health.loss_micros);
  rows.Text(health.archive_state)
      .Int8(health.backlog.files)
      .Int8(health.backlog.bytes)
      .TimeOrNull(health.last_snapshot);
  rows.TimeOrNull(health.last_verified)
      .TimeOrNull(health.last_drill)
      .TextOrNull(std::string_view(health.problem));
  rows.TextOrNull(std::string_view(health.hint)).Time(health.as_of).EndRow();
  return rows.Finish();
}

Result<Datum> Errors(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  RowBuilder rows(fcinfo);
  const ArchiveCounters archive = ReadArchiveCounters();
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

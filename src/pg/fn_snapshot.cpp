// pitr_create_snapshot, pitr_delete_snapshot, pitr_keep_snapshot, pitr_verify.
#include "core/base/json.h"
#include "core/demand/folder.h"
#include "core/plan/line_history.h"
#include "core/plan/restore_plan.h"
#include "core/plan/snapshots_on_line.h"
#include "core/repo/catalogue.h"
#include "core/repo/collect.h"
#include "core/repo/layout.h"
#include "core/repo/pins.h"
#include "pg/boundary.h"
#include "pg/branch_rows.h"
#include "pg/completion.h"
#include "pg/demand.h"
#include "pg/operation.h"
#include "pg/server_facts.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

Result<std::string> SnapshotName(const Session& session, const std::optional<std::string>& wanted) {
  if (!wanted) return "snap_" + session.self().name + "_" + FormatTime(SystemClock().Now(), 0);
  PITR_RETURN_IF_ERROR(CheckName(*wanted, "snapshot"));
  const Result<ManifestHead> existing = FindSnapshot(session.repo.get(), *wanted);
  if (existing.ok())
    return Status(Code::kAlreadyExists, "snapshot \"" + *wanted + "\" exists already");
  if (existing.status().code() != Code::kNotFound) return existing.status();
  return *wanted;
}

// The row of a snapshot that is not finished.
Result<Datum> RunningRow(FunctionCallInfo fcinfo, const Session& session, const std::string& name) {
  RowBuilder rows(fcinfo);
  rows.Text(name).Null().Text(session.self().name).Null().Text("manual").Text("running").EndRow();
  return rows.Finish();
}

Result<Datum> Create(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  if (!IsNull(fcinfo, 1)) {
    return Status(Code::kUnsupported,
                  "a snapshot of a past point is not supported in this version");
  }
  PITR_ASSIGN_OR_RETURN(const std::string name, SnapshotName(session, OptionalTextArg(fcinfo, 0)));
  NewOperation operation;
  operation.kind = "snapshot";
  operation.branch = session.self().name;
  operation.branch_id = session.identity.branch_id;
  operation.wait = IsNull(fcinfo, 3) || BoolArg(fcinfo, 3);
  operation.role_name = CurrentRole();
  operation.request["name"] = name;
  operation.request["origin"] = "manual";
  operation.request["expires_at"] = nullptr;
  if (!IsNull(fcinfo, 2)) {
    PITR_ASSIGN_OR_RETURN(const Timestamp expires, TimeArg(fcinfo, 2));
    if (expires <= SystemClock().Now()) {
      return Status(Code::kInvalidArgument,
                    "expires_at \"" + FormatTime(expires) + "\" is in the past");
    }
    operation.request["expires_at"] = FormatTime(expires);
  }
  PITR_ASSIGN_OR_RETURN(const std::string id, StartOperation(operation));
  PITR_RETURN_IF_ERROR(
      AuditDone(session.repo.get(), session.self().name, "pitr_create_snapshot", Quoted(name), id));
  if (!operation.wait) return RunningRow(fcinfo, session, name);
  PITR_ASSIGN_OR_RETURN(const OperationSlot slot, WaitForOperation(id, true, false));
  ReleaseOperation(id);
  if (slot.state != OperationState::kDone) return StatusOfSlot(slot);
  PITR_ASSIGN_OR_RETURN(const std::string snapshot, JsonText(ResultOfSlot(slot), "snapshot_id"));
  PITR_ASSIGN_OR_RETURN(const ManifestHead head, FindSnapshot(session.repo.get(), snapshot));
  RowBuilder rows(fcinfo);
  WriteSnapshotRow(&rows, session, head, {});
  return rows.Finish();
}

// Whoever keeps one takes back that it is to go.
Status SetKept(Repository* repo, const SnapshotId& id, bool keep) {
  return UpdateDocument(repo, "snapshots", [&](Json* document) {
    Json& entry = (*document)[id];
    entry["kept"] = keep;
    if (keep) entry.erase("deleted_at");
    return Status::Ok();
  });
}

Result<Datum> Keep(FunctionCallInfo fcinfo, const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const ManifestHead head, FindSnapshot(session.repo.get(), name));
  const bool keep = IsNull(fcinfo, 1) || BoolArg(fcinfo, 1);
  PITR_RETURN_IF_ERROR(SetKept(session.repo.get(), head.manifest.id, keep));
  PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), session.self().name, "pitr_keep_snapshot",
                                 Quoted(name) + (keep ? "" : ", keep => false")));
  PITR_ASSIGN_OR_RETURN(const Json flags, ReadSnapshotFlags(session.repo.get()));
  RowBuilder rows(fcinfo);
  WriteSnapshotRow(&rows, session, head, FlagsOf(flags, head.manifest.id));
  return rows.Finish();
}

// A deleted branch that can be brought back is built again from a snapshot on its line: the last one stays as long.
Status CheckNotLastOfDeleted(const Session& session, const SnapshotId& id, Timestamp now) {
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads,
                        ListSnapshots(session.repo.get(), nullptr));
  for (const Branch& branch : session.branches.branches) {
    if (!branch.deleted_at || GoneAt(branch) <= now) continue;
    const auto line = LineHistory::Open(session.repo.get(), session.branches, branch.id);
    if (!line.ok()) continue;  // it cannot be brought back as things are
    bool is_of_it = false, has_other = false;
    for (const LineSnapshot& snapshot : SnapshotsOn(**line, heads)) {
      if (!snapshot.stretch) continue;
      (snapshot.manifest->id == id ? is_of_it : has_other) = true;
    }
    if (!is_of_it || has_other) continue;
    return Status(Code::kInUse, "deleted branch \"" + branch.name +
                                    "\" could not be brought back without snapshot \"" + id + "\"")
        .WithDetail("It can be until " + FormatTime(GoneAt(branch), 0) + ".")
        .WithHint("Let go of it with pitr_delete_branch(" + Quoted(branch.id) +
                  ", force => true).");
  }
  return Status::Ok();
}

// A directory that was laid out from a snapshot reads packs until it is complete, which stay as long as its manifest names them. Pins say so of
// every directory anywhere; what lies before us is looked at as well.
Status CheckNotNeeded(const Session& session, const SnapshotId& id, Timestamp now) {
  const demand::Directory* live = IncompleteDirectory();
  if (live != nullptr && live->index().snapshot() == id) {
    return Status(Code::kInUse, "the directory of branch \"" + session.self().name +
                                    "\" is still being loaded from snapshot \"" + id + "\"")
        .WithHint("Wait with SELECT * FROM pitr_complete_branch().");
  }
  PITR_RETURN_IF_ERROR(CheckDeletable(session.repo.get(), id, now));
  PITR_RETURN_IF_ERROR(CheckNotLastOfDeleted(session, id, now));
  for (const Branch& branch : session.branches.branches) {
    if (branch.kind != BranchKind::kUndo || !branch.directory) continue;
    PITR_ASSIGN_OR_RETURN(const std::optional<std::string> snapshot,
                          demand::SnapshotOfFolder(*branch.directory));
    if (snapshot != id) continue;
    return Status(Code::kInUse, "the directory of branch \"" + branch.name +
                                    "\" is still being loaded from snapshot \"" + id + "\"")
        .WithHint("Delete that branch first, or go back to it and let it complete.");
  }
  return Status::Ok();
}

Result<Datum> Delete(FunctionCallInfo fcinfo, const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const ManifestHead head, FindSnapshot(session.repo.get(), name));
  const SnapshotId id = head.manifest.id;
  for (const OperationSlot& slot : AllOperations()) {
    if (slot.finished_at == 0 && slot.kind != std::string_view(kCompletion)) {
      return Status(Code::kInUse,
                    "operation \"" + std::string(slot.id) + "\" may be reading the snapshot");
    }
  }
  const Timestamp now = SystemClock().Now();
  PITR_RETURN_IF_ERROR(CheckNotNeeded(session, id, now));
  std::vector<SnapshotId> gone = {id};
  Status stays;
  PITR_RETURN_IF_ERROR(MarkDeleted(session.repo.get(), &gone, now, &stays));
  if (gone.empty()) return stays;
  PITR_RETURN_IF_ERROR(CheckStillMarked(session.repo.get(), id));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t freed, RemoveSnapshot(session.repo.get(), id));
  PITR_RETURN_IF_ERROR(
      AuditDone(session.repo.get(), session.self().name, "pitr_delete_snapshot", Quoted(name)));
  PITR_ASSIGN_OR_RETURN(
      const std::vector<WindowRow> window,
      RestoreWindow(session.repo.get(), session.branches, session.identity.branch_id));
  std::optional<Timestamp> start;
  for (const WindowRow& row : window) {
    if (row.earliest_time && (!start || *row.earliest_time < *start)) start = row.earliest_time;
  }
  RowBuilder rows(fcinfo);
  rows.Text(id).Int8(static_cast<std::int64_t>(freed)).TimeOrNull(start).EndRow();
  return rows.Finish();
}

Result<Datum> VerifyRows(FunctionCallInfo fcinfo, const std::string& id, const Json& result) {
  RowBuilder rows(fcinfo);
  bool all_ok = true;
  if (const Json* findings = JsonArray(result, "findings")) {
    for (const Json& finding : *findings) {
      if (finding.value("ok", false)) continue;
      all_ok = false;
      rows.Text(id).Text(finding.value("kind", "")).Text(finding.value("object", "")).Bool(false);
      rows.Text(finding.value("detail", "")).EndRow();
    }
  }
  if (all_ok) {
    rows.Text(id).Text("repository").Text("everything").Bool(true);
    rows.Text(std::to_string(result.value("checked", 0ULL)) + " objects checked").EndRow();
  }
  return rows.Finish();
}

Result<Datum> Verify(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  NewOperation operation;
  operation.kind = "verify";
  operation.branch = session.self().name;
  operation.branch_id = session.identity.branch_id;
  operation.wait = IsNull(fcinfo, 2) || BoolArg(fcinfo, 2);
  operation.role_name = CurrentRole();
  operation.request["snapshot"] = nullptr;
  if (!IsNull(fcinfo, 0)) {
    PITR_ASSIGN_OR_RETURN(const ManifestHead head,
                          FindSnapshot(session.repo.get(), TextArg(fcinfo, 0)));
    operation.request["snapshot"] = head.manifest.id;
  }
  if (!IsNull(fcinfo, 1)) operation.request["bytes"] = Int8Arg(fcinfo, 1);
  PITR_ASSIGN_OR_RETURN(const std::string id, StartOperation(operation));
  if (!operation.wait) {
    RowBuilder rows(fcinfo);
    rows.Text(id).Null().Null().Null().Text("running").EndRow();
    return rows.Finish();
  }
  PITR_ASSIGN_OR_RETURN(const OperationSlot slot, WaitForOperation(id, true, false));
  ReleaseOperation(id);
  if (slot.state != OperationState::kDone) return StatusOfSlot(slot);
  return VerifyRows(fcinfo, id, ResultOfSlot(slot));
}

Result<Datum> CreateCall(FunctionCallInfo fcinfo) {
  const std::string name = IsNull(fcinfo, 0) ? std::string() : TextArg(fcinfo, 0);
  return Audited("pitr_create_snapshot", Quoted(name), [&] { return Create(fcinfo); });
}

using NamedCall = Result<Datum> (*)(FunctionCallInfo, const std::string&);

// A call whose first argument names a snapshot.
Result<Datum> OnSnapshot(FunctionCallInfo fcinfo, const char* function, NamedCall call) {
  return AuditedByName(fcinfo, function, "snapshot",
                       [&](const std::string& name) { return call(fcinfo, name); });
}

Result<Datum> DeleteCall(FunctionCallInfo fcinfo) {
  return OnSnapshot(fcinfo, "pitr_delete_snapshot", Delete);
}
Result<Datum> KeepCall(FunctionCallInfo fcinfo) {
  return OnSnapshot(fcinfo, "pitr_keep_snapshot", Keep);
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_create_snapshot) { return pitr::pg::CreateCall(fcinfo); }
PITR_FUNCTION(pitr_delete_snapshot) { return pitr::pg::DeleteCall(fcinfo); }
PITR_FUNCTION(pitr_keep_snapshot) { return pitr::pg::KeepCall(fcinfo); }

PITR_FUNCTION(pitr_verify) {
  return pitr::pg::Audited("pitr_verify", "", [&] { return pitr::pg::Verify(fcinfo); });
}

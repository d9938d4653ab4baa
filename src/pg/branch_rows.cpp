#include "pg/branch_rows.h"

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/demand/folder.h"
#include "core/plan/restore_plan.h"
#include "core/repo/catalogue.h"
#include "pg/boundary.h"
#include "pg/compute.h"
#include "pg/demand.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "postmaster/postmaster.h"
}

namespace pitr::pg {

namespace {

// Still to be loaded; unknown of a directory that is elsewhere or cannot be read.
std::optional<std::int64_t> IncompleteBytes(const Branch& branch, bool is_self) {
  if (is_self) {
    const demand::Directory* directory = IncompleteDirectory();
    return directory == nullptr ? 0 : static_cast<std::int64_t>(directory->AbsentBytes());
  }
  if (!branch.directory || !PathExists(*branch.directory)) return std::nullopt;
  const Result<demand::FolderSummary> missing = demand::ReadFolder(*branch.directory);
  if (!missing.ok()) return std::nullopt;
  return static_cast<std::int64_t>(missing->absent_bytes);
}

std::string NameOf(const BranchSet& branches, const std::optional<BranchId>& id) {
  const Branch* branch = id ? branches.FindId(*id) : nullptr;
  return branch == nullptr ? std::string() : branch->name;
}

}  // namespace

Result<BranchWindow> WindowOf(const Session& session, const Branch& branch) {
  BranchWindow found;
  const Result<std::vector<WindowRow>> window =
      RestoreWindow(session.repo.get(), session.branches, branch.id);
  if (!window.ok() && window.status().code() == Code::kUnavailable) return window.status();
  for (std::size_t i = 0; window.ok() && i < window->size(); i++) {
    const WindowRow& row = (*window)[i];
    if (row.earliest_time && (!found.first || *row.earliest_time < *found.first)) {
      found.first = row.earliest_time;
    }
    if (row.latest_time && (!found.last || *row.latest_time > *found.last)) {
      found.last = row.latest_time;
    }
  }
  return found;
}

void WriteBranchRow(RowBuilder* rows, const Session& session, const Branch& branch,
                    const BranchMeasures& measures) {
  const bool is_self = branch.id == session.identity.branch_id;
  rows->Text(branch.name)
      .Text(branch.id)
      .TextOrNull(std::string_view(NameOf(session.branches, branch.parent)));
  rows->TextOrNull(branch.parent).LsnOrNull(branch.fork_lsn).TimeOrNull(branch.fork_time);
  rows->Text(BranchKindName(branch.kind)).Text(StateOf(branch)).Bool(is_self);
  rows->Bool(branch.is_default).Bool(branch.is_protected);
  if (is_self) {
    rows->Int4(PostPortNumber).Text(ConnectionText(PostPortNumber));
  } else if (branch.compute && !branch.deleted_at) {
    rows->Int4(branch.compute->port).Text(ConnectionText(branch.compute->port));
  } else {
    rows->Null().Null();
  }
  rows->TextOrNull(is_self ? std::optional<std::string>(DataDirectory()) : branch.directory);
  if (measures.size_bytes) {
    rows->Int8(*measures.size_bytes);
  } else {
    rows->Null();
  }
  rows->Int8OrNull(IncompleteBytes(branch, is_self));
  rows->Time(branch.created_at)
      .Time(branch.updated_at)
      .TimeOrNull(branch.last_reset_at)
      .TimeOrNull(branch.expires_at);
  rows->IntervalOrNull(branch.ttl_seconds
                           ? std::optional<std::int64_t>(*branch.ttl_seconds * 1000000)
                           : std::nullopt);
  rows->TimeOrNull(branch.deleted_at);
  rows->TimeOrNull(measures.window.first).TimeOrNull(measures.window.last);
  rows->TextOrNull(std::string_view(branch.created_by));
  rows->EndRow();
}

Result<Datum> BranchRowOf(FunctionCallInfo fcinfo, Session* session, BranchId id) {
  PITR_ASSIGN_OR_RETURN(session->branches, ReadBranches(session->repo.get()));
  const Branch* branch = session->branches.FindId(id);
  if (branch == nullptr) return Status(Code::kNotFound, "branch \"" + id + "\" not found");
  const Result<BranchWindow> window = WindowOf(*session, *branch);
  RowBuilder rows(fcinfo);
  WriteBranchRow(&rows, *session, *branch,
                 {window.ok() ? *window : BranchWindow(), BranchSizes::Load().Of(id)});
  return rows.Finish();
}

Result<Json> ReadSnapshotFlags(Repository* repo) { return ReadDocument(repo, "snapshots"); }

SnapshotFlags FlagsOf(const Json& document, const SnapshotId& id) {
  SnapshotFlags flags;
  const Json* entry = JsonObject(document, id);
  if (entry == nullptr) return flags;
  flags.kept = entry->value("kept", false);
  flags.deleted = entry->value("deleted", false);
  const Result<std::optional<std::int64_t>> verified = JsonOptionalInt(*entry, "verified_at");
  if (verified.ok() && *verified) flags.verified_at = Timestamp{**verified};
  return flags;
}

void WriteSnapshotRow(RowBuilder* rows, const Session& session, const ManifestHead& head,
                      const SnapshotFlags& flags) {
  const Manifest& manifest = head.manifest;
  const Branch* branch = session.branches.FindId(manifest.branch);
  rows->Text(manifest.name.empty() ? manifest.id : manifest.name).Text(manifest.id);
  rows->Text(branch == nullptr ? manifest.branch : branch->name);
  rows->Text(manifest.kind)
      .Text(manifest.origin)
      .Text(head.bad_page_count == 0 ? "ok" : "ok_with_bad_pages");
  rows->Lsn(manifest.start_lsn)
      .Lsn(manifest.stop_lsn)
      .Int4(static_cast<std::int32_t>(manifest.timeline));
  rows->Time(manifest.started_at).Time(manifest.finished_at);
  rows->Int8(static_cast<std::int64_t>(manifest.database_bytes))
      .Int8(static_cast<std::int64_t>(manifest.stored_bytes));
  rows->Int8(static_cast<std::int64_t>(manifest.new_bytes))
      .Int8(static_cast<std::int64_t>(head.bad_page_count));
  rows->Bool(flags.kept).TimeOrNull(manifest.expires_at).TimeOrNull(flags.verified_at);
  rows->EndRow();
}

Result<ManifestHead> FindSnapshot(Repository* repo, const std::string& name_or_id) {
  PITR_ASSIGN_OR_RETURN(std::vector<ManifestHead> heads, ListSnapshots(repo, nullptr));
  for (auto head = heads.rbegin(); head != heads.rend(); ++head) {
    if (head->manifest.id == name_or_id || head->manifest.name == name_or_id)
      return std::move(*head);
  }
  return Status(Code::kNotFound, "snapshot \"" + name_or_id + "\" not found")
      .WithHint("pitr_snapshots lists the snapshots that there are.");
}

void WriteOperationRow(RowBuilder* rows, const OperationRecord& record, std::int32_t pid) {
  rows->Text(record.id).Text(record.kind).Text(record.branch).Text(record.state).Text(record.phase);
  rows->Int8(static_cast<std::int64_t>(record.bytes_done))
      .Int8(static_cast<std::int64_t>(record.bytes_total));
  rows->LsnOrNull(record.replay_lsn)
      .LsnOrNull(record.target_lsn)
      .Time(record.started_at)
      .TimeOrNull(record.finished_at);
  std::optional<Timestamp> estimated;
  if (!record.finished_at && record.bytes_done > 0 && record.bytes_total >= record.bytes_done) {
    const std::int64_t elapsed = SystemClock().Now().micros - record.started_at.micros;
    const double share =
        static_cast<double>(record.bytes_total) / static_cast<double>(record.bytes_done);
    estimated = Timestamp{record.started_at.micros +
                          static_cast<std::int64_t>(static_cast<double>(elapsed) * share)};
  }
  rows->TimeOrNull(estimated).TextOrNull(std::string_view(record.role_name));
  if (pid == 0) {
    rows->Null();
  } else {
    rows->Int4(pid);
  }
  rows->TextOrNull(std::string_view(record.error)).TextOrNull(std::string_view(record.sqlstate));
  rows->EndRow();
}

}  // namespace pitr::pg

// A drill in its worker: a directory beside the server that no branch is, restored, promoted and looked at by the child. What became of it is a row
// of the repository, whatever it is.
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/plan/restore_plan.h"
#include "core/repo/drills.h"
#include "pg/branch_directory.h"
#include "pg/branch_room.h"
#include "pg/branch_source.h"
#include "pg/line_build.h"
#include "pg/log.h"
#include "pg/operation_kinds.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

std::optional<std::int64_t> Micros(const Json& report, const char* milliseconds) {
  const Result<std::optional<std::int64_t>> value = JsonOptionalInt(report, milliseconds);
  return value.ok() && *value ? std::optional<std::int64_t>(**value * 1000) : std::nullopt;
}

std::optional<std::int64_t> Number(const Json& report, const char* member) {
  const Result<std::optional<std::int64_t>> value = JsonOptionalInt(report, member);
  return value.ok() ? *value : std::nullopt;
}

std::optional<bool> Flag(const Json& report, const char* member) {
  const Result<bool> value = JsonBool(report, member);
  return value.ok() ? std::optional<bool>(*value) : std::nullopt;
}

std::string Lines(const Json& report, const char* member) {
  std::string text;
  const Json* lines = JsonArray(report, member);
  for (std::size_t i = 0; lines != nullptr && i < lines->size(); i++) {
    if (!(*lines)[i].is_string()) continue;
    text += (text.empty() ? "" : "\n") + (*lines)[i].get<std::string>();
  }
  return text;
}

void Fill(const Json& report, DrillRecord* record) {
  record->restore_micros = Micros(report, "restore_ms");
  record->first_query_micros = Micros(report, "first_query_ms");
  record->relations = Number(report, "relations");
  record->row_count = Number(report, "row_count");
  record->row_count_expected = Number(report, "row_count_expected");
  record->amcheck_ok = Flag(report, "amcheck_ok");
  record->checksums_ok = Flag(report, "checksums_ok");
  record->queries_ok = Flag(report, "queries_ok");
  record->passed = Number(report, "problem_count") == 0;
  const std::string problems = Lines(report, "problems"), notes = Lines(report, "notes");
  record->detail = problems + (problems.empty() || notes.empty() ? "" : "\n") + notes;
}

// What the child reports; `record` gets the point when it is known.
Result<Json> RestoreAndLook(const OperationContext& context, const Json& wanted,
                            DrillRecord* record) {
  PITR_ASSIGN_OR_RETURN(const RestoreRequest request, RequestFromJson(wanted));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  const Branch* self = branches.FindId(context.identity->branch_id);
  if (self == nullptr) return Status(Code::kNotFound, "the branch was deleted meanwhile");
  PITR_RETURN_IF_ERROR(ShipSourceOf(context, branches, *self, request.plan.source));
  PITR_ASSIGN_OR_RETURN(const RestorePlan plan, PlanAndCheck(context, branches, request, false));
  record->point_lsn = plan.record_end;
  if (plan.last_commit) record->point_time = plan.last_commit->event.time;
  PITR_ASSIGN_OR_RETURN(const std::string place, BranchDirectory());
  PITR_RETURN_IF_ERROR(ClaimBranchDirectory(place));
  PITR_RETURN_IF_ERROR(CheckBranchRoom(place));
  // Named as a branch would be, and none is: what a death leaves is swept as such a directory is.
  PITR_ASSIGN_OR_RETURN(const BranchId id, NewBranchId());
  PITR_ASSIGN_OR_RETURN(Json job, BuildJob(context, plan, id, JoinPath(place, id), true));
  job["kind"] = "drill";
  job["drill"]["database"] = wanted.value("database", std::string());
  job["drill"]["queries"] = wanted.value("queries", Json::array());
  if (wanted.contains("expected_file")) job["drill"]["expected_file"] = wanted["expected_file"];
  return RunChild(context, job, LeaveRoles);
}

}  // namespace

Result<Json> RunDrill(const OperationContext& context) {
  const Json wanted = context.operation->Request();
  DrillRecord record;
  record.id = context.id;
  record.branch_id = context.identity->branch_id;
  record.started_at = SystemClock().Now();
  record.data_loss_micros = Number(wanted, "data_loss_micros");
  const Result<Json> report = RestoreAndLook(context, wanted, &record);
  if (report.status().code() == Code::kCancelled) return report;
  if (report.ok()) {
    Fill(*report, &record);
  } else {
    record.detail = report.status().ToString();
  }
  PITR_FAULT("drill.before_record");
  PITR_RETURN_IF_ERROR(AppendDrill(context.repo, record));
  PITR_RETURN_IF_ERROR(report.status());
  if (!record.passed) {
    return Status(Code::kCorrupt, "the drill found that the restored server is not as it should be")
        .WithDetail(record.detail)
        .WithHint("SELECT * FROM pitr_drills ORDER BY started_at DESC LIMIT 1 has all of it.");
  }
  Json result;
  result["drill_id"] = record.id;
  return result;
}

}  // namespace pitr::pg

// pitr_set_restore_window, pitr_set_retention, pitr_retention_preview.
#include "core/work/retention_pass.h"
#include "pg/boundary.h"
#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/retention_keeper.h"
#include "pg/row_builder.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kSecond = 1000000;
constexpr std::int64_t kHour = 3600, kCentury = std::int64_t{36525} * 86400;  // s

struct Outlook {
  std::vector<RetentionPreviewRow> rows;
  std::optional<Timestamp> window_start;  // of the branch that was asked for
};

// `branch`: empty for all.
Result<Outlook> LookAhead(const Session& session, const BranchId& branch) {
  const RetentionQuestion question = OwnRetentionQuestion(session.branches, session.identity);
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<RetentionView> view,
                        ReadRetentionView(session.repo.get(), question, &ServerCancel()));
  const RetentionPlan plan = PlanRetention(view->input);
  Outlook outlook;
  PITR_ASSIGN_OR_RETURN(outlook.rows, PreviewRetention(session.repo.get(), *view, plan, branch));
  const auto start = plan.window_start.find(branch);
  if (start != plan.window_start.end()) outlook.window_start = start->second;
  return outlook;
}

// Seconds; nothing for NULL.
Result<std::optional<std::int64_t>> WindowArg(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 1)) return std::optional<std::int64_t>();
  const std::int64_t micros = IntervalArg(fcinfo, 1);
  const std::int64_t seconds = micros / kSecond;
  if (micros < 0) {
    return Status(Code::kInvalidArgument, "a restore window of " + std::to_string(seconds) +
                                              " seconds is less than nothing");
  }
  if (micros != 0 && seconds < kHour) {
    return Status(Code::kInvalidArgument, "a restore window of " + std::to_string(seconds) +
                                              " seconds is shorter than an hour")
        .WithHint("'0' keeps no history but what leads from the newest snapshot to now.");
  }
  if (seconds > kCentury) {
    return Status(Code::kInvalidArgument, "a restore window of " + std::to_string(seconds) +
                                              " seconds is longer than a century");
  }
  return std::optional(seconds);
}

std::string SecondsText(const std::optional<std::int64_t>& seconds) {
  return seconds ? Quoted(std::to_string(*seconds) + " s") : std::string("NULL");
}

Result<Datum> SetWindow(FunctionCallInfo fcinfo, const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const std::optional<std::int64_t> window, WindowArg(fcinfo));
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(name));
  PITR_RETURN_IF_ERROR(UpdateRetentionRules(session.repo.get(), session.branches, branch->id,
                                            [&](RetentionRules* rules) {
                                              rules->window_seconds = window;
                                              return Status::Ok();
                                            }));
  PITR_RETURN_IF_ERROR(AuditDone(session.repo.get(), branch->name, "pitr_set_restore_window",
                                 Quoted(name) + ", " + SecondsText(window)));
  RowBuilder rows(fcinfo);
  rows.Text(branch->name).IntervalOrNull(window ? std::optional(*window * kSecond) : std::nullopt);
  // The rule is set, whatever else is wrong with the repository.
  const Result<Outlook> outlook = LookAhead(session, branch->id);
  if (!outlook.ok()) {
    LogStatus(WARNING, "what the restore window comes to is not known", outlook.status());
    rows.Null().Null().EndRow();
    return rows.Finish();
  }
  std::uint64_t bytes = 0;
  for (const RetentionPreviewRow& row : outlook->rows)
    bytes += row.freed_bytes;
  rows.TimeOrNull(outlook->window_start).Int8(static_cast<std::int64_t>(bytes)).EndRow();
  return rows.Finish();
}

// Argument and what it sets.
struct ClassArgument {
  int index;
  const char* name;
  std::optional<std::int64_t> RetentionRules::*member;
};
constexpr ClassArgument kClasses[] = {
    {1, "keep_count", &RetentionRules::keep_count}, {2, "daily", &RetentionRules::daily},
    {3, "weekly", &RetentionRules::weekly},         {4, "monthly", &RetentionRules::monthly},
    {5, "yearly", &RetentionRules::yearly},
};

Result<RetentionRules> ClassArgs(FunctionCallInfo fcinfo) {
  RetentionRules rules;
  for (const ClassArgument& each : kClasses) {
    if (IsNull(fcinfo, each.index)) continue;
    const std::int32_t value = Int4Arg(fcinfo, each.index);
    if (value < 1) {
      return Status(Code::kInvalidArgument,
                    std::string(each.name) + " is " + std::to_string(value) + ", not at least 1")
          .WithHint("Leave it out, or give NULL, for none.");
    }
    rules.*each.member = value;
  }
  return rules;
}

Result<Datum> SetRetention(FunctionCallInfo fcinfo, const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const RetentionRules wanted, ClassArgs(fcinfo));
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(name));
  PITR_RETURN_IF_ERROR(UpdateRetentionRules(session.repo.get(), session.branches, branch->id,
                                            [&](RetentionRules* rules) {
                                              for (const ClassArgument& each : kClasses)
                                                rules->*each.member = wanted.*each.member;
                                              return Status::Ok();
                                            }));
  std::string arguments = Quoted(name);
  RowBuilder rows(fcinfo);
  rows.Text(branch->name);
  for (const ClassArgument& each : kClasses) {
    const std::optional<std::int64_t>& value = wanted.*each.member;
    rows.Int4OrNull(value ? std::optional(static_cast<std::int32_t>(*value)) : std::nullopt);
    if (value) arguments += ", " + std::string(each.name) + " => " + std::to_string(*value);
  }
  rows.EndRow();
  PITR_RETURN_IF_ERROR(
      AuditDone(session.repo.get(), branch->name, "pitr_set_retention", arguments));
  return rows.Finish();
}

Result<Datum> Preview(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  BranchId only;
  if (!IsNull(fcinfo, 0)) {
    PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(TextArg(fcinfo, 0)));
    only = branch->id;
  }
  PITR_ASSIGN_OR_RETURN(const Outlook outlook, LookAhead(session, only));
  RowBuilder rows(fcinfo);
  for (const RetentionPreviewRow& row : outlook.rows) {
    rows.Text(row.kind).Text(row.id).Text(row.name.empty() ? row.id : row.name).Text(row.reason);
    rows.Int8(static_cast<std::int64_t>(row.freed_bytes))
        .TimeOrNull(row.window_start_after)
        .EndRow();
  }
  return rows.Finish();
}

using NamedCall = Result<Datum> (*)(FunctionCallInfo, const std::string&);

// A call whose first argument names a branch.
Result<Datum> OnBranch(FunctionCallInfo fcinfo, const char* function, NamedCall call) {
  return AuditedByName(fcinfo, function, "branch",
                       [&](const std::string& name) { return call(fcinfo, name); });
}

Result<Datum> SetWindowCall(FunctionCallInfo fcinfo) {
  return OnBranch(fcinfo, "pitr_set_restore_window", SetWindow);
}
Result<Datum> SetRetentionCall(FunctionCallInfo fcinfo) {
  return OnBranch(fcinfo, "pitr_set_retention", SetRetention);
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_set_restore_window) { return pitr::pg::SetWindowCall(fcinfo); }
PITR_FUNCTION(pitr_set_retention) { return pitr::pg::SetRetentionCall(fcinfo); }
PITR_FUNCTION(pitr_retention_preview) { return pitr::pg::Preview(fcinfo); }

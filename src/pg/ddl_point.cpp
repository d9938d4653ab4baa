// A restore point is one small record of WAL that nobody waits for: the statement that follows flushes it with its own commit. It is
// written when that statement is about to begin, and stays when it fails.
#include "pg/ddl_point.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/wal/layout.h"
#include "pg/boundary.h"
#include "pg/guc_branch.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "tcop/cmdtag.h"
#include "tcop/utility.h"
}

namespace pitr::pg {

namespace {

constinit ProcessUtility_hook_type previous_utility = nullptr;

// What nobody would go back for: relations of this session alone, and contents that are made again from others.
bool IsPassing(const Node* statement) {
  switch (nodeTag(statement)) {
    case T_CreateStmt:
      return reinterpret_cast<const CreateStmt*>(statement)->relation->relpersistence ==
             RELPERSISTENCE_TEMP;
    case T_CreateTableAsStmt:
      return reinterpret_cast<const CreateTableAsStmt*>(statement)->into->rel->relpersistence ==
             RELPERSISTENCE_TEMP;
    case T_RefreshMatViewStmt:
      return true;
    default:
      return false;
  }
}

// RAISES. Parts of a statement and the script of an extension have the point of the whole. Where the statement itself will be
// refused (recovery, a read-only transaction), nothing is written either.
bool WantsPoint(Node* statement, ProcessUtilityContext context) {
  if (!HasRestorePointBeforeDdl() || context == PROCESS_UTILITY_SUBCOMMAND || creating_extension ||
      XactReadOnly || IsInParallelMode() || IsBinaryUpgrade || RecoveryInProgress() ||
      !XLogIsNeeded()) {
    return false;
  }
  const bool is_ddl = IsA(statement, TruncateStmt) || GetCommandLogLevel(statement) == LOGSTMT_DDL;
  return is_ddl && !IsPassing(statement);
}

// before_ddl_drop_table_20261120T100000.123456Z: its own as long as no two statements begin in one microsecond.
std::string PointName(std::string tag, Timestamp now) {
  std::transform(tag.begin(), tag.end(), tag.begin(), [](unsigned char c) {
    return c == ' ' ? '_' : static_cast<char>(std::tolower(c));
  });
  std::string time = FormatTime(now);
  std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
  constexpr std::string_view kPrefix = "before_ddl_";
  const std::size_t room = wal::xlog::kRestorePointName - 1 - kPrefix.size() - 1 - time.size();
  return std::string(kPrefix) + tag.substr(0, room) + "_" + time;
}

Status WritePoint(Node* statement) {
  const char* tag = Call([&] { return GetCommandTagName(CreateCommandTag(statement)); });
  const auto write = [&]() -> Status {
    PITR_FAULT("ddl.before_point");
    const std::string name = PointName(tag, SystemClock().Now());
    const char* text = name.c_str();
    Call([&] { XLogRestorePoint(text); });
    return Status::Ok();
  };
  const Status status = write();
  if (status.ok()) return status;
  return Status(status.code(), "could not write the restore point before " + std::string(tag))
      .WithDetail(status.message() + ".")
      .WithHint("pitr.restore_point_before_ddl = off does without.");
}

extern "C" {

static void UtilityWithPoint(PlannedStmt* planned, const char* text, bool read_only_tree,
                             ProcessUtilityContext context, ParamListInfo parameters,
                             QueryEnvironment* environment, DestReceiver* destination,
                             QueryCompletion* completion) {
  if (WantsPoint(planned->utilityStmt, context)) {
    Report report;
    const Outcome outcome = Run([&] { return WritePoint(planned->utilityStmt); }, &report);
    if (outcome != Outcome::kOk) Raise(outcome, report);
  }
  const ProcessUtility_hook_type next =
      previous_utility != nullptr ? previous_utility : standard_ProcessUtility;
  next(planned, text, read_only_tree, context, parameters, environment, destination, completion);
}
}

}  // namespace

void DdlPointInit() {
  previous_utility = ProcessUtility_hook;
  ProcessUtility_hook = UtilityWithPoint;
}

}  // namespace pitr::pg

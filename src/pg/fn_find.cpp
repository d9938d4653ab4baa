// pitr_find_events: what was dropped, emptied, deleted or changed, and the point just before it.
#include <algorithm>

#include "core/find/find_events.h"
#include "pg/boundary.h"
#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/session.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kShipMillis = 10000;

Status ReadKinds(FunctionCallInfo fcinfo, int index, find::FindRequest* request) {
  if (IsNull(fcinfo, index)) {
    request->kinds.fill(true);
    return Status::Ok();
  }
  for (const std::string& text : TextArrayArg(fcinfo, index)) {
    const auto found = std::find(find::kKindNames.begin(), find::kKindNames.end(), text);
    if (found == find::kKindNames.end()) {
      std::string names;
      for (const std::string_view name : find::kKindNames) {
        names += (names.empty() ? "" : ", ") + std::string(name);
      }
      return Status(Code::kInvalidArgument, "unknown kind of event \"" + text + "\"")
          .WithHint("Kinds are " + names + ".");
    }
    request->kinds[static_cast<std::size_t>(found - find::kKindNames.begin())] = true;
  }
  return Status::Ok();
}

Result<find::FindRequest> ReadArguments(FunctionCallInfo fcinfo) {
  find::FindRequest request;
  if (!IsNull(fcinfo, 0)) {
    PITR_ASSIGN_OR_RETURN(request.since, TimeArg(fcinfo, 0));
  }
  if (!IsNull(fcinfo, 1)) {
    PITR_ASSIGN_OR_RETURN(request.until, TimeArg(fcinfo, 1));
  }
  if (request.since && request.until && *request.since > *request.until) {
    return Status(Code::kInvalidArgument, "since " + FormatTime(*request.since) +
                                              " is later than until " + FormatTime(*request.until));
  }
  PITR_RETURN_IF_ERROR(ReadKinds(fcinfo, 2, &request));
  if (IsNull(fcinfo, 3)) {
    return Status(Code::kInvalidArgument, "min_rows must not be null");
  }
  request.min_rows = Int8Arg(fcinfo, 3);
  if (request.min_rows < 0) {
    return Status(Code::kInvalidArgument,
                  "min_rows must not be negative: " + std::to_string(request.min_rows));
  }
  request.relation = OptionalTextArg(fcinfo, 4).value_or("");
  return request;
}

Result<Datum> Events(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const find::FindRequest request, ReadArguments(fcinfo));
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(OptionalTextArg(fcinfo, 5)));
  if (branch->id == session.identity.branch_id) {
    // What happened a moment ago is looked for more than anything else.
    const Status shipped = RequestShip(kShipMillis);
    if (shipped.code() == Code::kCancelled) return shipped;
    if (!shipped.ok()) LogStatus(NOTICE, "the latest WAL is not in the repository yet", shipped);
  }
  PITR_ASSIGN_OR_RETURN(
      const find::FoundEvents found,
      find::FindEvents(session.repo.get(), session.branches, branch->id, request, &ServerCancel()));
  for (const std::string& gap : found.gaps) {
    LogQuietly(NOTICE, gap, "Events in there are not known.");
  }
  LogQuietly(DEBUG1, "pitr_find_events read " + std::to_string(found.segments_read) + " of " +
                         std::to_string(found.segments) + " WAL segments");
  RowBuilder rows(fcinfo);
  for (const find::FoundEvent& event : found.events) {
    rows.TimeOrNull(event.time).Text(find::kKindNames[static_cast<std::size_t>(event.kind)]);
    rows.TextOrNull(std::string_view(event.database)).TextOrNull(std::string_view(event.object));
    rows.Int8OrNull(event.rows).XidOrNull(event.xid).Lsn(event.lsn).Bool(event.committed);
    rows.TextOrNull(std::string_view(
        event.before.valid() ? branch->name + "@" + event.before.ToString() : std::string()));
    rows.TextOrNull(std::string_view(event.detail)).EndRow();
  }
  return rows.Finish();
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_find_events) { return pitr::pg::Events(fcinfo); }

// pitr_open_at and pitr_close_at: a server at a point of the past, for whoever connects to it.
#include "pg/guc_branch.h"
#include "pg/look_table.h"
#include "pg/row_builder.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kSecond = 1000000;

Result<std::string> PointArg(FunctionCallInfo fcinfo) {
  if (IsNull(fcinfo, 0)) return Status(Code::kInvalidArgument, "point must not be null");
  return TextArg(fcinfo, 0);
}

Result<Datum> Open(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const std::string point, PointArg(fcinfo));
  PITR_ASSIGN_OR_RETURN(const HeldLook held, HoldLook(point));
  const Look& look = held.look;
  RowBuilder rows(fcinfo);
  rows.Text(point).Lsn(look.record_end).TimeOrNull(look.commit_time);
  rows.Text(look.socket_directory).Int4(look.port);
  rows.Text("host=" + look.socket_directory + " port=" + std::to_string(look.port));
  rows.Interval(TimeTravelIdleTimeoutSetting() * kSecond).EndRow();
  NoteUseOfLook(held.use);
  return rows.Finish();
}

Result<Datum> Close(FunctionCallInfo fcinfo) {
  PITR_ASSIGN_OR_RETURN(const std::string point, PointArg(fcinfo));
  PITR_ASSIGN_OR_RETURN(const bool closed, CloseLook(point));
  return BoolGetDatum(closed);
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_open_at) { return pitr::pg::Open(fcinfo); }
PITR_FUNCTION(pitr_close_at) { return pitr::pg::Close(fcinfo); }

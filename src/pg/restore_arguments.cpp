#include "pg/restore_arguments.h"

#include "pg/boundary.h"
#include "pg/compute.h"
#include "pg/guc_branch.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
}

namespace pitr::pg {

namespace {

// Places of the arguments; -1 = the shape has none.
struct Places {
  int inclusive, undo_name, preserve, parent_after, finalize, keep_passwords, force, wait;
};
constexpr Places kBarePlaces = {1, 2, 3, -1, 4, 5, 6, 7};
constexpr Places kSourcePlaces = {3, 2, 4, 5, 6, 7, 8, 9};

bool Flag(FunctionCallInfo fcinfo, int index, bool if_null) {
  return IsNull(fcinfo, index) ? if_null : BoolArg(fcinfo, index);
}

// The server's own input: takes 'yesterday' and what now() prints, in the session's time zone.
Result<Timestamp> ServerTime(const std::string& text) {
  TimestampTz time = 0;
  const bool is_time = CallInput([&] {
    time =
        DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text.c_str()),
                                                ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
  });
  if (!is_time) {
    return Status(Code::kInvalidTime, "invalid restore target \"" + text + "\"")
        .WithHint(
            "A target is a time, an LSN, name:<restore point>, xid:<number>, "
            "snapshot:<name>, or one of these as <branch>@<point>.");
  }
  if (TIMESTAMP_NOT_FINITE(time)) {
    return Status(Code::kInvalidTime, "a restore target must be finite, not \"" + text + "\"");
  }
  return FromPostgresTime(time);
}

}  // namespace

Status ReadPoint(const std::string& text, const Session& session, PlanRequest* plan) {
  const auto is_branch = [&](std::string_view name) {
    return session.branches.FindName(name) != nullptr;
  };
  if (text.find('@') != std::string::npos || is_branch(text) || text.starts_with('^') ||
      session.branches.FindId(text) != nullptr) {
    PITR_ASSIGN_OR_RETURN(const SourcePoint source, ParseSourcePoint(text, is_branch, plan->now));
    plan->source = source.source;
    plan->point = source.point;
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const std::optional<Point> point, ParseBareTarget(text));
  plan->bare = true;
  if (point) {
    plan->point = *point;
    return Status::Ok();
  }
  plan->point.kind = Point::Kind::kTime;
  PITR_ASSIGN_OR_RETURN(plan->point.time, ServerTime(text));
  return Status::Ok();
}

namespace {

Status ReadSource(FunctionCallInfo fcinfo, const Session& session, RestoreRequest* request) {
  PlanRequest* plan = &request->plan;
  const std::string branch = TextArg(fcinfo, 0), source = TextArg(fcinfo, 1);
  Result<const Branch*> target = session.BranchArg(branch);
  if (!target.ok()) {
    Status status = target.status();
    if (status.code() == Code::kNotFound) {
      status.WithHint("Two texts are branch and source. If \"" + branch +
                      "\" is a point, write preserve_under_name => " + Quoted(source) + ".");
    }
    return status;
  }
  if ((*target)->id != session.identity.branch_id) {
    if (!HasComputeHere(**target)) {
      return Status(Code::kUnsupported,
                    "branch \"" + branch + "\" has no server here that could be restored")
          .WithHint("A branch with a server of its own can be, and the connected branch, \"" +
                    session.self().name + "\".");
    }
    // ^self and ^parent are its own.
    request->target = plan->self = (*target)->id;
  }
  const auto is_branch = [&](std::string_view name) {
    return session.branches.FindName(name) != nullptr;
  };
  PITR_ASSIGN_OR_RETURN(const SourcePoint parsed, ParseSourcePoint(source, is_branch, plan->now));
  plan->source = parsed.source;
  plan->point = parsed.point;
  return Status::Ok();
}

Status ReadTarget(FunctionCallInfo fcinfo, RestoreShape shape, const Session& session,
                  RestoreRequest* request) {
  PlanRequest* plan = &request->plan;
  if (IsNull(fcinfo, 0) || (shape == RestoreShape::kSource && IsNull(fcinfo, 1))) {
    return Status(Code::kInvalidArgument, "the target of a restore must not be null");
  }
  switch (shape) {
    case RestoreShape::kText:
      return ReadPoint(TextArg(fcinfo, 0), session, plan);
    case RestoreShape::kTime: {
      PITR_ASSIGN_OR_RETURN(plan->point.time, TimeArg(fcinfo, 0));
      plan->point.kind = Point::Kind::kTime;
      plan->bare = true;
      return Status::Ok();
    }
    case RestoreShape::kLsn:
      plan->point.lsn = LsnArg(fcinfo, 0);
      plan->point.kind = Point::Kind::kLsn;
      plan->bare = true;
      return Status::Ok();
    case RestoreShape::kSource:
      return ReadSource(fcinfo, session, request);
  }
  return Status(Code::kInternal, "unknown shape of arguments");
}

Status ReadParentAfter(FunctionCallInfo fcinfo, int index, RestoreRequest* request) {
  if (index < 0 || IsNull(fcinfo, index)) return Status::Ok();
  const std::string value = TextArg(fcinfo, index);
  if (value == "parent") return Status::Ok();
  if (value != "backup") {
    return Status(Code::kInvalidArgument,
                  "parent_after must be 'parent' or 'backup', not " + Quoted(value));
  }
  if (!request->preserve) {
    return Status(Code::kInvalidArgument,
                  "parent_after => 'backup' and preserve => false exclude each other");
  }
  request->below_backup = true;
  return Status::Ok();
}

// Neon's rule, for who wants it: what is lost from sight has a name that somebody chose.
Status CheckNameIsGiven(const Session& session, const RestoreRequest& request) {
  if (!request.undo_name.empty() || !request.preserve || !RequiresPreserveName())
    return Status::Ok();
  const BranchId& self = request.plan.self;
  const Result<BranchId> source =
      FindSource(session.branches, self, request.plan.bare ? "^self" : request.plan.source);
  const bool is_of_itself = source.ok() && *source == self;
  if (!is_of_itself && session.branches.ChildrenOf(self).empty()) return Status::Ok();
  return Status(Code::kInvalidArgument, "preserve_under_name is required")
      .WithDetail(is_of_itself ? "The branch is restored to its own history."
                               : "The branch has children, which move to the preserved one.")
      .WithHint("pitr.require_preserve_name = off gives it a name by itself.");
}

// The target and what is preserved of it.
Status CheckTarget(const Session& session, const RestoreRequest& request) {
  const Branch& restored = *session.branches.FindId(request.plan.self);
  if (restored.is_protected && !request.force) {
    return Status(Code::kProtected, "branch \"" + restored.name + "\" is protected")
        .WithHint("Use force => true to restore it all the same.");
  }
  PITR_RETURN_IF_ERROR(CheckNameIsGiven(session, request));
  // No preserved branch takes them.
  return request.preserve ? Status::Ok() : session.branches.CheckNoChildren(restored);
}

}  // namespace

std::string DescribeArguments(FunctionCallInfo fcinfo, RestoreShape shape) {
  if (IsNull(fcinfo, 0)) return "null";
  switch (shape) {
    case RestoreShape::kText:
      return Quoted(TextArg(fcinfo, 0));
    case RestoreShape::kTime: {
      const Result<Timestamp> time = TimeArg(fcinfo, 0);
      return time.ok() ? Quoted(FormatTime(*time)) : "infinity";
    }
    case RestoreShape::kLsn:
      return Quoted(LsnArg(fcinfo, 0).ToString());
    case RestoreShape::kSource:
      return Quoted(TextArg(fcinfo, 0)) + ", " +
             (IsNull(fcinfo, 1) ? "null" : Quoted(TextArg(fcinfo, 1)));
  }
  return {};
}

Result<RestoreRequest> ReadRestoreArguments(FunctionCallInfo fcinfo, RestoreShape shape,
                                            const Session& session, const char* function,
                                            bool has_wait) {
  const Places& places = shape == RestoreShape::kSource ? kSourcePlaces : kBarePlaces;
  RestoreRequest request;
  request.plan.self = session.identity.branch_id;
  request.plan.now = SystemClock().Now();
  request.plan.inclusive = Flag(fcinfo, places.inclusive, true);
  request.preserve = Flag(fcinfo, places.preserve, true);
  request.keep_passwords = Flag(fcinfo, places.keep_passwords, true);
  request.force = Flag(fcinfo, places.force, false);
  request.wait = !has_wait || Flag(fcinfo, places.wait, true);
  request.function = function;
  request.role_name = CurrentRole();
  request.client_addr = ClientAddress();
  request.arguments = DescribeArguments(fcinfo, shape);
  request.finalize = Flag(fcinfo, places.finalize, true);
  PITR_RETURN_IF_ERROR(ReadParentAfter(fcinfo, places.parent_after, &request));
  PITR_RETURN_IF_ERROR(ReadTarget(fcinfo, shape, session, &request));
  if (const std::optional<std::string> name = OptionalTextArg(fcinfo, places.undo_name)) {
    PITR_RETURN_IF_ERROR(CheckName(*name, "branch"));
    if (session.branches.IsNameTaken(*name)) {
      return Status(Code::kAlreadyExists, "branch \"" + *name + "\" exists already");
    }
    request.undo_name = *name;
  }
  PITR_RETURN_IF_ERROR(CheckTarget(session, request));
  return request;
}

}  // namespace pitr::pg

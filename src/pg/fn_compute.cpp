// Branches with a server of their own: pitr_create_branch, pitr_start_branch and pitr_stop_branch.
#include <csignal>

#include "core/base/bytes.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/work/living_server.h"
#include "core/work/sql_script.h"
#include "pg/boundary.h"
#include "pg/branch_expiry.h"
#include "pg/branch_request.h"
#include "pg/branch_room.h"
#include "pg/branch_rows.h"
#include "pg/branch_source.h"
#include "pg/compute.h"
#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/server_facts.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "commands/dbcommands.h"
#include "utils/guc.h"
}

namespace pitr::pg {

namespace {

// For those who want to look at it: what a stop is waited for. It goes on when that is over.
constexpr std::int64_t kStopMillis = 600000;

enum CreateArgument {
  kName,
  kSource,
  kStart,
  kSchemaOnly,
  kMaskingScript,
  kExpiresAt,
  kProtected,
  kSettings,
  kWait
};

bool FlagArg(FunctionCallInfo fcinfo, int index, bool if_null) {
  return IsNull(fcinfo, index) ? if_null : BoolArg(fcinfo, index);
}

// A bare point is one of the default branch.
std::string SourceText(const std::string& text, const BranchSet& branches, Timestamp now) {
  const auto is_branch = [&](std::string_view name) { return branches.FindName(name) != nullptr; };
  if (text.find('@') != std::string::npos || is_branch(text)) return text;
  for (const Branch& branch : branches.branches) {
    if (!branch.is_default || branch.deleted_at) continue;
    const std::string whole = branch.name + "@" + text;
    const Result<SourcePoint> point = ParseSourcePoint(whole, is_branch, now);
    if (point.ok() || point.status().code() == Code::kInvalidArgument) return whole;
  }
  return text;
}

Status ReadSource(FunctionCallInfo fcinfo, const Session& session, PlanRequest* plan) {
  plan->self = session.identity.branch_id;
  plan->now = SystemClock().Now();
  plan->for_new_branch = true;
  const std::string text =
      SourceText(OptionalTextArg(fcinfo, kSource).value_or("^self"), session.branches, plan->now);
  const auto is_branch = [&](std::string_view name) {
    return session.branches.FindName(name) != nullptr;
  };
  PITR_ASSIGN_OR_RETURN(const SourcePoint parsed, ParseSourcePoint(text, is_branch, plan->now));
  PITR_ASSIGN_OR_RETURN(const Branch* source, session.BranchArg(parsed.source));
  plan->source = source->id;
  plan->point = parsed.point;
  return Status::Ok();
}

// {"work_mem": "64MB", "max_connections": 20}
Status ReadSettings(FunctionCallInfo fcinfo, BranchRequest* request) {
  if (IsNull(fcinfo, kSettings)) return Status::Ok();
  const Result<Json> json = ParseJson(JsonbArg(fcinfo, kSettings), "settings");
  if (!json.ok()) {
    return Status(Code::kInvalidArgument, "settings must be an object of names and values");
  }
  for (const auto& [name, value] : json->items()) {
    if (IsFixedSetting(name)) {
      return Status(Code::kInvalidArgument,
                    "setting \"" + name + "\" of a branch cannot be chosen");
    }
    const bool is_known = name.find('.') != std::string::npos || Call([&] {
                            return GetConfigOption(name.c_str(), true, false) != nullptr;
                          });
    if (!is_known) return Status(Code::kInvalidArgument, "there is no setting \"" + name + "\"");
    if (!value.is_string() && !value.is_number() && !value.is_boolean()) {
      return Status(Code::kInvalidArgument,
                    "setting \"" + name + "\" must be a text, a number or a boolean");
    }
    request->settings.emplace_back(name,
                                   value.is_string() ? value.get<std::string>() : DumpJson(value));
  }
  return Status::Ok();
}

Status ReadExpiry(FunctionCallInfo fcinfo, BranchRequest* request) {
  if (IsNull(fcinfo, kExpiresAt)) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(const Timestamp at, TimeArg(fcinfo, kExpiresAt));
  if (request->is_protected)
    return Status(Code::kInvalidArgument, "a protected branch cannot expire");
  PITR_ASSIGN_OR_RETURN(request->expires_at, CheckExpiry(at, SystemClock().Now()));
  return Status::Ok();
}

// As they were written, without what has its default.
std::string DescribeCreate(FunctionCallInfo fcinfo) {
  const auto text = [&](int index) {
    return IsNull(fcinfo, index) ? std::string("NULL") : Quoted(TextArg(fcinfo, index));
  };
  std::string all = text(kName) + ", " + text(kSource);
  if (!FlagArg(fcinfo, kStart, true)) all += ", start => false";
  if (FlagArg(fcinfo, kSchemaOnly, false)) all += ", schema_only => true";
  // What it says is nobody's business; that it is the same is.
  if (!IsNull(fcinfo, kMaskingScript)) {
    const auto hash = Sha256(AsBytes(TextArg(fcinfo, kMaskingScript)));
    all += ", masking_script => " + Quoted("sha256:" + ToHex(ByteView(hash).first(8)));
  }
  if (!IsNull(fcinfo, kExpiresAt)) {
    const Result<Timestamp> at = TimeArg(fcinfo, kExpiresAt);
    all += ", expires_at => " + (at.ok() ? Quoted(FormatTime(*at)) : std::string("infinity"));
  }
  if (FlagArg(fcinfo, kProtected, false)) all += ", protected => true";
  if (!IsNull(fcinfo, kSettings) && JsonbArg(fcinfo, kSettings) != "{}")
    all += ", settings => " + Quoted(JsonbArg(fcinfo, kSettings));
  return all;
}

Result<BranchRequest> ReadCreate(FunctionCallInfo fcinfo, const Session& session,
                                 const std::string& arguments) {
  BranchRequest request;
  request.restore.function = "pitr_create_branch";
  request.restore.arguments = arguments;
  request.restore.role_name = CurrentRole();
  request.restore.client_addr = ClientAddress();
  request.start = FlagArg(fcinfo, kStart, true);
  request.is_protected = FlagArg(fcinfo, kProtected, false);
  request.schema_only = FlagArg(fcinfo, kSchemaOnly, false);
  if (request.schema_only && !IsNull(fcinfo, kMaskingScript)) {
    return Status(Code::kInvalidArgument,
                  "a branch without rows has nothing that a masking_script could change");
  }
  PITR_RETURN_IF_ERROR(ReadSource(fcinfo, session, &request.restore.plan));
  PITR_RETURN_IF_ERROR(ReadSettings(fcinfo, &request));
  PITR_RETURN_IF_ERROR(ReadExpiry(fcinfo, &request));
  return request;
}

// The same call again: the branch that it made the first time.
const Branch* MadeBefore(const Session& session, const std::string& name,
                         const std::string& arguments) {
  const Branch* branch = session.branches.FindName(name);
  const bool is_same =
      branch != nullptr && branch->state != "creating" && branch->created_with == arguments;
  return is_same ? branch : nullptr;
}

// To the worker. Looked at here, so that a script that is none is told of at once.
Status PassScript(FunctionCallInfo fcinfo, BranchRequest* request) {
  const std::optional<std::string> script = OptionalTextArg(fcinfo, kMaskingScript);
  if (!script) return Status::Ok();
  PITR_RETURN_IF_ERROR(SplitScript(*script).status());
  const char* database = Call([] { return get_database_name(MyDatabaseId); });
  request->masking_database = database;
  PITR_ASSIGN_OR_RETURN(const Bytes random, RandomBytes(8));
  PITR_RETURN_IF_ERROR(MakeDirectories(CacheDirectory()));
  request->masking_file = JoinPath(CacheDirectory(), "masking-" + ToHex(random));
  return WriteFileLoosely(request->masking_file, AsBytes(*script));
}

Result<Datum> Create(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(Session session, OpenWritingSession());
  const std::string arguments = DescribeCreate(fcinfo);
  PITR_ASSIGN_OR_RETURN(BranchRequest request, ReadCreate(fcinfo, session, arguments));
  if (const std::optional<std::string> name = OptionalTextArg(fcinfo, kName)) {
    PITR_RETURN_IF_ERROR(CheckName(*name, "branch"));
    if (const Branch* made = MadeBefore(session, *name, arguments))
      return BranchRowOf(fcinfo, &session, made->id);
    if (session.branches.IsNameTaken(*name))
      return Status(Code::kAlreadyExists, "branch \"" + *name + "\" exists already");
    request.name = *name;
  }
  PITR_RETURN_IF_ERROR(PassScript(fcinfo, &request));
  NewOperation operation;
  operation.kind = "branch";
  operation.branch = request.name.empty() ? session.self().name : request.name;
  operation.branch_id = session.identity.branch_id;
  operation.request = BranchRequestToJson(request);
  operation.wait = FlagArg(fcinfo, kWait, true);
  operation.role_name = request.restore.role_name;
  const Result<std::string> started = StartOperation(operation);
  if (!started.ok() && !request.masking_file.empty())
    PITR_RETURN_IF_ERROR(RemoveFile(request.masking_file));
  PITR_ASSIGN_OR_RETURN(const std::string id, started);
  if (!operation.wait) {
    RowBuilder rows(fcinfo);
    rows.TextOrNull(std::string_view(request.name));
    constexpr int kBeforeState = 6;
    for (int i = 0; i < kBeforeState; i++)
      rows.Null();
    rows.Text("creating").EndRow();
    return rows.Finish();
  }
  PITR_ASSIGN_OR_RETURN(const OperationSlot slot, WaitForOperation(id, true, false));
  ReleaseOperation(id);
  if (slot.state != OperationState::kDone) return StatusOfSlot(slot);
  PITR_ASSIGN_OR_RETURN(const std::string made, JsonText(ResultOfSlot(slot), "branch_id"));
  return BranchRowOf(fcinfo, &session, made);
}

// The branch, if it has a server here that one can start and stop from another one.
Result<const Branch*> FindCompute(const Session& session, const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const Branch* branch, session.BranchArg(name));
  if (branch->id == session.identity.branch_id) {
    return Status(Code::kInUse, "branch \"" + branch->name + "\" is the one you are connected to");
  }
  if (branch->state == "creating") {
    return Status(Code::kNotReady, "branch \"" + branch->name + "\" is still being made");
  }
  if (branch->state == "restoring") {
    return Status(Code::kInUse, "branch \"" + branch->name + "\" is being restored");
  }
  if (HasComputeHere(*branch)) return branch;
  return Status(Code::kNotReady, "branch \"" + branch->name + "\" has no server of its own here")
      .WithHint("pitr_create_branch makes a branch of it that has one: source => " +
                Quoted(branch->name) + ".");
}

Status SetState(Repository* repo, const BranchId& id, const char* state) {
  return UpdateBranches(repo, [&](BranchSet* set) {
    Branch* branch = set->FindId(id);
    if (branch == nullptr || branch->deleted_at)
      return Status(Code::kNotFound, "the branch was deleted meanwhile");
    if (branch->state != state) branch->updated_at = SystemClock().Now();
    branch->state = state;
    return Status::Ok();
  });
}

// Since we wanted it.
Result<bool> IsStillWanted(Repository* repo, const BranchId& id) {
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  const Branch* branch = branches.FindId(id);
  return branch != nullptr && branch->state == "running" && !branch->deleted_at;
}

Result<Datum> Start(FunctionCallInfo fcinfo, const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, FindCompute(session, name));
  PITR_RETURN_IF_ERROR(CheckBranchRoom(DirectoryName(*branch->directory)));
  // First what is wanted: from here on the launcher starts it again whenever it ends.
  PITR_RETURN_IF_ERROR(SetState(session.repo.get(), branch->id, "running"));
  TellOfComputes();
  if (FlagArg(fcinfo, 1, true)) {
    PITR_RETURN_IF_ERROR(StartCompute(
        *branch, [] { return ServerCancel().IsCancelled(); },
        [&] { return IsStillWanted(session.repo.get(), branch->id); }));
  }
  PITR_RETURN_IF_ERROR(
      AuditDone(session.repo.get(), branch->name, "pitr_start_branch", Quoted(name)));
  RowBuilder rows(fcinfo);
  rows.Text(branch->name)
      .Int4(branch->compute->port)
      .Text(ConnectionText(branch->compute->port))
      .EndRow();
  return rows.Finish();
}

Result<int> SignalOfMode(const std::string& mode) {
  if (mode == "smart") return SIGTERM;
  if (mode == "fast") return SIGINT;
  if (mode == "immediate") return SIGQUIT;
  return Status(Code::kInvalidArgument,
                "mode must be 'smart', 'fast' or 'immediate', not " + Quoted(mode));
}

Result<Datum> Stop(FunctionCallInfo fcinfo, const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const int signal,
                        SignalOfMode(OptionalTextArg(fcinfo, 1).value_or("fast")));
  PITR_ASSIGN_OR_RETURN(const Session session, OpenWritingSession());
  PITR_ASSIGN_OR_RETURN(const Branch* branch, FindCompute(session, name));
  PITR_RETURN_IF_ERROR(SetState(session.repo.get(), branch->id, "stopped"));
  TellOfComputes();
  PITR_RETURN_IF_ERROR(StopServer(*branch->directory, signal, kStopMillis));
  // Shipped by the server itself when it was stopped cleanly.
  const Status shipped = ShipLeft(session.repo.get(), *branch);
  if (!shipped.ok()) {
    LogStatus(WARNING, "WAL of branch \"" + branch->name + "\" waits until it runs again", shipped);
  }
  PITR_RETURN_IF_ERROR(
      AuditDone(session.repo.get(), branch->name, "pitr_stop_branch", Quoted(name)));
  RowBuilder rows(fcinfo);
  rows.Text(branch->name).Time(SystemClock().Now()).EndRow();
  return rows.Finish();
}

using Body = Result<Datum> (*)(FunctionCallInfo fcinfo, const std::string& name);

Result<Datum> OnBranch(FunctionCallInfo fcinfo, const char* function, Body body) {
  return AuditedByName(fcinfo, function, "branch",
                       [&](const std::string& name) { return body(fcinfo, name); });
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_create_branch) {
  return pitr::pg::Audited("pitr_create_branch", pitr::pg::DescribeCreate(fcinfo),
                           [&] { return pitr::pg::Create(fcinfo); });
}
PITR_FUNCTION(pitr_start_branch) {
  return pitr::pg::OnBranch(fcinfo, "pitr_start_branch", pitr::pg::Start);
}
PITR_FUNCTION(pitr_stop_branch) {
  return pitr::pg::OnBranch(fcinfo, "pitr_stop_branch", pitr::pg::Stop);
}

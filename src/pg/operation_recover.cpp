// pitr_recover_database in its worker: a look at the point, and a child that copies the database from it to this server. The look stays in use until
// the child has ended; whatever ends the worker ends the child, and what that leaves goes as recover_keeper.h says.
#include "core/base/file.h"
#include "core/base/json.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/in_transaction.h"
#include "pg/line_build.h"
#include "pg/look_table.h"
#include "pg/recover_keeper.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "commands/dbcommands.h"
}

namespace pitr::pg {

namespace {

Result<Json> NothingAsked(const std::string& need) {
  return Status(Code::kInternal, "the child asks for \"" + need + "\"");
}

struct Wanted {
  RestoreRequest request;
  std::string point, database, into;
};

Result<Wanted> ReadWanted(const Json& json) {
  Wanted wanted;
  PITR_ASSIGN_OR_RETURN(wanted.request, RequestFromJson(json));
  PITR_ASSIGN_OR_RETURN(wanted.point, JsonText(json, "point"));
  PITR_ASSIGN_OR_RETURN(wanted.database, JsonText(json, "database"));
  PITR_ASSIGN_OR_RETURN(wanted.into, JsonText(json, "into"));
  return wanted;
}

Json JobOf(const OperationContext& context, const Wanted& wanted, const Look& look) {
  Json job;
  job["kind"] = kRecover;
  job["operation"] = context.id;
  job["bin_directory"] = BinDirectory();
  job["directory"] = JoinPath(look.folder, "recover-" + context.id);
  job["database"] = wanted.database;
  job["into"] = wanted.into;
  job["caller"] = wanted.request.role_name;
  job["marker"] = RecoverMarker();
  job["workers"] = CurrentSettings().restore_workers;
  job["past"]["host"] = look.socket_directory;
  job["past"]["port"] = look.port;
  job["live"] = OwnServerJson();
  return job;
}

bool IsThere(const std::string& database) {
  return InTransaction(
      [&] { return Call([&] { return OidIsValid(get_database_oid(database.c_str(), true)); }); });
}

// A cancel may come when the last step is done, and nothing is taken back then.
Result<Json> Copy(const OperationContext& context, const Wanted& wanted, const Look& look) {
  Result<Json> done = RunChild(context, JobOf(context, wanted, look), NothingAsked);
  if (done.status().code() != Code::kCancelled || !IsThere(wanted.into)) return done;
  Json answer;
  answer["database"] = wanted.into;
  return answer;
}

}  // namespace

Result<Json> RunRecover(const OperationContext& context) {
  PITR_ASSIGN_OR_RETURN(const Wanted wanted, ReadWanted(context.operation->Request()));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  const Branch* self = branches.FindId(context.identity->branch_id);
  if (self == nullptr) return Status(Code::kNotFound, "the branch was deleted meanwhile");
  const std::string branch = self->name;
  context.operation->SetPhase("look");
  PITR_ASSIGN_OR_RETURN(const HeldLook held,
                        HoldLookFor({wanted.request.plan, wanted.point, wanted.request.role_name,
                                     [&] { return context.operation->CancelRequested(); }}));
  PITR_ASSIGN_OR_RETURN(Json answer, Copy(context, wanted, held.look));
  NoteUseOfLook(held.use);
  if (held.look.commit_time) answer["commit_time"] = held.look.commit_time->micros;
  PITR_RETURN_IF_ERROR(AuditOperation(context, wanted.request, branch, "done"));
  return answer;
}

Result<Json> RunRecoverTidy(const OperationContext& context) {
  Json job;
  job["kind"] = kRecoverTidy;
  job["live"] = OwnServerJson();
  job["marker"] = RecoverMarker();
  return RunChild(context, job, NothingAsked);
}

}  // namespace pitr::pg

// Dumps, and restores of them, in their worker. A dump is of a look (look_table.h): this server holds no snapshot for it and no locks.
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/dump_attempts.h"
#include "core/work/look.h"
#include "pg/branch_directory.h"
#include "pg/dump_places.h"
#include "pg/guc.h"
#include "pg/in_transaction.h"
#include "pg/log.h"
#include "pg/look_table.h"
#include "pg/operation_kinds.h"
#include "pg/restore_arguments.h"
#include "pg/server_facts.h"
#include "pg/synchronous.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

Result<Json> NeedsNothing(const std::string& need) {
  return Status(Code::kInternal, "the child process needs \"" + need + "\"");
}

Result<Json> NewJob(const OperationContext& context, const char* kind,
                    const std::string& repository) {
  PITR_ASSIGN_OR_RETURN(const std::string place, BranchDirectory());
  PITR_RETURN_IF_ERROR(ClaimBranchDirectory(place));
  Json job;
  job["kind"] = kind;
  PutAccess(AccessOfDumps(repository), &job);
  job["bin_directory"] = BinDirectory();
  job["nice"] = WorkerNiceSetting();
  job["staging"] = JoinPath(place, context.id + ".dump");
  return job;
}

// Another one than the server's own, or empty.
std::string RepositoryOf(const Json& request) { return request.value("repository", std::string()); }

// The point is in words that do not depend on who reads them.
Result<LookAsker> AskerOf(const OperationContext& context, const Json& request) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  LookAsker asker;
  asker.point = request.value("point", std::string("^self"));
  asker.role_name = request.value("role_name", std::string());
  asker.is_cancelled = [&context] { return context.operation->CancelRequested(); };
  asker.request.self = session.identity.branch_id;
  asker.request.now = SystemClock().Now();
  // Who is let into a masked branch only must not see more than that by way of it.
  asker.request.for_new_branch =
      !session.branches.MaskedOrigin(session.identity.branch_id).has_value();
  PITR_RETURN_IF_ERROR(ReadPoint(asker.point, session, &asker.request));
  return asker;
}

Result<Json> MakeDump(const OperationContext& context, const Json& request, DumpManifest* dump) {
  context.operation->SetPhase("look");
  PITR_ASSIGN_OR_RETURN(const LookAsker asker, AskerOf(context, request));
  PITR_ASSIGN_OR_RETURN(const HeldLook held, HoldLookFor(asker));
  dump->point_lsn = held.look.record_end;
  dump->point_time = held.look.commit_time;
  PITR_ASSIGN_OR_RETURN(Json job, NewJob(context, kDump, RepositoryOf(request)));
  job["host"] = held.look.socket_directory;
  job["port"] = held.look.port;
  job["user"] = InTransaction([] { return BootstrapSuperuser(); });
  job["compression_level"] = CurrentSettings().snapshot_compression_level;
  job["dump"] = EncodeDump(*dump, false);
  Result<Json> made = RunChild(context, job, NeedsNothing);
  NoteUseOfLook(held.use);
  if (!made.ok()) PITR_RETURN_IF_ERROR(RemoveTree(job.value("staging", std::string())));
  return made;
}

// Whoever asked is told that there is none. What cannot be removed now is collected by the launcher.
void Discard(const OperationContext& context, Repository* repo, const DumpId& id,
             const Status& why) {
  const Status removed = RemoveDumpObjects(repo, id).status();
  if (!removed.ok()) LogStatus(WARNING, "could not remove what a dump has left", removed);
  const Status noted = NoteDumpFailed(context.repo, id, why, SystemClock().Now());
  if (!noted.ok()) LogStatus(WARNING, "could not note that a dump failed", noted);
}

}  // namespace

Result<Json> RunDump(const OperationContext& context) {
  const Json request = context.operation->Request();
  const Json* start = JsonObject(request, "dump");
  if (start == nullptr) return Status(Code::kInternal, "a dump was asked for without saying which");
  PITR_ASSIGN_OR_RETURN(DumpManifest dump, DecodeDumpStart(*start));
  const std::string address = RepositoryOf(request);
  DumpRepository other{address, nullptr};
  if (!address.empty()) {
    PITR_ASSIGN_OR_RETURN(other.repo, Repository::OpenAddress(AccessOfDumps(address), true));
    PITR_RETURN_IF_ERROR(NoteDumpRepository(context.repo, address));
  }
  Repository* const repo = other.repo ? other.repo.get() : context.repo;
  PITR_RETURN_IF_ERROR(
      NoteDumpBegun(context.repo, dump.id, dump.options, dump.started_at, address));
  Result<Json> made = MakeDump(context, request, &dump);
  if (!made.ok()) {
    Discard(context, repo, dump.id, made.status());
    return made;
  }
  const Status forgotten = ForgetDumpAttempt(context.repo, dump.id);
  if (!forgotten.ok()) LogStatus(WARNING, "could not note that a dump is done", forgotten);
  return made;
}

Result<Json> RunRestoreDump(const OperationContext& context) {
  const Json request = context.operation->Request();
  PITR_ASSIGN_OR_RETURN(Json job, NewJob(context, kRestoreDump, RepositoryOf(request)));
  for (const char* member :
       {"dump", "database", "into", "temporary", "owner", "jobs", "no_owner"}) {
    job[member] = request.contains(member) ? request[member] : Json(nullptr);
  }
  const ReplicationTarget self = InTransaction([] { return OwnReplicationTarget(); });
  job["host"] = self.host;
  job["port"] = self.port;
  job["user"] = self.user;
  Result<Json> restored = RunChild(context, job, NeedsNothing);
  const Code code = restored.status().code();
  if (code == Code::kInternal || code == Code::kCancelled) {
    // The child may have had no time to tidy up.
    PITR_RETURN_IF_ERROR(RemoveTree(job.value("staging", std::string())));
    job["drops"] = true;
    const Status dropped = RunJob(job, [] { return false; }).status();
    if (!dropped.ok())
      LogStatus(WARNING, "could not drop a database that was not restored", dropped);
  }
  if (restored.ok()) (*restored)["database"] = job["into"];
  return restored;
}

}  // namespace pitr::pg

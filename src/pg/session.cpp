#include "pg/session.h"

#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/lease.h"
#include "pg/log.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
#include "libpq/libpq-be.h"
#include "nodes/params.h"
#include "utils/builtins.h"
}

namespace pitr::pg {

Result<const Branch*> Session::BranchArg(const std::optional<std::string>& text) const {
  if (!text || *text == "^self") return &self();
  if (*text == "^parent") {
    if (!self().parent) return Status(Code::kNoParent, "Branch has no parent");
    return branches.Find(*self().parent);
  }
  return branches.Find(*text);
}

namespace {

// The launcher refuses to make a branch beside those of another server; whoever asks hears that and not that it will come.
Status CheckOurs(Repository* repo) {
  const std::uint64_t ours = ServerIdentity().system_identifier;
  PITR_ASSIGN_OR_RETURN(const BranchSet set, ReadBranches(repo));
  for (const Branch& branch : set.branches) {
    if (branch.root == ServerIdentity()) return Status::Ok();
  }
  for (const Branch& branch : set.branches) {
    if (branch.kind != BranchKind::kRoot) continue;
    return Status(Code::kForeign,
                  "repository \"" + repo->Describe() + "\" belongs to another server")
        .WithDetail("It holds system identifier " + std::to_string(branch.root.system_identifier) +
                    ", this server has " + std::to_string(ours) + ".")
        .WithHint("Use an empty folder for each server.");
  }
  return Status::Ok();
}

}  // namespace

Result<Session> OpenSession() {
  PITR_RETURN_IF_ERROR(RequireShared());
  const RepositoryAccess access = CurrentSettings().repository;
  if (access.address.empty()) {
    return Status(Code::kNotReady, "pitr.repository is not set")
        .WithHint(
            "Set pitr.repository to a folder that the server's user can write, and reload the "
            "configuration.");
  }
  Session session;
  PITR_ASSIGN_OR_RETURN(session.repo, Repository::OpenAddress(access, false));
  session.repo->set_cache_directory(CacheDirectory());
  Result<Identity> identity = LoadIdentity(DataDirectory());
  if (!identity.ok() && identity.status().code() == Code::kNotFound) {
    PITR_RETURN_IF_ERROR(CheckOurs(session.repo.get()));
    return Status(Code::kNotReady, "this server has no branch in the repository yet")
        .WithHint("The launcher makes it within seconds; the server's log says why if it cannot.");
  }
  PITR_ASSIGN_OR_RETURN(session.identity, std::move(identity));
  if (session.identity.repository_id != session.repo->id()) {
    return Status(Code::kForeign, "this server belongs to repository " +
                                      session.identity.repository_id + ", \"" + access.address +
                                      "\" is repository " + session.repo->id())
        .WithHint("Point pitr.repository at the repository that this server was archived to.");
  }
  PITR_ASSIGN_OR_RETURN(session.branches, ReadBranches(session.repo.get()));
  if (session.branches.FindId(session.identity.branch_id) == nullptr) {
    return Status(Code::kForeign, "branch " + session.identity.branch_id +
                                      " of this server is not in the repository");
  }
  return session;
}

Result<Session> OpenWritingSession() {
  PITR_ASSIGN_OR_RETURN(Session session, OpenSession());
  PITR_RETURN_IF_ERROR(HoldLease(session.repo.get(), session.identity));
  return session;
}

std::optional<Session> TryOpenSession(Status* problem) {
  Result<Session> session = OpenSession();
  if (session.ok()) return std::move(*session);
  *problem = session.status();
  return std::nullopt;
}

std::string CurrentRole() {
  return Call([] { return GetUserNameFromId(GetUserId(), false); });
}

std::string ClientAddress() {
  if (MyProcPort == nullptr || MyProcPort->remote_host == nullptr) return {};
  const std::string host = MyProcPort->remote_host;
  return host == "[local]" ? std::string() : host;
}

Status CheckTopLevel(const char* function) {
  // Whatever calls a function on behalf of other code (SPI, a procedural language, an SQL function) has an error context;
  // a statement that a client sent has none, or, in the extended protocol, the one for its parameters (exec_simple_query and
  // exec_execute_message in postgres.c of 15-18).
  const ErrorContextCallback* context = error_context_stack;
  const bool of_protocol = context != nullptr && context->previous == nullptr &&
                           context->callback == ParamsErrorCallback;
  const bool nested = context != nullptr && !of_protocol;
  const bool in_block = Call([] { return IsTransactionBlock() || IsSubTransaction(); });
  if (!nested && !in_block) return Status::Ok();
  return Status(Code::kActiveTransaction,
                std::string(function) +
                    " cannot run inside a transaction block, a function or a DO block")
      .WithHint("Call it as a statement of its own, outside BEGIN.");
}

Status AuditDone(Repository* repo, const std::string& branch, const std::string& function,
                 const std::string& arguments, const std::string& operation_id) {
  return AppendAudit(repo, {SystemClock().Now(), CurrentRole(), ClientAddress(), branch, function,
                            arguments, operation_id, "done", ""});
}

Result<Datum> Audited(const std::string& function, const std::string& arguments,
                      const std::function<Result<Datum>()>& body) {
  Result<Datum> result = body();
  if (result.ok()) return result;
  Status problem;
  const std::optional<Session> session = TryOpenSession(&problem);
  if (!session) return result;
  const Status written =
      AppendAudit(session->repo.get(), {SystemClock().Now(), CurrentRole(), ClientAddress(),
                                        session->self().name, function, arguments, "", "refused",
                                        std::string(SqlState(result.status().code()))});
  if (!written.ok()) LogStatus(WARNING, "could not write the audit row", written);
  return result;
}

Result<Datum> AuditedByName(FunctionCallInfo fcinfo, const char* function, const char* argument,
                            const std::function<Result<Datum>(const std::string&)>& body) {
  const std::optional<std::string> name = OptionalTextArg(fcinfo, 0);
  return Audited(function, name ? Quoted(*name) : "NULL", [&]() -> Result<Datum> {
    if (!name) return Status(Code::kInvalidArgument, std::string(argument) + " must not be null");
    return body(*name);
  });
}

std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c;
    if (c == '\'') quoted += c;
  }
  return quoted + "'";
}

}  // namespace pitr::pg

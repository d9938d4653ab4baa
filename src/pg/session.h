// What every SQL function starts with: the library preloaded, a repository set and open, and who we are in it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/plan/restore_plan.h"
#include "core/repo/branches.h"
#include "core/repo/identity.h"
#include "core/repo/records.h"
#include "core/repo/repository.h"
#include "pg/row_builder.h"

namespace pitr::pg {

struct Session {
  std::unique_ptr<Repository> repo;
  Identity identity;
  BranchSet branches;

  const Branch& self() const { return *branches.FindId(identity.branch_id); }
  // NULL or '^self' is the connected branch; ^parent, a name or an id.
  Result<const Branch*> BranchArg(const std::optional<std::string>& text) const;
};

// kNotReady (55000): not preloaded, no pitr.repository, no identity yet.
Result<Session> OpenSession();
// The same for whoever changes the repository: this server must be the writer of its branch (kOtherWriter, PI008).
Result<Session> OpenWritingSession();
// The same as OpenSession without branches or identity, for views: nullopt with `problem` filled when the repository cannot be used.
std::optional<Session> TryOpenSession(Status* problem);

std::string CurrentRole();
std::string ClientAddress();

// 25001 unless the calling statement is a top-level one outside a transaction block, and called by nobody's code.
Status CheckTopLevel(const char* function);

// Runs `body`; a failure leaves an audit row (an operation's own outcome is written by its worker).
Result<Datum> Audited(const std::string& function, const std::string& arguments,
                      const std::function<Result<Datum>()>& body);
// The same for a function whose first argument, a text, must be there; kInvalidArgument says so in `argument`'s name.
Result<Datum> AuditedByName(FunctionCallInfo fcinfo, const char* function, const char* argument,
                            const std::function<Result<Datum>(const std::string&)>& body);
// An audit row of something that was done. Failures to write it fail the call.
Status AuditDone(Repository* repo, const std::string& branch, const std::string& function,
                 const std::string& arguments, const std::string& operation_id = "");

// 'it''s' as SQL would write it, for audit rows.
std::string Quoted(const std::string& text);

}  // namespace pitr::pg

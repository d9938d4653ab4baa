#include "pg/branch_hold.h"

#include <csignal>

#include "core/base/clock.h"
#include "core/repo/records.h"
#include "core/work/living_server.h"
#include "pg/boundary.h"
#include "pg/completion.h"
#include "pg/compute.h"
#include "pg/guc.h"
#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/operation_slots.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kFastMillis = 30000, kImmediateMillis = 10000;
constexpr long kPollMs = 100;
constexpr std::size_t kRecords = 200;

// The server that wrote the record still runs: one that is gone has not said how its operations ended.
bool IsWriterAlive(const Session& session, const OperationRecord& record) {
  const Branch* writer = session.branches.FindId(record.branch_id);
  if (writer == nullptr || writer->deleted_at) return false;
  const std::optional<std::string> directory = DirectoryOf(*writer, session.identity.branch_id);
  return directory && LivingServer(*directory);
}

// Of the branch's own server, or by another one on that branch.
Result<std::optional<OperationRecord>> FindOfOthers(const Session& session, const Branch& branch) {
  PITR_ASSIGN_OR_RETURN(const std::vector<OperationRecord> records,
                        ReadOperations(session.repo.get(), kRecords));
  for (const OperationRecord& record : records) {
    const bool is_over = record.state != "running" && record.state != "queued";
    const bool concerns = record.branch_id == branch.id ||
                          (record.branch == branch.name && record.kind.ends_with("_other"));
    if (is_over || !concerns || record.branch_id == session.identity.branch_id ||
        record.kind == kCompletion || !IsWriterAlive(session, record)) {
      continue;
    }
    return std::optional(record);
  }
  return std::optional<OperationRecord>();
}

}  // namespace

Result<bool> WaitForOtherServers(const Session& session, const Branch& branch) {
  const std::int64_t give_up =
      SystemClock().MonotonicMillis() + CurrentSettings().operation_lock_timeout_ms;
  for (bool has_waited = false;; has_waited = true) {
    PITR_ASSIGN_OR_RETURN(const std::optional<OperationRecord> other,
                          FindOfOthers(session, branch));
    if (!other) return has_waited;
    if (SystemClock().MonotonicMillis() >= give_up) {
      return Status(Code::kLockTimeout, "operation \"" + other->id + "\" (" + other->kind +
                                            ") of another server is still running on branch \"" +
                                            branch.name + "\"")
          .WithHint("pitr_operations shows how far it is.");
    }
    NapOnLatch(kPollMs);
    CheckInterrupts();
  }
}

Status HoldBranch(const OperationContext& context, const Branch& branch) {
  if (branch.state != "running") return Status::Ok();
  return UpdateBranches(context.repo, [&](BranchSet* set) {
    Branch* now = set->FindId(branch.id);
    if (now == nullptr || now->deleted_at)
      return Status(Code::kNotFound, "branch \"" + branch.name + "\" was deleted meanwhile");
    const bool is_ours = now->builder == context.identity->branch_id;
    if (now->state == "restoring" && is_ours) return Status::Ok();  // by this very update
    if (now->state != branch.state || now->name != branch.name)
      return Status(Code::kInUse, "branch \"" + branch.name + "\" was changed meanwhile");
    now->state = "restoring";
    now->builder = context.identity->branch_id;
    return Status::Ok();
  });
}

void LetGoOfBranch(const OperationContext& context, const Branch& branch) {
  if (branch.state != "running") return;
  const Status back = UpdateBranches(context.repo, [&](BranchSet* set) {
    Branch* now = set->FindId(branch.id);
    if (now == nullptr || now->state != "restoring") return Status::Ok();
    now->state = branch.state;
    now->builder.reset();
    return Status::Ok();
  });
  if (!back.ok()) LogStatus(WARNING, "could not let go of a branch", back);
  TellOfComputes();
}

Status StopForGood(const std::string& directory) {
  const Status stopped = StopServer(directory, SIGINT, kFastMillis);
  return stopped.code() == Code::kLockTimeout ? StopServer(directory, SIGQUIT, kImmediateMillis)
                                              : stopped;
}

}  // namespace pitr::pg

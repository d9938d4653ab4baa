#include "pg/retention_keeper.h"

#include <cstdlib>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/work/living_server.h"
#include "pg/boundary.h"
#include "pg/compute.h"
#include "pg/guc.h"
#include "pg/log.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kSecond = 1000000;
constexpr std::int64_t kFirstPass = 300, kInterval = 3600, kSoon = 2, kAfterFailure = 60;  // s
// Others may be waiting for the operation to end.
constexpr std::int64_t kBudgetMs = 10'000;

struct SeenSettings {
  int window = 0, snapshots = 0, grace = 0;
  friend bool operator==(const SeenSettings&, const SeenSettings&) = default;
};

// Of the launcher alone.
constinit std::int64_t next_pass = 0;
constinit SeenSettings seen_settings;
constinit std::string* running_pass = nullptr;

// A test need not wait that long.
std::int64_t PassSeconds(std::int64_t seconds) {
#ifdef PITR_FAULTS
  if (const char* text = std::getenv("PITR_RETENTION_SECONDS")) return std::atoll(text);
#endif
  return seconds;
}

// Nor for windows to pass: so many seconds ahead as the file says.
Timestamp Now() {
  Timestamp now = SystemClock().Now();
#ifdef PITR_FAULTS
  if (const char* path = std::getenv("PITR_RETENTION_AHEAD")) {
    const Result<std::string> text = ReadTextFile(path, 64);
    if (text.ok()) now.micros += std::atoll(text->c_str()) * kSecond;
  }
#endif
  return now;
}

SeenSettings CurrentOnes() {
  return {RestoreWindowSetting(), MinimumSnapshotsSetting(), RetentionGraceSetting()};
}

// What it could not do in its time, the next one goes on with.
void LookAtRunningPass(std::int64_t now) {
  if (running_pass == nullptr) return;
  const std::optional<OperationSlot> slot = FindOperation(*running_pass);
  if (slot && slot->finished_at == 0) return;
  if (slot && slot->state == OperationState::kDone && ResultOfSlot(*slot).value("more", false)) {
    next_pass = now + kSoon * kSecond;
  }
  delete running_pass;
  running_pass = nullptr;
}

}  // namespace

void ForgetRetention() {
  next_pass = 0;
  seen_settings = CurrentOnes();
  delete running_pass;
  running_pass = nullptr;
}

Status KeepRetention(Repository* repo, const Identity& identity) {
  const std::int64_t now = SystemClock().Now().micros;
  LookAtRunningPass(now);
  if (next_pass == 0) next_pass = now + PassSeconds(kFirstPass) * kSecond;
  const SeenSettings settings = CurrentOnes();
  if (settings != seen_settings) {
    seen_settings = settings;
    next_pass = now;
  }
  if (now < next_pass || running_pass != nullptr || InRecovery()) return Status::Ok();
  next_pass = now + kAfterFailure * kSecond;
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  const Branch* self = branches.FindId(identity.branch_id);
  if (self == nullptr) return Status::Ok();
  NewOperation operation;
  operation.kind = kRetention;
  operation.branch = self->name;
  operation.branch_id = self->id;
  operation.request = Json::object();
  operation.wait = false;
  Result<std::string> started = StartOperationNow(operation);
  if (started.status().code() == Code::kLockTimeout) {
    next_pass = now + kSoon * kSecond;
    return Status::Ok();
  }
  if (!started.ok()) {
    // No worker is free, say: there is no hurry.
    LogStatus(LOG, "retention has to wait", started.status());
    return Status::Ok();
  }
  running_pass = new std::string(*started);
  next_pass = now + PassSeconds(kInterval) * kSecond;
  PITR_FAULT("retention.started");
  return Status::Ok();
}

RetentionQuestion OwnRetentionQuestion(const BranchSet& branches, const Identity& identity) {
  RetentionQuestion question;
  question.self = identity.branch_id;
  question.minded.insert(identity.branch_id);
  for (const Branch& branch : branches.branches) {
    // Lines that nobody writes; the servers of branches mind their own.
    const bool is_left =
        branch.deleted_at || branch.kind == BranchKind::kUndo ||
        (branch.compute && HasComputeHere(branch) && !LivingServer(*branch.directory));
    if (is_left && !IsCompute()) question.minded.insert(branch.id);
  }
  question.server.window_seconds = std::int64_t{60} * RestoreWindowSetting();
  question.server.minimum_snapshots = MinimumSnapshotsSetting();
  question.now = Now();
  return question;
}

Result<Json> RunRetention(const OperationContext& context) {
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  const RetentionQuestion question = OwnRetentionQuestion(branches, *context.identity);
  Json job;
  job["kind"] = "retention";
  PutAccess(CurrentSettings().repository, &job);
  job["nice"] = WorkerNiceSetting();
  job["self"] = question.self;
  job["minded"] = question.minded;
  job["window_seconds"] = question.server.window_seconds;
  job["minimum_snapshots"] = question.server.minimum_snapshots;
  job["grace_seconds"] = std::int64_t{60} * RetentionGraceSetting();
  job["budget_ms"] = kBudgetMs;
  job["now"] = FormatTime(question.now);
  job["operation"] = context.id;
  return RunChild(context, job, [](const std::string& need) -> Result<Json> {
    return Status(Code::kInternal, "a pass of retention has asked for \"" + need + "\"");
  });
}

bool DidRetentionAct(const Json& result) {
  return result.value("removed_snapshots", std::uint64_t{0}) +
             result.value("removed_objects", std::uint64_t{0}) >
         0;
}

}  // namespace pitr::pg

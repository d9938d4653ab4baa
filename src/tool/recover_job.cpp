// A database of the past, made anew beside those of today: pg_dump of what is in it from a server at that point, pg_restore into one that has another
// name until it is whole. What a killed job leaves has that name, and comments that tell (core/work/recovered_database.h).
#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/work/recovered_database.h"
#include "tool/connection.h"
#include "tool/job.h"
#include "tool/job_fields.h"
#include "tool/past_database.h"
#include "tool/pipeline.h"
#include "tool/recover_live.h"
#include "tool/staging_server.h"

namespace pitr::tool {

namespace {

constexpr std::int64_t kSizeMillis = 2000;
constexpr std::size_t kMostNotes = 20;
// Somebody looks into every database now and then: monitoring, autovacuum.
constexpr int kRenameTries = 10;
constexpr char kInUse[] = "55006", kTaken[] = "42P04";
// What is locked at that point stays so: a moment more does not help.
constexpr char kLockWait[] = "--lock-wait-timeout=10s";

struct Request {
  OperationId operation;
  std::string bin_directory, directory, database, into, caller, marker;
  ServerPlace past, live;
  int workers = 1;
};

Result<Request> Parse(const Json& job) {
  Request request;
  PITR_ASSIGN_OR_RETURN(request.operation, JsonText(job, "operation"));
  PITR_ASSIGN_OR_RETURN(request.bin_directory, JsonText(job, "bin_directory"));
  PITR_ASSIGN_OR_RETURN(request.directory, JsonText(job, "directory"));
  PITR_ASSIGN_OR_RETURN(request.database, JsonText(job, "database"));
  PITR_ASSIGN_OR_RETURN(request.into, JsonText(job, "into"));
  PITR_ASSIGN_OR_RETURN(request.caller, JsonText(job, "caller"));
  PITR_ASSIGN_OR_RETURN(request.marker, JsonText(job, "marker"));
  PITR_ASSIGN_OR_RETURN(request.past, ParseServerPlace(job, "past"));
  PITR_ASSIGN_OR_RETURN(request.live, ParseServerPlace(job, "live"));
  PITR_ASSIGN_OR_RETURN(request.workers, JsonNumber<int>(job, "workers"));
  return request;
}

class Recovery {
 public:
  Recovery(Request request, JobContext* context)
      : request_(std::move(request)),
        context_(context),
        cancel_(*context->cancel),
        unfinished_(UnfinishedDatabase(request_.operation)) {}

  Result<Json> Run();

 private:
  Status Make();
  Status MakeRoles();
  Status MakeDatabase();
  Status CheckRoom();
  Status FindToday();
  Status CopySchema();
  Status CopyData();
  Status MakeIndexes();
  Status GiveAway();
  Status Publish();
  Status PublishOnce(bool* is_in_use);
  Status DropRoles();
  // In a transaction; what cannot be is told, and nothing else is lost.
  Status TryIn(const Finish& finish);
  // To its end: who gives up in the middle does not know what there is then. None takes long.
  Status Command(const std::string& text) { return live_->Run(text, NoCancel()); }

  std::string Program(const char* name) const { return JoinPath(request_.bin_directory, name); }
  std::string SchemaFile() const { return JoinPath(request_.directory, "schema.dump"); }
  std::vector<std::string> DumpArguments() const;
  std::vector<std::string> RestoreArguments(const char* section) const;
  std::vector<std::string> Environment() const;
  Status RunPrograms(const std::vector<std::vector<std::string>>& programs);
  void BeginPhase(const char* name);
  void ShowSize();
  void Note(std::string text);

  const Request request_;
  JobContext* context_;
  const CancelToken& cancel_;
  const std::string unfinished_;
  std::optional<Connection> past_session_, live_;
  PastDatabase past_;
  std::set<std::string> roles_;    // of today
  std::vector<std::string> gone_;  // roles of then, here until the end
  std::string past_user_, owner_;
  std::string gone_list_;  // quoted, with commas
  bool has_tablespaces_ = true, has_own_tablespace_ = true;
  std::int64_t looked_at_ = 0;
  std::uint64_t shown_ = 0;
  Json notes_ = Json::array();
};

void Recovery::Note(std::string text) {
  if (notes_.size() < kMostNotes) notes_.push_back(std::move(text));
}

void Recovery::BeginPhase(const char* name) {
  context_->output->Phase(name);
  context_->output->Total(past_.bytes);
  shown_ = 0;
  looked_at_ = 0;
}

// How far it is.
void Recovery::ShowSize() {
  const std::int64_t now = SystemClock().MonotonicMillis();
  if (now - looked_at_ < kSizeMillis) return;
  looked_at_ = now;
  const Result<std::vector<Row>> rows = live_->Query(
      "SELECT pg_database_size(oid) FROM pg_database WHERE datname = '" + unfinished_ + "'",
      cancel_);
  if (!rows.ok() || rows->size() != 1) return;
  const std::string text = (*rows)[0].at(0).value_or("0");
  const std::uint64_t size = std::strtoull(text.c_str(), nullptr, 10);
  if (size <= shown_) return;
  context_->output->Done(size - shown_);
  shown_ = size;
}

// What roles and databases set for their sessions must not disturb those that copy.
std::vector<std::string> Recovery::Environment() const {
  return ServerEnvironment(
      {{"LC_ALL", "C"},
       {"PGOPTIONS",
        "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0"
        " -c idle_in_transaction_session_timeout=0 -c session_preload_libraries="
        " -c local_preload_libraries= -c role=none -c client_min_messages=warning"
        " -c synchronous_commit=off -c log_statement=none -c row_security=off"
        " -c pitr.restore_point_before_ddl=off"}});
}

std::vector<std::string> Recovery::DumpArguments() const {
  return {Program("pg_dump"),
          "-Fc",
          "--compress=0",
          "--no-subscriptions",
          kLockWait,
          "-d",
          ConnectionString(request_.past.host, request_.past.port, past_user_, request_.database)};
}

std::vector<std::string> Recovery::RestoreArguments(const char* section) const {
  std::vector<std::string> arguments = {
      Program("pg_restore"),
      "--exit-on-error",
      "--no-subscriptions",
      "--section=" + std::string(section),
      "-d",
      ConnectionString(request_.live.host, request_.live.port, request_.live.user, unfinished_)};
  if (!has_tablespaces_) arguments.push_back("--no-tablespaces");
  return arguments;
}

Status Recovery::RunPrograms(const std::vector<std::vector<std::string>>& programs) {
  Status status = RunPipeline(
      programs, Environment(), [this] { ShowSize(); }, cancel_);
  if (status.detail().find("lock timeout") == std::string::npos) return status;
  return std::move(status).WithHint(
      "A table was locked by a transaction that was going on at that point; another moment may "
      "do.");
}

// Who and what is here today.
Status Recovery::FindToday() {
  PITR_ASSIGN_OR_RETURN(live_, OpenLive(request_.live));
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> roles,
                        live_->Query("SELECT rolname FROM pg_authid", cancel_));
  for (const Row& row : roles)
    roles_.insert(row.at(0).value_or(""));
  for (const std::string& role : past_.roles) {
    if (!roles_.contains(role) && !role.starts_with("pg_")) gone_.push_back(role);
  }
  owner_ = roles_.contains(past_.owner) ? past_.owner : request_.caller;
  for (const std::string& role : gone_) {
    PITR_ASSIGN_OR_RETURN(const std::string quoted, live_->Identifier(role));
    gone_list_ += (gone_list_.empty() ? "" : ", ") + quoted;
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> found,
                        live_->Query("SELECT spcname FROM pg_tablespace", cancel_));
  std::set<std::string> tablespaces;
  for (const Row& row : found)
    tablespaces.insert(row.at(0).value_or(""));
  has_own_tablespace_ = tablespaces.contains(past_.tablespace);
  has_tablespaces_ = std::includes(tablespaces.begin(), tablespaces.end(),
                                   past_.tablespaces.begin(), past_.tablespaces.end());
  if (!has_own_tablespace_ || !has_tablespaces_)
    Note("a tablespace of then does not exist any more: everything is in that of the database");
  if (past_.subscriptions > 0) Note("subscriptions are left out");
  return Status::Ok();
}

Status Recovery::CheckRoom() {
  PITR_FAULT("recover_database.room");
  PITR_ASSIGN_OR_RETURN(
      const std::string tablespace,
      live_->Literal(has_own_tablespace_ ? past_.tablespace : std::string("pg_default")));
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      live_->Query("SELECT coalesce(nullif(pg_tablespace_location(oid), ''),"
                   " current_setting('data_directory')), current_setting('data_directory')"
                   " FROM pg_tablespace WHERE spcname = " +
                       tablespace,
                   cancel_));
  if (rows.size() != 1) return Status(Code::kInternal, "a tablespace has no row");
  std::string place = rows[0].at(0).value_or("");
  // One inside of the data directory.
  if (!place.starts_with('/')) place = JoinPath(rows[0].at(1).value_or(""), place);
  PITR_ASSIGN_OR_RETURN(const std::uint64_t free, FreeSpace(place));
  return CheckRoomForDatabase(past_.bytes, free, place);
}

Status Recovery::MakeRoles() {
  if (gone_.empty()) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(const std::string comment,
                        live_->Literal(UnfinishedComment(request_.operation)));
  PITR_RETURN_IF_ERROR(Command("BEGIN"));
  for (const std::string& name : gone_) {
    PITR_ASSIGN_OR_RETURN(const std::string role, live_->Identifier(name));
    PITR_RETURN_IF_ERROR(Command("CREATE ROLE " + role + " NOLOGIN"));
    PITR_RETURN_IF_ERROR(Command("COMMENT ON ROLE " + role + " IS " + comment));
  }
  return Command("COMMIT");
}

Status Recovery::MakeDatabase() {
  PITR_ASSIGN_OR_RETURN(const std::string create,
                        CreateCommand(*live_, past_, unfinished_, has_own_tablespace_));
  PITR_RETURN_IF_ERROR(Command(create));
  PITR_FAULT("recover_database.made");
  PITR_ASSIGN_OR_RETURN(const std::string comment,
                        live_->Literal(UnfinishedComment(request_.operation)));
  PITR_ASSIGN_OR_RETURN(const std::string name, live_->Identifier(unfinished_));
  return Command("COMMENT ON DATABASE " + name + " IS " + comment);
}

// Definitions lie in a file of their own, so that indexes and constraints can be made side by side.
Status Recovery::CopySchema() {
  std::vector<std::string> dump = DumpArguments();
  dump.insert(dump.end(),
              {"--section=pre-data", "--section=post-data", "--no-sync", "-f", SchemaFile()});
  PITR_RETURN_IF_ERROR(RunPrograms({dump}));
  std::vector<std::string> restore = RestoreArguments("pre-data");
  restore.push_back(SchemaFile());
  return RunPrograms({restore});
}

Status Recovery::CopyData() {
  std::vector<std::string> dump = DumpArguments();
  dump.push_back("--section=data");
  return RunPrograms({dump, RestoreArguments("data")});
}

Status Recovery::MakeIndexes() {
  std::vector<std::string> restore = RestoreArguments("post-data");
  restore.insert(restore.end(),
                 {"-j", std::to_string(std::max(request_.workers, 1)), SchemaFile()});
  return RunPrograms({restore});
}

// What roles had that are gone is the caller's. Their functions must not run with his rights, whoever calls them.
Status Recovery::GiveAway() {
  if (gone_.empty()) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(
      Connection inside,
      Connection::Open(
          {request_.live.host, request_.live.port, {request_.live.user}, {unfinished_}}));
  PITR_ASSIGN_OR_RETURN(const std::string caller, inside.Identifier(request_.caller));
  std::string names;
  for (const std::string& role : gone_) {
    PITR_ASSIGN_OR_RETURN(const std::string literal, inside.Literal(role));
    names += (names.empty() ? "" : ", ") + literal;
  }
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> definers,
      inside.Query("SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_roles r ON r.oid = "
                   "p.proowner WHERE p.prosecdef AND r.rolname IN (" +
                       names + ") ORDER BY 1",
                   cancel_));
  PITR_RETURN_IF_ERROR(inside.Run("BEGIN", cancel_));
  for (const Row& row : definers) {
    const std::string routine = row.at(0).value_or("");
    PITR_RETURN_IF_ERROR(inside.Run("ALTER ROUTINE " + routine + " SECURITY INVOKER", cancel_));
    Note("function " + routine + " runs as whoever calls it: its owner does not exist any more");
  }
  PITR_RETURN_IF_ERROR(inside.Run("REASSIGN OWNED BY " + gone_list_ + " TO " + caller, cancel_));
  PITR_RETURN_IF_ERROR(inside.Run("DROP OWNED BY " + gone_list_, cancel_));
  PITR_RETURN_IF_ERROR(inside.Run("COMMIT", cancel_));
  for (const std::string& role : gone_) {
    Note("role \"" + role + "\" does not exist any more: what it owned belongs to \"" +
         request_.caller + "\", its privileges are left out");
  }
  return Status::Ok();
}

Status Recovery::TryIn(const Finish& finish) {
  PITR_RETURN_IF_ERROR(Command("SAVEPOINT pitr"));
  PITR_ASSIGN_OR_RETURN(const std::optional<SqlError> error,
                        live_->Try(finish.command, NoCancel()));
  if (!error) return Command("RELEASE pitr");
  PITR_RETURN_IF_ERROR(Command("ROLLBACK TO pitr"));
  Note(finish.what + " is left out: " + error->message);
  return Status::Ok();
}

// One that somebody uses meanwhile stays.
Status Recovery::DropRoles() {
  for (const std::string& name : gone_) {
    PITR_ASSIGN_OR_RETURN(const std::string role, live_->Identifier(name));
    PITR_RETURN_IF_ERROR(Command("SAVEPOINT pitr_role"));
    PITR_ASSIGN_OR_RETURN(const std::optional<SqlError> error,
                          live_->Try("DROP ROLE " + role, NoCancel()));
    if (!error) continue;
    PITR_RETURN_IF_ERROR(Command("ROLLBACK TO pitr_role"));
    PITR_RETURN_IF_ERROR(Command("COMMENT ON ROLE " + role + " IS NULL"));
    Note("role \"" + name + "\" stays: " + error->message);
  }
  return Status::Ok();
}

Status Recovery::PublishOnce(bool* is_in_use) {
  PITR_ASSIGN_OR_RETURN(const std::string name, live_->Identifier(unfinished_));
  PITR_ASSIGN_OR_RETURN(const std::string into, live_->Identifier(request_.into));
  PITR_ASSIGN_OR_RETURN(const std::string owner, live_->Identifier(owner_));
  PITR_RETURN_IF_ERROR(
      Command("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
              "datname = '" +
              unfinished_ + "'"));
  PITR_RETURN_IF_ERROR(Command("BEGIN"));
  PITR_RETURN_IF_ERROR(Command("ALTER DATABASE " + name + " OWNER TO " + owner));
  PITR_ASSIGN_OR_RETURN(const std::vector<Finish> finishes,
                        FinishCommands(*live_, past_, unfinished_, owner_, roles_));
  for (const Finish& finish : finishes)
    PITR_RETURN_IF_ERROR(TryIn(finish));
  PITR_RETURN_IF_ERROR(DropRoles());
  PITR_ASSIGN_OR_RETURN(const std::optional<SqlError> error,
                        live_->Try("ALTER DATABASE " + name + " RENAME TO " + into, NoCancel()));
  if (!error) return Command("COMMIT");
  PITR_RETURN_IF_ERROR(Command("ROLLBACK"));
  *is_in_use = error->sqlstate == kInUse;
  if (error->sqlstate == kTaken) {
    return Status(Code::kAlreadyExists, error->message)
        .WithHint("into_database takes another name.");
  }
  return Status(*is_in_use ? Code::kInUse : Code::kInternal, error->message);
}

// In one transaction, which also makes everything before it durable.
Status Recovery::Publish() {
  for (int i = 1;; i++) {
    const Json notes = notes_;
    bool is_in_use = false;
    Status published = PublishOnce(&is_in_use);
    if (!is_in_use || i == kRenameTries) return published;
    notes_ = notes;
  }
}

Status Recovery::Make() {
  PITR_RETURN_IF_ERROR(CheckRoom());
  PITR_RETURN_IF_ERROR(MakeDirectories(request_.directory));
  // The launcher tidies up behind us as long as it is there.
  PITR_RETURN_IF_ERROR(MakeDirectories(DirectoryName(request_.marker)));
  PITR_RETURN_IF_ERROR(WriteFileDurably(request_.marker, AsBytes(request_.operation)));
  PITR_FAULT("recover_database.marked");
  PITR_RETURN_IF_ERROR(MakeRoles());
  PITR_RETURN_IF_ERROR(MakeDatabase());
  BeginPhase("schema");
  PITR_RETURN_IF_ERROR(CopySchema().Prefix("definitions"));
  BeginPhase("data");
  PITR_FAULT("recover_database.before_data");
  PITR_RETURN_IF_ERROR(CopyData().Prefix("data"));
  BeginPhase("indexes");
  PITR_FAULT("recover_database.before_indexes");
  PITR_RETURN_IF_ERROR(MakeIndexes().Prefix("indexes and constraints"));
  PITR_RETURN_IF_ERROR(GiveAway());
  BeginPhase("finish");
  PITR_FAULT("recover_database.before_rename");
  PITR_RETURN_IF_ERROR(Publish());
  PITR_FAULT("recover_database.renamed");
  return Status::Ok();
}

Result<Json> Recovery::Run() {
  context_->output->Phase("prepare");
  const ConnectTo past = {
      request_.past.host, request_.past.port, SuperuserCandidates(request_.live.user), {}};
  PITR_ASSIGN_OR_RETURN(past_session_, EnterPastDatabase(past, request_.database, cancel_));
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> self,
                        past_session_->Query("SELECT session_user", cancel_));
  past_user_ = self.at(0).at(0).value_or("");
  PITR_ASSIGN_OR_RETURN(past_, ReadPastDatabase(&*past_session_, request_.database, cancel_));
  // Roles that another one has left are not of today.
  Json databases = Json::array(), roles = Json::array();
  PITR_RETURN_IF_ERROR(RemoveUnfinished(request_.live, &databases, &roles));
  PITR_RETURN_IF_ERROR(FindToday());
  const Status made = Make();
  Status tidied = RemoveTree(request_.directory);
  if (!made.ok()) {
    live_.reset();
    const Status removed = RemoveUnfinished(request_.live, &databases, &roles);
    if (!removed.ok()) {
      context_->output->Log(LogLevel::kInfo, "what was made of database \"" + request_.into +
                                                 "\" is still there: " + removed.ToString());
      return made;
    }
  }
  if (tidied.ok()) tidied = RemoveFile(request_.marker);
  if (!tidied.ok()) context_->output->Log(LogLevel::kInfo, tidied.ToString());
  PITR_RETURN_IF_ERROR(made);
  Json last;
  Json& done = last["done"];
  done["database"] = request_.into;
  done["bytes"] = past_.bytes;
  done["notes"] = notes_;
  return last;
}

}  // namespace

Result<Json> RunRecoverJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(Request request, Parse(job));
  return Recovery(std::move(request), context).Run();
}

}  // namespace pitr::tool

// A dump into a new database of the living server. It has another name until all of it is there and agrees with the dump: whoever looks for it finds
// all or nothing.
#include <fcntl.h>

#include <map>
#include <utility>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/access.h"
#include "tool/dump_source.h"
#include "tool/job.h"
#include "tool/job_fields.h"
#include "tool/piped_program.h"

namespace pitr::tool {

namespace {

struct RestoreWork {
  DumpServer server;
  DumpPlace place;
  std::string into, temporary, owner, staging;
  std::int32_t jobs = 1;
  bool no_owner = false;
};

Result<RestoreWork> WorkOfJob(const Json& job) {
  RestoreWork work;
  PITR_ASSIGN_OR_RETURN(work.server, DumpServerOf(job));
  PITR_ASSIGN_OR_RETURN(work.place.id, JsonText(job, "dump"));
  PITR_ASSIGN_OR_RETURN(work.place.database, JsonOptionalText(job, "database"));
  PITR_ASSIGN_OR_RETURN(work.into, JsonText(job, "into"));
  PITR_ASSIGN_OR_RETURN(work.temporary, JsonText(job, "temporary"));
  PITR_ASSIGN_OR_RETURN(work.owner, JsonText(job, "owner"));
  PITR_ASSIGN_OR_RETURN(work.staging, JsonText(job, "staging"));
  PITR_ASSIGN_OR_RETURN(work.jobs, JsonNumber<std::int32_t>(job, "jobs"));
  PITR_ASSIGN_OR_RETURN(work.no_owner, JsonBool(job, "no_owner"));
  return work;
}

// A database that is neither the one that is dropped nor the one that is made.
Result<Connection> ConnectBeside(const DumpServer& server) {
  Result<Connection> connection =
      Connection::Open({server.host, server.port, {server.user}, {"postgres", "template1"}});
  if (connection.ok()) return connection;
  return Status(connection.status().code(),
                "this server does not let its own user in: " + connection.status().message())
      .WithHint("pg_restore connects to \"" + server.host + "\" as \"" + server.user +
                "\"; let pg_hba.conf have a line like: local all " + server.user + " peer");
}

Status Drop(const RestoreWork& work) {
  const NoCancel goes_on{};
  PITR_ASSIGN_OR_RETURN(Connection connection, ConnectBeside(work.server));
  PITR_ASSIGN_OR_RETURN(const std::string name, connection.Identifier(work.temporary));
  return connection.Run("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", goes_on);
}

class DumpRestore {
 public:
  DumpRestore(Repository* repo, const RestoreWork& work, JobContext* context)
      : repo_(repo), work_(work), context_(context) {}
  Status Run();
  std::uint64_t rows() const { return database_->rows; }

 private:
  const CancelToken& cancel() const { return *context_->cancel; }
  bool IsStaged() const { return work_.jobs > 1 || manifest_.options.format == "directory"; }
  Status DropLeft(Connection* connection) const;
  Status CheckName(Connection* connection) const;
  Status Create(Connection* connection) const;
  Status Stage() const;
  Status StageFile(const DumpFile& file, const std::string& path) const;
  Status Load() const;
  Status Compare() const;

  Repository* repo_;
  const RestoreWork& work_;
  JobContext* context_;
  DumpManifest manifest_;
  const DumpDatabase* database_ = nullptr;
};

// Of a server that died meanwhile: only one of us works at a time, and it has a name of its own.
Status DumpRestore::DropLeft(Connection* connection) const {
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      connection->Query(
          "SELECT datname FROM pg_database WHERE datname ~ '^pitr_restoring_[0-9a-f]{8}$'",
          cancel()));
  for (const Row& row : rows) {
    PITR_ASSIGN_OR_RETURN(const std::string name, connection->Identifier(row.at(0).value_or("")));
    PITR_RETURN_IF_ERROR(connection->Run("DROP DATABASE " + name + " WITH (FORCE)", cancel()));
  }
  return Status::Ok();
}

Status DumpRestore::CheckName(Connection* connection) const {
  PITR_ASSIGN_OR_RETURN(const std::string name, connection->Literal(work_.into));
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      connection->Query("SELECT 1 FROM pg_database WHERE datname = " + name, cancel()));
  return rows.empty()
             ? Status::Ok()
             : Status(Code::kAlreadyExists, "database \"" + work_.into + "\" already exists");
}

Status DumpRestore::Create(Connection* connection) const {
  PITR_ASSIGN_OR_RETURN(const std::string name, connection->Identifier(work_.temporary));
  PITR_ASSIGN_OR_RETURN(const std::string owner, connection->Identifier(work_.owner));
  std::string command = "CREATE DATABASE " + name + " OWNER " + owner + " TEMPLATE template0";
  const auto add = [&](const char* what, const std::string& value) -> Status {
    PITR_ASSIGN_OR_RETURN(const std::string literal, connection->Literal(value));
    command += std::string(" ") + what + " " + literal;
    return Status::Ok();
  };
  PITR_RETURN_IF_ERROR(add("ENCODING", database_->encoding));
  PITR_RETURN_IF_ERROR(add("LC_COLLATE", database_->collate));
  PITR_RETURN_IF_ERROR(add("LC_CTYPE", database_->ctype));
  const std::string& provider = database_->provider;
  command += provider == "i"   ? " LOCALE_PROVIDER icu"
             : provider == "b" ? " LOCALE_PROVIDER builtin"
                               : " LOCALE_PROVIDER libc";
  if (provider == "i") PITR_RETURN_IF_ERROR(add("ICU_LOCALE", database_->locale));
  if (provider == "b") PITR_RETURN_IF_ERROR(add("BUILTIN_LOCALE", database_->locale));
  if (!database_->icu_rules.empty()) {
    PITR_RETURN_IF_ERROR(add("ICU_RULES", database_->icu_rules));
  }
  return connection->Run(command, cancel());
}

Status DumpRestore::StageFile(const DumpFile& file, const std::string& path) const {
  PITR_ASSIGN_OR_RETURN(File out, File::Open(path, O_WRONLY | O_CREAT | O_EXCL));
  return StreamDumpFile(repo_, manifest_.id, file, [&](ByteView bytes) {
    if (cancel().IsCancelled()) return Status(Code::kCancelled, "cancelled");
    context_->output->Done(bytes.size());
    return out.WriteAll(bytes);
  });
}

// Several processes of pg_restore, and what is a directory, want files.
Status DumpRestore::Stage() const {
  PITR_RETURN_IF_ERROR(MakeDirectories(work_.staging));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t free, FreeSpace(work_.staging));
  if (free < database_->plain_bytes) {
    return Status(Code::kDiskFull, "the dump does not fit on the disk")
        .WithDetail("It has " + std::to_string(database_->plain_bytes) + " bytes, " +
                    std::to_string(free) + " are free in \"" + work_.staging + "\".")
        .WithHint("With jobs => 1 a dump of the custom format needs no room there.");
  }
  for (const DumpFile& file : database_->files) {
    PITR_RETURN_IF_ERROR(
        StageFile(file, JoinPath(work_.staging, file.name.empty() ? "dump" : file.name)));
  }
  return Status::Ok();
}

Status DumpRestore::Load() const {
  std::vector<std::string> arguments = {DumpProgram(work_.server, "pg_restore"), "--exit-on-error",
                                        "--no-password"};
  // pg_dump leaves owners in an archive, whatever it is told.
  if (work_.no_owner || manifest_.options.no_owner) arguments.push_back("--no-owner");
  if (work_.no_owner) arguments.push_back("--no-privileges");
  arguments.insert(arguments.end(), {"-d", ConnectionOf(work_.server, work_.temporary)});
  if (IsStaged()) {
    context_->output->Phase("fetch");
    context_->output->Total(database_->plain_bytes);
    PITR_RETURN_IF_ERROR(Stage());
    arguments.push_back("--jobs=" + std::to_string(work_.jobs));
    arguments.push_back(manifest_.options.format == "directory" ? work_.staging
                                                                : JoinPath(work_.staging, "dump"));
  }
  context_->output->Phase("load");
  context_->output->Total(database_->plain_bytes);
  PITR_ASSIGN_OR_RETURN(const auto program,
                        PipedProgram::Start(arguments, DumpEnvironment(), !IsStaged(),
                                            [](ByteView) { return Status::Ok(); }));
  if (!IsStaged()) {
    PITR_RETURN_IF_ERROR(
        StreamDumpFile(repo_, manifest_.id, database_->files.front(), [&](ByteView bytes) {
          context_->output->Done(bytes.size());
          return program->Feed(bytes, cancel());
        }));
  }
  Status ended = program->End(cancel());
  if (ended.code() != Code::kIo) return ended;
  Status failed = Status(Code::kIo, "pg_restore of database \"" + database_->name + "\" failed")
                      .WithDetail(ended.detail().empty() ? ended.message() : ended.detail());
  const bool lacks_role = ended.detail().find("role \"") != std::string::npos;
  if (lacks_role && !work_.no_owner) {
    failed.WithHint("Make the roles first (pitr dump-get " + manifest_.id +
                    " --globals has them), or restore with no_owner => true.");
  }
  return failed;
}

Status DumpRestore::Compare() const {
  if (manifest_.options.schema_only) return Status::Ok();
  context_->output->Phase("verify");
  PITR_ASSIGN_OR_RETURN(Connection connection, ConnectToDatabase(work_.server, work_.temporary));
  PITR_ASSIGN_OR_RETURN(const std::vector<SourceTable> tables, TablesOf(&connection, cancel()));
  // What is of an extension is what that makes of it here.
  std::map<std::pair<std::string, std::string>, const SourceTable*> found;
  for (const SourceTable& table : tables) {
    found[{table.table.schema, table.table.name}] = &table;
  }
  for (const DumpTable& wanted : database_->tables) {
    const auto there = found.find({wanted.schema, wanted.name});
    if (there != found.end() && there->second->is_of_extension) continue;
    const std::uint64_t rows = there == found.end() ? 0 : there->second->table.rows;
    if (there != found.end() && rows == wanted.rows) continue;
    return Status(Code::kCorrupt, "what was restored is not what was dumped")
        .WithDetail("Table \"" + wanted.schema + "\".\"" + wanted.name + "\" has " +
                    std::to_string(rows) + " rows and should have " + std::to_string(wanted.rows) +
                    ".");
  }
  return Status::Ok();
}

Status DumpRestore::Run() {
  PITR_ASSIGN_OR_RETURN(manifest_, ReadDump(repo_, work_.place.id));
  PITR_ASSIGN_OR_RETURN(database_, DatabaseOf(manifest_, work_.place));
  PITR_ASSIGN_OR_RETURN(Connection connection, ConnectBeside(work_.server));
  PITR_RETURN_IF_ERROR(DropLeft(&connection));
  PITR_RETURN_IF_ERROR(CheckName(&connection));
  PITR_RETURN_IF_ERROR(Create(&connection));
  PITR_RETURN_IF_ERROR(Load());
  PITR_RETURN_IF_ERROR(Compare());
  PITR_FAULT("dump.restored");
  if (cancel().IsCancelled()) return Status(Code::kCancelled, "cancelled");
  // Somebody may have made one of that name meanwhile.
  PITR_RETURN_IF_ERROR(CheckName(&connection));
  PITR_ASSIGN_OR_RETURN(const std::string from, connection.Identifier(work_.temporary));
  PITR_ASSIGN_OR_RETURN(const std::string to, connection.Identifier(work_.into));
  return connection.Run("ALTER DATABASE " + from + " RENAME TO " + to, cancel());
}

}  // namespace

Result<Json> RunRestoreDumpJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const RestoreWork work, WorkOfJob(job));
  Json line;
  if (job.value("drops", false)) {
    PITR_RETURN_IF_ERROR(Drop(work));
    line["done"]["rows"] = 0;
    return line;
  }
  PITR_ASSIGN_OR_RETURN(const RepositoryAccess access, AccessFrom(job));
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress(access, false));
  DumpRestore restore(repo.get(), work, context);
  const Status restored = restore.Run();
  const Status cleared = RemoveTree(work.staging);
  if (!restored.ok()) {
    const Status dropped = Drop(work);
    if (!dropped.ok()) {
      context->output->Log(
          LogLevel::kWarning,
          "database \"" + work.temporary + "\" could not be dropped: " + dropped.ToString());
    }
    return restored;
  }
  if (!cleared.ok()) {
    context->output->Log(LogLevel::kWarning, "a restore left files behind: " + cleared.ToString());
  }
  line["done"]["rows"] = restore.rows();
  return line;
}

}  // namespace pitr::tool

#include "tool/schema_copy.h"

#include <algorithm>
#include <memory>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/identity.h"
#include "core/work/control_file.h"
#include "core/work/tablespaces.h"
#include "tool/auto_conf.h"
#include "tool/durability.h"
#include "tool/held.h"
#include "tool/live_trial.h"
#include "tool/past_sessions.h"
#include "tool/programs.h"
#include "tool/recovery.h"
#include "tool/staging_config.h"
#include "tool/staging_server.h"

namespace pitr::tool {

namespace {

constexpr char kGlobals[] = "globals.sql";
constexpr std::size_t kMaxGlobals = 256U << 20;

// Of the server at the point.
struct Cluster {
  std::string superuser;  // of initdb
  bool has_checksums = false;
  Json base;  // row of pg_database of template0
  std::string encoding;
  std::vector<std::string> databases;
};

// The line with which pg_dumpall makes the role that initdb has made.
std::string WithoutRole(const std::string& globals, const std::string& role) {
  std::string quoted = "\"";
  for (const char c : role) {
    if (c == '"') quoted += c;
    quoted += c;
  }
  std::string kept;
  std::size_t at = 0;
  while (at < globals.size()) {
    const std::size_t end = std::min(globals.find('\n', at), globals.size() - 1) + 1;
    const std::string_view line = std::string_view(globals).substr(at, end - at);
    if (line != "CREATE ROLE " + role + ";\n" && line != "CREATE ROLE " + quoted + "\";\n") {
      kept += line;
    }
    at = end;
  }
  return kept;
}

class Copier {
 public:
  Copier(const SchemaCopy& copy, BuildClient* client, const CancelToken& cancel)
      : copy_(copy), client_(client), cancel_(cancel) {}

  Result<std::uint64_t> Run();

 private:
  std::string Program(const char* name) const { return JoinPath(copy_.source.bin_directory, name); }
  std::string DumpFile(std::size_t number) const {
    return JoinPath(dumps_, std::to_string(number) + ".sql");
  }
  // Beside that of the server at the point.
  int Port() const { return copy_.source.port + 1; }

  Status Look(const ConnectTo& to, Connection* connection);
  Status ReadCluster(Connection* connection);
  Status Dump(const ConnectTo& to, Connection* connection);
  Status InitDb() const;
  Result<std::unique_ptr<StagingServer>> Start() const;
  Status Load() const;
  Status LoadFile(const std::string& database, const std::string& file) const;
  Status MakeTablespaces(const std::string& globals) const;
  Status CarryRolesOver() const;
  Result<std::uint64_t> Finish() const;

  const SchemaCopy& copy_;
  BuildClient* client_;
  const CancelToken& cancel_;
  BranchId branch_;
  std::string dumps_;
  Cluster cluster_;
};

Status Copier::ReadCluster(Connection* connection) {
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      connection->Query("SELECT (SELECT rolname FROM pg_authid WHERE oid = 10),"
                        " current_setting('data_checksums'), to_jsonb(d),"
                        " pg_encoding_to_char(d.encoding) FROM pg_database d"
                        " ORDER BY datname = 'template0' DESC, datname = 'template1' DESC LIMIT 1",
                        cancel_));
  const Row& row = rows.at(0);
  cluster_.superuser = row.at(0).value_or("");
  cluster_.has_checksums = row.at(1) == "on";
  PITR_ASSIGN_OR_RETURN(cluster_.base, ParseJson(row.at(2).value_or(""), "row of pg_database"));
  cluster_.encoding = row.at(3).value_or("");
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> names,
      connection->Query("SELECT datname FROM pg_database WHERE datallowconn AND datname <> "
                        "'template0' ORDER BY datname <> 'template1', datname <> 'postgres', 1",
                        cancel_));
  for (const Row& name : names)
    cluster_.databases.push_back(name.at(0).value_or(""));
  return Status::Ok();
}

Status Copier::Dump(const ConnectTo& to, Connection* connection) {
  client_->progress()->Phase("dump");
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> self,
                        connection->Query("SELECT current_user, current_database()", cancel_));
  const std::string user = self.at(0).at(0).value_or("");
  const auto at = [&](const std::string& database) {
    return ConnectionString(to.socket_directory, to.port, user, database);
  };
  const std::string home = self.at(0).at(1).value_or("");
  PITR_RETURN_IF_ERROR(RunQuietly({Program("pg_dumpall"), "--globals-only", "--no-sync", "-l", home,
                                   "-d", at(home), "-f", JoinPath(dumps_, kGlobals)},
                                  EnvironmentOfPrograms(), cancel_));
  for (std::size_t i = 0; i < cluster_.databases.size(); i++) {
    const std::string& name = cluster_.databases[i];
    std::vector<std::string> arguments = {Program("pg_dump"),
                                          "--schema-only",
                                          "--create",
                                          "--no-sync",
                                          "-f",
                                          DumpFile(i),
                                          "-d",
                                          at(name)};
    // initdb has made them.
    if (name == "template1" || name == "postgres")
      arguments.insert(arguments.end(), {"--clean", "--if-exists"});
    PITR_RETURN_IF_ERROR(RunQuietly(arguments, EnvironmentOfPrograms(), cancel_));
  }
  return Status::Ok();
}

Status Copier::Look(const ConnectTo& to, Connection* connection) {
  PITR_RETURN_IF_ERROR(RollBackPrepared(to, connection, cancel_));
  PITR_RETURN_IF_ERROR(ReadCluster(connection));
  return Dump(to, connection);
}

Status Copier::InitDb() const {
  const auto text = [&](const char* member) {
    const auto found = cluster_.base.find(member);
    return found != cluster_.base.end() && found->is_string() ? found->get<std::string>()
                                                              : std::string();
  };
  PITR_ASSIGN_OR_RETURN(const ControlFile source, ReadControlFile(copy_.source.directory));
  std::vector<std::string> arguments = {
      Program("initdb"),
      "-D",
      copy_.directory,
      "-U",
      cluster_.superuser,
      "-A",
      "trust",
      "--no-sync",
      "--no-instructions",
      "--locale=C",
      "--encoding=" + cluster_.encoding,
      "--lc-collate=" + text("datcollate"),
      "--lc-ctype=" + text("datctype"),
      "--wal-segsize=" + std::to_string(source.wal_segment_size >> 20)};
  const std::string provider = text("datlocprovider");
  const std::string locale =
      text(cluster_.base.contains("datlocale") ? "datlocale" : "daticulocale");
  if (provider == "i") {
    arguments.insert(arguments.end(), {"--locale-provider=icu", "--icu-locale=" + locale});
    if (!text("daticurules").empty()) arguments.push_back("--icu-rules=" + text("daticurules"));
  } else if (provider == "b") {
    arguments.insert(arguments.end(), {"--locale-provider=builtin", "--builtin-locale=" + locale});
  } else {
    arguments.push_back("--locale-provider=libc");
  }
  if (cluster_.has_checksums) {
    arguments.push_back("--data-checksums");
  } else if (MajorOfServer(copy_.source.bin_directory) >= 18) {
    arguments.push_back("--no-data-checksums");
  }
  return RunQuietly(arguments, EnvironmentOfPrograms(), cancel_);
}

Result<std::unique_ptr<StagingServer>> Copier::Start() const {
  const std::string& directory = copy_.directory;
  const std::string file = StagingFile(directory, "staging.conf"),
                    hba = StagingFile(directory, "staging_hba.conf"),
                    ident = StagingFile(directory, "staging_ident.conf");
  PITR_RETURN_IF_ERROR(MakeDirectories(DirectoryName(file)));
  std::string text;
  for (const auto& [name, value] :
       PrivateServerSettings(copy_.source.socket_directory, Port(), copy_.preload_libraries,
                             MajorOfServer(copy_.source.bin_directory))) {
    text += ConfigLine(name, value);
  }
  PITR_RETURN_IF_ERROR(PublishFile(file, AsBytes(text), false));
  PITR_RETURN_IF_ERROR(PublishFile(hba, AsBytes(StagingHbaText()), false));
  PITR_RETURN_IF_ERROR(PublishFile(ident, AsBytes(StagingIdentText()), false));
  StagingOptions options;
  options.directory = directory;
  options.bin_directory = copy_.source.bin_directory;
  options.arguments = AsArguments({{"data_directory", directory},
                                   {"config_file", file},
                                   {"hba_file", hba},
                                   {"ident_file", ident}});
  options.environment = {{"PITR_STAGING", "1"}};
  options.log_file = StagingFile(directory, "staging.log");
  PITR_ASSIGN_OR_RETURN(auto server, StagingServer::Start(options));
  PITR_RETURN_IF_ERROR(server->WaitReady(cancel_));
  return server;
}

Status Copier::LoadFile(const std::string& database, const std::string& file) const {
  const std::string there =
      ConnectionString(copy_.source.socket_directory, Port(), cluster_.superuser, database);
  return RunQuietly({Program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", there, "-f", file},
                    EnvironmentOfPrograms(), cancel_);
}

// Where the text says that they are, this branch's own.
Status Copier::MakeTablespaces(const std::string& globals) const {
  PITR_ASSIGN_OR_RETURN(const std::vector<TablespaceLink> links,
                        TablespaceLinks(copy_.source.directory));
  for (const TablespaceLink& link : links) {
    const std::string target = TablespaceTarget(link.target, branch_, BaseName(link.target));
    if (globals.find(target) == std::string::npos) continue;  // dropped by the time of the point
    PITR_RETURN_IF_ERROR(MakeDirectories(target));
  }
  return Status::Ok();
}

Status Copier::Load() const {
  client_->progress()->Phase("load");
  const std::string path = JoinPath(dumps_, kGlobals);
  PITR_ASSIGN_OR_RETURN(std::string globals, ReadTextFile(path, kMaxGlobals));
  globals = WithoutRole(globals, cluster_.superuser);
  // Tablespaces of the server at the point are below its own id, which is nowhere else.
  const std::string theirs = "/" + copy_.source.branch + "/", ours = "/" + branch_ + "/";
  for (std::size_t at = globals.find(theirs); at != std::string::npos;
       at = globals.find(theirs, at + ours.size())) {
    globals.replace(at, theirs.size(), ours);
  }
  PITR_RETURN_IF_ERROR(MakeTablespaces(globals));
  PITR_RETURN_IF_ERROR(PublishFile(path, AsBytes(globals), false));
  PITR_RETURN_IF_ERROR(LoadFile("postgres", path));
  bool has_postgres = false;
  for (std::size_t i = 0; i < cluster_.databases.size(); i++) {
    const bool is_postgres = cluster_.databases[i] == "postgres";
    has_postgres = has_postgres || is_postgres;
    PITR_RETURN_IF_ERROR(LoadFile(is_postgres ? "template1" : "postgres", DumpFile(i))
                             .Prefix("schema of database \"" + cluster_.databases[i] + "\""));
  }
  if (!has_postgres) {
    PITR_RETURN_IF_ERROR(
        PublishFile(path, AsBytes(std::string("DROP DATABASE postgres;\n")), false));
    PITR_RETURN_IF_ERROR(LoadFile("template1", path));
  }
  PITR_FAULT("schema.loaded");
  return CarryRolesOver();
}

Status Copier::CarryRolesOver() const {
  PITR_ASSIGN_OR_RETURN(const auto today, client_->RolesOfToday());
  if (!today) return Status::Ok();
  client_->progress()->Phase("roles");
  PITR_ASSIGN_OR_RETURN(Connection connection, Connection::Open({copy_.source.socket_directory,
                                                                 Port(),
                                                                 {cluster_.superuser},
                                                                 {"postgres", "template1"}}));
  PITR_ASSIGN_OR_RETURN(const RoleOutcome outcome,
                        CarryRoles(&connection, *today, copy_.source.superuser,
                                   copy_.source.keep_passwords, cancel_));
  for (const std::string& note : outcome.notes)
    client_->Note(note);
  return Status::Ok();
}

// What its server starts with, and whose it is.
Result<std::uint64_t> Copier::Finish() const {
  client_->progress()->Phase("check");
  const std::string& directory = copy_.directory;
  PITR_RETURN_IF_ERROR(CheckShutDown(directory));
  PITR_ASSIGN_OR_RETURN(const ControlFile control, ReadControlFile(directory));
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(copy_.source.identity, "identity"));
  PITR_ASSIGN_OR_RETURN(Identity identity, DecodeIdentity(json));
  identity.root.system_identifier = control.system_identifier;
  for (const char* name : {"staging.conf", "staging_hba.conf", "staging_ident.conf", "staging.log"})
    PITR_RETURN_IF_ERROR(RemoveFile(StagingFile(directory, name)));
  PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(directory, "postmaster.opts")));
  PITR_RETURN_IF_ERROR(TakeOverLiveFiles(*copy_.source.live, directory));
  if (copy_.source.branch_settings)
    PITR_RETURN_IF_ERROR(AppendToAutoConf(directory, *copy_.source.branch_settings));
  PITR_RETURN_IF_ERROR(StoreIdentity(directory, identity));
  return control.system_identifier;
}

Result<std::uint64_t> Copier::Run() {
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(copy_.source.identity, "identity"));
  PITR_ASSIGN_OR_RETURN(const Identity identity, DecodeIdentity(json));
  branch_ = identity.branch_id;
  PITR_ASSIGN_OR_RETURN(FileSystems file_systems, FileSystems::Open({copy_.directory}));
  // Made first: what lies beside it is not anybody's leftover then.
  PITR_RETURN_IF_ERROR(MakeDirectories(copy_.directory));
  dumps_ = copy_.source.directory + ".schema";
  PITR_RETURN_IF_ERROR(MakeDirectories(dumps_));
  PITR_RETURN_IF_ERROR(VisitPoint(
      copy_.source, client_,
      [this](const ConnectTo& to, Connection* connection) { return Look(to, connection); },
      VisitEnd::kAtOnce, cancel_));
  PITR_RETURN_IF_ERROR(InitDb());
  {
    PITR_ASSIGN_OR_RETURN(const auto server, Start());
    PITR_RETURN_IF_ERROR(Load());
    PITR_RETURN_IF_ERROR(server->Stop(StopMode::kFast, cancel_));
  }
  PITR_ASSIGN_OR_RETURN(const std::uint64_t system, Finish());
  RemoveSocketDirectory(copy_.source.socket_directory);
  client_->progress()->Phase("sync");
  PITR_RETURN_IF_ERROR(file_systems.Sync());
  PITR_ASSIGN_OR_RETURN(const std::vector<TablespaceLink> links, TablespaceLinks(copy_.directory));
  std::vector<std::string> places;
  for (const TablespaceLink& link : links)
    places.push_back(link.target);
  PITR_ASSIGN_OR_RETURN(FileSystems others, FileSystems::Open(places));
  PITR_RETURN_IF_ERROR(others.Sync());
  return system;
}

}  // namespace

Result<std::uint64_t> CopySchema(const SchemaCopy& copy, BuildClient* client,
                                 const CancelToken& cancel) {
  Result<std::uint64_t> system = Copier(copy, client, cancel).Run();
  Status removed = RemoveDataDirectory(copy.source.directory, copy.source.live->data_directory);
  if (removed.ok()) removed = RemoveTree(DirectoryName(copy.source.directory));
  if (!removed.ok()) client->Note("could not remove what was built: " + removed.ToString());
  return system;
}

}  // namespace pitr::tool

// `pitr job` of kind "drill": the point is restored beside the server, promoted, looked at as somebody would who needs it, and thrown away. What is
// found wrong is an answer; what keeps the drill from going on is an error.
#include <algorithm>
#include <map>
#include <optional>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/work/control_file.h"
#include "tool/build.h"
#include "tool/build_job.h"
#include "tool/job.h"
#include "tool/job_fields.h"
#include "tool/past_sessions.h"
#include "tool/programs.h"

namespace pitr::tool {

namespace {

constexpr std::size_t kMostProblems = 10;
constexpr std::size_t kMaxExpected = 256U << 20;
// Rows of every table that is kept over a crash. One that has no content yet cannot be read.
constexpr char kTables[] =
    "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN "
    "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND "
    "c.relpersistence = 'p' AND c.relispopulated AND n.nspname NOT IN ('pg_catalog', "
    "'information_schema') ORDER BY 1";
// What it finds goes to its standard output.
constexpr char kToErrors[] = "exec \"$@\" 1>&2";

using Counts = std::map<std::string, std::int64_t>;

struct DrillRequest {
  BuildRequest build;
  std::string database;  // of the queries, and of what was counted
  std::vector<std::string> queries;
  bool has_expected = false;
  Counts expected;     // tables of `database` as they were counted when the point was now
  std::string marker;  // the last transaction that is in it; empty: not known
};

Result<DrillRequest> Parse(const Json& job) {
  DrillRequest request;
  PITR_ASSIGN_OR_RETURN(request.build, ParseBuildJob(job));
  request.build.demand_load = false;
  const Json* drill = JsonObject(job, "drill");
  if (drill == nullptr) return Status(Code::kCorrupt, "member \"drill\" is missing");
  PITR_ASSIGN_OR_RETURN(request.database, JsonText(*drill, "database"));
  PITR_ASSIGN_OR_RETURN(request.queries, JsonTexts(*drill, "queries"));
  PITR_ASSIGN_OR_RETURN(const auto file, JsonOptionalText(*drill, "expected_file"));
  if (!file) return request;
  PITR_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(*file, kMaxExpected));
  PITR_ASSIGN_OR_RETURN(const Json expected, ParseJson(text, *file, kMaxExpected));
  PITR_ASSIGN_OR_RETURN(request.marker, JsonText(expected, "marker"));
  const Json* tables = JsonArray(expected, "tables");
  if (tables == nullptr) return Status(Code::kCorrupt, "member \"tables\" is missing");
  for (const Json& table : *tables) {
    PITR_ASSIGN_OR_RETURN(const std::string name, JsonText(table, "name"));
    PITR_ASSIGN_OR_RETURN(request.expected[name], JsonInt(table, "rows"));
  }
  request.has_expected = true;
  return request;
}

class Drill {
 public:
  Drill(const DrillRequest& request, BuildClient* client, const CancelToken& cancel)
      : request_(request), client_(client), cancel_(cancel) {}

  Result<Json> Run();

 private:
  Status Look(const ConnectTo& to, Connection* connection);
  Status CountAll(const ConnectTo& to, const std::vector<std::string>& databases);
  Result<Counts> Count(Connection* connection);
  void Compare(const Counts& found);
  Status LookForMarker(Connection* connection);
  Status Ask(const ConnectTo& to);
  Status CheckStructure(const ConnectTo& to, Connection* connection);
  Status CheckChecksums();
  void Problem(const std::string& text);
  // A command that says what is wrong is an answer.
  Result<bool> Judge(const std::vector<std::string>& arguments);
  std::string Program(const char* name) const {
    return JoinPath(request_.build.bin_directory, name);
  }

  const DrillRequest& request_;
  BuildClient* client_;
  const CancelToken& cancel_;
  std::int64_t began_ms_ = 0;
  std::size_t problem_count_ = 0;
  Json report_;
};

void Drill::Problem(const std::string& text) {
  if (++problem_count_ <= kMostProblems) report_["problems"].push_back(text);
}

Result<Counts> Drill::Count(Connection* connection) {
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> tables, connection->Query(kTables, cancel_));
  Counts counts;
  for (const Row& table : tables) {
    const std::string name = table.at(0).value_or("");
    const Result<std::vector<Row>> rows =
        connection->Query("SELECT pg_catalog.count(*) FROM ONLY " + name, cancel_);
    if (rows.ok()) {
      counts[name] = std::stoll(rows->at(0).at(0).value_or("0"));
    } else if (rows.status().code() == Code::kInternal) {
      Problem("table " + name + " cannot be read: " + rows.status().message());
    } else {
      return rows.status();
    }
  }
  return counts;
}

void Drill::Compare(const Counts& found) {
  for (const auto& [name, rows] : request_.expected) {
    const auto there = found.find(name);
    if (there == found.end()) {
      Problem("table " + name + " is missing");
    } else if (there->second != rows) {
      Problem("table " + name + " has " + std::to_string(there->second) + " rows, and had " +
              std::to_string(rows));
    }
  }
  for (const auto& [name, rows] : found) {
    if (!request_.expected.contains(name)) Problem("table " + name + " was not there");
  }
}

std::int64_t Sum(const Counts& counts) {
  std::int64_t sum = 0;
  for (const auto& [name, rows] : counts)
    sum += rows;
  return sum;
}

// All databases are read to the end; the rows that are compared are those of the one that was counted.
Status Drill::CountAll(const ConnectTo& to, const std::vector<std::string>& databases) {
  client_->progress()->Phase("count");
  std::int64_t relations = 0, rows = 0;
  std::optional<Counts> compared;
  for (const std::string& database : databases) {
    ConnectTo there = to;
    there.databases = {database};
    PITR_ASSIGN_OR_RETURN(Connection connection, Connection::Open(there));
    PITR_ASSIGN_OR_RETURN(Counts counts, Count(&connection));
    relations += static_cast<std::int64_t>(counts.size());
    rows += Sum(counts);
    if (request_.has_expected && database == request_.database) compared = std::move(counts);
  }
  report_["relations"] = relations;
  report_["row_count"] = rows;
  if (!request_.has_expected) return Status::Ok();
  report_["row_count_expected"] = Sum(request_.expected);
  report_["row_count"] = compared ? Sum(*compared) : 0;
  if (compared) {
    Compare(*compared);
  } else {
    Problem("database \"" + request_.database + "\" is missing");
  }
  return Status::Ok();
}

// As the server says it of a transaction of then.
Status Drill::LookForMarker(Connection* connection) {
  if (request_.marker.empty()) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(const std::string xid, connection->Literal(request_.marker));
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      connection->Query("SELECT pg_catalog.pg_xact_status(" + xid + "::pg_catalog.xid8)", cancel_));
  const std::string state = rows.at(0).at(0).value_or("unknown");
  if (state != "committed") {
    Problem("transaction " + request_.marker + ", the last one in the point, is " + state);
  }
  return Status::Ok();
}

Status Drill::Ask(const ConnectTo& to) {
  if (request_.queries.empty()) return Status::Ok();
  client_->progress()->Phase("queries");
  ConnectTo there = to;
  there.databases = {request_.database};
  there.for_script = true;
  bool all_well = true;
  for (const std::string& query : request_.queries) {
    // One cannot leave anything behind for the next.
    PITR_ASSIGN_OR_RETURN(Connection connection, Connection::Open(there));
    const Result<std::vector<Row>> rows = connection.Query(query, cancel_);
    if (rows.status().code() == Code::kCancelled) return rows.status();
    std::string what;
    if (!rows.ok()) {
      what = rows.status().message();
    } else if (rows->empty() || rows->at(0).empty()) {
      what = "no row";
    } else if (rows->at(0).at(0).value_or("f") == "f") {
      what = rows->at(0).at(0) ? "false" : "null";
    }
    if (what.empty()) continue;
    all_well = false;
    Problem("query \"" + query + "\": " + what);
  }
  report_["queries_ok"] = all_well;
  return Status::Ok();
}

Result<bool> Drill::Judge(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"/bin/sh", "-c", kToErrors, "sh"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Status ran = RunQuietly(command, EnvironmentOfPrograms(), cancel_);
  if (ran.code() == Code::kCancelled) return ran;
  if (!ran.ok()) Problem(BaseName(arguments[0]) + ": " + ran.detail());
  return ran.ok();
}

Status Drill::CheckStructure(const ConnectTo& to, Connection* connection) {
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> there,
      connection->Query("SELECT current_user, current_database() FROM "
                        "pg_catalog.pg_available_extensions WHERE name = 'amcheck'",
                        cancel_));
  if (there.empty() || !PathExists(Program("pg_amcheck"))) {
    report_["notes"].push_back("amcheck is not installed");
    return Status::Ok();
  }
  client_->progress()->Phase("amcheck");
  const std::string user = there.at(0).at(0).value_or("");
  PITR_ASSIGN_OR_RETURN(
      report_["amcheck_ok"],
      Judge({Program("pg_amcheck"), "--all", "--install-missing", "-h", to.socket_directory, "-p",
             std::to_string(to.port), "-U", user, "--maintenance-db",
             there.at(0).at(1).value_or(""), "-j", std::to_string(request_.build.workers)}));
  return Status::Ok();
}

Status Drill::Look(const ConnectTo& to, Connection* connection) {
  report_["restore_ms"] = SystemClock().MonotonicMillis() - began_ms_;
  PITR_FAULT("drill.restored");
  PITR_RETURN_IF_ERROR(RollBackPrepared(to, connection, cancel_));
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> names,
      connection->Query("SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND datname "
                        "<> 'template0' ORDER BY 1",
                        cancel_));
  report_["first_query_ms"] = SystemClock().MonotonicMillis() - began_ms_;
  std::vector<std::string> databases;
  for (const Row& name : names)
    databases.push_back(name.at(0).value_or(""));
  ConnectTo as = to;
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> self,
                        connection->Query("SELECT current_user", cancel_));
  as.users = {self.at(0).at(0).value_or("")};
  PITR_RETURN_IF_ERROR(LookForMarker(connection));
  PITR_RETURN_IF_ERROR(CountAll(as, databases));
  PITR_RETURN_IF_ERROR(Ask(as));
  return CheckStructure(as, connection);
}

Status Drill::CheckChecksums() {
  PITR_ASSIGN_OR_RETURN(const ControlFile control, ReadControlFile(request_.build.directory));
  if (control.settings.data_checksum_version == 0) return Status::Ok();
  client_->progress()->Phase("checksums");
  PITR_ASSIGN_OR_RETURN(report_["checksums_ok"], Judge({Program("pg_checksums"), "--check", "-D",
                                                        request_.build.directory}));
  return Status::Ok();
}

Result<Json> Drill::Run() {
  report_["problems"] = Json::array();
  report_["notes"] = Json::array();
  began_ms_ = SystemClock().MonotonicMillis();
  PITR_RETURN_IF_ERROR(VisitPoint(
      request_.build, client_,
      [this](const ConnectTo& to, Connection* connection) { return Look(to, connection); },
      VisitEnd::kCleanStop, cancel_));
  PITR_RETURN_IF_ERROR(CheckChecksums());
  report_["problem_count"] = problem_count_;
  return std::move(report_);
}

}  // namespace

Result<Json> RunDrillJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const DrillRequest request, Parse(job));
  const auto client = WorkerClientOf(context);
  Drill drill(request, client.get(), *context->cancel);
  Result<Json> report = drill.Run();
  RemoveBuilt(request.build, client.get());
  PITR_RETURN_IF_ERROR(report.status());
  Json line;
  line["done"] = *std::move(report);
  return line;
}

}  // namespace pitr::tool

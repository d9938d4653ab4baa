// What pg_dump says of schemas, of one server or of two as diff(1) tells them apart. The servers are looks: read-only, and ready.
#include <fcntl.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "tool/connection.h"
#include "tool/job.h"
#include "tool/job_fields.h"
#include "tool/programs.h"
#include "tool/staging_server.h"

namespace pitr::tool {

namespace {

constexpr std::size_t kMaxText = 512U << 20;
// What is locked at that point stays so: a moment more does not help.
constexpr char kLockWait[] = "--lock-wait-timeout=1s";
// Its status is 1 when the texts differ.
constexpr char kDiff[] = R"(diff -u --label "$1" --label "$2" -- "$3" "$4" >"$5"; test $? -le 1)";

struct Side {
  std::string socket_directory, label;
  int port = 0;
  std::set<std::string> databases;
};

struct Request {
  std::string bin_directory, directory, user;
  std::vector<std::string> databases;
  std::vector<Side> sides;
};

Result<Request> Parse(const Json& job) {
  Request request;
  PITR_ASSIGN_OR_RETURN(request.bin_directory, JsonText(job, "bin_directory"));
  PITR_ASSIGN_OR_RETURN(request.directory, JsonText(job, "directory"));
  PITR_ASSIGN_OR_RETURN(request.user, JsonText(job, "user"));
  PITR_ASSIGN_OR_RETURN(request.databases, JsonTexts(job, "databases"));
  const Json* sides = JsonArray(job, "sides");
  for (const Json& given : sides == nullptr ? Json::array() : *sides) {
    Side side;
    PITR_ASSIGN_OR_RETURN(side.socket_directory, JsonText(given, "socket_directory"));
    PITR_ASSIGN_OR_RETURN(side.label, JsonText(given, "label"));
    PITR_ASSIGN_OR_RETURN(side.port, JsonNumber<int>(given, "port"));
    PITR_ASSIGN_OR_RETURN(const std::vector<std::string> names, JsonTexts(given, "databases"));
    side.databases.insert(names.begin(), names.end());
    request.sides.push_back(std::move(side));
  }
  if (request.sides.empty() || request.sides.size() > 2)
    return Status(Code::kCorrupt, "member \"sides\" has not one or two");
  return request;
}

bool IsWord(std::string_view line, std::string_view first) {
  return line.starts_with(first) &&
         line.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
                                first.size()) == std::string_view::npos;
}

// Of each run its own: a random word for psql, and versions.
std::string WithoutWhatChanges(std::string_view text) {
  std::string kept;
  kept.reserve(text.size());
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (IsWord(line, "\\restrict ") || IsWord(line, "\\unrestrict ") ||
        line.starts_with("-- Dumped from database version ") ||
        line.starts_with("-- Dumped by pg_dump version ")) {
      continue;
    }
    kept.append(line).append("\n");
  }
  return kept;
}

class Texter {
 public:
  Texter(const Request& request, const CancelToken& cancel) : request_(request), cancel_(cancel) {}

  // {"database","file"} of each text; of two servers, only where they differ.
  Result<Json> Run() const;

 private:
  Status Dump(const Side& side, const std::string& database, const std::string& file) const;
  Status Diff(const std::string& database, const std::string& a, const std::string& b,
              const std::string& file) const;
  std::string PathOf(std::size_t database, const char* ending) const {
    return JoinPath(request_.directory, std::to_string(database) + ending);
  }

  const Request& request_;
  const CancelToken& cancel_;
};

Status Texter::Dump(const Side& side, const std::string& database, const std::string& file) const {
  if (!side.databases.contains(database)) return WriteFileLoosely(file, AsBytes(""));
  const std::string options =
      "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c "
      "role=none";
  const std::string there =
      ConnectionString(side.socket_directory, side.port, request_.user, database);
  Status dumped = RunQuietly({JoinPath(request_.bin_directory, "pg_dump"), "--schema-only",
                              "--no-sync", "--encoding=UTF8", kLockWait, "-f", file, "-d", there},
                             ServerEnvironment({{"LC_ALL", "C"}, {"PGOPTIONS", options}}), cancel_);
  if (!dumped.ok()) {
    return dumped.code() == Code::kCancelled
               ? dumped
               : Status(Code::kPermission, "pg_dump of database \"" + database + "\" failed")
                     .WithDetail(dumped.detail())
                     .WithHint(
                         "It reads as you: all of its tables must be yours to read "
                         "(pg_read_all_data), and none be locked by a transaction that was "
                         "going on at that point.");
  }
  PITR_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file, kMaxText));
  return WriteFileLoosely(file, AsBytes(WithoutWhatChanges(text)));
}

Status Texter::Diff(const std::string& database, const std::string& a, const std::string& b,
                    const std::string& file) const {
  const auto label = [&](const Side& side) {
    return "Database: " + database + " (" + side.label + ")";
  };
  return RunQuietly({"/bin/sh", "-c", kDiff, "diff", label(request_.sides[0]),
                     label(request_.sides[1]), a, b, file},
                    ServerEnvironment({{"LC_ALL", "C"}}), cancel_);
}

Result<Json> Texter::Run() const {
  Json files = Json::array();
  for (std::size_t i = 0; i < request_.databases.size(); i++) {
    const std::string& database = request_.databases[i];
    std::string file = PathOf(i, ".a");
    PITR_RETURN_IF_ERROR(Dump(request_.sides[0], database, file));
    if (request_.sides.size() == 2) {
      const std::string other = PathOf(i, ".b"), differs = PathOf(i, ".diff");
      PITR_RETURN_IF_ERROR(Dump(request_.sides[1], database, other));
      PITR_RETURN_IF_ERROR(Diff(database, file, other, differs));
      PITR_RETURN_IF_ERROR(RemoveFile(file));
      PITR_RETURN_IF_ERROR(RemoveFile(other));
      file = differs;
    }
    PITR_ASSIGN_OR_RETURN(const File text, File::Open(file, O_RDONLY));
    PITR_ASSIGN_OR_RETURN(const std::uint64_t size, text.Size());
    if (request_.sides.size() == 2 && size == 0) continue;
    Json row;
    row["database"] = database;
    row["file"] = file;
    files.push_back(row);
  }
  return files;
}

}  // namespace

Result<Json> RunSchemaTextJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const Request request, Parse(job));
  Json last;
  PITR_ASSIGN_OR_RETURN(last["done"]["files"], Texter(request, *context->cancel).Run());
  return last;
}

}  // namespace pitr::tool

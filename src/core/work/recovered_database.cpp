#include "core/work/recovered_database.h"

#include <algorithm>
#include <array>

#include "core/base/ascii.h"

namespace pitr {

namespace {

constexpr std::string_view kPrefix = "pitr_recovering_";
constexpr std::string_view kComment = "pitr_ext: here while pitr_recover_database is at work, ";
// Of an operation's id, for the server and for us.
constexpr std::string_view kIdPattern = "op-[0-9]{8}T[0-9]{6}-[0-9a-f]{8}";
constexpr std::string_view kIdShape = "op-00000000T000000-xxxxxxxx";
constexpr std::uint64_t kLeastRoom = 64ULL << 20, kPart = 20;

bool FitsShape(char c, char shape) {
  if (shape == '0') return c >= '0' && c <= '9';
  if (shape == 'x') return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  return c == shape;
}

// The next element; `value` is what follows it.
std::string TakeElement(std::string_view* value) {
  std::string element;
  if (!value->starts_with('"')) {
    const std::size_t end = std::min(value->find(','), value->size());
    element = Trimmed(value->substr(0, end));
    value->remove_prefix(end);
    return element;
  }
  value->remove_prefix(1);
  while (!value->empty()) {
    const char c = value->front();
    value->remove_prefix(1);
    if (c == '"') {
      if (!value->starts_with('"')) break;
      value->remove_prefix(1);
    }
    element += c;
  }
  value->remove_prefix(std::min(value->find(','), value->size()));
  return element;
}

void SkipBlanks(std::string_view* value) {
  value->remove_prefix(std::min(value->find_first_not_of(" \t\n"), value->size()));
}

}  // namespace

std::string UnfinishedDatabase(const OperationId& operation) {
  return std::string(kPrefix) + operation;
}

bool IsUnfinishedDatabase(std::string_view name) {
  if (!name.starts_with(kPrefix)) return false;
  const std::string_view id = name.substr(kPrefix.size());
  return id.size() == kIdShape.size() &&
         std::equal(id.begin(), id.end(), kIdShape.begin(), FitsShape);
}

std::string UnfinishedComment(const OperationId& operation) {
  return std::string(kComment) + operation;
}

// Between the command that makes it and the one that comments on it a database has no comment.
std::string LeftDatabasesQuery() {
  const std::string name = "'^" + std::string(kPrefix) + std::string(kIdPattern) + "$'";
  return "SELECT d.datname FROM pg_database d WHERE d.datname ~ " + name +
         " AND d.datdba = 10 AND coalesce(shobj_description(d.oid, 'pg_database') = '" +
         std::string(kComment) + "' || substr(d.datname, " + std::to_string(kPrefix.size() + 1) +
         "), true) ORDER BY 1";
}

std::string LeftRolesQuery() {
  return "SELECT rolname FROM pg_authid WHERE NOT rolcanlogin AND shobj_description(oid, "
         "'pg_authid') ~ '^" +
         std::string(kComment) + std::string(kIdPattern) + "$' ORDER BY 1";
}

std::string MakersQuery() {
  return "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
         " AND usesysid = 10 AND state = 'active' AND query ~ '^CREATE DATABASE \"" +
         std::string(kPrefix) + "'";
}

std::string NoDatabaseThen(std::string_view name) {
  return "database \"" + std::string(name) + "\" did not exist at that point";
}

Status CheckRoomForDatabase(std::uint64_t bytes, std::uint64_t free, const std::string& place) {
  const std::uint64_t wanted = bytes + bytes / kPart + kLeastRoom;
  if (free >= wanted) return Status::Ok();
  return Status(Code::kDiskFull, "there is no room for the database in \"" + place + "\"")
      .WithDetail("It takes " + std::to_string(bytes >> 20) + " MB, " + std::to_string(free >> 20) +
                  " MB are free.")
      .WithHint("Free space there, or read it where it is: pitr_query_at, pitr_open_at.");
}

bool IsListParameter(std::string_view name) {
  constexpr std::array<std::string_view, 6> kLists = {
      "local_preload_libraries",  "search_path",      "session_preload_libraries",
      "shared_preload_libraries", "temp_tablespaces", "unix_socket_directories"};
  return std::find(kLists.begin(), kLists.end(), name) != kLists.end();
}

std::vector<std::string> ListElements(std::string_view value) {
  std::vector<std::string> elements;
  SkipBlanks(&value);
  while (!value.empty()) {
    elements.push_back(TakeElement(&value));
    if (!value.starts_with(',')) break;
    value.remove_prefix(1);
    SkipBlanks(&value);
  }
  return elements;
}

}  // namespace pitr

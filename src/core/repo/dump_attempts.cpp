#include "core/repo/dump_attempts.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "core/base/json.h"
#include "core/repo/catalogue.h"
#include "core/repo/layout.h"
#include "core/repo/records.h"

namespace pitr {

namespace {

constexpr std::size_t kRecords = 500;
constexpr char kRepositories[] = "dump_repositories";

std::string TextOf(const Json& json, const char* member) {
  const Result<std::optional<std::string>> text = JsonOptionalText(json, member);
  return text.ok() ? text->value_or("") : std::string();
}

std::optional<std::int64_t> IntOf(const Json& json, const char* member) {
  const Result<std::optional<std::int64_t>> number = JsonOptionalInt(json, member);
  return number.ok() ? *number : std::nullopt;
}

// When what an entry tells was the case.
std::optional<std::int64_t> AgeOf(const Json& entry) {
  if (!entry.is_object()) return std::nullopt;
  for (const char* member : {"deleted_at", "failed_at", "started_at"}) {
    if (const auto at = IntOf(entry, member)) return at;
  }
  return std::nullopt;
}

bool IsOld(const Json& entry, Timestamp now) {
  const std::optional<std::int64_t> at = AgeOf(entry);
  return at && *at < now.micros - kDumpAttemptMicros;
}

// "dp-<UTC yyyymmddThhmmss>" sorts by time.
std::string FirstIdAt(Timestamp time) {
  std::string text = FormatTime(time, 0);
  std::erase_if(text, [](char c) { return c == '-' || c == ':' || c == 'Z'; });
  return "dp-" + text;
}

// Operations that make dumps, as far as they are said to go on.
Result<std::set<OperationId>> AtWork(Repository* repo, Timestamp now) {
  PITR_ASSIGN_OR_RETURN(const std::vector<OperationRecord> records, ReadOperations(repo, kRecords));
  std::set<OperationId> ids;
  for (const OperationRecord& record : records) {
    if (!record.finished_at && now.micros - record.started_at.micros < kDumpAttemptMicros) {
      ids.insert(record.id);
    }
  }
  return ids;
}

}  // namespace

Status NoteDumpBegun(Repository* repo, const DumpId& id, const DumpOptions& options, Timestamp now,
                     const std::string& repository) {
  return UpdateDocument(repo, kDumpsDocument, [&](Json* document) {
    Json entry;
    entry["database"] = options.database ? Json(*options.database) : Json(nullptr);
    entry["format"] = options.format;
    entry["started_at"] = now.micros;
    if (!repository.empty()) entry["repository"] = repository;
    (*document)[id] = std::move(entry);
    return Status::Ok();
  });
}

Status NoteDumpFailed(Repository* repo, const DumpId& id, const Status& why, Timestamp now) {
  return UpdateDocument(repo, kDumpsDocument, [&](Json* document) {
    Json& entry = (*document)[id];
    if (!entry.is_object()) entry = Json::object();
    entry["failed_at"] = now.micros;
    entry["error"] = why.message() + (why.detail().empty() ? "" : ": " + why.detail());
    entry["sqlstate"] = SqlState(why.code());
    return Status::Ok();
  });
}

Status ForgetDumpAttempt(Repository* repo, const DumpId& id) {
  return UpdateDocument(repo, kDumpsDocument, [&](Json* document) {
    document->erase(id);
    return Status::Ok();
  });
}

std::vector<DumpAttempt> DumpAttemptsIn(const Json& document) {
  std::vector<DumpAttempt> attempts;
  for (const auto& [id, entry] : document.items()) {
    const std::optional<std::int64_t> started =
        entry.is_object() ? IntOf(entry, "started_at") : std::nullopt;
    if (!started || entry.contains("deleted_at")) continue;
    DumpAttempt attempt;
    attempt.id = id;
    if (const std::string database = TextOf(entry, "database"); !database.empty()) {
      attempt.database = database;
    }
    attempt.format = TextOf(entry, "format");
    attempt.started_at = {*started};
    if (const auto failed = IntOf(entry, "failed_at")) attempt.failed_at = Timestamp{*failed};
    attempt.error = TextOf(entry, "error");
    attempt.sqlstate = TextOf(entry, "sqlstate");
    attempt.repository = TextOf(entry, "repository");
    attempts.push_back(std::move(attempt));
  }
  std::sort(attempts.begin(), attempts.end(), [](const DumpAttempt& a, const DumpAttempt& b) {
    return std::tie(a.started_at, a.id) < std::tie(b.started_at, b.id);
  });
  return attempts;
}

Status ForgetOldDumpAttempts(Repository* repo, Timestamp now) {
  PITR_ASSIGN_OR_RETURN(const Json known, ReadDocument(repo, kDumpsDocument));
  const auto is_old = [now](const Json& entry) { return IsOld(entry, now); };
  if (std::none_of(known.begin(), known.end(), is_old)) return Status::Ok();
  return UpdateDocument(repo, kDumpsDocument, [&](Json* document) {
    std::vector<std::string> old;
    for (const auto& [id, entry] : document->items()) {
      if (is_old(entry)) old.push_back(id);
    }
    for (const std::string& id : old) {
      document->erase(id);
    }
    return Status::Ok();
  });
}

Status CollectAbandonedDumps(Repository* repo, Repository* operations, Timestamp before,
                             Timestamp now) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> parts,
                        repo->store()->ListParts(layout::DumpsPrefix()));
  const std::string limit = FirstIdAt(before);
  std::set<DumpId> abandoned;
  for (const std::string& part : parts) {
    const DumpId id = part.substr(0, part.find('/'));
    if (!part.ends_with('/') || !IsDumpId(id) || id >= limit) continue;
    const Status there = repo->store()->Stat(layout::DumpManifestObject(id)).status();
    if (there.code() == Code::kNotFound) {
      abandoned.insert(id);
    } else {
      PITR_RETURN_IF_ERROR(there);
    }
  }
  if (abandoned.empty()) return Status::Ok();
  // Behind the listing: whoever was at work then, and is not now, has written its manifest or given up.
  PITR_ASSIGN_OR_RETURN(const std::set<OperationId> at_work, AtWork(operations, now));
  for (const DumpId& id : abandoned) {
    if (at_work.contains(OperationOfDump(id))) continue;
    const Status there = repo->store()->Stat(layout::DumpManifestObject(id)).status();
    if (there.ok()) continue;
    if (there.code() != Code::kNotFound) return there;
    PITR_RETURN_IF_ERROR(RemoveDumpObjects(repo, id).status());
  }
  return Status::Ok();
}

Result<std::vector<std::string>> DumpRepositories(Repository* repo) {
  PITR_ASSIGN_OR_RETURN(const Json document, ReadDocument(repo, kRepositories));
  std::vector<std::string> addresses;
  const Json* list = JsonArray(document, "repositories");
  for (std::size_t i = 0; list != nullptr && i < list->size(); i++) {
    if ((*list)[i].is_string()) addresses.push_back((*list)[i].get<std::string>());
  }
  return addresses;
}

Status NoteDumpRepository(Repository* repo, const std::string& address) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> known, DumpRepositories(repo));
  if (std::find(known.begin(), known.end(), address) != known.end()) return Status::Ok();
  return UpdateDocument(repo, kRepositories, [&](Json* document) {
    Json& list = (*document)["repositories"];
    if (!list.is_array()) list = Json::array();
    if (std::find(list.begin(), list.end(), address) == list.end()) list.push_back(address);
    return Status::Ok();
  });
}

}  // namespace pitr

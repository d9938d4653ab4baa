// Numbered catalogue objects; the rules are in README.md 2. Invariant: an update that returned OK is in every
// later document. The number that it took is the next one of what it read, and a number is free twice only
// when it was used and removed while the updater slept, which it notices afterwards (IsInHistory).
#include "core/repo/catalogue.h"

#include <algorithm>

#include "core/base/fault.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/codec/envelope.h"
#include "core/repo/layout.h"
#include "core/repo/log_cache.h"

namespace pitr {

namespace {

constexpr std::uint64_t kKept = 16;
// Member of a document: the ids of the last updates, oldest first. Callers never see it.
constexpr std::string_view kUpdateIds = "update_ids";
constexpr std::uint64_t kRememberedIds = 64;
constexpr std::uint64_t kMaxDocument = kMaxJsonSize;
constexpr int kCompressionLevel = 3;
// Each lost race means that another update got through, so this many in a row is a fault of the store.
constexpr int kAttempts = 1000;

std::string What(std::string_view kind, std::uint64_t number) {
  return "catalogue \"" + std::string(kind) + "\" number " + std::to_string(number);
}

// Numbers above `after`, ascending; objects of other names are not ours to judge.
Result<std::vector<std::uint64_t>> NumbersAfter(Repository* repo, std::string_view kind,
                                                std::uint64_t after) {
  PITR_ASSIGN_OR_RETURN(
      const std::vector<ObjectStat> found,
      repo->store()->List(layout::CatalogPrefix(kind), layout::CatalogName(kind, after)));
  std::vector<std::uint64_t> numbers;
  for (const ObjectStat& object : found) {
    if (const auto number = layout::ParseCatalogName(object.name)) {
      numbers.push_back(*number);
    }
  }
  return numbers;
}

Result<std::uint64_t> NewestNumber(Repository* repo, std::string_view kind) {
  const std::uint64_t seen = repo->NewestSeen(kind);
  PITR_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, NumbersAfter(repo, kind, seen));
  if (numbers.empty()) {
    return seen;
  }
  repo->SetNewestSeen(kind, numbers.back());
  return numbers.back();
}

Result<Json> ReadNumber(Repository* repo, std::string_view kind, std::uint64_t number) {
  PITR_ASSIGN_OR_RETURN(const Bytes bytes,
                        ReadEnvelope(repo->store(), layout::CatalogName(kind, number),
                                     ObjectKind::kText, kMaxDocument));
  return ParseJson(AsText(bytes), What(kind, number));
}

Status CheckObject(const Json& json, std::string_view kind) {
  return json.is_object() ? Status::Ok()
                          : Status(Code::kInternal, "what is to be stored in catalogue \"" +
                                                        std::string(kind) + "\" is no JSON object");
}

Status PutNumber(Repository* repo, std::string_view kind, std::uint64_t number, const Json& json) {
  PITR_RETURN_IF_ERROR(CheckObject(json, kind));
  PITR_FAULT("catalogue.before_put");
  PITR_RETURN_IF_ERROR(WriteEnvelope(repo->store(), layout::CatalogName(kind, number),
                                     ObjectKind::kText, kCompressionLevel,
                                     AsBytes(DumpJson(json))));
  PITR_FAULT("catalogue.after_put");
  repo->SetNewestSeen(kind, number);
  return Status::Ok();
}

// The newest document with the ids of its updates.
Result<Json> ReadWithIds(Repository* repo, std::string_view kind, std::uint64_t* number) {
  for (int attempt = 1;; attempt++) {
    PITR_ASSIGN_OR_RETURN(const std::uint64_t newest, NewestNumber(repo, kind));
    if (number != nullptr) {
      *number = newest;
    }
    if (newest == 0) {
      return Json::object();
    }
    Result<Json> document = ReadNumber(repo, kind, newest);
    // Not there any more: so many newer ones came meanwhile.
    if (document.ok() || document.status().code() != Code::kNotFound) {
      return document;
    }
    if (attempt == kAttempts) {
      return Status(Code::kCorrupt, What(kind, newest) + " is listed but not there");
    }
  }
}

// Adds the id of this update to the last ones and gives it back.
Result<std::string> AddUpdateId(Json* document) {
  PITR_ASSIGN_OR_RETURN(const Bytes random, RandomBytes(8));
  Json ids = Json::array();
  if (const Json* earlier = JsonArray(*document, kUpdateIds)) {
    const std::size_t skipped =
        earlier->size() < kRememberedIds ? 0 : earlier->size() + 1 - kRememberedIds;
    for (std::size_t i = skipped; i < earlier->size(); i++) {
      ids.push_back((*earlier)[i]);
    }
  }
  ids.push_back(ToHex(random));
  (*document)[std::string(kUpdateIds)] = std::move(ids);
  return ToHex(random);
}

// Whether the document that was put as `base` + 1 is what the newest one descends from. Numbers up to the newest
// less kKept are removed, so as long as the newest is not farther, `base` + 1 was never free before. Otherwise it
// may have been used and removed, and ours is one that nobody will ever read: the newest document tells.
Result<bool> IsInHistory(Repository* repo, std::string_view kind, std::uint64_t base,
                         const std::string& update_id) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, NumbersAfter(repo, kind, base));
  if (numbers.empty() || numbers.back() <= base + kKept) {
    return true;
  }
  std::uint64_t newest = 0;
  PITR_ASSIGN_OR_RETURN(const Json document, ReadWithIds(repo, kind, &newest));
  const Json* ids = JsonArray(document, kUpdateIds);
  if (ids != nullptr && std::find(ids->begin(), ids->end(), Json(update_id)) != ids->end()) {
    return true;
  }
  if (newest <= base + kRememberedIds) {
    return false;
  }
  return Status(Code::kInUse, "catalogue \"" + std::string(kind) +
                                  "\" changed too often while it was being updated")
      .WithHint("Look whether the change was made, and try again.");
}

// What came behind log->newest.
Status ReadNewer(Repository* repo, std::string_view kind, LogEntries* log) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers,
                        NumbersAfter(repo, kind, log->newest));
  for (const std::uint64_t number : numbers) {
    Result<Json> entry = ReadNumber(repo, kind, number);
    if (!entry.ok() && entry.status().code() == Code::kNotFound) {
      continue;  // collected meanwhile
    }
    PITR_RETURN_IF_ERROR(entry.status());
    log->newest = number;
    log->entries.emplace_back(number, *std::move(entry));
  }
  return Status::Ok();
}

// Never fails an update that is durable: what stays is removed by the next one.
void RemoveOld(Repository* repo, std::string_view kind, std::uint64_t newest) {
  if (newest <= kKept) {
    return;
  }
  Result<std::vector<std::uint64_t>> numbers = NumbersAfter(repo, kind, 0);
  if (!numbers.ok()) {
    return;
  }
  for (const std::uint64_t number : *numbers) {
    if (number > newest - kKept || !repo->store()->Remove(layout::CatalogName(kind, number)).ok()) {
      return;
    }
  }
}

}  // namespace

Result<Json> ReadDocument(Repository* repo, std::string_view kind, std::uint64_t* number) {
  PITR_ASSIGN_OR_RETURN(Json document, ReadWithIds(repo, kind, number));
  document.erase(std::string(kUpdateIds));
  return document;
}

Status UpdateDocument(Repository* repo, std::string_view kind,
                      const std::function<Status(Json*)>& change) {
  for (int attempt = 1; attempt <= kAttempts; attempt++) {
    std::uint64_t base = 0;
    PITR_ASSIGN_OR_RETURN(Json document, ReadWithIds(repo, kind, &base));
    Json ids = std::move(document[std::string(kUpdateIds)]);
    document.erase(std::string(kUpdateIds));
    PITR_RETURN_IF_ERROR(change(&document));
    PITR_RETURN_IF_ERROR(CheckObject(document, kind));
    document[std::string(kUpdateIds)] = std::move(ids);
    PITR_ASSIGN_OR_RETURN(const std::string update_id, AddUpdateId(&document));
    Status status = PutNumber(repo, kind, base + 1, document);
    if (status.code() == Code::kAlreadyExists) {
      continue;
    }
    PITR_RETURN_IF_ERROR(status);
    PITR_ASSIGN_OR_RETURN(const bool is_done, IsInHistory(repo, kind, base, update_id));
    if (is_done) {
      RemoveOld(repo, kind, base + 1);
      return Status::Ok();
    }
  }
  return Status(Code::kInUse,
                "catalogue \"" + std::string(kind) + "\" is being changed all the time");
}

Result<std::uint64_t> AppendLog(Repository* repo, std::string_view kind, const Json& entry) {
  for (int attempt = 1; attempt <= kAttempts; attempt++) {
    PITR_ASSIGN_OR_RETURN(const std::uint64_t newest, NewestNumber(repo, kind));
    Status status = PutNumber(repo, kind, newest + 1, entry);
    if (status.ok()) {
      return newest + 1;
    }
    if (status.code() != Code::kAlreadyExists) {
      return status;
    }
  }
  return Status(Code::kInUse,
                "catalogue \"" + std::string(kind) + "\" is being changed all the time");
}

Result<std::vector<Json>> ReadLog(Repository* repo, std::string_view kind, std::size_t limit) {
  const std::string& directory = repo->cache_directory();
  LogEntries log;
  if (!directory.empty()) {
    log = LoadLogCache(directory, repo->id(), kind);
    repo->SetNewestSeen(kind, log.newest);
  }
  // The newest `limit` numbers, when all are there, lie above newest - limit; a log whose old entries were
  // collected has fewer, never more.
  PITR_ASSIGN_OR_RETURN(const std::uint64_t newest, NewestNumber(repo, kind));
  const std::uint64_t after = limit == 0 || newest <= limit ? 0 : newest - limit;
  if (log.newest == 0 || log.from > after || log.newest < after) {
    log = LogEntries{after, after, {}};
  }
  const bool has_more = newest > log.newest;
  PITR_RETURN_IF_ERROR(ReadNewer(repo, kind, &log));
  if (has_more && !directory.empty()) {
    StoreLogCache(directory, repo->id(), kind, log);
  }
  const std::size_t skipped =
      limit != 0 && log.entries.size() > limit ? log.entries.size() - limit : 0;
  std::vector<Json> entries;
  for (std::size_t i = skipped; i < log.entries.size(); i++) {
    entries.push_back(std::move(log.entries[i].second));
  }
  return entries;
}

}  // namespace pitr

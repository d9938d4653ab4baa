#include "core/repo/collect.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "core/base/fault.h"
#include "core/repo/layout.h"
#include "core/repo/manifest.h"
#include "core/repo/records.h"

namespace pitr {

namespace {

constexpr std::size_t kRecords = 500;
// A snapshot that is said to run longer than that died with its server, which never came back to say so.
constexpr std::int64_t kLongestMicros = 7LL * 86400 * 1000000;

// "sn-<UTC yyyymmddThhmmss>" sorts by time.
std::string FirstIdAt(Timestamp time) {
  std::string text = FormatTime(time, 0);
  std::erase_if(text, [](char c) { return c == '-' || c == ':' || c == 'Z'; });
  return "sn-" + text;
}

Result<std::set<SnapshotId>> IdsBelow(Repository* repo, const std::string& prefix) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> parts, repo->store()->ListParts(prefix));
  std::set<SnapshotId> ids;
  for (const std::string& part : parts) {
    if (part.size() > 1 && part.back() == '/') {
      ids.insert(part.substr(0, part.size() - 1));
    }
  }
  return ids;
}

Result<bool> MayBeWriting(Repository* repo, Timestamp now) {
  PITR_ASSIGN_OR_RETURN(const std::vector<OperationRecord> records, ReadOperations(repo, kRecords));
  return std::any_of(records.begin(), records.end(), [now](const OperationRecord& record) {
    return record.kind == "snapshot" && !record.finished_at &&
           now.micros - record.started_at.micros < kLongestMicros;
  });
}

// The number in packs/<id>/<number>; nullopt for anything else that lies there.
std::optional<std::uint32_t> PackNumber(const SnapshotId& id, const std::string& name) {
  const std::string_view digits = layout::LastPart(name);
  std::uint32_t number = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool is_ours = parsed.ec == std::errc() && layout::PackObject(id, number) == name;
  return is_ours ? std::optional(number) : std::nullopt;
}

Status RemoveUnnamed(Repository* repo, const SnapshotId& id, const PackSet& named) {
  PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> packs,
                        repo->store()->List(layout::PacksPrefix(id)));
  for (const ObjectStat& pack : packs) {
    const std::optional<std::uint32_t> number = PackNumber(id, pack.name);
    if (!number || !named.contains({id, *number})) {
      PITR_FAULT("collect.before_pack");
      PITR_RETURN_IF_ERROR(repo->store()->Remove(pack.name));
    }
  }
  return Status::Ok();
}

bool IsDamage(Code code) { return code == Code::kCorrupt || code == Code::kUnsupported; }

}  // namespace

Result<std::uint64_t> RemoveSnapshot(Repository* repo, const SnapshotId& id) {
  ObjectStore* const store = repo->store();
  // Sizes of its own packs; of those that it took over from others each is asked for.
  PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> own, store->List(layout::PacksPrefix(id)));
  PackSet packs;
  for (const ObjectStat& pack : own) {
    if (const auto number = PackNumber(id, pack.name)) {
      packs.emplace(id, *number);
    }
  }
  const Result<std::vector<PackRef>> referred = ReadManifestPacks(repo, id);
  if (!referred.ok() && !IsDamage(referred.status().code())) {
    return referred.status();
  }
  if (referred.ok()) {
    for (const PackRef& pack : *referred) {
      packs.emplace(pack.snapshot, pack.number);
    }
  }
  PITR_RETURN_IF_ERROR(store->Remove(layout::ManifestObject(id)));
  PITR_FAULT("collect.after_manifest");
  PITR_ASSIGN_OR_RETURN(const std::set<SnapshotId> living,
                        IdsBelow(repo, layout::SnapshotsPrefix()));
  const Result<PackSet> named = PackUse().Named(repo, living);
  if (!named.ok() && IsDamage(named.status().code())) {
    return std::uint64_t{0};
  }
  PITR_RETURN_IF_ERROR(named.status());
  std::uint64_t freed = 0;
  for (const auto& pack : packs) {
    const std::string name = layout::PackObject(pack.first, pack.second);
    if (named->contains(pack)) {
      continue;
    }
    const Result<ObjectStat> there = store->Stat(name);
    if (there.status().code() == Code::kNotFound) {
      continue;
    }
    PITR_RETURN_IF_ERROR(there.status());
    PITR_FAULT("collect.before_pack");
    PITR_RETURN_IF_ERROR(store->Remove(name));
    freed += there->size;
  }
  return freed;
}

Status CollectAbandonedPacks(Repository* repo, Timestamp before, Timestamp now,
                             CollectState* state) {
  PITR_RETURN_IF_ERROR(repo->store()->CollectAbandoned((now.micros - before.micros) / 1000000));
  // In this order: what finishes meanwhile is seen running, or its manifest is seen.
  PITR_ASSIGN_OR_RETURN(std::set<SnapshotId> candidates, IdsBelow(repo, layout::AllPacksPrefix()));
  const std::string limit = FirstIdAt(before);
  std::erase_if(candidates, [&limit](const SnapshotId& id) { return id >= limit; });
  if (candidates.empty()) {
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const bool may_be_writing, MayBeWriting(repo, now));
  if (may_be_writing) {
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const std::set<SnapshotId> living,
                        IdsBelow(repo, layout::SnapshotsPrefix()));
  for (const SnapshotId& id : living) {
    candidates.erase(id);
  }
  // Packs of a snapshot that is gone may be in use for as long as others refer to them: looked at again when something changed.
  if (candidates.empty() || (candidates == state->candidates && living == state->living)) {
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const PackSet named, state->use.Named(repo, living));
  for (const SnapshotId& id : candidates) {
    PITR_RETURN_IF_ERROR(RemoveUnnamed(repo, id, named));
  }
  state->candidates = std::move(candidates);
  state->living = living;
  return Status::Ok();
}

}  // namespace pitr

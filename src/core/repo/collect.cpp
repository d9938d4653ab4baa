#include "core/repo/collect.h"

#include <algorithm>
#include <set>

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

// Frames of a snapshot whose own manifest is gone may still be used by a later one.
Status KeepReferredTo(Repository* repo, const std::set<SnapshotId>& living,
                      std::set<SnapshotId>* candidates) {
  for (const SnapshotId& id : living) {
    PITR_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(repo, id));
    for (const PackRef& pack : manifest.packs) {
      candidates->erase(pack.snapshot);
    }
  }
  return Status::Ok();
}

}  // namespace

Status CollectAbandonedPacks(Repository* repo, Timestamp before, Timestamp now) {
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
  if (candidates.empty()) {
    return Status::Ok();
  }
  PITR_RETURN_IF_ERROR(KeepReferredTo(repo, living, &candidates));
  for (const SnapshotId& id : candidates) {
    PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> packs,
                          repo->store()->List(layout::PacksPrefix(id)));
    for (const ObjectStat& pack : packs) {
      PITR_RETURN_IF_ERROR(repo->store()->Remove(pack.name));
    }
  }
  return Status::Ok();
}

}  // namespace pitr

// One pass over everything that the catalogue and the listings name. Damage of one object is a finding and never hides the next.
#include "tool/verify.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "core/codec/envelope.h"
#include "core/plan/line_history.h"
#include "core/repo/dumps.h"
#include "core/repo/layout.h"
#include "core/repo/manifest.h"
#include "core/repo/wal_archive.h"
#include "core/types/timeline.h"
#include "core/work/lay_out.h"
#include "core/work/thread_pool.h"

namespace pitr::tool {

namespace {

// Nothing that was looked at: the store did not answer, or we were asked to stop.
bool EndsVerify(const Status& status) {
  return status.code() == Code::kCancelled || status.code() == Code::kUnavailable ||
         status.code() == Code::kOutOfMemory;
}

class Verifier {
 public:
  Verifier(Repository* repo, const VerifyOptions& options,
           const std::function<void(const Finding&)>& sink, Progress* progress,
           const CancelToken& cancel)
      : repo_(repo), options_(options), sink_(sink), progress_(progress), cancel_(cancel) {}

  Status Run();
  VerifySummary summary;

 private:
  struct WalObject {
    std::string name;
    std::uint64_t size = 0;
    const Branch* branch = nullptr;
  };

  Status Report(std::string kind, std::string object, const Status& status);
  bool TakeBudget(std::uint64_t bytes);
  Status VerifyOneSnapshot(const SnapshotId& id);
  void LeaveOutKnown(Manifest* manifest) const;
  void Remember(const Manifest& manifest);
  Status VerifySnapshots();
  Status VerifyOneDump(const DumpId& id);
  Status VerifyDumps();
  Status VerifyWal(const BranchSet& branches);
  Result<std::vector<WalObject>> ListWal(const BranchSet& branches);
  Status VerifyWalObject(const WalObject& object);
  Status CheckSegment(const WalObject& object, SegmentId segment);
  Status CheckPart(const WalObject& object);
  Status VerifyContinuity(const BranchSet& branches);

  Repository* repo_;
  const VerifyOptions& options_;
  const std::function<void(const Finding&)>& sink_;
  Progress* progress_;
  const CancelToken& cancel_;
  std::mutex mutex_;
  // Frames that were found good, by pack: place and checksum. Increments name those of the snapshots before.
  std::map<std::pair<SnapshotId, std::uint32_t>, std::unordered_map<std::uint64_t, std::uint64_t>>
      good_;
};

Status Verifier::Report(std::string kind, std::string object, const Status& status) {
  if (EndsVerify(status)) {
    return status;
  }
  const std::lock_guard lock(mutex_);
  summary.objects++;
  summary.damaged += status.ok() ? 0 : 1;
  sink_({std::move(kind), std::move(object), status.ok(), status.ok() ? "" : status.ToString()});
  return Status::Ok();
}

bool Verifier::TakeBudget(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (options_.byte_budget != 0 && summary.bytes + bytes > options_.byte_budget) {
    summary.skipped++;
    return false;
  }
  summary.bytes += bytes;
  return true;
}

void Verifier::LeaveOutKnown(Manifest* manifest) const {
  std::erase_if(manifest->frames, [&](const Frame& frame) {
    const PackRef& pack = manifest->packs[frame.pack];
    const auto known = good_.find({pack.snapshot, pack.number});
    if (known == good_.end()) {
      return false;
    }
    const auto place = known->second.find(frame.offset);
    return place != known->second.end() && place->second == frame.plain_hash;
  });
}

void Verifier::Remember(const Manifest& manifest) {
  for (const Frame& frame : manifest.frames) {
    const PackRef& pack = manifest.packs[frame.pack];
    good_[{pack.snapshot, pack.number}].emplace(frame.offset, frame.plain_hash);
  }
}

Status Verifier::VerifyOneSnapshot(const SnapshotId& id) {
  Result<Manifest> manifest = ReadManifest(repo_, id);
  PITR_RETURN_IF_ERROR(
      Report("manifest", layout::ManifestObject(id), manifest.ok() ? Status() : manifest.status()));
  if (!manifest.ok()) {
    return Status::Ok();
  }
  // Extents are not looked at any more: CheckManifest has seen that they fit.
  LeaveOutKnown(&*manifest);
  std::uint64_t bytes = 0;
  for (const Frame& frame : manifest->frames) {
    bytes += frame.packed_size;
  }
  if (!TakeBudget(bytes)) {
    return Status::Ok();
  }
  const Status frames = VerifySnapshot(repo_, *manifest, options_.workers, progress_, &cancel_);
  PITR_RETURN_IF_ERROR(Report("frame", id, frames));
  if (frames.ok()) {
    Remember(*manifest);
  }
  for (const BadPage& page : manifest->bad_pages) {
    PITR_RETURN_IF_ERROR(
        Report("page", page.path,
               Status(Code::kCorrupt, "block " + std::to_string(page.block) +
                                          " was bad when snapshot " + id + " was made")));
  }
  return Status::Ok();
}

Status Verifier::VerifySnapshots() {
  if (options_.snapshot) {
    return VerifyOneSnapshot(*options_.snapshot);
  }
  std::vector<std::string> damaged;
  PITR_ASSIGN_OR_RETURN(std::vector<ManifestHead> heads, ListSnapshots(repo_, &damaged));
  std::reverse(heads.begin(), heads.end());
  for (const ManifestHead& head : heads) {
    PITR_RETURN_IF_ERROR(VerifyOneSnapshot(head.manifest.id));
  }
  for (const std::string& id : damaged) {
    PITR_RETURN_IF_ERROR(Report("manifest", id, Status(Code::kCorrupt, "cannot be read")));
  }
  return Status::Ok();
}

Status Verifier::VerifyOneDump(const DumpId& id) {
  const Result<DumpManifest> dump = ReadDump(repo_, id);
  // Deleted just now.
  if (dump.status().code() == Code::kNotFound) return Status::Ok();
  PITR_RETURN_IF_ERROR(
      Report("manifest", layout::DumpManifestObject(id), dump.ok() ? Status() : dump.status()));
  if (!dump.ok() || !TakeBudget(dump->stored_bytes)) return Status::Ok();
  std::vector<const DumpFile*> files;
  if (dump->globals) files.push_back(&*dump->globals);
  for (const DumpDatabase& database : dump->databases) {
    for (const DumpFile& file : database.files) {
      files.push_back(&file);
    }
  }
  Status status;
  for (std::size_t i = 0; i < files.size() && status.ok(); i++) {
    status = StreamDumpFile(repo_, id, *files[i], [&](ByteView) {
      return cancel_.IsCancelled() ? Status(Code::kCancelled, "cancelled") : Status::Ok();
    });
  }
  return Report("dump", id, status);
}

Status Verifier::VerifyDumps() {
  std::vector<DumpId> damaged;
  PITR_ASSIGN_OR_RETURN(const std::vector<DumpManifest> dumps, ListDumps(repo_, &damaged));
  for (const DumpManifest& dump : dumps) {
    PITR_RETURN_IF_ERROR(VerifyOneDump(dump.id));
  }
  for (const DumpId& id : damaged) {
    PITR_RETURN_IF_ERROR(VerifyOneDump(id));
  }
  return Status::Ok();
}

Result<std::vector<Verifier::WalObject>> Verifier::ListWal(const BranchSet& branches) {
  std::vector<WalObject> objects;
  for (const Branch& branch : branches.branches) {
    for (const std::string& prefix :
         {layout::WalRootPrefix(branch.id), layout::TailRootPrefix(branch.id)}) {
      PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> stats, repo_->store()->List(prefix));
      for (const ObjectStat& stat : stats) {
        objects.push_back({stat.name, stat.size, &branch});
      }
    }
  }
  return objects;
}

// The payload, its length, and that its index decodes and speaks of this segment.
Status Verifier::CheckSegment(const WalObject& object, SegmentId segment) {
  std::uint64_t bytes = 0;
  PITR_RETURN_IF_ERROR(
      StreamEnvelope(repo_->store(), object.name, ObjectKind::kWalSegment, [&](ByteView piece) {
        bytes += piece.size();
        return cancel_.IsCancelled() ? Status(Code::kCancelled, "cancelled") : Status::Ok();
      }));
  const std::uint64_t segment_size = object.branch->root.segment_size;
  if (bytes != segment_size) {
    return Status(Code::kCorrupt,
                  "holds " + std::to_string(bytes) + " bytes, not " + std::to_string(segment_size));
  }
  EnvelopeFooter footer;
  PITR_ASSIGN_OR_RETURN(const Bytes extra, ReadEnvelopeExtra(repo_->store(), object.name,
                                                             ObjectKind::kWalSegment, &footer));
  PITR_ASSIGN_OR_RETURN(const wal::SegmentIndex index, wal::DecodeIndex(extra));
  if (index.segment != segment || !(index.root == object.branch->root)) {
    return Status(Code::kCorrupt, "its index is the one of another segment");
  }
  return Status::Ok();
}

Status Verifier::CheckPart(const WalObject& object) {
  return StreamEnvelope(repo_->store(), object.name, ObjectKind::kWalPart,
                        [](ByteView) { return Status::Ok(); });
}

Status Verifier::VerifyWalObject(const WalObject& object) {
  const std::uint64_t segment_size = object.branch->root.segment_size;
  const std::string_view last = layout::LastPart(object.name);
  const std::optional<WalFileName> name = ParseWalFileName(last, segment_size);
  if (!name) {
    const bool is_piece = layout::ParseTailName(last, segment_size).has_value();
    const Status status =
        is_piece ? CheckPart(object) : Status(Code::kCorrupt, "has no name of ours");
    // Larger pieces and whole segments take the place of pieces all the time; a hole is for VerifyContinuity.
    return status.code() == Code::kNotFound ? Status::Ok() : Report("part", object.name, status);
  }
  switch (name->kind) {
    case WalFileKind::kSegment:
      return Report("segment", object.name, CheckSegment(object, {name->timeline, name->segment}));
    case WalFileKind::kPartial:
      return Report("part", object.name, CheckPart(object));
    case WalFileKind::kBackupLabel:
    case WalFileKind::kHistory: {
      const Result<Bytes> text =
          ReadEnvelope(repo_->store(), object.name, ObjectKind::kText, 1U << 20);
      Status status = text.ok() ? Status() : text.status();
      if (status.ok() && name->kind == WalFileKind::kHistory) {
        status = TimelineHistory::Parse(name->timeline, AsText(*text)).status();
      }
      return Report("history", object.name, status);
    }
  }
  return Status::Ok();
}

Status Verifier::VerifyWal(const BranchSet& branches) {
  PITR_ASSIGN_OR_RETURN(const std::vector<WalObject> objects, ListWal(branches));
  progress_->Phase("wal");
  std::uint64_t total = 0;
  for (const WalObject& object : objects) {
    total += object.size;
  }
  progress_->Total(total);
  std::atomic<std::size_t> next = 0;
  return RunThreads(options_.workers, &cancel_, [&](int, const StopSignal& stop) {
    for (;;) {
      PITR_RETURN_IF_ERROR(stop.Check());
      const std::size_t at = next++;
      if (at >= objects.size()) {
        return Status::Ok();
      }
      if (TakeBudget(objects[at].size)) {
        PITR_RETURN_IF_ERROR(VerifyWalObject(objects[at]));
      }
      progress_->Done(objects[at].size);
    }
  });
}

Status Verifier::VerifyContinuity(const BranchSet& branches) {
  for (const Branch& branch : branches.branches) {
    if (branch.deleted_at) {
      continue;
    }
    const auto history = LineHistory::Open(repo_, branches, branch.id);
    if (!history.ok()) {
      PITR_RETURN_IF_ERROR(Report("wal", branch.name, history.status()));
      continue;
    }
    const std::vector<Stretch>& stretches = (*history)->stretches();
    bool has_gap = false;
    for (std::size_t at = 1; at < stretches.size(); at++) {
      if ((*history)->IsRemoved(stretches[at - 1].end, stretches[at].begin)) {
        continue;
      }
      has_gap = true;
      PITR_RETURN_IF_ERROR(
          Report("wal", branch.name,
                 Status(Code::kGap, "WAL from " + stretches[at - 1].end.ToString() + " to " +
                                        stretches[at].begin.ToString() + " is missing")));
    }
    if (!has_gap) {
      PITR_RETURN_IF_ERROR(Report("wal", branch.name, Status()));
    }
  }
  return Status::Ok();
}

Status Verifier::Run() {
  PITR_RETURN_IF_ERROR(Report("repository", std::string(layout::kRepositoryObject), Status()));
  PITR_RETURN_IF_ERROR(VerifySnapshots());
  if (options_.snapshot) {
    return Status::Ok();
  }
  const Result<BranchSet> branches = ReadBranches(repo_);
  PITR_RETURN_IF_ERROR(
      Report("catalogue", "branches", branches.ok() ? Status() : branches.status()));
  if (!branches.ok()) {
    return Status::Ok();
  }
  PITR_RETURN_IF_ERROR(VerifyDumps());
  PITR_RETURN_IF_ERROR(VerifyWal(*branches));
  return VerifyContinuity(*branches);
}

}  // namespace

Result<VerifySummary> VerifyRepository(Repository* repo, const VerifyOptions& options,
                                       const std::function<void(const Finding&)>& sink,
                                       Progress* progress, const CancelToken& cancel) {
  Verifier verifier(repo, options, sink, progress, cancel);
  PITR_RETURN_IF_ERROR(verifier.Run());
  return verifier.summary;
}

}  // namespace pitr::tool

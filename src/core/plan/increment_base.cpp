#include "core/plan/increment_base.h"

#include <algorithm>

#include "core/base/json.h"
#include "core/plan/snapshots_on_line.h"
#include "core/repo/catalogue.h"
#include "core/repo/manifest_packs.h"

namespace pitr {

namespace {

IncrementChoice Full(std::string why) {
  IncrementChoice choice;
  choice.why_full = std::move(why);
  return choice;
}

// What makes a snapshot full; everything else is an error of its own.
bool IsDoubt(Code code) {
  return code == Code::kGap || code == Code::kOutsideWindow || code == Code::kCorrupt ||
         code == Code::kNotFound || code == Code::kUnsupported || code == Code::kForeign;
}

const Manifest* NewestBefore(const std::vector<LineSnapshot>& snapshots, Lsn start) {
  const auto found = std::find_if(
      snapshots.rbegin(), snapshots.rend(),
      [&](const LineSnapshot& snapshot) { return snapshot.manifest->stop_lsn <= start; });
  return found == snapshots.rend() ? nullptr : found->manifest;
}

// Empty when the two fit.
std::string Mismatch(const LineHistory& line, const Manifest& base, const Manifest& next) {
  if (base.control.data_checksum_version != next.control.data_checksum_version) {
    return "page checksums were switched since snapshot \"" + base.id + "\"";
  }
  if (base.from_standby != next.from_standby) {
    return "snapshot \"" + base.id + "\" was taken on " +
           (base.from_standby ? "a standby" : "the primary");
  }
  if (line.TimelineAt(next.start_lsn) != next.timeline) {
    return "timeline " + std::to_string(next.timeline) +
           " is not known to descend from that of snapshot \"" + base.id + "\"";
  }
  return "";
}

// Damage that is known of is not passed on: the next snapshot stands on its own.
Status CheckPacks(Repository* repo, const Manifest& base, const std::vector<std::uint64_t>& sizes) {
  for (const Frame& frame : base.frames) {
    if (sizes[frame.pack] < frame.offset + frame.packed_size) {
      return Status(Code::kCorrupt,
                    "a pack of snapshot \"" + base.id + "\" is missing or too short");
    }
  }
  PITR_ASSIGN_OR_RETURN(const Json flags, ReadDocument(repo, "snapshots"));
  const Json* const flag = JsonObject(flags, base.id);
  return flag != nullptr && flag->value("damaged", false)
             ? Status(Code::kCorrupt, "snapshot \"" + base.id + "\" was found damaged")
             : Status::Ok();
}

Result<IncrementChoice> Choose(Repository* repo, const BranchSet& branches, const Manifest& next) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<LineHistory> line,
                        LineHistory::Open(repo, branches, next.branch));
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads, ListSnapshots(repo, nullptr));
  const std::vector<LineSnapshot> snapshots = SnapshotsOn(*line, heads);
  const Manifest* const head = NewestBefore(snapshots, next.start_lsn);
  if (head == nullptr) {
    return Full("there is none before it");
  }
  std::string mismatch = Mismatch(*line, *head, next);
  if (!mismatch.empty()) {
    return Full(std::move(mismatch));
  }
  PITR_ASSIGN_OR_RETURN(ChangedPages changed,
                        ReadChangedPages(*line, head->start_lsn, next.start_lsn));
  PITR_ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(repo, head->id));
  PITR_ASSIGN_OR_RETURN(std::vector<std::uint64_t> sizes, ReadPackSizes(repo, manifest.packs));
  PITR_RETURN_IF_ERROR(CheckPacks(repo, manifest, sizes));
  IncrementChoice choice;
  choice.base.emplace(IncrementBase{std::move(manifest), std::move(sizes), std::move(changed)});
  return choice;
}

}  // namespace

Result<IncrementChoice> ChooseIncrementBase(Repository* repo, const BranchSet& branches,
                                            const Manifest& next) {
  Result<IncrementChoice> choice = Choose(repo, branches, next);
  if (!choice.ok() && IsDoubt(choice.status().code())) {
    return Full(choice.status().ToString());
  }
  return choice;
}

}  // namespace pitr

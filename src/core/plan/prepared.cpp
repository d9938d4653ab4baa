#include "core/plan/prepared.h"

#include <cstdlib>
#include <map>

namespace pitr {

Result<std::vector<std::string>> PreparedAt(Repository* repo, const BranchSet& branches,
                                            const RestorePlan& plan) {
  std::map<Xid, std::string> open;
  PITR_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(repo, plan.snapshot));
  for (const ManifestFile& file : manifest.files) {
    constexpr std::string_view kFolder = "pg_twophase/";
    if (!file.path.starts_with(kFolder)) continue;
    const auto xid =
        static_cast<Xid>(std::strtoull(file.path.c_str() + kFolder.size(), nullptr, 16));
    open[xid] = "xid " + std::to_string(xid);
  }
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<LineHistory> line,
                        LineHistory::Open(repo, branches, plan.line));
  PITR_RETURN_IF_ERROR(line->VisitEvents(plan.wal_from, [&](const wal::Event& event, TimelineId) {
    if (event.start > plan.record_start) return false;
    if (event.kind == wal::EventKind::kPrepare) open[event.xid] = event.name;
    if (event.kind == wal::EventKind::kCommitPrepared ||
        event.kind == wal::EventKind::kAbortPrepared) {
      open.erase(event.xid);
    }
    return true;
  }));
  std::vector<std::string> names;
  for (const auto& [xid, name] : open)
    names.push_back(name);
  return names;
}

}  // namespace pitr

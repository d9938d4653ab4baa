// What the directories of branches take on disk: pitr_branches.size_bytes. The launcher measures, a few milliseconds in each second, and notes the
// sizes in a file of the cache; views read that and never walk a directory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/repo/branches.h"
#include "core/repo/identity.h"
#include "core/work/disk_usage.h"

namespace pitr::pg {

// As they were noted last. A note that is absent or damaged counts as empty.
class BranchSizes {
 public:
  static BranchSizes Load();
  // nullopt: no directory on this machine, or not measured yet.
  std::optional<std::int64_t> Of(const BranchId& id) const;

 private:
  std::map<BranchId, std::int64_t> sizes_;
};

// Belongs to the launcher.
class BranchSizer {
 public:
  // The directories that there are now. Begins a round when the last one is old enough, or one of them was never measured.
  void Take(const BranchSet& branches, const Identity& identity);
  // Goes on with the round for kSliceMs.
  void Tick();

 private:
  void NoteOne();

  std::map<BranchId, std::string> directories_;
  std::map<BranchId, std::string> waiting_;  // of this round; the first one is being measured
  std::optional<DiskUsage> usage_;           // of that one
  std::map<BranchId, std::optional<std::int64_t>> sizes_;
  std::optional<std::int64_t> round_began_ms_;
};

}  // namespace pitr::pg

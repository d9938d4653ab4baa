#include "pg/branch_room.h"

#include <algorithm>

#include "core/base/file.h"
#include "pg/guc_branch.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::uint64_t kLeast = 64ULL << 20, kMost = 1ULL << 30, kPart = 50;
// Points of a hundred that must be free again before those that were stopped come back.
constexpr std::uint64_t kAgainPercent = 2;

struct Space {
  std::uint64_t free = 0, whole = 0;

  std::uint64_t reserve() const { return std::clamp(whole / kPart, kLeast, kMost); }
  std::uint64_t percent_used() const { return whole == 0 ? 100 : 100 - free * 100 / whole; }
};

Result<Space> SpaceAt(const std::string& directory) {
  Space space;
  PITR_ASSIGN_OR_RETURN(space.free, FreeSpace(directory));
  PITR_ASSIGN_OR_RETURN(space.whole, WholeSpace(directory));
  return space;
}

std::string Megabytes(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MB"; }

// How much must be free by pitr.disk_stop_percent; 100: only the reserve counts.
std::uint64_t WantedByPercent(const Space& space, bool again) {
  const auto stop = static_cast<std::uint64_t>(DiskStopPercentSetting());
  if (stop >= 100) return 0;
  const std::uint64_t percent =
      std::min<std::uint64_t>(100 - stop + (again ? kAgainPercent : 0), 100);
  return space.whole / 100 * percent;
}

}  // namespace

Status CheckBranchRoom(const std::string& directory, bool again) {
  PITR_ASSIGN_OR_RETURN(const Space space, SpaceAt(directory));
  const std::uint64_t reserve = again ? space.reserve() + space.reserve() / 2 : space.reserve();
  const std::uint64_t wanted = std::max(reserve, WantedByPercent(space, again));
  if (space.free >= wanted) return Status::Ok();
  return Status(Code::kDiskFull,
                "there is no room for branches on the file system of \"" + directory + "\"")
      .WithDetail(Megabytes(space.free) + " are free, " + Megabytes(wanted) +
                  " are kept free of branches.")
      .WithHint(
          "Free space there; branches and undo branches can be deleted with "
          "pitr_delete_branch(branch). pitr.disk_stop_percent says how full it may be.");
}

bool IsAtTheLast(const std::string& directory) {
  const Result<Space> space = SpaceAt(directory);
  return space.ok() && space->free < space->reserve();
}

Status CheckDisks() {
  const auto warn = static_cast<std::uint64_t>(DiskWarnPercentSetting());
  const Result<std::string> branches = BranchDirectory();
  for (const std::string& directory :
       {DataDirectory(), branches.ok() ? *branches : DataDirectory()}) {
    if (warn >= 100 || !PathExists(directory)) continue;
    PITR_ASSIGN_OR_RETURN(const Space space, SpaceAt(directory));
    if (space.percent_used() < warn) continue;
    return Status(Code::kDiskFull, "the file system of \"" + directory + "\" is " +
                                       std::to_string(space.percent_used()) + " % full")
        .WithDetail(Megabytes(space.free) + " are free.")
        .WithHint(
            "At pitr.disk_stop_percent, servers of the past end and those of branches stop. "
            "pitr_branches shows what each branch takes.");
  }
  return Status::Ok();
}

}  // namespace pitr::pg

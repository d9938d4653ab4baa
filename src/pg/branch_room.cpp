#include "pg/branch_room.h"

#include <algorithm>

#include "core/base/file.h"

namespace pitr::pg {

namespace {

constexpr std::uint64_t kLeast = 64ULL << 20, kMost = 1ULL << 30, kPart = 50;

}  // namespace

Status CheckBranchRoom(const std::string& directory, bool again) {
  PITR_ASSIGN_OR_RETURN(const std::uint64_t free, FreeSpace(directory));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t whole, WholeSpace(directory));
  const std::uint64_t reserve = std::clamp(whole / kPart, kLeast, kMost);
  const std::uint64_t wanted = again ? reserve + reserve / 2 : reserve;
  if (free >= wanted) return Status::Ok();
  return Status(Code::kDiskFull,
                "there is no room for branches on the file system of \"" + directory + "\"")
      .WithDetail(std::to_string(free >> 20) + " MB are free, " + std::to_string(wanted >> 20) +
                  " MB are kept free of branches.")
      .WithHint(
          "Free space there; branches and undo branches can be deleted with "
          "pitr_delete_branch(branch).");
}

}  // namespace pitr::pg

// Identities: who wrote the WAL (root line), which branch, which snapshot.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace pitr {

// What a root line of history belongs to; never changes along a line (rules.md 5).
struct RootIdentity {
  std::uint64_t system_identifier = 0;
  std::uint32_t server_major = 0;  // 15, 17, 18
  std::uint32_t segment_size = 0;  // bytes
  friend bool operator==(const RootIdentity&, const RootIdentity&) = default;
};

using BranchId = std::string;     // "br-<word>-<word>-<8 hex>"
using SnapshotId = std::string;   // "sn-<UTC yyyymmddThhmmss>-<8 hex>"
using OperationId = std::string;  // "op-<UTC yyyymmddThhmmss>-<8 hex>"

// Fresh ids; random parts from the kernel.
Result<BranchId> NewBranchId();
Result<SnapshotId> NewSnapshotId(std::int64_t unix_seconds);
Result<OperationId> NewOperationId(std::int64_t unix_seconds);

// Pattern ^br-[a-z0-9]+-[a-z0-9]+-[a-z0-9]+$, at most 60 characters.
bool IsBranchId(std::string_view text);

// Rules for branch and snapshot names (sql-surface.md 7): not empty, valid UTF-8 without control
// characters, no leading '^', no shape of an id ("br-..."/"sn-..."), no leading or trailing blanks
// (kInvalidName); at most 256 characters, counted as code points (kNameTooLong). `what` = "branch".
Status CheckName(std::string_view name, std::string_view what);

// "<branch>_old_<RFC 3339 UTC, whole seconds>", the branch part cut so that the whole fits 256
// characters; `taken(name)` decides whether "_2", "_3", … must be added.
template <typename Taken>
std::string UndoBranchName(std::string_view branch, std::string_view head_time, Taken taken);
// The same with other words than "_old_" between the two.
template <typename Taken>
std::string DerivedBranchName(std::string_view branch, std::string_view what, std::string_view time,
                              Taken taken);
std::string CutCodePoints(std::string_view text, std::size_t count);

template <typename Taken>
std::string DerivedBranchName(std::string_view branch, std::string_view what, std::string_view time,
                              Taken taken) {
  const std::string tail = std::string(what) + std::string(time);
  std::string name = CutCodePoints(branch, 256 - tail.size()) + tail;
  for (int n = 2; taken(name); n++) {
    const std::string numbered = tail + "_" + std::to_string(n);
    name = CutCodePoints(branch, 256 - numbered.size()) + numbered;
  }
  return name;
}

template <typename Taken>
std::string UndoBranchName(std::string_view branch, std::string_view head_time, Taken taken) {
  return DerivedBranchName(branch, "_old_", head_time, taken);
}

}  // namespace pitr

// Looks: servers that stand at a point of the past, for readers. Each has a folder of the branch directory, "look-<8 hex>", with its data directory
// (data), what is known of it (look.json), its log (log) and the lock of its users (use).
//
// Whoever uses a look has a shared lock on that file for as long as that lasts: its sessions, and whoever is about to open one. Whoever takes it
// away has the exclusive one, and gives the folder another name before that ends. A process that ends, however, uses nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/result.h"
#include "core/types/ids.h"
#include "core/types/lsn.h"
#include "core/types/timeline.h"

namespace pitr {

// In the environment of such a server.
inline constexpr std::string_view kLookVariable = "PITR_LOOK";

struct Look {
  std::string folder;  // its path; not in look.json
  bool is_ready = false;
  bool can_go_on = false;  // to a later point, with a new target
  OperationId operation;   // that builds it, while it is not ready
  // The last record that is replayed: what makes two points the same.
  BranchId line;
  TimelineId timeline = 0;
  Lsn record_end;
  std::optional<Timestamp> commit_time;
  std::string point;  // as it was asked for first
  std::vector<std::string>
      asked;           // what it is known to be at, in the words of who asks (look_table.cpp)
  BranchId directory;  // the identity of its data directory, which nobody else knows
  SnapshotId snapshot;
  std::string socket_directory;
  int port = 5432;

  std::string data() const { return JoinPath(folder, "data"); }
  bool IsAt(const BranchId& other_line, TimelineId other_timeline, Lsn other_end) const {
    return line == other_line && timeline == other_timeline && record_end == other_end;
  }
};

// A new name for a folder.
Result<std::string> NewLookName();
bool IsLookName(std::string_view name);
// What is left of one that was given up.
bool IsGoneLookName(std::string_view name);

Result<Look> ReadLook(const std::string& folder);
// Nothing of it outlives the machine.
Status WriteLook(const Look& look);
// All that can be read, of a branch directory; none when there is no such directory.
std::vector<Look> ListLooks(const std::string& branch_directory);

// Held by who looks for a look in the branch directory or begins one, until its operation is known. Not open: somebody else has it.
Result<File> TryLockLooks(const std::string& branch_directory);

// Not open: somebody takes it away, or has.
Result<File> TryUseLook(const std::string& folder);
// Not open: somebody uses it.
Result<File> TryTakeLook(const std::string& folder);
// When somebody began or ended to use it last, as far as that was noted.
Timestamp LastUseOfLook(const std::string& folder);
void NoteUseOfLook(const File& use);
// Its folder is nobody's look from here on. REQUIRES: TryTakeLook. The new path.
Result<std::string> GiveUpLook(const std::string& folder);

}  // namespace pitr

// The launcher's part in servers of branches: those that shall run do, or their port is held since nobody is connected. They end with their
// host's postmaster, so after a restart or a crash of the host all of them are started again; one that ended by itself is, too. While
// the file system of the branch directory is nearly full, none runs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/repo/branches.h"
#include "pg/child.h"

namespace pitr::pg {

class ComputeKeeper {
 public:
  // What the catalogue says now.
  void Take(const BranchSet& branches);
  // Looks after them; reads the catalogue anew when one is missing, or when a session has told of a change. THROWS ErrorInFlight.
  Status Tick(Repository* repo);

 private:
  struct Failures {
    int count = 0;
    std::int64_t next_try_ms = 0;
  };
  struct Told {
    pid_t pid;
    std::int64_t at_ms;
  };

  bool IsMissing(const Branch& branch) const;
  Status Serve(Repository* repo);
  Status Attend(Repository* repo, const BranchId& id, Child* child, const Json& line);
  Status Start(Repository* repo, const Branch& branch);
  void KeepRoom();
  void SeeThemStop();
  void Failed(const BranchId& id, const Status& status);

  std::vector<Branch> wanted_;
  std::map<BranchId, std::unique_ptr<Child>> starting_;
  std::map<BranchId, Failures> failures_;
  std::uint32_t seen_change_ = 0;
  bool is_short_of_room_ = false;
  // Servers that were told to stop for want of room, by directory.
  std::map<std::string, Told> told_;
};

}  // namespace pitr::pg

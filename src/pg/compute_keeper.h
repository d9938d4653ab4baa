// The launcher's part in servers of branches: those that shall run do. They end with their host's postmaster, so after a restart or a
// crash of the host all of them are started again; one that ended by itself is, too.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
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

  bool IsMissing(const Branch& branch) const;
  void Serve();
  void Start(const Branch& branch);
  void Failed(const BranchId& id, const Status& status);

  std::vector<Branch> wanted_;
  std::map<BranchId, std::unique_ptr<Child>> starting_;
  std::map<BranchId, Failures> failures_;
  std::uint32_t seen_change_ = 0;
};

}  // namespace pitr::pg

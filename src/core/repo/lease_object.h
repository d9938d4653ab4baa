// The objects of leases: finding the newest, for lease.cpp and lease_take.cpp alone.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/result.h"
#include "core/repo/lease.h"

namespace pitr {

// nullopt: the branch never had one.
Result<std::optional<Lease>> ReadNewestLease(Repository* repo, const BranchId& branch);
// One listing; 0: none.
Result<std::uint64_t> NewestLeaseNumber(Repository* repo, const BranchId& branch);

}  // namespace pitr

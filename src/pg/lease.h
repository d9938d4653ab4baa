// Who writes the branch of this server (core/repo/lease.h), for every process that publishes. The first that needs the lease takes it,
// the launcher renews it each third of pitr.lease_timeout, and whoever publishes while it is half over renews it by itself: nobody waits
// for another process. It is given back by the archiver, last of all, when everything is in the repository.
//
// Everything may THROW ErrorInFlight unless it says noexcept. REQUIRES: GetShared() is not null.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/repo/identity.h"
#include "core/repo/lease.h"
#include "core/repo/repository.h"

namespace pitr::pg {

// Which repository and branch something went to; never 0.
std::uint64_t DestinationOf(const Repository& repository, const Identity& identity);

enum class LeaseUse {
  kPublish,  // renews when half of its time is over
  kKeep,     // the launcher: when a third is
};
// OK: this server may publish under its branch. Nothing is asked of the repository while what is known is young enough. kOtherWriter
// (PI008): another server has it, or may have it; the log was told. Any other Status is that of the store or the disk. A standby needs no
// lease: it ships what its primary wrote, and other content under a name is refused; on a store without conditional writes it is
// kUnsupported.
Status HoldLease(Repository* repo, const Identity& identity, LeaseUse use = LeaseUse::kPublish);
// Asked right before an object is published: the lease has time left. Reads shared memory, nothing else.
bool IsLeaseGood(std::uint64_t destination) noexcept;

// Everything is in the repository and nothing will come: whoever comes first may have it. Nothing when it is not held.
Status ReleaseLease(Repository* repo, const Identity& identity);

// For a line whose directory is not the live one any more, of which the rest is to be shipped: this server's by the proof in that
// directory. kOtherWriter when another server has taken it over since.
Status HoldLineOf(Repository* repo, const BranchId& line, const std::string& directory);
Status ReleaseLineOf(Repository* repo, const BranchId& line, const std::string& directory);

// pitr_take_over_branch: what the writer before was, nullopt when there was none but this server. Watches that one for its time first,
// if nobody here has done so yet; kOtherWriter when it lives.
Result<std::optional<std::string>> TakeOverLease(Repository* repo, const Identity& identity,
                                                 const std::string& branch_name);

// For pitr_check; empty when it is not held.
std::string DescribeHeldLease();

}  // namespace pitr::pg

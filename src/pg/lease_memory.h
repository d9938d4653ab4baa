// What is known of the lease, in shared memory, and who this server is when it asks for one: for lease.cpp alone.
//
// Everything may THROW ErrorInFlight. REQUIRES: GetShared() is not null.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/repo/identity.h"
#include "core/repo/lease.h"
#include "pg/lease_state.h"

namespace pitr::pg {

LeaseTaker TakerFor(const BranchId& branch, const std::string& data_directory);
// Timelines through which `timeline` of this server came, by its history file in pg_wal; none when that is not there.
std::vector<TimelineId> AncestorsOf(TimelineId timeline);

LeaseShared CopyLease();
Status WaitingStatus(const LeaseShared& known);
// Token and `since` of the lease that this server has; nullopt when that is not known.
std::optional<Lease> HeldLease(std::uint64_t destination);

// Never back to an older number. `before`: whose lease it was, for the log; null: ours or nobody's. Wakes who was refused.
void NoteHeld(std::uint64_t destination, const Lease& lease, std::int64_t began_ms,
              const Lease* before);
void NoteStandby(std::uint64_t destination);
void ForgetLease(std::uint64_t destination);
// Milliseconds until this lease, seen by a look that began at `looked_at_ms`, has not moved for its time; 0 or less: that is over.
std::int64_t NoteWatched(std::uint64_t destination, const Lease& lease, std::int64_t looked_at_ms);

struct Waiting {
  Repository* repo;
  const Identity& identity;
  const LeaseHolder& self;
  const Lease& lease;
  bool is_refused;  // by an explicit take-over only
  bool is_mine;     // the proof is ours, but from another place
  std::int64_t left_ms;
};
// Notes what everybody is answered until the next look, tells the log at a change of state and every five minutes, and gives it back.
Status NoteWaiting(const Waiting& waiting);

}  // namespace pitr::pg

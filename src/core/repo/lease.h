// Who writes a branch. The newest of the numbered objects branches/<id>/lease/ names the server that may publish under this branch;
// put-if-absent decides between two that want the next number. Whoever holds it renews it, so a number that has not moved for the time
// that it states is that of a server that is gone. Format and rules: doc/repository-format.md, "The lease of a branch".
//
// That a lease is one's own is proven by the data directory (lease_proof.h), never by a host's name or address.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "core/repo/lease_proof.h"
#include "core/repo/repository.h"
#include "core/types/ids.h"
#include "core/types/wal_name.h"

namespace pitr {

// For people: nothing is decided by host, directory or pid.
struct LeaseHolder {
  std::string host, data_directory;
  std::uint64_t system_identifier = 0;
  TimelineId timeline = 0;
  std::int64_t postmaster_pid = 0;
  std::string Describe() const;
  friend bool operator==(const LeaseHolder&, const LeaseHolder&) = default;
};

struct Lease {
  LeaseToken token;
  LeaseHolder holder;
  Timestamp since;       // of this holder
  Timestamp renewed_at;  // by its clock, for people
  std::int64_t timeout_seconds = 0;
  bool is_released = false;  // the holder was shut down and everything of it is in the repository
};

Json EncodeLease(const Lease& lease);
// The number comes from the object's name. kCorrupt names the member, kForeign a newer format.
Result<Lease> DecodeLease(const Json& json, std::uint64_t number);

// Who asks, for which branch.
struct LeaseTaker {
  BranchId branch;
  LeaseHolder self;
  std::string data_directory;  // with the proof
  std::int64_t timeout_seconds = 60;
  // For stores without conditional writes, between two looks; kCancelled ends it. Empty: none.
  std::function<Status(std::int64_t milliseconds)> pause;
};

// What there is, as this data directory sees it.
struct LeaseSight {
  std::optional<Lease> newest;
  bool is_mine = false;  // the proof is of this lease
  bool is_same_place =
      false;  // and was made here: this directory, since the last boot of this machine
};
Result<LeaseSight> LookAtLease(Repository* repo, const LeaseTaker& taker);

enum class LeaseMove {
  kTake,
  kRenew,   // mine
  kWatch,   // may be taken when its number has not moved for its timeout
  kRefuse,  // only by an explicit take-over, and then watched as well
};
// `ancestors`: the timelines through which `timeline` came.
//
//   no lease                                          take
//   proof, same place                                 renew
//   proof, another place, released                    renew
//   proof, another place                              watch: moved, cloned or booted anew; only a clone has a living twin
//   no proof, released, timeline mine or an ancestor  take
//   no proof, timeline a proper ancestor              watch: a promoted standby
//   anything else                                     refuse: a copy, or an old primary that came back
LeaseMove JudgeLease(const LeaseSight& sight, TimelineId timeline,
                     const std::vector<TimelineId>& ancestors);

struct LeaseStep {
  bool is_mine = false;   // `newest` is the taker's own
  bool release = false;   // put as released
  bool try_store = true;  // also find out whether the store really takes a name only once
};
// Puts the number after `newest`. DURABLE. What it returns is the newest lease at a moment after the call began. kOtherWriter: somebody
// else was first. kInUse: another process of this server is ahead. Both: look again. kUnsupported: the store lets names be taken twice,
// and the repository does not know. On a store without conditional writes it is read back twice, a pause between, before it counts.
Result<Lease> TakeLease(Repository* repo, const LeaseTaker& taker,
                        const std::optional<Lease>& newest, const LeaseStep& step);

// PI008: both identities, since when, and what to do. `branch_name` for the text.
Status OtherWriter(const std::string& branch_name, const Lease& lease, const LeaseHolder& self);

}  // namespace pitr

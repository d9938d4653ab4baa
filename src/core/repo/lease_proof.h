// The proof that a lease is this data directory's: `<data directory>/pitr/lease.json` holds number and nonce of the lease that it has,
// and of the next one before that is put. So a server that is killed at any step finds its own lease again, and a copy of the directory
// that is older than the newest number has no proof. It also holds where it was written: a copy that is younger has the right nonce, but
// lies in another place.
//
// Not in snapshots (all of pitr/ is left out of them). Several processes of a server may be at it at once: what is read, decided and
// written is so under a lock of the file system, held for no longer than a write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "core/types/ids.h"

namespace pitr {

struct LeaseToken {
  std::uint64_t number = 0;  // 0: none
  std::string nonce;
  friend bool operator==(const LeaseToken&, const LeaseToken&) = default;
};

// A directory of a machine since its last boot. A copy has another inode or birth, a clone of the file system another device, a clone of
// the machine another boot.
struct LeasePlace {
  std::string boot;
  std::uint64_t device = 0, inode = 0;
  std::int64_t born_seconds = 0;
  std::uint32_t born_nanos = 0;
  friend bool operator==(const LeasePlace&, const LeasePlace&) = default;
};
Result<LeasePlace> PlaceOf(const std::string& directory);

struct LeaseProof {
  BranchId branch;
  LeaseToken held, intended;
  LeasePlace place;
  bool Proves(const BranchId& of, const LeaseToken& token) const {
    return branch == of && token.number != 0 && (token == held || token == intended);
  }
};

std::string LeaseProofPath(const std::string& data_directory);
Json EncodeLeaseProof(const LeaseProof& proof);
Result<LeaseProof> DecodeLeaseProof(const Json& json);
// kNotFound when there is none.
Result<LeaseProof> LoadLeaseProof(const std::string& data_directory);

// The token for lease `number`, which follows `held` (number 0: nothing of ours). The same one for every process and attempt, until a
// higher number is asked for: an answer that was lost may have been a yes. DURABLE before it returns. kInUse: a process of this
// server is ahead.
Result<LeaseToken> IntendLease(const std::string& data_directory, const BranchId& branch,
                               const LeaseToken& held, std::uint64_t number);

}  // namespace pitr

// Several repositories that are replicas of one: same id, same objects byte for byte, each whole by itself. What a store holds tells
// whether it is one of them:
//
//   repository.json of the same id      takes part
//   repository.json of another id       refused, naming both
//   replica.json, no repository.json    is being filled for the first time (replicate.h); no repository yet, for nobody
//   nothing                             new; is filled. If it was a replica before (MemberLedger::WasMember), its disk is missing: an error
//   anything else                       a foreign folder, refused
//
// replica.json {"format": "pitr_ext replica", "version": 1, "id": …} is written before the first object and removed behind repository.json.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/store/address_list.h"
#include "core/store/member_ledger.h"
#include "core/store/store.h"

namespace pitr {

enum class ReplicaKind { kRepository, kFilling, kEmpty };

struct ReplicaLook {
  ReplicaKind kind = ReplicaKind::kEmpty;
  std::string id;  // of the repository; empty when kEmpty
};

// kForeign for what is neither.
Result<ReplicaLook> LookAtReplica(ObjectStore* store);

// Whether a later object of the same name may have other bytes: pieces of the tail and probes.
bool MayBeReplaced(const std::string& object_name);

// The entries as one store. Each one that is not left alone at the moment is looked at; one that is away is no error, two ids are kForeign
// naming both. kNotReady when none is a repository, unless `create` and all required ones are empty: then the store is ready for
// repository.json, and every entry that is empty takes part.
Result<std::unique_ptr<ObjectStore>> OpenReplicas(const std::vector<StoreAddress>& entries,
                                                  bool create,
                                                  MemberLedger* ledger = GetMemberLedger());

}  // namespace pitr

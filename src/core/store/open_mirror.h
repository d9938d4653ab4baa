// Several addresses as one store (mirrored_store.h).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/store/address_list.h"
#include "core/store/mirrored_store.h"

namespace pitr {

// Whether a store that was just opened takes part, by what it holds: judged above, where formats are known. Called again each time that a
// member is opened anew, from any thread, by one at a time for one member.
using LookAtMember = std::function<Result<bool>(ObjectStore*, const StoreAddress&)>;

// Makes no request; members are opened when they are first needed.
std::unique_ptr<MirroredStore> OpenMirror(const std::vector<StoreAddress>& addresses,
                                          const LookAtMember& look, MirroredStore::Options options,
                                          MemberLedger* ledger);

// OpenStore for one among several: a request is tried for seconds, not for minutes, since others answer instead and what it misses is
// brought later.
Result<std::unique_ptr<ObjectStore>> OpenStoreBriefly(const StoreAddress& address);

}  // namespace pitr

// Whether a store keeps two writers of one name apart. The catalogue and the lease rest on it, or on something weaker where it does not.
#pragma once

#include "core/base/result.h"
#include "core/store/store.h"

namespace pitr {

// Whether a name can be taken only once, tried out with names of its own, of which nothing is left. Some servers ignore the condition, some
// refuse it (501), and some heed it only when nobody else writes at the same moment (OpenStack Swift 2.38).
Result<bool> TakesNamesOnce(ObjectStore* store);
// The last of this alone.
Result<bool> KeepsWritersApart(ObjectStore* store);

}  // namespace pitr

// The end of a subtransaction whose error is to be lived with.
#pragma once

#include <cstddef>

#include "pg/postgres_headers.h"

struct ResourceOwnerData;

namespace pitr::pg {

// As PL/pgSQL leaves a block with an EXCEPTION part: what the subtransaction did is undone, its error dropped and its words kept. RAISES any error but
// those of class 42. REQUIRES: inside a Call; an error is in flight; what was current before the subtransaction.
void UndoFailed(MemoryContext context, ResourceOwnerData* owner, char* message, std::size_t size);

}  // namespace pitr::pg

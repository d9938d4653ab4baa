// The C library's calls of the server's main program are led to those of core/demand/calls.h: their entries in its global offset table
// are replaced, once, in the postmaster; children inherit that. Only the main program's: our own calls stay what they are.
#pragma once

#include "core/base/status.h"

namespace pitr::pg {

// From _PG_init, before the postmaster has children. Either all entries are replaced, or none.
void RedirectCalls();
// kUnsupported with the reason when they could not be: the binary lacks an entry, has one twice, or uses a variant of a call that nobody
// would notice.
Status RedirectionStatus();

}  // namespace pitr::pg

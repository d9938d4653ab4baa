// The launcher's part of an exchange: confirming it so that sessions are let in, and afterwards, in any number of attempts,
// the catalogue, the old directory's last WAL, the records. What the intent says is done when the intent is gone.
#pragma once

#include "core/repo/identity.h"
#include "core/repo/repository.h"

namespace pitr::pg {

// OK when there is no intent (any more). Each step may be repeated: a kill in between is made up for at the next start.
Status FinishExchange(Repository* repo, const Identity& identity);

}  // namespace pitr::pg

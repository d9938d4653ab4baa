// Replay of CREATE TABLESPACE in a server that rebuilds a past: the location in the record may hold the files of the server that wrote it.
#pragma once

namespace pitr::pg {

// From _PG_init of a staging server: with PITR_TABLESPACES_OF=<branch id> in the environment a replayed tablespace gets a target of that
// branch's own (core/work/tablespaces.h).
void RedirectTablespaces();

}  // namespace pitr::pg

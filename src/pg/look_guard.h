// What the library does in the server of a look (core/work/look.h): who is let in, and what stays forbidden to everybody there.
//
// Its socket lies where only the user of this server gets at, so who connects is whom they say. A role that cannot log in is let in nevertheless, as
// itself: its session is that role's from the beginning, and nothing leads back to another one.
#pragma once

namespace pitr::pg {

// From _PG_init; nothing in any other server. RAISES
void LookGuardInit();

}  // namespace pitr::pg

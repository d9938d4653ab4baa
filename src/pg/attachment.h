// Schemas of the past (fn_attach.cpp) as the server knows them. In the catalogue such a schema has a foreign server, "pitr_past_<oid of the schema>",
// which the bootstrap superuser owns, so that nobody can lead it elsewhere: its version is the point, its host a link (core/work/attachment.h) by a path
// that begins at the data directory of whoever connects. So it is no way from a branch, which has the same catalogue, to a look of another server.
//
// The look behind it ends with this server, or when somebody ends it. Whoever reads from the schema next makes it again, before the statement begins.
// The link goes with the foreign server, its schema or its database; one that was made in a transaction that is rolled back goes with that.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/work/look.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

// From _PG_init when preloaded: hooks.
void AttachmentInit();

std::string PastServerName(Oid schema);
// Where its foreign server finds the look.
std::string PastHost(Oid schema);
// Where the links are; not in a snapshot. THROWS ErrorInFlight.
std::string AttachmentDirectory();
// The point that does not move: of the look that was found for it.
std::string PointOfLook(const Look& look);
// From here on the look stays, if the current transaction is committed and the foreign server is there then. THROWS ErrorInFlight.
Status AttachToLook(Oid schema, const Look& look);

}  // namespace pitr::pg

// The catalogs as a snapshot holds them: what CatalogRows begins with.
#pragma once

#include "core/base/cancel.h"
#include "core/find/catalog_rows.h"
#include "core/repo/manifest.h"

namespace pitr::find {

// Reads the pages of the watched catalogs of all databases out of the snapshot's frames; what was in `rows` is gone. The pages were
// copied while the server wrote: they are right once the WAL from the snapshot's start on is applied.
Status LoadCatalogs(Repository* repo, const SnapshotId& snapshot, const CancelToken* cancel,
                    CatalogRows* rows);

}  // namespace pitr::find

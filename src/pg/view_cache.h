// What views answer while the repository is away: what they answered last. Kept below CacheDirectory(); a file that is damaged or of another version counts as none.
#pragma once

#include <functional>
#include <optional>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "pg/row_builder.h"

namespace pitr::pg {

struct KeptView {
  Timestamp as_of;     // 0: it was never answered
  Timestamp tried_at;  // when it was last worth a longer wait
  Json rows;           // an array
};
// nullopt as well when it is of another repository than pitr.repository says now.
std::optional<KeptView> LoadView(const char* view);
// Not synced; a failure is of no consequence.
void KeepView(const char* view, const KeptView& kept);

// How long a view may wait for the network, in all: a second. A repository that is only slow would never be seen again that way, so
// that once a minute, when the last answer is as old, it is five. Notes that it was.
std::int64_t ViewTimeMs(const char* view);

// The rows that `body` writes, within ViewTimeMs of network. When the repository cannot be used: the rows of the last answer, with a
// WARNING that says why and as of when; without any, its error.
Result<Datum> RowsOrKept(FunctionCallInfo fcinfo, const char* view,
                         const std::function<Status(RowBuilder*)>& body);

}  // namespace pitr::pg

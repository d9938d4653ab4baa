// What views answer while the repository is away: what they answered last. Kept below CacheDirectory(); a file that is damaged or of another version counts as none.
#pragma once

#include <functional>
#include <optional>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "pg/row_builder.h"

namespace pitr::pg {

// How long a view waits for the network, in all (sql-surface: views never block on it for more than a second).
inline constexpr std::int64_t kViewTimeMs = 900;

struct KeptView {
  Timestamp as_of;
  Json rows;  // an array
};
// nullopt as well when it is of another repository than pitr.repository says now.
std::optional<KeptView> LoadView(const char* view);
// Not synced; a failure is of no consequence.
void KeepView(const char* view, const Json& rows, Timestamp as_of);

// The rows that `body` writes, within kViewTimeMs of network. When the repository cannot be used: the rows of the last answer, with a
// WARNING that says why and as of when; without any, its error.
Result<Datum> RowsOrKept(FunctionCallInfo fcinfo, const char* view,
                         const std::function<Status(RowBuilder*)>& body);

}  // namespace pitr::pg

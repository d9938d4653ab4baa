// What is asked before a scheduled snapshot is taken.
#pragma once

#include <optional>

#include "pg/operation_kinds.h"

namespace pitr::pg {

// Operation worker, with all WAL of before in the repository: the answer of the operation when none is to be taken, because the server ended right after
// it was ({"snapshot_id": …}), or because nothing was committed since the last one ({"skipped": why}). nullopt: one is to be taken.
Result<std::optional<Json>> AnswerWithoutSnapshot(const OperationContext& context,
                                                  const Json& request);

}  // namespace pitr::pg

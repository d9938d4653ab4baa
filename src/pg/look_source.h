// What is compared, by the grammar of source[@point] (features 4.1).
#pragma once

#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/types/ids.h"

namespace pitr::pg {

struct NamedPoint {
  std::string source;  // as it was written: "^self", "^parent", a name or an id
  BranchId branch;     // which that is
  std::string point;   // behind the '@'; empty for the head
  std::string text;    // the same point for HoldLook, whoever asks
};

// ^parent is that of `child`, else of the connected branch. kInvalidText, kInvalidArgument, kNoParent, kNotFound. THROWS ErrorInFlight.
Result<NamedPoint> NamePoint(const std::string& text, const std::optional<BranchId>& child);

}  // namespace pitr::pg

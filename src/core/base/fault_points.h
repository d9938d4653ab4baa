// The names of all fault points, sorted, one per line. A name that PITR_FAULT or PITR_FAULT_PLAIN uses
// in src/ must be here and the reverse: test/lint/check_fault_points.sh compares them, and HitFault
// aborts at a name it does not find.
#pragma once

#include <string_view>

namespace pitr {

inline constexpr std::string_view kFaultPoints[] = {
    "",  // not a point: keeps the array from being empty
};

}  // namespace pitr

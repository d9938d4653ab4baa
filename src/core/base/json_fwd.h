// The name alone, for headers that only mention it: the library itself is most of what a file that includes it costs to compile.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace pitr {

using Json = nlohmann::ordered_json;

}  // namespace pitr

// JSON documents: what is accepted is written again and must read the same, whatever its members are.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto json =
      pitr::ParseJson({reinterpret_cast<const char*>(data), size}, "fuzz.json", 1U << 20);
  if (!json.ok()) {
    return 0;
  }
  const std::string composed = pitr::DumpJson(*json);
  const auto again = pitr::ParseJson(composed, "fuzz.json");
  if (!again.ok() || pitr::DumpJson(*again) != composed) {
    std::abort();
  }
  // The accessors take any type in their stride.
  for (const auto& item : json->items()) {
    const std::string_view member = item.key();
    const bool is_text = pitr::JsonText(*json, member).ok();
    const bool is_integer = pitr::JsonInt(*json, member).ok() || pitr::JsonUint(*json, member).ok();
    const bool is_array = pitr::JsonArray(*json, member) != nullptr;
    const bool is_object = pitr::JsonObject(*json, member) != nullptr;
    if (is_text + is_integer + is_array + is_object + pitr::JsonBool(*json, member).ok() > 1) {
      std::abort();
    }
    (void)pitr::JsonOptionalText(*json, member);
    (void)pitr::JsonOptionalInt(*json, member);
  }
  return 0;
}

// Members of jobs that are more than a number or a text.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/result.h"
#include "core/types/lsn.h"

namespace pitr::tool {

inline Result<Lsn> JsonLsn(const Json& object, std::string_view member) {
  PITR_ASSIGN_OR_RETURN(const std::string text, JsonText(object, member));
  return Lsn::Parse(text);
}

inline Result<Timestamp> JsonTime(const Json& object, std::string_view member) {
  PITR_ASSIGN_OR_RETURN(const std::string text, JsonText(object, member));
  return ParseRfc3339(text);
}

template <typename Number>
Result<Number> JsonNumber(const Json& object, std::string_view member) {
  PITR_ASSIGN_OR_RETURN(const std::int64_t number, JsonInt(object, member));
  if (number < 0 || static_cast<std::uint64_t>(number) > std::numeric_limits<Number>::max()) {
    return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" is out of range");
  }
  return static_cast<Number>(number);
}

// Empty when it is absent.
inline Result<std::vector<std::string>> JsonTexts(const Json& object, std::string_view member) {
  std::vector<std::string> texts;
  const Json* list = JsonArray(object, member);
  if (list == nullptr) return texts;
  for (const Json& each : *list) {
    if (!each.is_string()) {
      return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" holds more than texts");
    }
    texts.push_back(each.get<std::string>());
  }
  return texts;
}

// `fallback` when it is absent or null.
template <typename Number>
Result<Number> JsonNumberOr(const Json& object, std::string_view member, Number fallback) {
  PITR_ASSIGN_OR_RETURN(const std::optional<std::int64_t> number, JsonOptionalInt(object, member));
  if (!number) {
    return fallback;
  }
  return JsonNumber<Number>(object, member);
}

}  // namespace pitr::tool

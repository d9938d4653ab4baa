// nlohmann-json behind strict accessors that never throw. Include this, not the library. Parsing has
// a size limit and needs an object at the top; a missing or mistyped member is one clear Status.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/json_fwd.h"
#include "core/base/result.h"

namespace pitr {

inline constexpr std::size_t kMaxJsonSize = 64U << 20;

// `what` names the document in errors ("repository.json"). kCorrupt when it does not parse, is no
// object or nests deeper than 64; kLimit when larger than `max_size`. Members of one object are searched
// one after the other: thousands of things belong into an array.
Result<Json> ParseJson(std::string_view text, std::string_view what,
                       std::size_t max_size = kMaxJsonSize);
// Invalid UTF-8 is replaced, never an exception. indent < 0: one line.
std::string DumpJson(const Json& json, int indent = -1);

// Members of an object: kCorrupt with the member's name when absent or of another type.
Result<std::string> JsonText(const Json& object, std::string_view member);
Result<std::int64_t> JsonInt(const Json& object, std::string_view member);
Result<std::uint64_t> JsonUint(const Json& object, std::string_view member);
Result<bool> JsonBool(const Json& object, std::string_view member);
// Absent or null gives nullopt / the default; another type is kCorrupt.
Result<std::optional<std::string>> JsonOptionalText(const Json& object, std::string_view member);
Result<std::optional<std::int64_t>> JsonOptionalInt(const Json& object, std::string_view member);
// The array member, or nullptr when it is absent or no array.
const Json* JsonArray(const Json& object, std::string_view member);
const Json* JsonObject(const Json& object, std::string_view member);

}  // namespace pitr

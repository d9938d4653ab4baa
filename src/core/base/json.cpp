// The only door to nlohmann-json's parser. The library is asked not to throw; what its writer and its
// copies do by recursion is made harmless by refusing deep nesting before parsing.
#include "core/base/json.h"

#include <limits>

namespace pitr {

namespace {

// Our documents nest less than 10 deep; a frame of the library's writer is some hundred bytes.
constexpr int kMaxDepth = 64;

// Counts brackets outside of strings. Text that is no JSON may be miscounted: the parser says so next.
bool NestsTooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); i++) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        i++;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) {
        return true;
      }
    } else if (c == ']' || c == '}') {
      depth--;
    }
  }
  return false;
}

// Null when `object` is no object or has no such member.
const Json* Find(const Json& object, std::string_view member) {
  if (!object.is_object()) {
    return nullptr;
  }
  const auto it = object.find(std::string(member));
  return it == object.end() ? nullptr : &*it;
}

Status Missing(std::string_view member) {
  return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" is missing");
}

Status Mistyped(std::string_view member, std::string_view wanted) {
  return Status(Code::kCorrupt,
                "member \"" + std::string(member) + "\" is not " + std::string(wanted));
}

Result<std::string> AsString(const Json& value, std::string_view member) {
  const auto* text = value.get_ptr<const Json::string_t*>();
  if (text == nullptr) {
    return Mistyped(member, "a text");
  }
  return *text;
}

Result<std::int64_t> AsInt(const Json& value, std::string_view member) {
  // The parser stores what has no sign as unsigned, whatever its size.
  if (const auto* number = value.get_ptr<const Json::number_unsigned_t*>()) {
    if (*number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return static_cast<std::int64_t>(*number);
    }
  } else if (const auto* negative = value.get_ptr<const Json::number_integer_t*>()) {
    return *negative;
  }
  return Mistyped(member, "an integer of 64 bits");
}

}  // namespace

Result<Json> ParseJson(std::string_view text, std::string_view what, std::size_t max_size) {
  if (text.size() > max_size) {
    return Status(Code::kLimit,
                  std::string(what) + " is larger than " + std::to_string(max_size) + " bytes");
  }
  if (NestsTooDeep(text)) {
    return Status(Code::kCorrupt, std::string(what) + " nests too deep");
  }
  Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return Status(Code::kCorrupt, std::string(what) + " is not valid JSON");
  }
  if (!json.is_object()) {
    return Status(Code::kCorrupt, std::string(what) + " is not a JSON object");
  }
  return json;
}

std::string DumpJson(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Result<std::string> JsonText(const Json& object, std::string_view member) {
  const Json* value = Find(object, member);
  return value == nullptr ? Missing(member) : AsString(*value, member);
}

Result<std::int64_t> JsonInt(const Json& object, std::string_view member) {
  const Json* value = Find(object, member);
  return value == nullptr ? Missing(member) : AsInt(*value, member);
}

Result<std::uint64_t> JsonUint(const Json& object, std::string_view member) {
  const Json* value = Find(object, member);
  if (value == nullptr) {
    return Missing(member);
  }
  if (const auto* number = value->get_ptr<const Json::number_unsigned_t*>()) {
    return *number;
  }
  // Built in memory, not parsed: `json["n"] = 5` stores a signed number.
  const auto* signed_number = value->get_ptr<const Json::number_integer_t*>();
  if (signed_number != nullptr && *signed_number >= 0) {
    return static_cast<std::uint64_t>(*signed_number);
  }
  return Mistyped(member, "a whole number of 64 bits");
}

Result<bool> JsonBool(const Json& object, std::string_view member) {
  const Json* value = Find(object, member);
  if (value == nullptr) {
    return Missing(member);
  }
  const auto* flag = value->get_ptr<const Json::boolean_t*>();
  if (flag == nullptr) {
    return Mistyped(member, "true or false");
  }
  return *flag;
}

Result<std::optional<std::string>> JsonOptionalText(const Json& object, std::string_view member) {
  const Json* value = Find(object, member);
  if (value == nullptr || value->is_null()) {
    return std::optional<std::string>();
  }
  PITR_ASSIGN_OR_RETURN(std::string text, AsString(*value, member));
  return std::optional<std::string>(std::move(text));
}

Result<std::optional<std::int64_t>> JsonOptionalInt(const Json& object, std::string_view member) {
  const Json* value = Find(object, member);
  if (value == nullptr || value->is_null()) {
    return std::optional<std::int64_t>();
  }
  PITR_ASSIGN_OR_RETURN(const std::int64_t number, AsInt(*value, member));
  return std::optional<std::int64_t>(number);
}

const Json* JsonArray(const Json& object, std::string_view member) {
  const Json* value = Find(object, member);
  return value != nullptr && value->is_array() ? value : nullptr;
}

const Json* JsonObject(const Json& object, std::string_view member) {
  const Json* value = Find(object, member);
  return value != nullptr && value->is_object() ? value : nullptr;
}

}  // namespace pitr

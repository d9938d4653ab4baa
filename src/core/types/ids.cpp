// Fresh ids and the rules for names that users give. Ids carry words and times for the reader's sake
// only; the 32 random bits (and, for the rest, the time) are what keeps them apart.
#include "core/types/ids.h"

#include <algorithm>
#include <iterator>

#include "core/base/clock.h"
#include "core/base/hash.h"

namespace pitr {

namespace {

// 32 of each, so that five random bits choose without bias.
constexpr std::string_view kAdjectives[] = {
    "amber", "bold",  "brave", "bright", "broad", "calm",   "clear", "cool",
    "crisp", "dark",  "deep",  "early",  "fair",  "firm",   "fresh", "gentle",
    "green", "keen",  "late",  "lively", "long",  "mellow", "noble", "pale",
    "plain", "proud", "quick", "quiet",  "round", "silent", "still", "warm",
};
constexpr std::string_view kNouns[] = {
    "bay",  "beach", "bird",  "brook",  "cedar",  "cloud", "coast", "dawn",
    "dew",  "dune",  "field", "fern",   "forest", "frost", "glade", "grove",
    "hill", "lake",  "leaf",  "meadow", "moon",   "moss",  "oak",   "pine",
    "pond", "rain",  "reed",  "river",  "sky",    "snow",  "star",  "stone",
};

bool IsLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsIdCharacter(char c) { return IsDigit(c) || (c >= 'a' && c <= 'z'); }

// "<prefix><yyyymmddThhmmss>-<8 hex>"
Result<std::string> NewTimedId(std::string_view prefix, std::int64_t unix_seconds) {
  PITR_ASSIGN_OR_RETURN(const Bytes random, RandomBytes(4));
  std::string id(prefix);
  for (const char c : FormatTime({unix_seconds * 1000000}, 0)) {
    if (IsDigit(c) || c == 'T') {
      id.push_back(c);
    }
  }
  return id + "-" + ToHex(random);
}

bool IsSnapshotId(std::string_view text) {
  constexpr std::string_view kShape = "sn-ddddddddTdddddd-xxxxxxxx";
  return text.size() == kShape.size() &&
         std::equal(text.begin(), text.end(), kShape.begin(), [](char c, char shape) {
           return shape == 'd' ? IsDigit(c) : shape == 'x' ? IsLowerHex(c) : c == shape;
         });
}

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// The code point at the front of `text`, which is removed; -1 when it is not valid UTF-8 (also the long
// forms, surrogates and what lies beyond U+10FFFF). REQUIRES: text is not empty.
std::int32_t TakeCodePoint(std::string_view* text) {
  const auto lead = static_cast<unsigned char>((*text)[0]);
  std::size_t size = 0;
  std::int32_t point = 0;
  std::int32_t smallest = 0;
  if (lead < 0x80) {
    size = 1, point = lead, smallest = 0;
  } else if ((lead & 0xE0) == 0xC0) {
    size = 2, point = lead & 0x1F, smallest = 0x80;
  } else if ((lead & 0xF0) == 0xE0) {
    size = 3, point = lead & 0x0F, smallest = 0x800;
  } else if ((lead & 0xF8) == 0xF0) {
    size = 4, point = lead & 0x07, smallest = 0x10000;
  }
  if (size == 0 || size > text->size()) {
    return -1;
  }
  for (std::size_t i = 1; i < size; i++) {
    if (!IsContinuation((*text)[i])) {
      return -1;
    }
    point = point << 6 | (static_cast<unsigned char>((*text)[i]) & 0x3F);
  }
  text->remove_prefix(size);
  const bool is_surrogate = point >= 0xD800 && point <= 0xDFFF;
  return point < smallest || point > 0x10FFFF || is_surrogate ? -1 : point;
}

// C0, DEL and C1.
bool IsControl(std::int32_t point) { return point < 0x20 || (point >= 0x7F && point < 0xA0); }

}  // namespace

Result<BranchId> NewBranchId() {
  PITR_ASSIGN_OR_RETURN(const Bytes random, RandomBytes(6));
  std::string id = "br-";
  id.append(kAdjectives[random[0] % std::size(kAdjectives)]).append("-");
  id.append(kNouns[random[1] % std::size(kNouns)]).append("-");
  return id + ToHex(ByteView(random).subspan(2));
}

Result<SnapshotId> NewSnapshotId(std::int64_t unix_seconds) {
  return NewTimedId("sn-", unix_seconds);
}

Result<OperationId> NewOperationId(std::int64_t unix_seconds) {
  return NewTimedId("op-", unix_seconds);
}

bool IsBranchId(std::string_view text) {
  if (text.size() > 60 || !text.starts_with("br-")) {
    return false;
  }
  text.remove_prefix(3);
  for (int group = 1; group <= 3; group++) {
    const auto end = std::find_if_not(text.begin(), text.end(), IsIdCharacter);
    if (end == text.begin()) {
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.begin()));
    if (group == 3) {
      return text.empty();
    }
    if (text.empty() || text[0] != '-') {
      return false;
    }
    text.remove_prefix(1);
  }
  return false;
}

Status CheckName(std::string_view name, std::string_view what) {
  // The name is repeated only once it is known to be printable.
  const auto invalid = [&](std::string_view why) {
    return Status(Code::kInvalidName, std::string(what).append(" name ").append(why));
  };
  const auto invalid_text = [&](std::string_view why) {
    return invalid("\"" + std::string(name) + "\" " + std::string(why));
  };
  if (name.empty()) {
    return invalid("is empty");
  }
  std::size_t count = 0;
  for (std::string_view rest = name; !rest.empty(); count++) {
    const std::int32_t point = TakeCodePoint(&rest);
    if (point < 0) {
      return invalid("is not valid UTF-8");
    }
    if (IsControl(point)) {
      return invalid("contains a control character");
    }
  }
  if (count > 256) {
    return Status(Code::kNameTooLong, std::string(what) + " name has " + std::to_string(count) +
                                          " characters, more than 256");
  }
  if (name.front() == ' ' || name.back() == ' ') {
    return invalid_text("begins or ends with a blank");
  }
  if (name.front() == '^') {
    return invalid_text("begins with \"^\"");
  }
  if (IsBranchId(name) || IsSnapshotId(name)) {
    return invalid_text("has the shape of an id");
  }
  return Status::Ok();
}

std::string CutCodePoints(std::string_view text, std::size_t count) {
  std::size_t end = 0;
  for (; end < text.size(); end++) {
    if (!IsContinuation(text[end])) {
      if (count == 0) {
        break;
      }
      count--;
    }
  }
  return std::string(text.substr(0, end));
}

}  // namespace pitr

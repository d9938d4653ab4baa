// Text form of an LSN. Parsed as the server does (pg_lsn.c, 15): one to eight hex digits per side.
#include "core/types/lsn.h"

#include <cstdio>

namespace pitr {

namespace {

bool ParseHalf(std::string_view text, std::uint64_t* out) {
  if (text.empty() || text.size() > 8) {
    return false;
  }
  std::uint64_t value = 0;
  for (const char c : text) {
    unsigned digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<unsigned>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<unsigned>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<unsigned>(c - 'A' + 10);
    } else {
      return false;
    }
    value = value << 4 | digit;
  }
  *out = value;
  return true;
}

bool ParseLsn(std::string_view text, Lsn* out) {
  const std::size_t slash = text.find('/');
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  if (slash == std::string_view::npos || !ParseHalf(text.substr(0, slash), &high) ||
      !ParseHalf(text.substr(slash + 1), &low)) {
    return false;
  }
  out->value = high << 32 | low;
  return true;
}

}  // namespace

std::string Lsn::ToString() const {
  char buffer[24];
  const int size = std::snprintf(buffer, sizeof buffer, "%X/%X", static_cast<unsigned>(value >> 32),
                                 static_cast<unsigned>(value & 0xFFFFFFFFU));
  return std::string(buffer, static_cast<std::size_t>(size));
}

Result<Lsn> Lsn::Parse(std::string_view text) {
  Lsn lsn;
  if (!ParseLsn(text, &lsn)) {
    return Status(Code::kInvalidText, "invalid LSN \"" + std::string(text) + "\"");
  }
  return lsn;
}

bool Lsn::LooksLikeLsn(std::string_view text) {
  Lsn ignored;
  return ParseLsn(text, &ignored);
}

}  // namespace pitr

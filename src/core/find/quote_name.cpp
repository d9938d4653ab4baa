#include <algorithm>
#include <cctype>

#include "core/find/transaction.h"

namespace pitr::find {

namespace {

// The length of the UTF-8 sequence at `text`; 0 when there is none. Overlong forms and surrogates are no names.
std::size_t SequenceAt(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t size = lead < 0x80   ? 1
                           : lead < 0xC2 ? 0
                           : lead < 0xE0 ? 2
                           : lead < 0xF0 ? 3
                           : lead < 0xF5 ? 4
                                         : 0;
  if (size == 0 || text.size() < size) {
    return 0;
  }
  for (std::size_t i = 1; i < size; i++) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
      return 0;
    }
  }
  const auto second = size > 1 ? static_cast<unsigned char>(text[1]) : 0;
  const bool is_bad = (lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
                      (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F);
  return is_bad ? 0 : size;
}

}  // namespace

std::string QuoteName(std::string_view name) {
  std::string clean;
  bool is_plain = !name.empty() && (std::islower(static_cast<unsigned char>(name[0])) != 0 ||
                                    name[0] == '_' || static_cast<unsigned char>(name[0]) >= 0x80);
  while (!name.empty()) {
    const std::size_t size = SequenceAt(name);
    const auto lead = static_cast<unsigned char>(name[0]);
    if (size == 0) {
      clean += '?';
    } else {
      clean += name.substr(0, size);
      is_plain = is_plain && (lead >= 0x80 || std::islower(lead) != 0 || std::isdigit(lead) != 0 ||
                              lead == '_' || lead == '$');
      if (lead == '"') {
        clean += '"';
      }
    }
    name.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return is_plain || clean.empty() ? clean : "\"" + clean + "\"";
}

}  // namespace pitr::find

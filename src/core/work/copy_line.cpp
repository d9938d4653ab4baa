#include "core/work/copy_line.h"

#include <cstring>

namespace pitr {

namespace {

char Meaning(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    default:
      return c;
  }
}

// What stands between `begin` and `end`, without its backslashes and with a zero behind it. REQUIRES: *end may be written.
const char* Unescape(char* begin, char* end) {
  if (end - begin == 2 && begin[0] == '\\' && begin[1] == 'N') return nullptr;
  char* out = static_cast<char*>(std::memchr(begin, '\\', static_cast<std::size_t>(end - begin)));
  if (out == nullptr) {
    *end = '\0';
    return begin;
  }
  for (const char* in = out; in < end; in++) {
    const bool is_escaped = *in == '\\' && in + 1 < end;
    if (is_escaped) in++;
    *out++ = is_escaped ? Meaning(*in) : *in;
  }
  *out = '\0';
  return begin;
}

}  // namespace

void SplitCopyLine(std::string* line, std::vector<const char*>* values) {
  values->clear();
  if (!line->empty() && line->back() == '\n') line->pop_back();
  char* begin = line->data();
  char* const last = begin + line->size();
  for (;;) {
    // A tab in a value has a backslash, and is written as a letter.
    auto* tab =
        static_cast<char*>(std::memchr(begin, '\t', static_cast<std::size_t>(last - begin)));
    char* const end = tab == nullptr ? last : tab;
    values->push_back(Unescape(begin, end));
    if (tab == nullptr) return;
    begin = tab + 1;
  }
}

}  // namespace pitr

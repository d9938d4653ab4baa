// Text in ASCII, whatever the locale: names of headers and settings, lines of small files, messages of others.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace pitr {

std::string ToLowerAscii(std::string_view text);
// Without blanks and line ends at both ends.
std::string_view Trimmed(std::string_view text);
// Not empty, and nothing in it but the visible characters '!' to '~'.
bool IsVisibleAscii(std::string_view text);
// What stands between commas, trimmed; empty parts are left out.
std::vector<std::string> SplitAtCommas(std::string_view text);
// Nothing in it but characters of the sets.
bool IsMadeOf(std::string_view text, std::initializer_list<std::string_view> sets);

}  // namespace pitr

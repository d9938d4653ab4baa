// A script of SQL, cut into what is sent to a server one by one, as psql does it (psqlscan.l): quotes, comments, parentheses and the bodies of SQL
// functions are understood, the rest is the server's to judge. Pure text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace pitr {

struct ScriptStatement {
  int line = 1;          // of its first word, from 1
  std::string text;      // without the closing semicolon
  std::string database;  // of a line "\connect NAME": then there is no text
};

// kInvalidArgument with the line: another line that begins with a backslash, a quote or comment that does not end.
Result<std::vector<ScriptStatement>> SplitScript(std::string_view script);

// The line of a character (from 1, as the server counts them) of a text in UTF-8 that begins in line `first`.
int LineOfPosition(std::string_view text, int first, int position);

}  // namespace pitr

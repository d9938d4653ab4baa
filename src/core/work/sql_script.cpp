#include "core/work/sql_script.h"

#include <algorithm>
#include <optional>

#include "core/base/ascii.h"

namespace pitr {

namespace {

bool IsWordStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}
bool IsWordPart(char c) { return IsWordStart(c) || (c >= '0' && c <= '9') || c == '$'; }
bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

class Splitter {
 public:
  explicit Splitter(std::string_view script) : script_(script) {}

  Result<std::vector<ScriptStatement>> Split() {
    while (at_ < script_.size()) {
      PITR_RETURN_IF_ERROR(Next());
    }
    End();
    return std::move(statements_);
  }

 private:
  char Peek(std::size_t ahead = 0) const {
    return at_ + ahead < script_.size() ? script_[at_ + ahead] : '\0';
  }

  void Advance(std::size_t count) {
    for (; count > 0 && at_ < script_.size(); count--) {
      line_ += script_[at_++] == '\n' ? 1 : 0;
    }
  }

  void Begin() {
    if (!begin_) {
      begin_ = at_;
      begin_line_ = line_;
    }
  }

  void End() {
    if (begin_) {
      std::string_view text = script_.substr(*begin_, at_ - *begin_);
      statements_.push_back({begin_line_, std::string(Trimmed(text)), ""});
    }
    begin_.reset();
    words_.clear();
    parentheses_ = blocks_ = 0;
  }

  Status Unended(const char* what, int line) const {
    return Status(Code::kInvalidArgument, std::string(what) + " that begins in line " +
                                              std::to_string(line) + " of the script does not end");
  }

  Status Next() {
    const char c = Peek();
    if (IsBlank(c)) {
      Advance(1);
      return Status::Ok();
    }
    if (c == '-' && Peek(1) == '-') {
      Advance(std::min(script_.find('\n', at_), script_.size()) - at_);
      return Status::Ok();
    }
    if (c == '/' && Peek(1) == '*') {
      return Comment();
    }
    if (c == '\\' && !begin_) {
      return Command();
    }
    if (c == ';' && parentheses_ == 0 && blocks_ == 0) {
      End();
      Advance(1);
      return Status::Ok();
    }
    Begin();
    return Token(c);
  }

  Status Token(char c) {
    if (c == '\'') {
      return Quoted('\'', false, "a quoted text");
    }
    if (c == '"') {
      return Quoted('"', false, "a quoted name");
    }
    if (c == '$') {
      return Dollar();
    }
    if (IsWordStart(c)) {
      return Word();
    }
    if (c >= '0' && c <= '9') {
      while (IsWordPart(Peek())) {
        Advance(1);
      }
      return Status::Ok();
    }
    parentheses_ += c == '(' ? 1 : 0;
    parentheses_ -= c == ')' && parentheses_ > 0 ? 1 : 0;
    Advance(1);
    return Status::Ok();
  }

  Status Comment() {
    const int line = line_;
    int depth = 0;
    do {
      if (at_ >= script_.size()) {
        return Unended("a comment", line);
      }
      const bool opens = Peek() == '/' && Peek(1) == '*', closes = Peek() == '*' && Peek(1) == '/';
      depth += opens ? 1 : 0;
      depth -= closes ? 1 : 0;
      Advance(opens || closes ? 2 : 1);
    } while (depth > 0);
    return Status::Ok();
  }

  // A doubled quote is two quoted texts in a row, which comes to the same.
  Status Quoted(char quote, bool has_escapes, const char* what) {
    const int line = line_;
    Advance(1);
    while (at_ < script_.size()) {
      if (has_escapes && Peek() == '\\') {
        Advance(2);
      } else if (Peek() == quote) {
        Advance(1);
        return Status::Ok();
      } else {
        Advance(1);
      }
    }
    return Unended(what, line);
  }

  Status Dollar() {
    std::size_t end = at_ + 1;
    if (end < script_.size() && IsWordStart(script_[end])) {
      while (end < script_.size() && IsWordPart(script_[end]) && script_[end] != '$') {
        end++;
      }
    }
    if (end >= script_.size() || script_[end] != '$') {
      Advance(1);  // $1, or nothing that we know
      return Status::Ok();
    }
    const int line = line_;
    const std::string_view tag = script_.substr(at_, end + 1 - at_);
    const std::size_t close = script_.find(tag, end + 1);
    if (close == std::string_view::npos) {
      return Unended("a quoted text", line);
    }
    Advance(close + tag.size() - at_);
    return Status::Ok();
  }

  Status Word() {
    const std::size_t from = at_;
    while (IsWordPart(Peek())) {
      Advance(1);
    }
    const std::string word = ToLowerAscii(script_.substr(from, at_ - from));
    if (word == "e" && Peek() == '\'') {
      return Quoted('\'', true, "a quoted text");
    }
    CountBlocks(word);
    if (words_.size() < 4) {
      words_.push_back(word);
    }
    return Status::Ok();
  }

  bool MakesRoutine() const {
    const auto is_routine = [this](std::size_t at) {
      return at < words_.size() && (words_[at] == "function" || words_[at] == "procedure");
    };
    return !words_.empty() && words_[0] == "create" &&
           (is_routine(1) ||
            (words_.size() > 2 && words_[1] == "or" && words_[2] == "replace" && is_routine(3)));
  }

  // BEGIN ATOMIC … END, with CASE … END inside.
  void CountBlocks(const std::string& word) {
    if (!MakesRoutine() || parentheses_ > 0) {
      return;
    }
    if (word == "begin" || (word == "case" && blocks_ > 0)) {
      blocks_++;
    } else if (word == "end" && blocks_ > 0) {
      blocks_--;
    }
  }

  Status Command() {
    const int line = line_;
    const std::size_t end = std::min(script_.find('\n', at_), script_.size());
    const std::string_view text = Trimmed(script_.substr(at_, end - at_));
    const std::size_t blank = std::min(text.find_first_of(" \t"), text.size());
    const std::string_view command = text.substr(0, blank);
    std::string_view name = Trimmed(text.substr(blank));
    if ((command != "\\connect" && command != "\\c") || name.empty()) {
      return Status(Code::kInvalidArgument, "line " + std::to_string(line) +
                                                " of the script is neither SQL nor "
                                                "\"\\connect database\"");
    }
    if (name.size() >= 2 && name.front() == '"' && name.back() == '"') {
      name = name.substr(1, name.size() - 2);
    }
    statements_.push_back({line, "", std::string(name)});
    Advance(end - at_);
    return Status::Ok();
  }

  const std::string_view script_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::optional<std::size_t> begin_;
  int begin_line_ = 1;
  int parentheses_ = 0, blocks_ = 0;
  std::vector<std::string> words_;  // the first ones of the statement
  std::vector<ScriptStatement> statements_;
};

}  // namespace

Result<std::vector<ScriptStatement>> SplitScript(std::string_view script) {
  return Splitter(script).Split();
}

int LineOfPosition(std::string_view text, int first, int position) {
  int line = first;
  for (const char c : text) {
    // Bytes that go on with a character do not count.
    if ((c & 0xC0) != 0x80 && --position <= 0) {
      break;
    }
    line += c == '\n' ? 1 : 0;
  }
  return line;
}

}  // namespace pitr

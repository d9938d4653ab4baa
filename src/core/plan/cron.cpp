#include "core/plan/cron.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "core/base/ascii.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxLength = 1000;

struct FieldKind {
  std::string_view name;
  unsigned min, max;
  std::string_view names;  // three letters each
};
constexpr std::array<FieldKind, 5> kFields = {{
    {"minute", 0, 59, ""},
    {"hour", 0, 23, ""},
    {"day of the month", 1, 31, ""},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {"day of the week", 0, 7, "sunmontuewedthufrisat"},
}};
constexpr std::size_t kDayField = 2, kWeekdayField = 4;

struct Macro {
  std::string_view name, text;
};
constexpr std::array<Macro, 7> kMacros = {{
    {"@hourly", "0 * * * *"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
}};

bool IsBlank(char c) { return c == ' ' || c == '\t'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

Status Wrong(std::string_view text, std::size_t at, const std::string& what) {
  return Status(Code::kInvalidArgument, "cron expression \"" + std::string(text) + "\": " + what +
                                            " at position " + std::to_string(at + 1))
      .WithHint(
          "Five fields are wanted: minute, hour, day of the month, month, day of the week, as in "
          "\"0 5 * * 1-5\".");
}

// One field: text[at, end).
class FieldReader {
 public:
  FieldReader(std::string_view text, std::size_t at, std::size_t end, const FieldKind& kind)
      : text_(text), at_(at), end_(end), kind_(kind) {}

  Result<std::uint64_t> Read() {
    std::uint64_t bits = 0;
    do {
      PITR_RETURN_IF_ERROR(ReadPart(&bits));
    } while (Accept(','));
    if (at_ < end_) {
      return Wrong(text_, at_, "\"" + Word() + "\" is not expected");
    }
    // 7 is Sunday as well.
    return kind_.max == 7 && (bits >> 7 & 1) != 0 ? (bits | 1) & 0x7F : bits;
  }

 private:
  bool Accept(char c) {
    if (at_ == end_ || text_[at_] != c) {
      return false;
    }
    at_++;
    return true;
  }

  // What stands here up to the next sign, for messages. REQUIRES: not at the end.
  std::string Word() const {
    std::size_t behind = at_;
    while (behind < end_ && (IsDigit(text_[behind]) || IsLetter(text_[behind]))) {
      behind++;
    }
    // Another sign, all bytes of it.
    for (behind = std::max(behind, at_ + 1); behind < end_ && IsContinuation(text_[behind]);) {
      behind++;
    }
    return std::string(text_.substr(at_, behind - at_));
  }

  Status CheckRange(std::size_t at, const std::string& what, std::uint64_t value, unsigned min,
                    unsigned max) const {
    if (min <= value && value <= max) {
      return Status::Ok();
    }
    return Wrong(text_, at, what + " is not in " + std::to_string(min) + "-" + std::to_string(max));
  }

  Result<unsigned> ReadNumber(const std::string& what, unsigned min, unsigned max) {
    const std::size_t at = at_;
    if (at_ == end_) {
      return Wrong(text_, at_, what + " is missing");
    }
    const std::string word = Word();
    std::uint64_t value = 0;
    while (at_ < end_ && IsDigit(text_[at_])) {
      value = std::min<std::uint64_t>(value * 10 + static_cast<unsigned>(text_[at_++] - '0'), 9999);
    }
    if (at_ == at || at_ - at != word.size()) {
      return Wrong(text_, at, what + " \"" + word + "\" is not a number");
    }
    PITR_RETURN_IF_ERROR(CheckRange(at, what + " " + word, value, min, max));
    return static_cast<unsigned>(value);
  }

  Result<unsigned> ReadValue() {
    const std::string what(kind_.name);
    if (at_ == end_ || !IsLetter(text_[at_]) || kind_.names.empty()) {
      return ReadNumber(what, kind_.min, kind_.max);
    }
    const std::string word = ToLowerAscii(Word());
    const std::size_t found = word.size() == 3 ? kind_.names.find(word) : std::string_view::npos;
    if (found == std::string_view::npos || found % 3 != 0) {
      return Wrong(text_, at_, what + " \"" + Word() + "\" is not known");
    }
    at_ += word.size();
    return static_cast<unsigned>(found / 3) + kind_.min;
  }

  Status ReadPart(std::uint64_t* bits) {
    const std::size_t begin = at_;
    unsigned first = kind_.min, last = kind_.max == 7 ? 6 : kind_.max;
    const bool is_all = Accept('*');
    bool is_range = is_all;
    if (!is_all) {
      PITR_ASSIGN_OR_RETURN(first, ReadValue());
      last = first;
      is_range = Accept('-');
    }
    if (is_range && !is_all) {
      PITR_ASSIGN_OR_RETURN(last, ReadValue());
      // "sat-sun" ends with the Sunday behind.
      last = kind_.max == 7 && last == 0 && first > 0 ? 7 : last;
      if (last < first) {
        return Wrong(
            text_, begin,
            "range " + std::string(text_.substr(begin, at_ - begin)) + " ends before it begins");
      }
    }
    unsigned step = 1;
    if (Accept('/')) {
      PITR_ASSIGN_OR_RETURN(step, ReadNumber("step", 1, kind_.max));
      last = is_range ? last : kind_.max == 7 ? 6 : kind_.max;
    }
    for (unsigned value = first; value <= last; value += step) {
      *bits |= std::uint64_t{1} << value;
    }
    return Status::Ok();
  }

  const std::string_view text_;
  std::size_t at_;
  const std::size_t end_;
  const FieldKind& kind_;
};

struct Range {
  std::size_t begin, end;
};

std::vector<Range> SplitAtBlanks(std::string_view text) {
  std::vector<Range> fields;
  for (std::size_t at = 0; at < text.size();) {
    if (IsBlank(text[at])) {
      at++;
      continue;
    }
    const std::size_t begin = at;
    while (at < text.size() && !IsBlank(text[at])) {
      at++;
    }
    fields.push_back({begin, at});
  }
  return fields;
}

Result<ScheduleRule> ParseMacro(std::string_view text, const Range& word) {
  const std::string name = ToLowerAscii(text.substr(word.begin, word.end - word.begin));
  for (const Macro& macro : kMacros) {
    if (macro.name == name) {
      return ParseCron(macro.text);
    }
  }
  return Wrong(text, word.begin, "\"" + name + "\" is not known");
}

}  // namespace

Result<ScheduleRule> ParseCron(std::string_view text) {
  if (text.size() > kMaxLength) {
    return Status(Code::kInvalidArgument, "a cron expression of " + std::to_string(text.size()) +
                                              " characters is too long");
  }
  const std::vector<Range> fields = SplitAtBlanks(text);
  if (fields.size() == 1 && text[fields[0].begin] == '@') {
    return ParseMacro(text, fields[0]);
  }
  if (fields.size() < kFields.size()) {
    return Wrong(text, text.size(), std::string(kFields[fields.size()].name) + " is missing");
  }
  std::array<std::uint64_t, kFields.size()> bits = {};
  for (std::size_t i = 0; i < kFields.size(); i++) {
    FieldReader reader(text, fields[i].begin, fields[i].end, kFields[i]);
    PITR_ASSIGN_OR_RETURN(bits[i], reader.Read());
  }
  if (fields.size() > kFields.size()) {
    return Wrong(text, fields[kFields.size()].begin, "a sixth field is not expected");
  }
  ScheduleRule rule;
  rule.minutes = bits[0];
  rule.hours = static_cast<std::uint32_t>(bits[1]);
  rule.days = static_cast<std::uint32_t>(bits[kDayField]);
  rule.months = static_cast<std::uint32_t>(bits[3]);
  rule.weekdays = static_cast<std::uint32_t>(bits[kWeekdayField]);
  rule.is_either_day =
      text[fields[kDayField].begin] != '*' && text[fields[kWeekdayField].begin] != '*';
  if (!rule.Next({}, Utc())) {
    return Wrong(text, fields[kDayField].begin, "a day that never comes");
  }
  return rule;
}

}  // namespace pitr

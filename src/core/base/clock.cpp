// Calendar arithmetic on the proleptic Gregorian calendar, and the system's clock. Done by hand because
// the C library's own goes through time zones and locales, and C++20's parsing is not in g++ 12.
#include "core/base/clock.h"

#include <time.h>

#include <cstdio>
#include <new>

namespace pitr {

namespace {

constexpr std::int64_t kMicrosPerSecond = 1000000;
constexpr std::int64_t kSecondsPerDay = 86400;

struct Date {
  std::int64_t year;
  unsigned month, day;  // from 1
};

// Both directions count years from 1 March, so that the leap day is the last of its year, in eras of
// 400 years = 146097 days; day 0 of era 0 is 0000-03-01, which is 719468 days before 1970-01-01.
constexpr std::int64_t kDaysPerEra = 146097;
constexpr std::int64_t kEpochShift = 719468;

std::int64_t DaysOfDate(Date date) {
  const std::int64_t year = date.year - (date.month <= 2 ? 1 : 0);
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t month_from_march = (date.month + 9) % 12;
  const std::int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
  const std::int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * kDaysPerEra + day_of_era - kEpochShift;
}

Date DateOfDays(std::int64_t days) {
  days += kEpochShift;
  const std::int64_t era = (days >= 0 ? days : days - (kDaysPerEra - 1)) / kDaysPerEra;
  const std::int64_t day_of_era = days - era * kDaysPerEra;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t month_from_march = (5 * day_of_year + 2) / 153;
  const auto day = static_cast<unsigned>(day_of_year - (153 * month_from_march + 2) / 5 + 1);
  const auto month =
      static_cast<unsigned>(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

unsigned DaysInMonth(std::int64_t year, unsigned month) {
  constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && is_leap ? 29 : kDays[month - 1];
}

std::int64_t FloorDivide(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// Reads fixed shapes from the front of a text; sticky-bad like ByteReader.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  unsigned Digits(std::size_t count) {
    unsigned value = 0;
    for (std::size_t i = 0; i < count; i++) {
      if (!NextIsDigit()) {
        ok_ = false;
        return 0;
      }
      value = value * 10 + static_cast<unsigned>(text_[pos_++] - '0');
    }
    return value;
  }
  void Expect(char c) { ok_ = Accept(c) && ok_; }
  bool Accept(char c) {
    if (!ok_ || pos_ >= text_.size() || text_[pos_] != c) {
      return false;
    }
    pos_++;
    return true;
  }
  bool NextIsDigit() const {
    return ok_ && pos_ < text_.size() && text_[pos_] >= '0' && text_[pos_] <= '9';
  }
  bool AtEnd() const { return ok_ && pos_ == text_.size(); }
  bool ok() const { return ok_; }

 private:
  std::string_view text_;
  std::size_t pos_ = 0;
  bool ok_ = true;
};

// One to six digits as microseconds. The caller has seen the point.
std::int64_t ScanFraction(Scanner* in) {
  std::int64_t micros = in->Digits(1);
  int digits = 1;
  for (; digits < 6 && in->NextIsDigit(); digits++) {
    micros = micros * 10 + in->Digits(1);
  }
  for (; digits < 6; digits++) {
    micros *= 10;
  }
  return micros;
}

// Seconds east of Greenwich; false when it is no zone.
bool ScanZone(Scanner* in, std::int64_t* offset) {
  *offset = 0;
  if (in->Accept('Z')) {
    return true;
  }
  const bool west = in->Accept('-');
  if (!west) {
    in->Expect('+');
  }
  const std::int64_t hours = in->Digits(2);
  in->Expect(':');
  const std::int64_t minutes = in->Digits(2);
  *offset = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
  return in->ok() && hours <= 23 && minutes <= 59;
}

bool ScanTime(std::string_view text, Timestamp* out) {
  Scanner in(text);
  Date date;
  date.year = in.Digits(4);
  in.Expect('-');
  date.month = in.Digits(2);
  in.Expect('-');
  date.day = in.Digits(2);
  in.Expect('T');
  const std::int64_t hour = in.Digits(2);
  in.Expect(':');
  const std::int64_t minute = in.Digits(2);
  in.Expect(':');
  const std::int64_t second = in.Digits(2);
  const std::int64_t micros = in.Accept('.') ? ScanFraction(&in) : 0;
  std::int64_t offset = 0;
  if (!ScanZone(&in, &offset) || !in.AtEnd()) {
    return false;
  }
  // The year 0000 does not exist for the server either; it knows 1 BC instead.
  if (date.year == 0 || date.month < 1 || date.month > 12 || date.day < 1 ||
      date.day > DaysInMonth(date.year, date.month) || hour > 23 || minute > 59 || second > 59) {
    return false;
  }
  const std::int64_t seconds =
      DaysOfDate(date) * kSecondsPerDay + hour * 3600 + minute * 60 + second - offset;
  out->micros = seconds * kMicrosPerSecond + micros;
  return true;
}

class RealClock final : public Clock {
 public:
  Timestamp Now() const noexcept override {
    struct timespec ts = {};
    ::clock_gettime(CLOCK_REALTIME, &ts);
    return {static_cast<std::int64_t>(ts.tv_sec) * kMicrosPerSecond + ts.tv_nsec / 1000};
  }
  std::int64_t MonotonicMillis() const noexcept override {
    struct timespec ts = {};
    ::clock_gettime(CLOCK_MONOTONIC, &ts);
    return static_cast<std::int64_t>(ts.tv_sec) * 1000 + ts.tv_nsec / 1000000;
  }
};

}  // namespace

std::string FormatTime(Timestamp t, int fraction) {
  const std::int64_t seconds = FloorDivide(t.micros, kMicrosPerSecond);
  const std::int64_t days = FloorDivide(seconds, kSecondsPerDay);
  const Date date = DateOfDays(days);
  const auto second_of_day = static_cast<int>(seconds - days * kSecondsPerDay);
  char buffer[64];
  int size = std::snprintf(buffer, sizeof buffer, "%04lld-%02u-%02uT%02d:%02d:%02d",
                           static_cast<long long>(date.year), date.month, date.day,
                           second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
  std::string text(buffer, static_cast<std::size_t>(size));
  if (fraction > 0) {
    size = std::snprintf(buffer, sizeof buffer, ".%06d",
                         static_cast<int>(t.micros - seconds * kMicrosPerSecond));
    text.append(buffer, static_cast<std::size_t>(fraction < 6 ? 1 + fraction : size));
  }
  text.push_back('Z');
  return text;
}

Result<Timestamp> ParseRfc3339(std::string_view text) {
  Timestamp time;
  if (!ScanTime(text, &time)) {
    return Status(Code::kInvalidTime, "invalid time \"" + std::string(text) + "\"")
        .WithHint("A time looks like 2026-03-25T10:00:00Z or 2026-03-25T12:00:00.5+02:00.");
  }
  return time;
}

const Clock& SystemClock() {
  // Never destroyed, so that nothing is registered to run at the exit of a server process.
  alignas(RealClock) static unsigned char storage[sizeof(RealClock)];
  static const Clock* const clock = new (storage) RealClock();
  return *clock;
}

}  // namespace pitr

#include "core/base/clock.h"

#include <gtest/gtest.h>
#include <time.h>

#include <cstdlib>

namespace pitr {
namespace {

constexpr std::int64_t kSecond = 1000000;

std::int64_t MicrosOf(std::string_view text) {
  const Result<Timestamp> time = ParseRfc3339(text);
  EXPECT_TRUE(time.ok()) << text << ": " << time.status().ToString();
  return time.ok() ? time->micros : -1;
}

TEST(ClockTest, FormatsKnownMoments) {
  EXPECT_EQ(FormatTime({0}, 0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(FormatTime({951782400 * kSecond}, 0), "2000-02-29T00:00:00Z");
  EXPECT_EQ(FormatTime({-1}), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(FormatTime(FromPostgresTime(0), 0), "2000-01-01T00:00:00Z");
  EXPECT_EQ(ToPostgresTime(FromPostgresTime(-5)), -5);
}

TEST(ClockTest, CutsTheFractionInsteadOfRounding) {
  const Timestamp time = {1999999};
  EXPECT_EQ(FormatTime(time, 0), "1970-01-01T00:00:01Z");
  EXPECT_EQ(FormatTime(time, 3), "1970-01-01T00:00:01.999Z");
  EXPECT_EQ(FormatTime(time, 6), "1970-01-01T00:00:01.999999Z");
  EXPECT_EQ(FormatTime({10}, 1), "1970-01-01T00:00:00.0Z");
}

TEST(ClockTest, AgreesWithTheCLibraryOverFourCenturies) {
  // A step of 11.57 days and some, from 1800 to 2200.
  for (std::int64_t second = -5364662400; second < 7258118400; second += 1000003) {
    const time_t t = static_cast<time_t>(second);
    struct tm parts = {};
    ASSERT_NE(::gmtime_r(&t, &parts), nullptr);
    char expected[64];
    ASSERT_GT(::strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%SZ", &parts), 0U);
    ASSERT_EQ(FormatTime({second * kSecond}, 0), expected);
    ASSERT_EQ(MicrosOf(expected), second * kSecond);
  }
}

TEST(ClockTest, ParsesZonesAndFractions) {
  const std::int64_t noon = MicrosOf("2026-03-25T12:00:00Z");
  EXPECT_EQ(noon, 1774440000 * kSecond);
  EXPECT_EQ(MicrosOf("2026-03-25T14:00:00+02:00"), noon);
  EXPECT_EQ(MicrosOf("2026-03-25T06:30:00-05:30"), noon);
  EXPECT_EQ(MicrosOf("2026-03-26T02:00:00+14:00"), noon);
  EXPECT_EQ(MicrosOf("2026-03-25T12:00:00.5Z"), noon + 500000);
  EXPECT_EQ(MicrosOf("2026-03-25T12:00:00.000001-00:00"), noon + 1);
  EXPECT_EQ(MicrosOf("1969-12-31T23:59:59.5Z"), -500000);
}

TEST(ClockTest, ParsesTheFirstAndLastYears) {
  EXPECT_EQ(FormatTime({MicrosOf("0001-01-01T00:00:00Z")}, 0), "0001-01-01T00:00:00Z");
  EXPECT_EQ(FormatTime({MicrosOf("9999-12-31T23:59:59.999999Z")}), "9999-12-31T23:59:59.999999Z");
  EXPECT_EQ(FormatTime({MicrosOf("2000-02-29T00:00:00Z")}, 0), "2000-02-29T00:00:00Z");
  EXPECT_EQ(FormatTime({MicrosOf("2024-02-29T23:59:59Z")}, 0), "2024-02-29T23:59:59Z");
}

TEST(ClockTest, RefusesWhatIsNoStrictTimeNamingTheText) {
  for (const char* text : {"",
                           "now",
                           "2026-03-25",
                           "2026-03-25 12:00:00Z",
                           "2026-03-25t12:00:00Z",
                           "2026-03-25T12:00:00z",
                           "2026-03-25T12:00:00",
                           "2026-03-25T12:00Z",
                           "2026-3-25T12:00:00Z",
                           "2026-03-25T12:00:00.Z",
                           "2026-03-25T12:00:00.1234567Z",
                           "2026-03-25T12:00:00+2:00",
                           "2026-03-25T12:00:00+0200",
                           "2026-03-25T12:00:00+24:00",
                           "2026-03-25T12:00:00+02:60",
                           "2026-03-25T12:00:00ZZ",
                           " 2026-03-25T12:00:00Z",
                           "2026-03-25T12:00:00Z ",
                           "+026-03-25T12:00:00Z",
                           "12026-03-25T12:00:00Z",
                           "2026-03-25T12:00:00,5Z"}) {
    const Result<Timestamp> time = ParseRfc3339(text);
    ASSERT_FALSE(time.ok()) << text;
    EXPECT_EQ(time.status().code(), Code::kInvalidTime);
    EXPECT_NE(time.status().message().find('"' + std::string(text) + '"'), std::string::npos);
  }
}

TEST(ClockTest, RefusesDatesAndTimesThatDoNotExist) {
  for (const char* text : {"2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
                           "2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-00T00:00:00Z",
                           "2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
                           "2026-12-31T23:59:60Z", "0000-01-01T00:00:00Z"}) {
    EXPECT_FALSE(ParseRfc3339(text).ok()) << text;
  }
}

TEST(ClockTest, SystemClockAgreesWithTheCLibraryAndNeverRunsBackwards) {
  const Clock& clock = SystemClock();
  const std::int64_t seconds = clock.Now().micros / kSecond;
  EXPECT_LE(std::llabs(seconds - static_cast<std::int64_t>(::time(nullptr))), 2);
  const std::int64_t first = clock.MonotonicMillis();
  EXPECT_GE(clock.MonotonicMillis(), first);
  EXPECT_EQ(&clock, &SystemClock());
}

}  // namespace
}  // namespace pitr

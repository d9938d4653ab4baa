#include "core/plan/point.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

constexpr Timestamp kNow{1795176000000000};  // 2026-11-20T12:00:00Z

bool IsBranch(std::string_view name) { return name == "main" || name == "me@home"; }

Result<SourcePoint> Parse(std::string_view text) { return ParseSourcePoint(text, IsBranch, kNow); }

SourcePoint Parsed(std::string_view text) {
  const Result<SourcePoint> result = Parse(text);
  EXPECT_TRUE(result.ok()) << text << ": " << result.status().ToString();
  return result.ok() ? *result : SourcePoint();
}

TEST(SourcePoint, WithoutAPointIsTheHead) {
  for (const char* source : {"main", "^self", "^parent", "br-calm-sea-12345678", "nobody"}) {
    EXPECT_EQ(Parsed(source).source, source);
    EXPECT_EQ(Parsed(source).point.kind, Point::Kind::kHead);
    EXPECT_EQ(Parsed(source).point.ToString(), "");
  }
}

TEST(SourcePoint, IsSplitAtTheLastAt) {
  const SourcePoint point = Parsed("me@home@0/3000148");
  EXPECT_EQ(point.source, "me@home");
  EXPECT_EQ(point.point.kind, Point::Kind::kLsn);
  EXPECT_EQ(point.point.lsn, (Lsn{0x3000148}));
  EXPECT_EQ(Parsed("a@b@c@0/1").source, "a@b@c");
}

TEST(SourcePoint, ABranchOfThatVeryNameIsThatBranch) {
  EXPECT_EQ(Parsed("me@home").source, "me@home");
  EXPECT_EQ(Parsed("me@home").point.kind, Point::Kind::kHead);
  EXPECT_EQ(Parse("you@home").status().code(), Code::kInvalidText);
}

TEST(SourcePoint, AnLsnIsTriedFirst) {
  EXPECT_EQ(Parsed("main@1/aBcDeF01").point.lsn, (Lsn{0x1ABCDEF01}));
  for (const char* text :
       {"main@123456789/0", "main@0/123456789", "main@/0", "main@0/", "main@0/g"}) {
    EXPECT_EQ(Parse(text).status().code(), Code::kInvalidText) << text;
  }
}

TEST(SourcePoint, ATimeNeedsItsZoneAndTwelveIsNoon) {
  EXPECT_EQ(Parsed("main@2026-11-20T12:00:00Z").point.time, kNow);
  EXPECT_EQ(Parsed("main@2026-11-20T14:00:00+02:00").point.time, kNow);
  EXPECT_EQ(Parsed("main@2026-11-20T06:30:00-05:30").point.time, kNow);
  EXPECT_EQ(FormatTime(Parsed("main@2026-11-20T12:00:00+12:00").point.time, 0),
            "2026-11-20T00:00:00Z");
  EXPECT_EQ(FormatTime(Parsed("main@2026-11-20T12:00:00+00:00").point.time, 0),
            "2026-11-20T12:00:00Z");
}

TEST(SourcePoint, MicrosecondsAreKept) {
  EXPECT_EQ(Parsed("main@2026-11-20T11:59:59.999999Z").point.time.micros, kNow.micros - 1);
  EXPECT_EQ(Parsed("main@2026-11-20T11:59:59.5Z").point.time.micros, kNow.micros - 500000);
  EXPECT_EQ(Parsed("main@2026-11-20T11:59:59.999999Z").point.ToString(),
            "2026-11-20T11:59:59.999999Z");
}

TEST(SourcePoint, AnythingElseIsRefusedWithTheWholeText) {
  for (const char* text : {"main@",
                           "main@now",
                           "main@2026-11-20",
                           "main@2026-11-20 10:00:00Z",
                           "main@2026-11-20T10:00:00",
                           "main@2026-11-20t10:00:00Z",
                           "main@2026-11-20T10:00:00z",
                           "main@2026-02-30T10:00:00Z",
                           "main@2026-11-20T10:00:00.1234567Z",
                           "main@2026-11-20T10:00:00.Z",
                           "main@name:",
                           "main@xid:",
                           "main@xid:0",
                           "main@xid:-1",
                           "main@xid:12a",
                           "main@xid:4294967296",
                           "main@snapshot:",
                           "main@Name:x",
                           "@0/1",
                           "@",
                           "",
                           " @0/1x"}) {
    const Result<SourcePoint> result = Parse(text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.status().code(), Code::kInvalidText) << text;
    EXPECT_EQ(result.status().message(), "Invalid source branch format - " + std::string(text));
  }
}

TEST(SourcePoint, TheFutureIsRefused) {
  const Result<SourcePoint> result = Parse("main@2026-11-20T12:00:00.000001Z");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(result.status().message(),
            "Timestamp can not be in future - main@2026-11-20T12:00:00.000001Z");
}

TEST(SourcePoint, NamedPoints) {
  const SourcePoint restore_point = Parsed("main@name:before deploy");
  EXPECT_EQ(restore_point.point.kind, Point::Kind::kRestorePoint);
  EXPECT_EQ(restore_point.point.name, "before deploy");
  const SourcePoint xid = Parsed("^self@xid:4294967295");
  EXPECT_EQ(xid.point.kind, Point::Kind::kXid);
  EXPECT_EQ(xid.point.xid, 4294967295U);
  const SourcePoint snapshot = Parsed("^parent@snapshot:sn-20261120T100000-00000001");
  EXPECT_EQ(snapshot.source, "^parent");
  EXPECT_EQ(snapshot.point.kind, Point::Kind::kSnapshot);
  EXPECT_EQ(snapshot.point.name, "sn-20261120T100000-00000001");
  for (const char* text : {"name:x", "xid:750", "snapshot:nightly", "0/3000148"}) {
    EXPECT_EQ(Parsed("main@" + std::string(text)).point.ToString(), text);
  }
}

TEST(BareTarget, WhatItKnowsIsReadAndTheRestIsLeftToTheServer) {
  const Result<std::optional<Point>> lsn = ParseBareTarget("16/B374D848");
  ASSERT_TRUE(lsn.ok() && lsn->has_value());
  EXPECT_EQ((*lsn)->kind, Point::Kind::kLsn);
  const Result<std::optional<Point>> name = ParseBareTarget("name:a b");
  ASSERT_TRUE(name.ok() && name->has_value());
  EXPECT_EQ((*name)->name, "a b");
  for (const char* text : {"yesterday", "2026-11-20 10:00", "now", "", "2026-11-20T10:00:00Z",
                           "2026-11-20 10:00:00.123456+01", "names:x", "infinity"}) {
    const Result<std::optional<Point>> time = ParseBareTarget(text);
    ASSERT_TRUE(time.ok()) << text;
    EXPECT_FALSE(time->has_value()) << text;
  }
  for (const char* text : {"xid:abc", "xid:", "name:", "snapshot:", "xid:0"}) {
    EXPECT_EQ(ParseBareTarget(text).status().code(), Code::kInvalidText) << text;
  }
}

}  // namespace
}  // namespace pitr

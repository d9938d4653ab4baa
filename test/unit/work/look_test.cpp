#include "core/work/look.h"

#include <gtest/gtest.h>

#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

class LookTest : public ::testing::Test {
 protected:
  Look Make(const std::string& name) {
    Look look;
    look.folder = dir_ / name;
    look.operation = "op-20261120T100000-01020304";
    look.line = "br-quiet-river-0a1b2c3d";
    look.timeline = 3;
    look.record_end = Lsn{0x1234567};
    look.commit_time = Timestamp{1700000000000000};
    look.point = "main@0/1234567";
    look.asked = {"one", "another"};
    look.directory = "br-still-lake-0a1b2c3d";
    look.snapshot = "sn-20261120T080000-00000001";
    look.socket_directory = "/tmp/pitr-x";
    EXPECT_TRUE(MakeDirectories(look.folder).ok());
    EXPECT_TRUE(WriteLook(look).ok());
    return look;
  }
  TempDir dir_;
};

TEST_F(LookTest, WhatIsKnownIsReadBack) {
  const Look look = Make("look-0123abcd");
  const Result<Look> read = ReadLook(look.folder);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_FALSE(read->is_ready || read->can_go_on);
  EXPECT_TRUE(read->IsAt(look.line, 3, Lsn{0x1234567}));
  EXPECT_FALSE(read->IsAt(look.line, 2, Lsn{0x1234567}));
  EXPECT_FALSE(read->IsAt(look.line, 3, Lsn{0x1234568}));
  EXPECT_FALSE(read->IsAt(look.directory, 3, Lsn{0x1234567}));
  EXPECT_EQ(read->commit_time, look.commit_time);
  EXPECT_EQ(read->operation, look.operation);
  EXPECT_EQ(read->asked, look.asked);
  EXPECT_EQ(read->snapshot, look.snapshot);
  EXPECT_EQ(read->socket_directory, look.socket_directory);
  EXPECT_EQ(read->data(), look.folder + "/data");
}

TEST_F(LookTest, NamesAreThoseOfLooks) {
  const Result<std::string> name = NewLookName();
  ASSERT_TRUE(name.ok());
  EXPECT_TRUE(IsLookName(*name));
  EXPECT_TRUE(IsGoneLookName(*name + ".gone"));
  for (const char* other :
       {"look-", "look-0123abc", "look-0123abcdd", "look-0123abcX", "loo-0123abcde",
        "br-quiet-river-0a1b2c3d", "looks.lock", "look-0123abcd.gone"}) {
    EXPECT_FALSE(IsLookName(other)) << other;
  }
  EXPECT_FALSE(IsGoneLookName(*name));
}

TEST_F(LookTest, ListedIsWhatCanBeRead) {
  Make("look-00000001");
  Make("look-00000002");
  ASSERT_TRUE(MakeDirectories(dir_ / "look-00000003").ok());
  EXPECT_EQ(ListLooks(dir_.path()).size(), 2U);
  EXPECT_EQ(ListLooks(dir_ / "nowhere").size(), 0U);
}

TEST_F(LookTest, WhoUsesKeepsWhoTakesAway) {
  const Look look = Make("look-0123abcd");
  Result<File> one = TryUseLook(look.folder), two = TryUseLook(look.folder);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_TRUE(one->is_open() && two->is_open());
  EXPECT_FALSE(TryTakeLook(look.folder)->is_open());
  *one = File();
  EXPECT_FALSE(TryTakeLook(look.folder)->is_open());
  *two = File();
  const Result<File> taken = TryTakeLook(look.folder);
  ASSERT_TRUE(taken.ok());
  EXPECT_TRUE(taken->is_open());
  EXPECT_FALSE(TryUseLook(look.folder)->is_open());
}

TEST_F(LookTest, OneThatWasGivenUpIsNobodys) {
  const Look look = Make("look-0123abcd");
  Result<File> taken = TryTakeLook(look.folder);
  ASSERT_TRUE(taken.ok() && taken->is_open());
  const Result<std::string> gone = GiveUpLook(look.folder);
  ASSERT_TRUE(gone.ok());
  EXPECT_TRUE(IsGoneLookName(BaseName(*gone)));
  EXPECT_TRUE(PathExists(*gone));
  *taken = File();
  EXPECT_FALSE(TryUseLook(look.folder)->is_open());
  EXPECT_EQ(ListLooks(dir_.path()).size(), 0U);
}

TEST_F(LookTest, UseIsNoted) {
  const Look look = Make("look-0123abcd");
  const Timestamp before{SystemClock().Now().micros - 1000000};
  const Result<File> use = TryUseLook(look.folder);
  ASSERT_TRUE(use.ok());
  EXPECT_GT(LastUseOfLook(look.folder), before);
  EXPECT_EQ(LastUseOfLook(dir_ / "nowhere"), Timestamp{});
}

TEST_F(LookTest, TheTableIsOnesAtATime) {
  Result<File> first = TryLockLooks(dir_.path());
  ASSERT_TRUE(first.ok() && first->is_open());
  EXPECT_FALSE(TryLockLooks(dir_.path())->is_open());
  *first = File();
  EXPECT_TRUE(TryLockLooks(dir_.path())->is_open());
}

}  // namespace
}  // namespace pitr

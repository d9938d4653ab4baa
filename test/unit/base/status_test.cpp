#include "core/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "core/base/result.h"

namespace pitr {
namespace {

TEST(StatusTest, IsOkByDefaultAndSaysSo) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.ToString(), "ok");
  EXPECT_EQ(SqlState(status.code()), "00000");
}

TEST(StatusTest, EveryCodeHasItsOwnSqlStateOfFiveCharacters) {
  const int last = static_cast<int>(Code::kInternal);
  for (int i = 0; i <= last; i++) {
    const std::string_view state = SqlState(static_cast<Code>(i));
    EXPECT_EQ(state.size(), 5U) << i;
    for (int j = 0; j < i; j++) {
      EXPECT_NE(state, SqlState(static_cast<Code>(j))) << i << " " << j;
    }
  }
}

TEST(StatusTest, ErrnoKeepsTheWordsOfTheSystem) {
  const Status status = Status::FromErrno(EACCES, "open \"x\"");
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_EQ(status.message(), "could not open \"x\": Permission denied");
}

TEST(StatusTest, ErrnoThatCallersActOnHasACodeOfItsOwn) {
  EXPECT_EQ(Status::FromErrno(ENOENT, "x").code(), Code::kNotFound);
  EXPECT_EQ(Status::FromErrno(EEXIST, "x").code(), Code::kAlreadyExists);
  EXPECT_EQ(Status::FromErrno(ENOSPC, "x").code(), Code::kDiskFull);
  EXPECT_EQ(Status::FromErrno(EDQUOT, "x").code(), Code::kDiskFull);
  EXPECT_EQ(Status::FromErrno(ENOMEM, "x").code(), Code::kOutOfMemory);
  EXPECT_EQ(Status::FromErrno(EPERM, "x").code(), Code::kIo);
  EXPECT_EQ(Status::FromErrno(EROFS, "x").code(), Code::kIo);
  EXPECT_EQ(Status::FromErrno(EIO, "x").code(), Code::kIo);
}

TEST(StatusTest, PrefixesReadFromOuterToInner) {
  Status status(Code::kIo, "disk is on fire");
  status = std::move(status).Prefix("segment 1");
  status = std::move(status).Prefix("archive");
  EXPECT_EQ(status.message(), "archive: segment 1: disk is on fire");
  EXPECT_EQ(Status().Prefix("archive").message(), "");
}

TEST(StatusTest, TextHasDetailAndHintOnOneLine) {
  const Status status =
      Status(Code::kGap, "WAL is missing").WithDetail("One segment.").WithHint("Find it.");
  EXPECT_EQ(status.ToString(), "WAL is missing DETAIL: One segment. HINT: Find it.");
  EXPECT_EQ(status.detail(), "One segment.");
  EXPECT_EQ(status.hint(), "Find it.");
}

Result<std::unique_ptr<int>> MakeNumber(bool works) {
  if (!works) {
    return Status(Code::kNotReady, "no number");
  }
  return std::make_unique<int>(7);
}

Result<int> ReadNumber(bool works) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<int> number, MakeNumber(works));
  return *number;
}

Status CheckNumber(bool works) {
  PITR_RETURN_IF_ERROR(ReadNumber(works).status());
  return Status::Ok();
}

TEST(ResultTest, CarriesAValueThatCanOnlyBeMoved) {
  const Result<int> number = ReadNumber(true);
  ASSERT_TRUE(number.ok());
  EXPECT_EQ(*number, 7);
  EXPECT_TRUE(CheckNumber(true).ok());
}

TEST(ResultTest, CarriesTheErrorThroughBothMacros) {
  EXPECT_EQ(ReadNumber(false).status().message(), "no number");
  EXPECT_EQ(CheckNumber(false).code(), Code::kNotReady);
}

TEST(ResultTest, AnOkStatusIsNoResult) {
  const Result<int> result = Status::Ok();
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kInternal);
}

}  // namespace
}  // namespace pitr

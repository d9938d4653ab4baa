#include "core/store/address_list.h"

#include <gtest/gtest.h>

namespace pitr {

namespace {

std::vector<StoreAddress> Parse(const std::string& text) {
  const Result<std::vector<StoreAddress>> entries = ParseStoreAddresses(text);
  EXPECT_TRUE(entries.ok()) << text << ": " << entries.status().ToString();
  return entries.ok() ? *entries : std::vector<StoreAddress>();
}

std::string Refusal(const std::string& text) {
  const Status status = ParseStoreAddresses(text).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
  EXPECT_FALSE(status.hint().empty() && text.find("s3://b") == std::string::npos) << text;
  return status.message();
}

TEST(AddressList, TheFirstIsRequiredAndTheOthersBestEffort) {
  const auto entries = Parse("/a, s3://bucket/x?region=eu-1 ,/c");
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_TRUE(entries[0].is_required);
  EXPECT_FALSE(entries[1].is_required);
  EXPECT_FALSE(entries[2].is_required);
  EXPECT_EQ(entries[0].address, "/a");
  EXPECT_EQ(entries[1].address, "s3://bucket/x?region=eu-1");
  EXPECT_EQ(entries[1].label, "s3://bucket/x");
}

TEST(AddressList, AModeOverridesTheDefault) {
  const auto entries =
      Parse("/a?mode=best_effort,/b?mode=required,s3://bucket?mode=required&region=x");
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_FALSE(entries[0].is_required);
  EXPECT_TRUE(entries[1].is_required);
  EXPECT_TRUE(entries[2].is_required);
  EXPECT_EQ(entries[0].address, "/a");
}

TEST(AddressList, OneAddressIsAListOfOne) {
  EXPECT_EQ(Parse("/a?mode=required").front().address, "/a");
  EXPECT_TRUE(Parse("s3://bucket/p").front().is_required);
}

TEST(AddressList, ThePlaceIsTheSameHoweverItIsWritten) {
  EXPECT_EQ(Parse("/a//b/").front().place, Parse("/a/b").front().place);
  EXPECT_EQ(Parse("s3://bucket/p/?endpoint=HTTP://Host:80").front().place,
            Parse("s3://bucket/p?endpoint=http://host&region=z").front().place);
}

TEST(AddressList, BucketsOfOneNameAreToldApart) {
  const auto entries = Parse("s3://bucket/p?endpoint=http://a,s3://bucket/p?endpoint=http://b");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_NE(entries[0].label, entries[1].label);
}

TEST(AddressList, WhatIsWrongIsSaid) {
  EXPECT_NE(Refusal("/a,/b,/a/").find("twice"), std::string::npos);
  EXPECT_NE(Refusal("s3://bucket/p,s3://bucket/p/?region=us-east-1").find("twice"),
            std::string::npos);
  EXPECT_NE(Refusal("/a,/a/b").find("lies in the other"), std::string::npos);
  EXPECT_NE(Refusal("/a?mode=best_effort,/b").find("no repository is required"), std::string::npos);
  EXPECT_NE(Refusal("/a?mode=sometimes").find("sometimes"), std::string::npos);
  EXPECT_NE(Refusal("/a,/b?region=x").find("repository 2 of the list"), std::string::npos);
  EXPECT_NE(Refusal("/a?mode=required&x=y").find("other parameter"), std::string::npos);
  for (const std::string text : {"/a,", ",", "/a,relative", "/a,,/b"}) {
    EXPECT_EQ(ParseStoreAddresses(text).status().code(), Code::kInvalidArgument) << text;
  }
  std::string many = "/1";
  for (int i = 2; i <= 9; i++) {
    many += ",/" + std::to_string(i);
  }
  EXPECT_EQ(ParseStoreAddresses(many).status().code(), Code::kInvalidArgument);
}

TEST(AddressList, ASecretThatGotIntoAnEntryIsNotRepeated) {
  const Status status = ParseStoreAddresses("/a,s3://KEY:s3cr3t@bucket/p").status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.ToString().find("s3cr3t"), std::string::npos);
}

TEST(AddressList, PiecesAreJoinedAgain) {
  EXPECT_EQ(JoinStoreAddresses(SplitStoreAddresses(" /a ,\t/b")), "/a,/b");
}

}  // namespace

}  // namespace pitr

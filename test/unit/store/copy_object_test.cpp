#include "core/store/copy_object.h"

#include <gtest/gtest.h>

#include "core/base/hash.h"
#include "unit/support/memory_store.h"

namespace pitr {

namespace {

TEST(CopyObject, CopiesLargeObjectsByteForByte) {
  MemoryStore from, to;
  const Bytes bytes = *RandomBytes((9U << 20) + 17);
  ASSERT_TRUE(from.Put("a/b", bytes).ok());
  std::uint64_t copied = 0;
  const Status status = CopyObject(&from, &to, "a/b", nullptr, &copied);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(*to.Get("a/b", 64U << 20), bytes);
  EXPECT_EQ(copied, bytes.size());
  EXPECT_TRUE(CopyObject(&from, &to, "a/b", nullptr, &copied).ok());
  EXPECT_EQ(copied, bytes.size());
}

TEST(CopyObject, RefusesWhatIsThereWithOtherContent) {
  MemoryStore from, to;
  ASSERT_TRUE(from.Put("x", AsBytes("one")).ok());
  ASSERT_TRUE(to.Put("x", AsBytes("two")).ok());
  const Status status = CopyObject(&from, &to, "x");
  EXPECT_EQ(status.code(), Code::kForeign);
  EXPECT_NE(status.message().find("\"x\""), std::string::npos);
  EXPECT_EQ(*to.Get("x", 9), Bytes({'t', 'w', 'o'}));
  EXPECT_FALSE(*IsSameObject(&from, &to, "x"));
}

TEST(CopyObject, WhatIsNotThereIsNotFound) {
  MemoryStore from, to;
  EXPECT_EQ(CopyObject(&from, &to, "x").code(), Code::kNotFound);
  EXPECT_EQ(IsSameObject(&from, &to, "x").status().code(), Code::kNotFound);
}

TEST(CopyObject, AnEmptyObjectIsAnObject) {
  MemoryStore from, to;
  ASSERT_TRUE(from.Put("x", {}).ok());
  EXPECT_TRUE(CopyObject(&from, &to, "x").ok());
  EXPECT_TRUE(*IsSameObject(&from, &to, "x"));
}

}  // namespace

}  // namespace pitr

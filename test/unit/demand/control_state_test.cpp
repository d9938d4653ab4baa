#include "core/demand/control_state.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/work/control_file.h"

namespace pitr::demand {
namespace {

class ControlStateOfMajor : public ::testing::TestWithParam<const char*> {
 protected:
  Bytes Read() const {
    const auto bytes =
        ReadFile(std::string(PITR_TEST_DIR) + "/golden/control_file/" + GetParam() + ".bin", 8192);
    EXPECT_TRUE(bytes.ok()) << bytes.status().ToString();
    return bytes.ok() ? *bytes : Bytes();
  }
};

TEST_P(ControlStateOfMajor, AShutdownIsHiddenAndShown) {
  const Bytes before = Read();
  ASSERT_EQ(ParseControlFile(before)->state, ClusterState::kShutDown);
  Bytes bytes = before;
  EXPECT_FALSE(ShowShutdown(bytes.data(), bytes.size())) << "nothing is hidden";
  ASSERT_TRUE(HideShutdown(bytes.data(), bytes.size()));
  EXPECT_NE(bytes, before);
  EXPECT_FALSE(HideShutdown(bytes.data(), bytes.size())) << "once";
  const auto control = ParseControlFile(bytes);
  ASSERT_TRUE(control.ok()) << control.status().ToString();
  EXPECT_EQ(control->state, ClusterState::kShutDown) << "we know what is meant";
  ASSERT_TRUE(ShowShutdown(bytes.data(), bytes.size()));
  EXPECT_EQ(bytes, before);
}

TEST_P(ControlStateOfMajor, WhatIsDamagedOrShortStays) {
  Bytes bytes = Read();
  bytes[100] ^= 1;
  const Bytes damaged = bytes;
  EXPECT_FALSE(HideShutdown(bytes.data(), bytes.size()));
  EXPECT_EQ(bytes, damaged);
  bytes = Read();
  EXPECT_FALSE(HideShutdown(bytes.data(), 288));
  EXPECT_FALSE(HideShutdown(bytes.data(), 16));
}

INSTANTIATE_TEST_SUITE_P(Majors, ControlStateOfMajor, ::testing::Values("pg15", "pg17", "pg18"),
                         [](const auto& major) { return std::string(major.param); });

}  // namespace
}  // namespace pitr::demand

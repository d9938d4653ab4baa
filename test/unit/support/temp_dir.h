// A directory of its own for one test, removed with everything in it at the end of the scope.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>
#include <string_view>

#include "core/base/file.h"

namespace pitr {

class TempDir {
 public:
  TempDir() : path_(::testing::TempDir() + "pitr_test_XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) {
      ADD_FAILURE() << "no temporary directory " << path_;
    }
  }
  ~TempDir() {
    const Status status = RemoveTree(path_);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // Path of `name` in the directory.
  std::string operator/(std::string_view name) const { return JoinPath(path_, name); }

 private:
  std::string path_;
};

}  // namespace pitr

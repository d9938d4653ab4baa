#include "core/repo/access.h"
#include "core/base/json.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

TEST(AccessTest, ComesBackFromJson) {
  for (const RepositoryAccess& access :
       {RepositoryAccess{"/r"}, RepositoryAccess{"s3://b/p", {"/key", ""}},
        RepositoryAccess{"/r", {"", "print 'key'"}}}) {
    Json json;
    PutAccess(access, &json);
    const Result<RepositoryAccess> back = AccessFrom(json);
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    EXPECT_EQ(*back, access);
  }
}

TEST(AccessTest, OtherJsonIsRefused) {
  EXPECT_EQ(AccessFrom(Json::object()).status().code(), Code::kCorrupt);
  Json json;
  json["repository"] = "/r";
  json["encryption_key_file"] = 5;
  EXPECT_EQ(AccessFrom(json).status().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace pitr

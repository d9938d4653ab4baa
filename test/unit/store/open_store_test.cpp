#include "core/store/open_store.h"

#include <gtest/gtest.h>

#include "unit/support/temp_dir.h"

namespace pitr {

namespace {

TEST(OpenStore, AnAbsolutePathIsAFolder) {
  const TempDir directory;
  EXPECT_TRUE(CheckStoreAddress(directory.path()).ok());
  Result<std::unique_ptr<ObjectStore>> store = OpenStore(directory.path());
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  EXPECT_EQ((*store)->Describe(), directory.path());
}

TEST(OpenStore, OtherAddressesAreRefusedWithoutLookingAtAnything) {
  for (const std::string address :
       {"", "relative", "./x", "file:///x", "S3://b/p", "/a\nb", "s3://", "s3://b/p?nonsense=1"}) {
    EXPECT_EQ(CheckStoreAddress(address).code(), Code::kInvalidArgument) << address;
    EXPECT_EQ(OpenStore(address).status().code(), Code::kInvalidArgument) << address;
  }
}

TEST(OpenStore, AnS3AddressIsABucketAndAPrefix) {
  EXPECT_TRUE(CheckStoreAddress("s3://bucket/prefix?region=eu-central-1").ok());
  Result<std::unique_ptr<ObjectStore>> store = OpenStore("s3://bucket/prefix");
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  EXPECT_NE((*store)->Describe().find("s3://bucket/prefix"), std::string::npos);
}

TEST(OpenStore, AnAbsentFolderIsNeverMade) {
  const TempDir directory;
  const Status status = OpenStore(directory / "absent").status();
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_FALSE(status.hint().empty());
  EXPECT_FALSE(PathExists(directory / "absent"));
}

}  // namespace

}  // namespace pitr

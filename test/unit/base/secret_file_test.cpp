// Who may read a file with keys. The S3 credentials file and the encryption key file have their own tests beside these.
#include "core/base/secret_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/base/hash.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

constexpr std::string_view kWhat = "secret file";

class SecretFileTest : public testing::Test {
 protected:
  void Write(const std::string& text, unsigned mode) {
    ASSERT_TRUE(WriteFileDurably(path_, AsBytes(text)).ok());
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
  }
  Status Open() { return OpenSecretFile(path_, kWhat, "Look.").status(); }

  const TempDir directory_;
  const std::string path_ = directory_ / "secret";
};

TEST_F(SecretFileTest, IsReadWhenNobodyElseMay) {
  for (const unsigned mode : {0600U, 0400U, 0700U}) {
    Write("hidden", mode);
    const Result<SecretFile> file = OpenSecretFile(path_, kWhat, "Look.");
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    Bytes out(6);
    const Result<std::size_t> size = ReadSecretFile(*file, path_, kWhat, out);
    ASSERT_TRUE(size.ok()) << size.status().ToString();
    EXPECT_EQ(AsText(ByteView(out).first(*size)), "hidden");
  }
}

TEST_F(SecretFileTest, RightsOfOthersAreRefused) {
  for (const unsigned mode : {0640U, 0604U, 0620U, 0602U, 0601U, 0610U, 0666U}) {
    Write("hidden", mode);
    const Status status = Open();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_NE(status.message().find(path_), std::string::npos) << status.ToString();
    EXPECT_NE(status.hint().find("chmod 0600"), std::string::npos) << status.ToString();
  }
}

TEST_F(SecretFileTest, WhatIsNoFileOrIsNotThereIsRefused) {
  EXPECT_EQ(Open().code(), Code::kInvalidArgument);
  EXPECT_EQ(Open().hint(), "Look.");
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_NE(Open().message().find("no regular file"), std::string::npos);
}

TEST_F(SecretFileTest, MoreThanFitsIsRefused) {
  Write("hidden", 0600);
  const Result<SecretFile> file = OpenSecretFile(path_, kWhat, "Look.");
  ASSERT_TRUE(file.ok());
  Bytes out(5);
  const Status status = ReadSecretFile(*file, path_, kWhat, out).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.ToString().find("hidde"), std::string::npos);
}

TEST_F(SecretFileTest, AnotherFileIsAnotherState) {
  Write("one", 0600);
  const SecretFileState first = OpenSecretFile(path_, kWhat, "")->state;
  EXPECT_EQ(OpenSecretFile(path_, kWhat, "")->state, first);
  Write("two", 0600);
  EXPECT_NE(OpenSecretFile(path_, kWhat, "")->state, first);
}

TEST_F(SecretFileTest, WipedIsZero) {
  Bytes bytes = {1, 2, 3};
  Wipe(bytes.data(), bytes.size());
  EXPECT_EQ(bytes, Bytes(3));
}

}  // namespace
}  // namespace pitr

#include "core/repo/same_content.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "core/base/hash.h"
#include "unit/support/memory_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {

namespace {

class SameContentTest : public testing::Test {
 protected:
  // Compares a file of these bytes with a stored object of those.
  Result<EnvelopeFooter> Compare(const Bytes& in_file, const Bytes& stored,
                                 std::optional<EnvelopeFooter> footer = std::nullopt,
                                 const CancelToken* cancel = nullptr) {
    const TempDir directory;
    const std::string path = directory / "file", object = "a/object";
    EXPECT_TRUE(WriteFileDurably(path, in_file).ok());
    Result<File> file = File::Open(path, O_RDONLY);
    MemoryStore store;
    EXPECT_TRUE(WriteEnvelope(&store, object, ObjectKind::kText, 1, stored).ok());
    EnvelopeFooter ours;
    ours.plain_size = in_file.size();
    ours.plain_hash = Xxh3(in_file);
    return CheckSameContent(
        &store, {object, ObjectKind::kText, path, *file, footer.value_or(ours), cancel});
  }
};

TEST_F(SameContentTest, EqualBytesAreTheSame) {
  for (const std::size_t size : {0U, 1U, 100U, (3U << 20) + 5U}) {
    const Bytes bytes(size, 'x');
    Result<EnvelopeFooter> footer = Compare(bytes, bytes);
    ASSERT_TRUE(footer.ok()) << footer.status().ToString();
    EXPECT_EQ(footer->plain_size, size);
  }
}

TEST_F(SameContentTest, AnyDifferenceIsAlreadyExistsWithBothHashes) {
  const Bytes bytes(2U << 20, 'x');
  Bytes longer = bytes, changed = bytes;
  longer.push_back('x');
  changed.back() = 'y';
  for (const Bytes& other : {longer, changed, Bytes()}) {
    const Status status = Compare(bytes, other).status();
    EXPECT_EQ(status.code(), Code::kAlreadyExists);
    EXPECT_NE(status.detail().find(ToHex(Sha256(bytes))), std::string::npos) << status.detail();
    EXPECT_NE(status.detail().find(ToHex(Sha256(other))), std::string::npos) << status.detail();
  }
}

// XXH3 says nothing about identity: a footer that claims the stored content's hash is not believed.
TEST_F(SameContentTest, EqualChecksumsDoNotReplaceTheComparison) {
  const Bytes bytes(1000, 'x'), other(1000, 'y');
  EnvelopeFooter lying;
  lying.plain_size = other.size();
  lying.plain_hash = Xxh3(other);
  EXPECT_EQ(Compare(bytes, other, lying).status().code(), Code::kAlreadyExists);
}

TEST_F(SameContentTest, AnObjectThatWentAwayIsNoMissingFile) {
  const TempDir directory;
  ASSERT_TRUE(WriteFileDurably(directory / "file", {}).ok());
  Result<File> file = File::Open(directory / "file", O_RDONLY);
  MemoryStore store;
  const EnvelopeFooter footer;
  const std::string object = "a/object", path = directory / "file";
  EXPECT_EQ(CheckSameContent(&store, {object, ObjectKind::kText, path, *file, footer, nullptr})
                .status()
                .code(),
            Code::kNotReady);
}

TEST_F(SameContentTest, TheContentMayStandAnywhereInTheFile) {
  const TempDir directory;
  const std::string path = directory / "file", object = "a/object";
  ASSERT_TRUE(WriteFileDurably(path, AsBytes("0123456789")).ok());
  Result<File> file = File::Open(path, O_RDONLY);
  MemoryStore store;
  ASSERT_TRUE(WriteEnvelope(&store, object, ObjectKind::kText, 0, AsBytes("345")).ok());
  EnvelopeFooter footer;
  footer.plain_size = 3;
  footer.plain_hash = Xxh3(AsBytes("345"));
  EXPECT_TRUE(
      CheckSameContent(&store, {object, ObjectKind::kText, path, *file, footer, nullptr, 3}).ok());
  const Status other =
      CheckSameContent(&store, {object, ObjectKind::kText, path, *file, footer, nullptr, 4})
          .status();
  EXPECT_EQ(other.code(), Code::kAlreadyExists);
  EXPECT_NE(other.detail().find(ToHex(Sha256(AsBytes("456")))), std::string::npos);
}

TEST_F(SameContentTest, CanBeCancelled) {
  class Cancelled final : public CancelToken {
   public:
    bool IsCancelled() const noexcept override { return true; }
  } const cancelled;
  const Bytes bytes(1000, 'x');
  EXPECT_EQ(Compare(bytes, bytes, std::nullopt, &cancelled).status().code(), Code::kCancelled);
  EXPECT_EQ(Compare(bytes, Bytes(10), std::nullopt, &cancelled).status().code(), Code::kCancelled);
}

}  // namespace

}  // namespace pitr

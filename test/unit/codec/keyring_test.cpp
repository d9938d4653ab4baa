// Where repository keys come from, and that they are in no message.
#include "core/codec/keyring.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/base/cancel.h"
#include "core/base/file.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

const std::string kOne = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const std::string kTwo = "fEDCBA98765432100123456789ABCDEFfedcba98765432100123456789abcdef";

// Refusals are PI007, have a hint, and show no piece of a key.
Status Refused(const Status& status) {
  EXPECT_EQ(status.code(), Code::kKeyMissing) << status.ToString();
  EXPECT_FALSE(status.hint().empty()) << status.ToString();
  for (const char* piece : {"00112233", "ccddeeff", "fEDCBA98"}) {
    EXPECT_EQ(status.ToString().find(piece), std::string::npos) << status.ToString();
  }
  return status;
}

bool Says(const Status& status, const std::string& what) {
  return status.ToString().find(what) != std::string::npos;
}

TEST(ParseKeysTest, TheFirstKeyIsTheCurrentOne) {
  const Result<KeyRing> keys =
      ParseKeys("# keys\r\n\n  " + kOne + "\t\r\n# the one before\n" + kTwo, "x");
  ASSERT_TRUE(keys.ok()) << keys.status().ToString();
  const Result<KeyRing> one = ParseKeys(kOne, "x"), two = ParseKeys(kTwo + "\n", "x");
  EXPECT_EQ(keys->current().bytes(), one->current().bytes());
  EXPECT_EQ(keys->current().bytes()[1], 0x11);
  const SecretKey* second = keys->Find(two->current().Id());
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->bytes(), two->current().bytes());
  EXPECT_EQ(keys->Find("0000000000000000"), nullptr);
  EXPECT_EQ(keys->Ids(), one->Ids() + ", " + two->Ids());
  EXPECT_TRUE(KeyRing().empty());
}

TEST(ParseKeysTest, AnythingElseIsRefusedWithItsLine) {
  EXPECT_TRUE(Says(Refused(ParseKeys("", "the file").status()), "the file"));
  EXPECT_TRUE(Says(Refused(ParseKeys("# no key\n\n", "x").status()), "holds no key"));
  for (const std::string& line :
       {kOne.substr(2), kOne + "00", kOne.substr(1), "0x" + kOne.substr(2), kOne + " " + kOne,
        "key = " + kOne, "\"" + kOne + "\"", kOne.substr(0, 62) + "gg", std::string("\0", 1),
        "\xef\xbb\xbf" + kOne}) {
    EXPECT_TRUE(Says(Refused(ParseKeys("#\n" + line + "\n", "x").status()), "line 2")) << line;
    EXPECT_TRUE(Says(Refused(ParseKeys(kOne + "\n" + line, "x").status()), "line 2")) << line;
  }
  std::string many;
  for (int i = 0; i < 17; i++) {
    many += kOne + "\n";
  }
  EXPECT_TRUE(Says(Refused(ParseKeys(many, "x").status()), "more than 16"));
}

class LoadKeysTest : public testing::Test {
 protected:
  void Write(const std::string& text, unsigned mode = 0600) {
    ASSERT_TRUE(WriteFileDurably(path_, AsBytes(text)).ok());
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
  }

  const TempDir directory_;
  const std::string path_ = directory_ / "keys";
};

TEST_F(LoadKeysTest, NoSourceIsNoKey) {
  const Result<KeyRing> keys = LoadKeys({});
  ASSERT_TRUE(keys.ok());
  EXPECT_TRUE(keys->empty());
}

TEST_F(LoadKeysTest, FromAFileThatNobodyElseMayRead) {
  (void)Refused(LoadKeys({path_, ""}).status());
  Write(kOne + "\n");
  const Result<KeyRing> keys = LoadKeys({path_, ""});
  ASSERT_TRUE(keys.ok()) << keys.status().ToString();
  EXPECT_EQ(keys->current().bytes()[0], 0);
  Write(kOne + "\n", 0640);
  EXPECT_TRUE(Says(Refused(LoadKeys({path_, ""}).status()), "chmod 0600"));
  Write(kOne + "\n" + std::string(65536, '#'));
  EXPECT_TRUE(Says(Refused(LoadKeys({path_, ""}).status()), "too large"));
  Write("secret " + kOne);
  EXPECT_FALSE(Says(Refused(LoadKeys({path_, ""}).status()), "secret"));
}

TEST_F(LoadKeysTest, FromACommand) {
  const Result<KeyRing> keys = LoadKeys({"", "echo " + kOne + "; echo " + kTwo});
  ASSERT_TRUE(keys.ok()) << keys.status().ToString();
  EXPECT_EQ(keys->current().bytes()[1], 0x11);
  // Whatever fails, neither the command nor what it printed is told.
  for (const std::string& command : {"echo " + kOne + "; exit 7", "echo " + kOne.substr(1),
                                     std::string("true"), "yes " + kOne}) {
    (void)Refused(LoadKeys({"", command}).status());
  }
}

// Whoever cannot wait hears that the key is away, not that it is wrong.
TEST_F(LoadKeysTest, ACommandThatTakesTooLongIsUnavailable) {
  const WaitLimit limit(100);
  EXPECT_EQ(LoadKeys({"", "sleep 10"}).status().code(), Code::kUnavailable);
}

class Stopped final : public CancelToken {
 public:
  bool IsCancelled() const noexcept override { return true; }
};

TEST_F(LoadKeysTest, ACancelIsNoMissingKey) {
  const Stopped token;
  SetProcessCancel(&token);
  const Status status = LoadKeys({"", "sleep 10"}).status();
  SetProcessCancel(nullptr);
  EXPECT_EQ(status.code(), Code::kCancelled);
}

TEST_F(LoadKeysTest, BothAreTooMany) {
  const Status status = LoadKeys({path_, "true"}).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_FALSE(status.hint().empty());
}

}  // namespace
}  // namespace pitr

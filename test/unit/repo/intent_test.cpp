// The intent of an exchange on disk.
#include "core/repo/intent.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

Intent Example() {
  Intent intent;
  intent.nonce = "00112233445566778899aabbccddeeff";
  intent.kind = "undo";
  intent.operation = "op-1";
  intent.branch_name = "main \"quoted\" \xc3\xa9";
  intent.outgoing = "br-a-b-1";
  intent.incoming = "br-c-d-2";
  intent.undo_name = "main_old";
  intent.preserve = false;
  intent.below_backup = intent.reset = true;
  intent.live_directory = "/d";
  intent.staged_directory = "/d.pitr/br-c-d-2";
  intent.cut_at = {1234567};
  intent.undo_directory_seconds = 60;
  return intent;
}

TEST(IntentTest, ReadsWhatWasWritten) {
  const TempDir dir;
  ASSERT_TRUE(WriteIntent(dir.path(), Example()).ok());
  const Result<Intent> intent = ReadIntent(dir.path());
  ASSERT_TRUE(intent.ok()) << intent.status().ToString();
  EXPECT_EQ(IntentText(*intent), IntentText(Example()));
  EXPECT_EQ(intent->branch_name, Example().branch_name);
  EXPECT_FALSE(intent->preserve);
  EXPECT_TRUE(intent->below_backup && intent->reset);
}

TEST(IntentTest, TextHoldsNonceAndStateAsThePostmasterLooksForThem) {
  const std::string text = IntentText(Example());
  EXPECT_NE(text.find(Example().nonce), std::string::npos);
  EXPECT_NE(text.find("\"state\":\"armed\""), std::string::npos);
}

TEST(IntentTest, AbsentIsNotFoundAndRemovingTwiceIsFine) {
  const TempDir dir;
  EXPECT_EQ(ReadIntent(dir.path()).status().code(), Code::kNotFound);
  ASSERT_TRUE(WriteIntent(dir.path(), Example()).ok());
  EXPECT_TRUE(RemoveIntent(dir.path()).ok());
  EXPECT_TRUE(RemoveIntent(dir.path()).ok());
  EXPECT_EQ(ReadIntent(dir.path()).status().code(), Code::kNotFound);
}

TEST(IntentTest, RefusesANewerFormatAndDamage) {
  const TempDir dir;
  ASSERT_TRUE(MakeDirectories(JoinPath(dir.path(), "pitr")).ok());
  std::string text = IntentText(Example());
  text.replace(text.find("\"format\":1"), 10, "\"format\":2");
  ASSERT_TRUE(WriteFileDurably(IntentPath(dir.path()), AsBytes(text)).ok());
  EXPECT_EQ(ReadIntent(dir.path()).status().code(), Code::kForeign);
  ASSERT_TRUE(
      WriteFileDurably(IntentPath(dir.path()), AsBytes(std::string_view("{\"format\":1"))).ok());
  EXPECT_EQ(ReadIntent(dir.path()).status().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace pitr

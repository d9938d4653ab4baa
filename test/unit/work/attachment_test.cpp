#include "core/work/attachment.h"

#include <gtest/gtest.h>

#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

class AttachmentTest : public ::testing::Test {
 protected:
  Look Make(const std::string& name, bool is_ready = true) {
    Look look;
    look.folder = dir_ / name;
    look.is_ready = is_ready;
    look.socket_directory = look.folder + "/socket";
    EXPECT_TRUE(MakeDirectories(look.folder).ok());
    EXPECT_TRUE(WriteLook(look).ok());
    return look;
  }
  std::string Link(std::uint32_t database, std::uint32_t schema) {
    return JoinPath(dir_.path(), AttachmentName(database, schema));
  }
  TempDir dir_;
};

TEST_F(AttachmentTest, ALookIsAttachedAsLongAsALinkNamesIt) {
  const Look first = Make("look-00000001"), second = Make("look-00000002");
  const std::string link = Link(5, 16384);
  EXPECT_FALSE(LookOfAttachment(link, dir_.path()).has_value());
  ASSERT_TRUE(SetAttachment(link, first).ok());
  EXPECT_TRUE(IsAttached(first, dir_.path()));
  EXPECT_FALSE(IsAttached(second, dir_.path()));
  ASSERT_TRUE(LookOfAttachment(link, dir_.path()).has_value());
  EXPECT_EQ(LookOfAttachment(link, dir_.path())->folder, first.folder);
  ASSERT_TRUE(SetAttachment(link, second).ok());
  EXPECT_FALSE(IsAttached(first, dir_.path()));
  EXPECT_EQ(LookOfAttachment(link, dir_.path())->folder, second.folder);
  ASSERT_TRUE(SetAttachment(Link(5, 16385), second).ok());
  ASSERT_TRUE(RemoveFile(link).ok());
  EXPECT_TRUE(IsAttached(second, dir_.path()));
}

TEST_F(AttachmentTest, OneThatIsNotReadyOrHasMovedIsNotFound) {
  const std::string link = Link(5, 1);
  ASSERT_TRUE(SetAttachment(link, Make("look-00000003", false)).ok());
  EXPECT_FALSE(LookOfAttachment(link, dir_.path()).has_value());
  Look look = Make("look-00000004");
  ASSERT_TRUE(SetAttachment(link, look).ok());
  look.socket_directory += "2";
  ASSERT_TRUE(WriteLook(look).ok());
  EXPECT_FALSE(LookOfAttachment(link, dir_.path()).has_value());
  EXPECT_FALSE(IsAttached(look, dir_.path()));
}

TEST_F(AttachmentTest, LinksOfADatabaseGoAlone) {
  const Look look = Make("look-00000005");
  for (const std::uint32_t database : {1U, 11U, 2U})
    ASSERT_TRUE(SetAttachment(Link(database, 7), look).ok());
  ASSERT_TRUE(SetAttachment(Link(1, 8), look).ok());
  DropAttachments(dir_.path(), AttachmentPrefix(1));
  EXPECT_FALSE(PathExists(Link(1, 7)) || PathExists(Link(1, 8)));
  EXPECT_TRUE(PathExists(Link(11, 7)) && PathExists(Link(2, 7)));
  DropAttachments(dir_.path(), kAttachmentPrefix);
  EXPECT_FALSE(IsAttached(look, dir_.path()));
  EXPECT_TRUE(PathExists(look.folder));
  DropAttachments(dir_ / "nowhere", kAttachmentPrefix);
  EXPECT_FALSE(SetAttachment(dir_ / "nowhere/at-1-2", look).ok());
}

}  // namespace
}  // namespace pitr

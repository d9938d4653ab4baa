#include "tool/restored_server.cpp"

#include <gtest/gtest.h>

#include "tool/programs.cpp"  // what it calls

namespace pitr::tool {

namespace {

TEST(RestoredServer, OurLibraryIsTakenOutOfTheList) {
  EXPECT_EQ(WithoutOurLibrary("pitr_ext"), "");
  EXPECT_EQ(WithoutOurLibrary("a, \"pitr_ext\" ,b\n"), "a,b");
  EXPECT_EQ(WithoutOurLibrary("$libdir/pitr_ext,pg_stat_statements"), "pg_stat_statements");
}

TEST(RestoredServer, AListWithoutItStaysAsItIs) {
  EXPECT_EQ(WithoutOurLibrary(""), std::nullopt);
  EXPECT_EQ(WithoutOurLibrary("pitr_ext2, my_pitr_ext"), std::nullopt);
}

}  // namespace

}  // namespace pitr::tool

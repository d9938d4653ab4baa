#include "core/work/recovered_database.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

TEST(UnfinishedDatabase, IsNamedByItsOperationAndNothingElseIs) {
  const Result<OperationId> id = NewOperationId(1'800'000'000);
  ASSERT_TRUE(id.ok());
  const std::string name = UnfinishedDatabase(*id);
  EXPECT_LT(name.size(), 64U);
  EXPECT_TRUE(IsUnfinishedDatabase(name)) << name;
  EXPECT_FALSE(IsUnfinishedDatabase(name + "x"));
  EXPECT_FALSE(IsUnfinishedDatabase(name.substr(0, name.size() - 1)));
  for (const char* other :
       {"", "shop", "pitr_recovering_", "pitr_recovering_shop", "pitr_recovering_op-20261120",
        "pitr_recovering_op-20261120T100000-0123456g",
        "pitr_recovering_op-20261120t100000-01234567",
        "xpitr_recovering_op-20261120T100000-01234567"}) {
    EXPECT_FALSE(IsUnfinishedDatabase(other)) << other;
  }
}

TEST(RoomForDatabase, IsItsSizeAndSome) {
  constexpr std::uint64_t kMb = 1ULL << 20;
  EXPECT_TRUE(CheckRoomForDatabase(0, 64 * kMb, "/d").ok());
  EXPECT_TRUE(CheckRoomForDatabase(1000 * kMb, 1114 * kMb, "/d").ok());
  const Status full = CheckRoomForDatabase(1000 * kMb, 1113 * kMb, "/d");
  EXPECT_EQ(full.code(), Code::kDiskFull);
  EXPECT_EQ(full.detail(), "It takes 1000 MB, 1113 MB are free.");
}

TEST(ListParameter, IsReadAsTheServerKeepsIt) {
  using Elements = std::vector<std::string>;
  EXPECT_EQ(ListElements("\"$user\", public"), (Elements{"$user", "public"}));
  EXPECT_EQ(ListElements("a,b ,  c"), (Elements{"a", "b", "c"}));
  EXPECT_EQ(ListElements("\"a, \"\"b\"\"\", \"\""), (Elements{"a, \"b\"", ""}));
  EXPECT_EQ(ListElements("\"\""), (Elements{""}));
  EXPECT_EQ(ListElements(""), Elements{});
  EXPECT_EQ(ListElements("\"open"), (Elements{"open"}));
  EXPECT_EQ(ListElements("\"a\"b, c"), (Elements{"a", "c"}));
  EXPECT_TRUE(IsListParameter("search_path"));
  EXPECT_FALSE(IsListParameter("work_mem"));
}

}  // namespace
}  // namespace pitr

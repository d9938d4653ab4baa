// Which dumps expire, and which are flagged: by a clock of the test's own.
#include "core/plan/dump_retention.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

constexpr std::int64_t kDay = 86400LL * 1000000;

struct Part {
  std::string database;
  std::uint64_t rows = 0, bytes = 0;
};

// A dump of the day `day`, kept for seven.
DumpManifest Dump(int day, const std::vector<Part>& parts, const char* state = "verified") {
  DumpManifest dump;
  dump.id = "dump " + std::to_string(day);
  dump.state = state;
  dump.branch_name = "main";
  dump.started_at = {day * kDay};
  dump.finished_at = {day * kDay + 1};
  dump.expires_at = Timestamp{(day + 7) * kDay};
  for (const Part& part : parts) {
    DumpDatabase database;
    database.name = part.database;
    database.rows = part.rows;
    database.plain_bytes = part.bytes;
    dump.databases.push_back(database);
  }
  return dump;
}

using Ids = std::vector<DumpId>;

TEST(ExpiredDumps, TheNewestVerifiedOneOfADatabaseStays) {
  const std::vector<DumpManifest> dumps = {Dump(1, {{"a"}}), Dump(2, {{"a"}}), Dump(3, {{"a"}})};
  EXPECT_EQ(ExpiredDumps(dumps, {8 * kDay}), Ids{});
  EXPECT_EQ(ExpiredDumps(dumps, {8 * kDay + 1}), Ids{"dump 1"});
  EXPECT_EQ(ExpiredDumps(dumps, {1000 * kDay}), (Ids{"dump 1", "dump 2"}));
}

TEST(ExpiredDumps, WhatIsNotVerifiedTakesNobodysPlace) {
  const std::vector<DumpManifest> dumps = {Dump(1, {{"a"}}), Dump(2, {{"a"}}, "suspicious")};
  EXPECT_EQ(ExpiredDumps(dumps, {1000 * kDay}), Ids{"dump 2"});
}

TEST(ExpiredDumps, EachDatabaseCountsByItself) {
  const std::vector<DumpManifest> dumps = {Dump(1, {{"a"}, {"b"}}), Dump(2, {{"a"}}),
                                           Dump(3, {{"a"}})};
  EXPECT_EQ(ExpiredDumps(dumps, {1000 * kDay}), Ids{"dump 2"});
}

TEST(ExpiredDumps, SchemasAloneOrAnotherBranchAreNoDumpOfTheRows) {
  std::vector<DumpManifest> dumps = {Dump(1, {{"a"}}), Dump(2, {{"a"}}), Dump(3, {{"a"}})};
  dumps[1].options.schema_only = true;
  dumps[2].branch_name = "dev";
  EXPECT_EQ(ExpiredDumps(dumps, {1000 * kDay}), Ids{});
  dumps[2].branch_name = "main";
  dumps[2].root.system_identifier = 7;
  EXPECT_EQ(ExpiredDumps(dumps, {1000 * kDay}), Ids{});
  dumps[2].root.system_identifier = 0;
  EXPECT_EQ(ExpiredDumps(dumps, {1000 * kDay}), Ids{"dump 1"});
}

TEST(ExpiredDumps, ADumpOfThePastIsNotTheNewest) {
  std::vector<DumpManifest> dumps = {Dump(1, {{"a"}}), Dump(5, {{"a"}})};
  dumps[1].point_time = Timestamp{kDay / 2};
  EXPECT_EQ(ExpiredDumps(dumps, {1000 * kDay}), Ids{"dump 5"});
}

TEST(ExpiredDumps, WithoutATimeItIsKept) {
  std::vector<DumpManifest> dumps = {Dump(1, {{"a"}}), Dump(2, {{"a"}})};
  dumps[0].expires_at.reset();
  EXPECT_EQ(ExpiredDumps(dumps, {1000 * kDay}), Ids{});
}

TEST(LastGoodIn, SaysOfWhichDatabases) {
  const std::vector<DumpManifest> dumps = {Dump(1, {{"a"}, {"b"}}), Dump(2, {{"a"}}),
                                           Dump(3, {{"b"}}, "suspicious")};
  EXPECT_EQ(LastGoodIn(dumps, "dump 1"), std::vector<std::string>{"b"});
  EXPECT_EQ(LastGoodIn(dumps, "dump 2"), std::vector<std::string>{"a"});
  EXPECT_TRUE(LastGoodIn(dumps, "dump 3").empty());
}

TEST(WhatShrank, LessThanHalfOfRowsOrBytes) {
  const std::vector<DumpManifest> before = {Dump(1, {{"a", 100, 1000}})};
  EXPECT_EQ(WhatShrank(Dump(2, {{"a", 50, 500}}), before), "");
  EXPECT_EQ(WhatShrank(Dump(2, {{"a", 100000, 1000000}}), before), "");
  EXPECT_EQ(WhatShrank(Dump(2, {{"a", 49, 999}}), before),
            "database \"a\" has 49 rows, 100 in dump dump 1");
  EXPECT_EQ(WhatShrank(Dump(2, {{"a", 100, 499}}), before),
            "database \"a\" has 499 bytes, 1000 in dump dump 1");
  EXPECT_EQ(WhatShrank(Dump(2, {{"b", 1, 1}}), before), "");
  EXPECT_EQ(WhatShrank(Dump(2, {{"a", 0, 1000}}), {Dump(1, {{"a", 1, 1000}})}),
            "database \"a\" has 0 rows, 1 in dump dump 1");
  EXPECT_EQ(WhatShrank(Dump(2, {{"a", 0, 0}}), {Dump(1, {{"a", 0, 0}})}), "");
}

TEST(WhatShrank, ComparesWithTheLastGoodOne) {
  const std::vector<DumpManifest> before = {Dump(1, {{"a", 100, 1000}}),
                                            Dump(2, {{"a", 10, 1000}}, "suspicious")};
  EXPECT_NE(WhatShrank(Dump(3, {{"a", 10, 1000}}), before), "");
  DumpManifest schema = Dump(3, {{"a", 0, 10}});
  schema.options.schema_only = true;
  EXPECT_EQ(WhatShrank(schema, before), "");
}

}  // namespace
}  // namespace pitr

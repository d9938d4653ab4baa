#include "core/wal/record_facts.h"

#include <gtest/gtest.h>

namespace pitr::wal {
namespace {

// A record of `resource_manager` with main data of `size` zero bytes.
bool Accepts(std::uint8_t resource_manager, std::uint8_t info, std::size_t size,
             SegmentIndex* index) {
  const Bytes main(size, 0);
  RecordBody body;
  body.main_data = main;
  RawRecord raw;
  raw.start = {1000};
  raw.end = {2000};
  raw.header.resource_manager = resource_manager;
  raw.header.info = info;
  index->root.server_major = 15;
  return AddFacts(raw, body, index);
}

struct Kind {
  const char* name;
  std::uint8_t resource_manager, info;
  std::size_t least;  // bytes of main data
};

constexpr Kind kKinds[] = {
    {"commit", rmgr::kTransaction, xact::kCommit, 8},
    {"abort", rmgr::kTransaction, xact::kAbort, 8},
    {"commit with parts", rmgr::kTransaction, xact::kCommit | xact::kHasInfo, 12},
    {"prepare", rmgr::kTransaction, xact::kPrepare, xact::kPrepareSize},
    {"checkpoint", rmgr::kXlog, xlog::kCheckpointOnline, 16},
    {"end of recovery", rmgr::kXlog, xlog::kEndOfRecovery, 16},
    {"parameters", rmgr::kXlog, xlog::kParameterChange, 26},
    {"restore point", rmgr::kXlog, xlog::kRestorePoint, 72},
    {"create", rmgr::kStorage, smgr::kCreate, 16},
    {"truncate", rmgr::kStorage, smgr::kTruncate, 20},
    {"database by copy", rmgr::kDatabase, dbase::kCreateFileCopy, 8},
    {"database by log", rmgr::kDatabase, dbase::kCreateWalLog, 8},
    {"database dropped", rmgr::kDatabase, dbase::kDrop, 8},
};

TEST(AddFactsTest, RecordsShorterThanTheirStructsAreRefusedAndChangeNothing) {
  for (const Kind& kind : kKinds) {
    for (std::size_t size = 0; size <= kind.least + 8; size++) {
      SegmentIndex index;
      EXPECT_EQ(Accepts(kind.resource_manager, kind.info, size, &index), size >= kind.least)
          << kind.name << " " << size;
      EXPECT_EQ(index.records, size >= kind.least ? 1U : 0U);
      if (size < kind.least) {
        EXPECT_TRUE(index.events.empty() && index.database_events.empty());
      }
    }
  }
}

TEST(AddFactsTest, RecordsThatSayNothingAreCounted) {
  SegmentIndex index;
  for (const std::uint8_t resource_manager : {rmgr::kXlog, rmgr::kStorage, rmgr::kDatabase}) {
    EXPECT_TRUE(Accepts(resource_manager, 0xF0, 0, &index));
  }
  EXPECT_TRUE(Accepts(rmgr::kTransaction, 0x50, 0, &index)) << "assignment";
  EXPECT_TRUE(Accepts(10, 0, 0, &index)) << "heap";
  EXPECT_EQ(index.records, 5U);
  EXPECT_EQ(index.first_start.value, 1000U);
  EXPECT_EQ(index.last_end.value, 2000U);
  EXPECT_TRUE(index.events.empty());
}

TEST(AddFactsTest, ADropOfMoreTablespacesThanTheRecordHoldsIsRefused) {
  Bytes main(8 + 4, 0);
  main[4] = 2;
  RecordBody body;
  body.main_data = main;
  RawRecord raw;
  raw.header.resource_manager = rmgr::kDatabase;
  raw.header.info = dbase::kDrop;
  SegmentIndex index;
  EXPECT_FALSE(AddFacts(raw, body, &index));
  main[4] = main[5] = main[6] = main[7] = 0xFF;
  EXPECT_FALSE(AddFacts(raw, body, &index));
  EXPECT_TRUE(index.database_events.empty());
}

}  // namespace
}  // namespace pitr::wal

// A repository in memory and WAL files to ship into it; for the tests of the WAL archive.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "core/base/file.h"
#include "core/repo/tail.h"
#include "core/repo/wal_archive.h"
#include "unit/support/memory_store.h"
#include "unit/support/temp_dir.h"
#include "unit/support/wal_builder.h"

namespace pitr {

class WalRepositoryTest : public testing::Test {
 protected:
  static constexpr std::uint32_t kSegmentSize = 1U << 20;

  WalRepositoryTest() : repo_(Reopen()) {
    options_.branch = "br-test-wal-1";
    options_.root = root_;
  }

  std::unique_ptr<Repository> Reopen() {
    return *Repository::Open(std::make_unique<MemoryStore>(objects_), true);
  }
  // Everything away, as at the beginning.
  void Restart() {
    objects_ = std::make_shared<MemoryObjects>();
    repo_ = Reopen();
  }
  MemoryStore Store() { return MemoryStore(objects_); }

  // Whole WAL of segments [first, first + count), full of commits; every byte depends on `seed`.
  Bytes Wal(TimelineId timeline, std::uint64_t first, std::size_t count, Xid seed = 1000) const {
    wal::WalBuilder builder(root_, timeline, SegmentStart(first, kSegmentSize));
    for (Xid xid = seed; builder.next() < SegmentStart(first + count, kSegmentSize); xid++) {
      builder.BlockTouch({1663, 5, 16384 + xid % 7, 0}, xid % 100, xid % 50 == 0);
      builder.Commit(xid, {1767225600000000 + xid});
    }
    Bytes bytes = builder.Bytes();
    bytes.resize(count * kSegmentSize);
    return bytes;
  }
  // One segment of few, big records: quick to make and to read, for sweeps.
  Bytes FastWal(std::uint64_t number) const {
    wal::WalBuilder builder(root_, 1, SegmentStart(number, kSegmentSize));
    while (builder.next() < SegmentStart(number + 1, kSegmentSize)) {
      builder.Filler(40000);
    }
    return builder.Segment(0);
  }
  // `segment` with zeroes behind its first `kept` bytes.
  Bytes Cut(Bytes segment, std::size_t kept) const {
    std::fill(segment.begin() + static_cast<std::ptrdiff_t>(kept), segment.end(), 0);
    return segment;
  }
  std::string Write(const std::string& name, ByteView bytes) {
    const std::string path = directory_ / name;
    Result<File> file = File::Open(path, O_WRONLY | O_CREAT | O_TRUNC);
    EXPECT_TRUE(file.ok() && file->WriteAll(bytes).ok());
    return path;
  }
  std::string NameOf(TimelineId timeline, std::uint64_t number) const {
    return SegmentName({timeline, number}, kSegmentSize);
  }
  // Ships bytes as a file of that name.
  Result<ShipResult> Ship(const std::string& name, ByteView bytes) {
    return ShipWalFile(repo_.get(), options_, Write(name, bytes), name);
  }
  void ShipOk(const std::string& name, ByteView bytes) {
    const Result<ShipResult> result = Ship(name, bytes);
    ASSERT_TRUE(result.ok()) << name << ": " << result.status().ToString();
  }
  Result<ShipResult> Tail(SegmentId segment, ByteView bytes, std::uint32_t flushed) {
    return ShipTail(repo_.get(), options_, Write("open", bytes), segment, flushed);
  }
  std::vector<std::string> Objects(const std::string& prefix = "branches/") {
    std::vector<std::string> names;
    const std::vector<ObjectStat> found = *Store().List(prefix, "", 0);
    for (const ObjectStat& object : found) {
      names.push_back(object.name);
    }
    return names;
  }

  const RootIdentity root_ = wal::TestRoot(15, kSegmentSize);
  const TempDir directory_;
  std::shared_ptr<MemoryObjects> objects_ = std::make_shared<MemoryObjects>();
  std::unique_ptr<Repository> repo_;
  ShipOptions options_;
};

}  // namespace pitr

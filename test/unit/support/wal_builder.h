// Makes WAL as a server would write it: page headers, records with right CRCs and links, records that run over pages and
// segments. For tests of everything that reads WAL.
//
//   WalBuilder wal(root, 1, SegmentStart(1, root.segment_size));
//   wal.BlockTouch({1663, 5, 16384, 0}, 7).Commit(730, time).RestorePoint("here", time).Switch();
//   Bytes segment = wal.Bytes();
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/types/ids.h"
#include "core/types/lsn.h"
#include "core/wal/index.h"

namespace pitr::wal {

struct WalBlock {
  RelFork relation;
  std::uint32_t block = 0;
  bool image = false;         // a whole page
  std::size_t data_size = 0;  // bytes of the record's own for this block
};

struct WalRecord {
  std::uint8_t resource_manager = 0, info = 0;
  Xid xid = 0;
  std::vector<WalBlock> blocks;
  pitr::Bytes main_data;
};

class WalBuilder {
 public:
  // REQUIRES: start is the start of a segment.
  WalBuilder(const RootIdentity& root, TimelineId timeline, Lsn start);

  WalBuilder& Commit(Xid xid, Timestamp time, const std::vector<RelFork>& drops = {},
                     std::uint32_t subtransactions = 0);
  WalBuilder& Abort(Xid xid, Timestamp time, const std::vector<RelFork>& drops = {});
  WalBuilder& Prepare(Xid xid, Timestamp time, std::string_view gid);
  WalBuilder& CommitPrepared(Xid xid, Timestamp time, std::string_view gid = {});
  WalBuilder& AbortPrepared(Xid xid, Timestamp time, std::string_view gid = {});
  WalBuilder& RestorePoint(std::string_view name, Timestamp time);
  // A heap record that names one block.
  WalBuilder& BlockTouch(const RelFork& relation, std::uint32_t block, bool image = false);
  WalBuilder& Create(const RelFork& relation);
  WalBuilder& Truncate(const RelFork& relation, std::uint32_t blocks, std::uint32_t flags = 7);
  WalBuilder& DatabaseCopied(std::uint32_t database, std::uint32_t tablespace);
  WalBuilder& DatabaseLogged(std::uint32_t database, std::uint32_t tablespace);
  WalBuilder& DatabaseDropped(std::uint32_t database,
                              const std::vector<std::uint32_t>& tablespaces);
  WalBuilder& Parameters(const ParameterChange& change);  // `start` is not used
  WalBuilder& Checkpoint(Lsn redo, bool shutdown = false);
  WalBuilder& EndOfRecovery(TimelineId timeline, TimelineId previous);
  // A record that says nothing (a logical message), `total` bytes long with its header. REQUIRES: total >= 32.
  WalBuilder& Filler(std::uint32_t total);
  // Fills so that the next record begins at `lsn`. REQUIRES: lsn is 8-aligned, no place for a page header, and at least 32
  // bytes ahead, or where the next record begins anyway.
  WalBuilder& FillTo(Lsn lsn);
  WalBuilder& Switch();
  WalBuilder& Add(const WalRecord& record);
  // Begins `record`, breaks off at the end of its first page and begins the next page as a server does that found the rest
  // missing after a crash: with an XLOG_OVERWRITE_CONTRECORD. REQUIRES: the record runs over the page.
  WalBuilder& BreakOff(const WalRecord& record);
  // Pages begun from here on are of this timeline.
  WalBuilder& Timeline(TimelineId timeline);

  Lsn next() const;  // where the next record begins
  Lsn last_start() const { return last_start_; }
  Lsn last_end() const { return last_end_; }
  // All segments begun so far, the rest of the last one zero.
  pitr::Bytes Bytes() const;
  // One of them, counted from 0.
  pitr::Bytes Segment(std::size_t number) const;
  std::size_t SegmentCount() const;

 private:
  void OpenPage(std::uint32_t remaining, std::uint16_t flags);
  pitr::Bytes Compose(const WalRecord& record);
  void Write(const pitr::Bytes& record, std::size_t size);
  WalBuilder& End(std::uint8_t operation, Xid xid, Timestamp time,
                  const std::vector<RelFork>& drops, std::uint32_t subtransactions, Xid prepared,
                  std::string_view gid);
  Lsn at() const { return {start_.value + bytes_.size()}; }

  RootIdentity root_;
  TimelineId timeline_;
  Lsn start_;
  pitr::Bytes bytes_;
  std::uint16_t next_page_flags_ = 0;
  Lsn last_start_, last_end_, previous_;
};

// Segments of 1 MiB: small enough to write many.
inline RootIdentity TestRoot(std::uint32_t server_major = 15,
                             std::uint32_t segment_size = 1U << 20) {
  return {7123456789012345678ULL, server_major, segment_size};
}

}  // namespace pitr::wal

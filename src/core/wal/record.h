// One WAL record: header, block references, main data. No allocation; never trusts a length: every
// offset is checked against the bytes at hand, as DecodeXLogRecord (xlogreader.c, 15) does.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/types/lsn.h"
#include "core/wal/index.h"
#include "core/wal/layout.h"

namespace pitr::wal {

struct BlockRef {
  RelFork relation;
  std::uint32_t block = 0;
  bool has_image = false;
};

struct RecordHeader {
  std::uint32_t total_length = 0;
  Xid xid = 0;
  Lsn previous;
  std::uint8_t info = 0, resource_manager = 0;
  std::uint32_t crc = 0;

  std::uint8_t operation() const { return info & record::kInfoMask; }
  bool IsSwitch() const { return resource_manager == rmgr::kXlog && operation() == xlog::kSwitch; }
};

// REQUIRES: record::kHeader bytes at p.
inline RecordHeader LoadRecordHeader(const std::uint8_t* p) {
  RecordHeader header;
  header.total_length = Load32(p + record::kTotalLength);
  header.xid = Load32(p + record::kXid);
  header.previous.value = Load64(p + record::kPrevious);
  header.info = p[record::kInfo];
  header.resource_manager = p[record::kResourceManager];
  header.crc = Load32(p + record::kCrc);
  return header;
}

// True for ids that a server of 15 .. 18 can write.
inline bool IsResourceManager(std::uint8_t id) {
  return id <= rmgr::kLastBuiltin || id >= rmgr::kFirstCustom;
}

struct RecordBody {
  std::array<BlockRef, record::kMaxBlockId + 1> blocks;
  std::size_t block_count = 0;
  ByteView main_data;
  bool main_data_cut = false;  // the bytes ended before the main data did
};

// `bytes` are the first bytes of a record of `total_length`, or all. False when they are not a record
// that the server could read. `body` is overwritten, its views point into `bytes`.
bool DecodeBody(ByteView bytes, std::uint32_t total_length, RecordBody* body);

// REQUIRES: 12 bytes at p: tablespace, database, relation.
inline RelFork LoadRelation(const std::uint8_t* p, std::uint8_t fork) {
  return {Load32(p), Load32(p + 4), Load32(p + 8), fork};
}

// REQUIRES: 8 bytes at p. As FromPostgresTime, but any bytes may stand there: the sum wraps.
inline Timestamp LoadTime(const std::uint8_t* p) {
  return {static_cast<std::int64_t>(Load64(p) + static_cast<std::uint64_t>(kPostgresEpochMicros))};
}

// What a commit or abort record says, in the order of ParseCommitRecord (xactdesc.c, 15).
struct TransactionEnd {
  Timestamp time;
  ByteView relations;          // dropped: block::kRelation bytes each
  ByteView subxacts;           // xact::kSubxactSize bytes each
  ByteView invalidations;      // of a commit: xact::kInvalidationSize bytes each
  std::uint32_t database = 0;  // that the transaction ran in; 0 when it does not say
  Xid prepared_xid = 0;        // 0 unless the transaction was a prepared one
  std::string_view gid;        // logged with wal_level = logical only
  bool cut = false;            // the main data was cut before everything could be read
};
// False when a list runs over the end of main data that is not cut.
bool DecodeTransactionEnd(const RecordHeader& header, const RecordBody& body,
                          std::uint32_t server_major, TransactionEnd* out);

}  // namespace pitr::wal

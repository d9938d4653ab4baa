// WAL as PostgreSQL writes it: constants of pages, records and block references, and where majors
// differ. Nothing here is guessed: each group names the header it was read in, and src/pg/layout_check.cpp
// asserts it against the headers of the server that the module is built for.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pitr::wal {

// WAL is in the byte order of the server, which is this machine.
static_assert(std::endian::native == std::endian::little);

// base/bytes.h decodes our own formats; these are its counterpart for the hot path, where a record is
// some 100 bytes long and bounds are checked once for a group of fields.
inline std::uint16_t Load16(const std::uint8_t* p) {
  std::uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline std::uint32_t Load32(const std::uint8_t* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline std::uint64_t Load64(const std::uint8_t* p) {
  std::uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
// c.h MAXALIGN with MAXIMUM_ALIGNOF 8, as on every 64-bit machine.
inline constexpr std::uint64_t Align8(std::uint64_t v) { return (v + 7) & ~std::uint64_t{7}; }

// Pages: access/xlog_internal.h (15 and 18), pg_config.h XLOG_BLCKSZ. XLOG_BLCKSZ can be changed when
// a server is built; such a server is refused by its long page headers.
inline constexpr std::size_t kPageSize = 8192;
namespace page {
inline constexpr std::size_t kMagic = 0;         // uint16 xlp_magic
inline constexpr std::size_t kInfo = 2;          // uint16 xlp_info
inline constexpr std::size_t kTimeline = 4;      // uint32 xlp_tli
inline constexpr std::size_t kAddress = 8;       // uint64 xlp_pageaddr
inline constexpr std::size_t kRemaining = 16;    // uint32 xlp_rem_len
inline constexpr std::size_t kShortHeader = 24;  // SizeOfXLogShortPHD
inline constexpr std::size_t kSystemIdentifier = 24;
inline constexpr std::size_t kSegmentSize = 32;
inline constexpr std::size_t kBlockSize = 36;
inline constexpr std::size_t kLongHeader = 40;  // SizeOfXLogLongPHD

inline constexpr std::uint16_t kFirstIsContinuation = 0x0001;
inline constexpr std::uint16_t kHasLongHeader = 0x0002;
inline constexpr std::uint16_t kFirstIsOverwrite = 0x0008;
inline constexpr std::uint16_t kAllFlags = 0x000F;

// Where the records before an insert position end. On a page that nothing is on yet that position stands behind the header, where no flush
// reaches (GetXLogInsertRecPtr and XLogFlush, xlog.c).
constexpr std::uint64_t EndBefore(std::uint64_t insert, std::uint64_t segment_size) {
  if (insert % segment_size == kLongHeader) return insert - kLongHeader;
  return insert % kPageSize == kShortHeader ? insert - kShortHeader : insert;
}
}  // namespace page

// XLOG_PAGE_MAGIC of a major; 0 for one that we do not know.
inline constexpr std::uint16_t PageMagic(std::uint32_t server_major) {
  switch (server_major) {
    case 15:
      return 0xD110;
    case 16:
      return 0xD113;
    case 17:
      return 0xD116;
    case 18:
      return 0xD118;
    default:
      return 0;
  }
}
// The major that writes pages with this magic; 0 when unknown.
inline constexpr std::uint32_t MajorOfPageMagic(std::uint16_t magic) {
  for (std::uint32_t major = 15; PageMagic(major) != 0; major++) {
    if (PageMagic(major) == magic) {
      return major;
    }
  }
  return 0;
}

// Record header: access/xlogrecord.h (15 and 18), struct XLogRecord.
namespace record {
inline constexpr std::size_t kTotalLength = 0;       // uint32 xl_tot_len
inline constexpr std::size_t kXid = 4;               // uint32 xl_xid
inline constexpr std::size_t kPrevious = 8;          // uint64 xl_prev
inline constexpr std::size_t kInfo = 16;             // uint8 xl_info
inline constexpr std::size_t kResourceManager = 17;  // uint8 xl_rmid
inline constexpr std::size_t kCrc = 20;              // uint32 xl_crc, over [24, total) then [0, 20)
inline constexpr std::size_t kHeader = 24;           // SizeOfXLogRecord
// utils/memutils.h (15) MaxAllocSize: no server reads a longer record. 16+ write no more than
// XLogRecordMaxSize, 1020 MiB, but what a server of 15 wrote beyond that is still a record.
inline constexpr std::uint32_t kMaxLength = 0x3FFFFFFF;

inline constexpr std::uint8_t kInfoMask = 0xF0;               // XLR_RMGR_INFO_MASK
inline constexpr std::uint8_t kSpecialRelationUpdate = 0x01;  // XLR_SPECIAL_REL_UPDATE

// Ids that open a part of the header: a block reference (0 .. kMaxBlockId) or one of these.
inline constexpr std::uint8_t kMaxBlockId = 32;
inline constexpr std::uint8_t kIdDataShort = 255;    // uint8 length
inline constexpr std::uint8_t kIdDataLong = 254;     // uint32 length
inline constexpr std::uint8_t kIdOrigin = 253;       // uint16 origin
inline constexpr std::uint8_t kIdTopLevelXid = 252;  // uint32 xid
}  // namespace record

// Block references: access/xlogrecord.h (15 and 18), structs XLogRecordBlockHeader,
// XLogRecordBlockImageHeader, XLogRecordBlockCompressHeader.
namespace block {
inline constexpr std::uint8_t kForkMask = 0x0F;
inline constexpr std::uint8_t kHasImage = 0x10;
inline constexpr std::uint8_t kHasData = 0x20;
inline constexpr std::uint8_t kSameRelation = 0x80;
inline constexpr std::size_t kHeader = 4;          // id, fork_flags, uint16 data_length
inline constexpr std::size_t kImageHeader = 5;     // uint16 length, uint16 hole_offset, bimg_info
inline constexpr std::size_t kCompressHeader = 2;  // uint16 hole_length
inline constexpr std::size_t kRelation = 12;       // RelFileNode (15), RelFileLocator (16+)
inline constexpr std::size_t kNumber = 4;
inline constexpr std::uint8_t kImageHasHole = 0x01;
inline constexpr std::uint8_t kImagePglz = 0x04, kImageLz4 = 0x08, kImageZstd = 0x10;
inline constexpr std::uint8_t kImageCompressed = kImagePglz | kImageLz4 | kImageZstd;
inline constexpr std::uint16_t kBlockSize = 8192;  // BLCKSZ
}  // namespace block

// access/rmgrlist.h: ids 0 .. 21 are the same in 15, 16, 17 and 18 (19 adds 22, "XLOG2").
// access/rmgr.h: RM_MIN_CUSTOM_ID.
namespace rmgr {
inline constexpr std::uint8_t kXlog = 0, kTransaction = 1, kStorage = 2, kDatabase = 4,
                              kRelationMap = 7, kStandby = 8, kHeap2 = 9, kHeap = 10;
inline constexpr std::uint8_t kLastBuiltin = 21;
inline constexpr std::uint8_t kFirstCustom = 128;
}  // namespace rmgr

// catalog/pg_control.h (15 and 18); 17 adds 0xE0, XLOG_CHECKPOINT_REDO, which says nothing that we keep.
namespace xlog {
inline constexpr std::uint8_t kCheckpointShutdown = 0x00, kCheckpointOnline = 0x10, kSwitch = 0x40,
                              kParameterChange = 0x60, kRestorePoint = 0x70, kEndOfRecovery = 0x90;
// struct CheckPoint: redo 0, ThisTimeLineID 8, PrevTimeLineID 12; 17+ differs only behind those.
inline constexpr std::size_t kCheckpointMin = 16;
inline constexpr std::size_t kCheckpointNextXid = 24;  // of 64 bits; the lower half is the xid
// struct xl_end_of_recovery: end_time 0, ThisTimeLineID 8, PrevTimeLineID 12 (17+: wal_level behind).
inline constexpr std::size_t kEndOfRecoveryMin = 16;
// struct xl_parameter_change: six int32, two bool.
inline constexpr std::size_t kParameterChangeMin = 26;
// struct xl_restore_point: rp_time 0, rp_name[MAXFNAMELEN = 64] at 8.
inline constexpr std::size_t kRestorePointName = 64;
inline constexpr std::size_t kRestorePointSize = 72;
}  // namespace xlog

// access/xact.h (15 and 18), access/rmgrdesc/xactdesc.c (15) for the order of the parts.
namespace xact {
inline constexpr std::uint8_t kOpMask = 0x70, kHasInfo = 0x80;
inline constexpr std::uint8_t kCommit = 0x00, kPrepare = 0x10, kAbort = 0x20,
                              kCommitPrepared = 0x30, kAbortPrepared = 0x40;
inline constexpr std::uint32_t kHasDatabase = 1U << 0, kHasSubxacts = 1U << 1,
                               kHasRelations = 1U << 2, kHasInvalidations = 1U << 3,
                               kHasTwoPhase = 1U << 4, kHasGid = 1U << 7,
                               kHasDroppedStats = 1U << 8;
inline constexpr std::size_t kDatabaseSize = 8;  // xl_xact_dbinfo
inline constexpr std::size_t kSubxactSize = 4;
inline constexpr std::size_t kInvalidationSize = 16;  // SharedInvalidationMessage
inline constexpr std::size_t kGidMax = 200;           // GIDSIZE, with its final zero
// xl_xact_stats_item: kind, dboid, objoid; 18 made the object id 64 bits wide.
inline constexpr std::size_t StatsItemSize(std::uint32_t server_major) {
  return server_major >= 18 ? 16 : 12;
}
// struct xl_xact_prepare, followed by the gid.
inline constexpr std::size_t kPrepareXid = 8, kPrepareTime = 16, kPrepareGidLength = 54,
                             kPrepareSubxacts = 28, kPrepareSize = 72;
// SharedInvalidationMessage: int8 id 0, database 4, relation 8 for messages about the relation cache.
inline constexpr std::int8_t kInvalidationOfRelation = -2;
inline constexpr std::size_t kInvalidationRelation = 8;
}  // namespace xact

// storage/standbydefs.h: xl_running_xacts.
namespace standby {
inline constexpr std::uint8_t kRunningXacts = 0x10;
inline constexpr std::size_t kNextXid = 12, kRunningXactsMin = 24;
}  // namespace standby

// catalog/storage_xlog.h (15 and 18).
namespace smgr {
inline constexpr std::uint8_t kCreate = 0x10, kTruncate = 0x20;
inline constexpr std::size_t kCreateSize = 16;    // relation 0, int32 fork 12
inline constexpr std::size_t kTruncateSize = 20;  // uint32 blocks 0, relation 4, int32 flags 16
}  // namespace smgr

// commands/dbcommands_xlog.h (15 and 18).
namespace dbase {
inline constexpr std::uint8_t kCreateFileCopy = 0x00, kCreateWalLog = 0x10, kDrop = 0x20;
inline constexpr std::size_t kCreateMin = 8;  // database 0, tablespace 4
inline constexpr std::size_t kDropMin = 8;    // database 0, int32 count 4, tablespaces 8
inline constexpr std::size_t kCopyFrom = 8, kCopySize = 16;  // of a copy: database it was made from
}  // namespace dbase

// utils/cache/relmapper.c: a map of mapped catalogs, in a file and (behind its header) in a record.
namespace relmap {
inline constexpr std::uint8_t kUpdate = 0x00;
inline constexpr std::size_t kDatabase = 0, kUpdateData = 12;       // xl_relmap_update
inline constexpr std::size_t kCount = 4, kEntries = 8, kEntry = 8;  // magic 0; oid, file number
inline constexpr std::uint32_t kMagic = 0x592717;
}  // namespace relmap

// access/heapam_xlog.h.
namespace heap {
inline constexpr std::uint8_t kOpMask = 0x70, kInitPage = 0x80;
inline constexpr std::uint8_t kInsert = 0x00, kDelete = 0x10, kUpdate = 0x20, kHotUpdate = 0x40,
                              kInplace = 0x70;
inline constexpr std::uint8_t kMultiInsert = 0x50;                // of Heap2
inline constexpr std::size_t kInsertSize = 3, kInsertOffset = 0;  // xl_heap_insert
inline constexpr std::size_t kDeleteSize = 8, kDeleteOffset = 4, kDeleteFlags = 7;
inline constexpr std::uint8_t kDeleteIsSpeculative = 0x08, kDeleteIsMove = 0x10;
inline constexpr std::size_t kUpdateSize = 14, kUpdateOldOffset = 4, kUpdateFlags = 7,
                             kUpdateNewOffset = 12;
inline constexpr std::uint8_t kUpdatePrefix = 0x20, kUpdateSuffix = 0x40;
inline constexpr std::size_t kInplaceOffset = 0;
// xl_heap_header: infomask2 0, infomask 2, t_hoff 4.
inline constexpr std::size_t kHeader = 5, kHeaderHoff = 4;
}  // namespace heap

// storage/bufpage.h, storage/itemid.h, access/htup_details.h.
namespace heap_page {
inline constexpr std::size_t kLower = 12, kItems = 24, kItemSize = 4;
inline constexpr std::uint32_t kItemNormal = 1;
inline constexpr std::size_t kXmin = 0, kXmax = 4, kInfomask = 20, kHoff = 22, kTupleHeader = 23;
inline constexpr std::uint16_t kXmaxLockOnly = 0x0080, kXminCommitted = 0x0100,
                               kXminInvalid = 0x0200, kXmaxCommitted = 0x0400,
                               kXmaxInvalid = 0x0800, kXmaxIsMulti = 0x1000;
// A page of heap has no more line pointers than this (MaxHeapTuplesPerPage).
inline constexpr std::uint32_t kMaxTuples = 291;
}  // namespace heap_page

// catalog/pg_*.h: files of catalogs that are named by their oid until somebody rewrites them, and where columns of fixed
// width stand. All of them have the oid first and, but for those that are not here, a name of 64 bytes next.
namespace catalog {
inline constexpr std::uint32_t kType = 1247, kProc = 1255, kClass = 1259, kRole = 1260,
                               kDatabase = 1262, kNamespace = 2615, kExtension = 3079;
inline constexpr std::uint32_t kFirstNormalOid = 16384;
inline constexpr std::size_t kOid = 0, kName = 4, kNameSize = 64, kNamedMin = 68;
inline constexpr std::size_t kClassNamespace = 68, kClassFile = 88, kClassTablespace = 92;
inline constexpr std::size_t ClassPersistence(std::uint32_t server_major) {
  return server_major >= 18 ? 118 : 114;
}
inline constexpr std::size_t ClassKind(std::uint32_t server_major) {
  return ClassPersistence(server_major) + 1;
}
inline constexpr std::size_t kProcNamespace = 68;
inline constexpr std::size_t kTypeNamespace = 68, kTypeKind = 79, kTypeCategory = 80;
inline constexpr std::size_t kDatabaseConnectionLimit = 80;
inline constexpr std::int32_t kInvalidDatabase = -2;  // DATCONNLIMIT_INVALID_DB
}  // namespace catalog

}  // namespace pitr::wal

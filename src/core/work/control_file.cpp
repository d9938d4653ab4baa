// ControlFileData by offset, not by struct: this file is compiled without any server header, and one program
// reads the files of all majors. Offsets are those of a 64-bit little-endian server; taken from
// src/include/catalog/pg_control.h of 15, 17 and 18. test/unit/work/control_file_test.cpp holds real files.
#include "core/work/control_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/demand/control_state.h"

namespace pitr {

namespace {

//  offset  15 and 16 (version 1300), 17 (1700), 18 (1800)
//       0  system_identifier u64
//       8  pg_control_version u32, catalog_version_no u32
//      16  state u32, (4 unused), time i64
//      32  checkPoint u64
//      40  checkPointCopy, 88 bytes: redo u64, ThisTimeLineID u32, PrevTimeLineID u32, fullPageWrites u8,
//          (17 and 18: wal_level i32 at 60), nextXid u64 at 64, …, time i64 at 104, …
//     128  unloggedLSN u64, minRecoveryPoint u64, minRecoveryPointTLI u32, (4 unused)
//     152  backupStartPoint u64, backupEndPoint u64, backupEndRequired u8, (3 unused)
//     172  wal_level i32, wal_log_hints u8, (3 unused), MaxConnections i32, max_worker_processes i32,
//          max_wal_senders i32, max_prepared_xacts i32, max_locks_per_xact i32, track_commit_timestamp u8
//     204  maxAlign u32, floatFormat f64, blcksz u32, relseg_size u32, xlog_blcksz u32, xlog_seg_size u32
//     252  data_checksum_version u32
//     256  mock_authentication_nonce 32 bytes, crc u32 at 288
//          (18: default_char_signedness u8 before it, so that the crc is at 292)
constexpr std::uint32_t kVersion15 = 1300, kVersion17 = 1700, kVersion18 = 1800;
constexpr int kReadAttempts = 10;

std::uint8_t U8At(ByteView bytes, std::size_t offset) { return bytes[offset]; }
std::uint32_t U32At(ByteView bytes, std::size_t offset) {
  return ByteReader(bytes.subspan(offset, 4)).U32();
}
std::int32_t I32At(ByteView bytes, std::size_t offset) {
  return static_cast<std::int32_t>(U32At(bytes, offset));
}
std::uint64_t U64At(ByteView bytes, std::size_t offset) {
  return ByteReader(bytes.subspan(offset, 8)).U64();
}
Timestamp UnixAt(ByteView bytes, std::size_t offset) {  // pg_time_t: seconds since 1970
  return {static_cast<std::int64_t>(U64At(bytes, offset) * 1000000U)};
}

Result<std::size_t> CrcOffset(ByteView bytes) {
  switch (const std::uint32_t version = U32At(bytes, demand::kControlVersionOffset)) {
    case kVersion15:
    case kVersion17:
    case kVersion18:
      return demand::ControlCrcOffset(version);
    default:
      return Status(Code::kUnsupported, "pg_control has version " + std::to_string(version))
          .WithDetail("Versions 1300 (PostgreSQL 15), 1700 and 1800 are supported.");
  }
}

ControlSettings Settings(ByteView bytes) {
  ControlSettings settings;
  settings.wal_level = I32At(bytes, 172);
  settings.wal_log_hints = U8At(bytes, 176) != 0;
  settings.max_connections = I32At(bytes, 180);
  settings.max_worker_processes = I32At(bytes, 184);
  settings.max_wal_senders = I32At(bytes, 188);
  settings.max_prepared_transactions = I32At(bytes, 192);
  settings.max_locks_per_transaction = I32At(bytes, 196);
  settings.track_commit_timestamp = U8At(bytes, 200) != 0;
  settings.data_checksum_version = U32At(bytes, 252);
  return settings;
}

}  // namespace

Result<ControlFile> ParseControlFile(ByteView bytes) {
  if (bytes.size() < demand::ControlCrcOffset(kVersion18) + 4) {
    return Status(Code::kCorrupt, "pg_control has only " + std::to_string(bytes.size()) + " bytes");
  }
  PITR_ASSIGN_OR_RETURN(const std::size_t crc_offset, CrcOffset(bytes));
  const std::uint32_t expected = U32At(bytes, crc_offset);
  const std::uint32_t found = Crc32cFin(Crc32cComp(kCrc32cInit, bytes.first(crc_offset)));
  if (found != expected) {
    return Status(Code::kCorrupt, "checksum of pg_control is wrong");
  }
  ControlFile control;
  control.system_identifier = U64At(bytes, 0);
  control.control_version = U32At(bytes, demand::kControlVersionOffset);
  control.catalog_version = U32At(bytes, 12);
  // Of an incomplete directory it may be written as another number.
  const std::uint32_t state = demand::ShownState(U32At(bytes, demand::kControlStateOffset));
  if (state > static_cast<std::uint32_t>(ClusterState::kInProduction)) {
    return Status(Code::kCorrupt, "pg_control has the unknown state " + std::to_string(state));
  }
  control.state = static_cast<ClusterState>(state);
  control.written_at = UnixAt(bytes, 24);
  control.checkpoint = {U64At(bytes, 32)};
  control.redo = {U64At(bytes, 40)};
  control.timeline = U32At(bytes, 48);
  control.previous_timeline = U32At(bytes, 52);
  control.full_page_writes = U8At(bytes, 56) != 0;
  control.next_xid = U64At(bytes, 64);
  control.checkpoint_at = UnixAt(bytes, 104);
  control.min_recovery_point = {U64At(bytes, 136)};
  control.min_recovery_timeline = U32At(bytes, 144);
  control.backup_start = {U64At(bytes, 152)};
  control.backup_end = {U64At(bytes, 160)};
  control.backup_end_required = U8At(bytes, 168) != 0;
  control.settings = Settings(bytes);
  control.block_size = U32At(bytes, 216);
  control.relation_segment_blocks = U32At(bytes, 220);
  control.wal_block_size = U32At(bytes, 224);
  control.wal_segment_size = U32At(bytes, 228);
  return control;
}

Result<Bytes> ReadControlBytes(const std::string& data_directory) {
  const std::string path = JoinPath(data_directory, "global/pg_control");
  PITR_ASSIGN_OR_RETURN(const File file, File::Open(path, O_RDONLY));
  for (int attempt = 1;; attempt++) {
    Bytes bytes(kControlFileSize);
    PITR_ASSIGN_OR_RETURN(const std::size_t size, file.ReadAt(0, bytes.data(), bytes.size()));
    bytes.resize(size);
    auto control = ParseControlFile(bytes);
    if (control.ok()) {
      return bytes;
    }
    // A read that meets a write may see a mix, as in get_controlfile, src/common/controldata_utils.c (17).
    if (control.status().code() != Code::kCorrupt || attempt == kReadAttempts) {
      return std::move(control).status().Prefix("\"" + path + "\"");
    }
    ::usleep(10000);
  }
}

Result<ControlFile> ReadControlFile(const std::string& data_directory) {
  PITR_ASSIGN_OR_RETURN(const Bytes bytes, ReadControlBytes(data_directory));
  return ParseControlFile(bytes);
}

}  // namespace pitr

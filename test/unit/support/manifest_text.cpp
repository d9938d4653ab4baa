#include "unit/support/manifest_text.h"

#include <cinttypes>
#include <cstdio>

namespace pitr {

namespace {

template <typename... Args>
std::string Line(const char* format, Args... args) {
  char text[512];
  std::snprintf(text, sizeof text, format, args...);
  return std::string(text) + "\n";
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out + "\"";
}

std::string HeadText(const Manifest& m) {
  std::string out = "id " + m.id + "\nname " + Quoted(m.name) + "\nbranch " + m.branch + "\n";
  out += Line("root %" PRIu64 " major %u segment %u", m.root.system_identifier, m.root.server_major,
              m.root.segment_size);
  out += "kind " + m.kind + "\norigin " + m.origin + "\nbased on " +
         m.based_on.value_or("nothing") + "\n";
  out += Line("timeline %u", m.timeline);
  out += "from " + m.start_lsn.ToString() + " to " + m.stop_lsn.ToString() + "\n";
  out += "started " + FormatTime(m.started_at) + "\nfinished " + FormatTime(m.finished_at) + "\n";
  out += "expires " + (m.expires_at ? FormatTime(*m.expires_at) : std::string("never")) + "\n";
  out += m.from_standby ? "from a standby\n" : "from a primary\n";
  out += "backup_label " + Quoted(m.backup_label) + "\ntablespace_map " + Quoted(m.tablespace_map) +
         "\n";
  const ControlSettings& c = m.control;
  out += Line("settings %d %d %d %d %d wal_level %d hints %d commit_ts %d checksums %u",
              c.max_connections, c.max_worker_processes, c.max_wal_senders,
              c.max_prepared_transactions, c.max_locks_per_transaction, c.wal_level,
              c.wal_log_hints ? 1 : 0, c.track_commit_timestamp ? 1 : 0, c.data_checksum_version);
  return out + Line("bytes %" PRIu64 " new %" PRIu64 " stored %" PRIu64, m.database_bytes,
                    m.new_bytes, m.stored_bytes);
}

}  // namespace

std::string ManifestText(const Manifest& manifest) {
  std::string out = HeadText(manifest);
  for (const PackRef& pack : manifest.packs) {
    out += Line("pack %s %u", pack.snapshot.c_str(), pack.number);
  }
  for (const Frame& frame : manifest.frames) {
    out += Line("frame of pack %u at %" PRIu64 ": %u bytes of %u%s, %016" PRIx64, frame.pack,
                frame.offset, frame.packed_size, frame.plain_size, frame.stored ? " stored" : "",
                frame.plain_hash);
  }
  for (const ManifestFile& file : manifest.files) {
    out += Line("file %s kind %d mode %04o size %" PRIu64 "%s%s", file.path.c_str(),
                static_cast<int>(file.kind), file.mode, file.size,
                file.link_target.empty() ? "" : " -> ", file.link_target.c_str());
    for (const Extent& extent : file.extents) {
      out += Line("  at %" PRIu64 ": %u bytes of frame %u from %u", extent.file_offset,
                  extent.length, extent.frame, extent.frame_offset);
    }
  }
  for (const BadPage& bad : manifest.bad_pages) {
    out += Line("bad page %s %u", bad.path.c_str(), bad.block);
  }
  return out;
}

// Of everything one, with values that differ from each other and from the defaults.
Manifest SampleManifest() {
  Manifest m;
  m.id = "sn-20261120T100000-0123abcd";
  m.name = "before the migration";
  m.branch = "br-quiet-otter-0a1b2c3d";
  m.root = {7000000000000000001, 15, 16U << 20};
  m.kind = "incremental";
  m.origin = "schedule";
  m.based_on = "sn-20261119T100000-4567ef01";
  m.timeline = 3;
  m.start_lsn = {0x1A02000028};
  m.stop_lsn = {0x1A02000138};
  m.started_at = {1795168800123456};
  m.finished_at = {1795168860654321};
  m.expires_at = Timestamp{1795773600000000};
  m.from_standby = true;
  m.backup_label = "START WAL LOCATION: 1A/2000028 (file 000000030000001A00000002)\nLABEL: pitr\n";
  m.tablespace_map = "16400 /srv/space\n";
  m.control = {101, 9, 11, 2, 65, 2, true, true, 1};
  m.database_bytes = 532488;
  m.new_bytes = 61000;
  m.stored_bytes = 70000;
  m.packs = {{"sn-20261119T100000-4567ef01", 7},
             {"sn-20261120T100000-0123abcd", 1},
             {"sn-20261120T100000-0123abcd", 2}};
  m.frames = {{0, 4096, 9000, 32768, 0x1111111111111111, false},
              {1, 64, 50000, 262144, 0x2222222222222222, false},
              {1, 50064, 8200, 8200, 0xFEDCBA9876543210, true},
              {2, 64, 2800, 16384, 0x4444444444444444, false}};
  m.files = {{"PG_VERSION", FileKind::kPlain, 0600, 3, "", {{0, 2, 0, 3}}},
             {"base", FileKind::kDirectory, 0700, 0, "", {}},
             {"base/5", FileKind::kDirectory, 0750, 0, "", {}},
             {"base/5/1259",
              FileKind::kRelation,
              0600,
              327680,
              "",
              {{0, 0, 8192, 16384}, {32768, 1, 0, 262144}}},
             {"base/5/1260", FileKind::kRelation, 0640, 16384, "", {{8192, 3, 8192, 8192}}},
             {"base/5/1261", FileKind::kRelation, 0600, 0, "", {}},
             {"pg_tblspc", FileKind::kDirectory, 0700, 0, "", {}},
             {"pg_tblspc/16400", FileKind::kSymlink, 0777, 0, "/srv/space", {}},
             {"pg_tblspc/16400/PG_15_202209061", FileKind::kDirectory, 0700, 0, "", {}},
             {"pg_xact", FileKind::kDirectory, 0700, 0, "", {}},
             {"pg_xact/0000", FileKind::kPlain, 0600, 8197, "", {{0, 2, 3, 8197}}}};
  m.bad_pages = {{"base/5/1259", 12}, {"base/5/1260", 1}};
  return m;
}

}  // namespace pitr

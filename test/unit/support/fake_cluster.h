// A small directory that looks like a stopped cluster: valid pg_control, relations with valid page checksums, files that belong
// into a snapshot and files that do not.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/work/page_check.h"

namespace pitr {

inline constexpr std::uint32_t kFakeCatalog = 202209061;

// pg_control of 15 (version 1300), with checksums on.
inline Bytes FakeControl(std::uint32_t block_size = kPageSize) {
  Bytes bytes(kPageSize);
  const auto put = [&](std::size_t at, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; i++) {
      bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
    }
  };
  put(0, 7000000000000000001, 8);
  put(8, 1300, 4);
  put(12, kFakeCatalog, 4);
  put(16, 1, 4);
  put(32, 0x2000028, 8);
  put(40, 0x2000028, 8);
  put(48, 1, 4);
  put(172, 1, 4);
  put(180, 100, 4);
  put(216, block_size, 4);
  put(220, 131072, 4);
  put(228, 16U << 20, 4);
  put(252, 1, 4);
  put(288, Crc32cFin(Crc32cComp(kCrc32cInit, ByteView(bytes).first(288))), 4);
  return bytes;
}

// A page with content made from `seed`, and the checksum of block `block`.
inline Bytes FakePage(std::uint32_t seed, std::uint32_t block, std::uint64_t lsn = 0x1000000) {
  Bytes page(kPageSize);
  std::uint32_t state = seed * 2654435761U + 1;
  for (std::size_t i = 24; i < page.size(); i++) {
    state = state * 1664525U + 1013904223U;
    // A quarter of noise: compresses about as real rows do.
    page[i] =
        i % 4 == 0 ? static_cast<std::uint8_t>(state >> 24) : static_cast<std::uint8_t>(i / 97);
  }
  for (std::size_t i = 0; i < 4; i++) {
    page[i] = static_cast<std::uint8_t>(lsn >> (32 + 8 * i));
    page[4 + i] = static_cast<std::uint8_t>(lsn >> (8 * i));
  }
  page[14] = 0x40;  // pd_upper
  const std::uint16_t checksum = PageChecksum(page.data(), block);
  page[8] = static_cast<std::uint8_t>(checksum);
  page[9] = static_cast<std::uint8_t>(checksum >> 8);
  return page;
}

class FakeCluster {
 public:
  explicit FakeCluster(std::string path) : path_(std::move(path)) {
    for (const char* folder :
         {"", "base", "base/1", "base/5", "base/pgsql_tmp", "global", "pg_wal",
          "pg_wal/archive_status", "pg_xact", "pg_multixact", "pg_multixact/members", "pg_replslot",
          "pg_replslot/slot", "pg_subtrans", "pg_stat_tmp", "pg_tblspc", "pg_notify", "pitr",
          "log"}) {
      Folder(folder);
    }
    Put("PG_VERSION", "15\n");
    Put("global/pg_control", AsText(FakeControl()));
    Put("base/1/PG_VERSION", "15\n");
    Put("base/1/pg_filenode.map", std::string(524, 'm'));
    Put("postgresql.conf", "port = 5432\n");
    Put("pg_xact/0000", std::string(8192, '\x55'));
    Put("pg_multixact/members/0000", std::string(8192, '\0'));
    Relation("global/1262", 1, 1);
    Relation("base/1/1259", 2, 3);
    Relation("base/1/1259_fsm", 3, 3);
    Relation("base/1/1259_vm", 4, 1);
    Relation("base/1/2619", 5, 0);
  }

  // What a snapshot must leave out; the folders are kept.
  void PutExcluded() const {
    for (const char* name : {"postmaster.pid",
                             "postmaster.opts",
                             "backup_label",
                             "backup_label.old",
                             "tablespace_map",
                             "tablespace_map.old",
                             "backup_manifest",
                             "postgresql.auto.conf.tmp",
                             "current_logfiles.tmp",
                             "recovery.signal",
                             "standby.signal",
                             "global/pg_internal.init",
                             "base/1/pg_internal.init.123",
                             "base/pgsql_tmp/pgsql_tmp12.0",
                             "base/1/pgsql_tmp_x",
                             "pg_wal/000000010000000000000001",
                             "pg_wal/archive_status/000000010000000000000001.done",
                             "pg_replslot/slot/state",
                             "pg_subtrans/0000",
                             "pg_stat_tmp/pgss",
                             "pg_notify/0000",
                             "pitr/intent",
                             "log/server.log"}) {
      Put(name, "not for a snapshot");
    }
    for (const char* name : {"base/1/t3_16500", "base/1/t3_16500_fsm", "base/1/t12_16500.1",
                             "base/1/16400", "base/1/16400_fsm", "base/1/16400.1"}) {
      Relation(name, 9, 1);
    }
    Relation("base/1/16400_init", 10, 1);  // kept: 16400 is unlogged
  }

  void Folder(const std::string& name) const {
    EXPECT_TRUE(MakeDirectories(JoinPath(path_, name)).ok());
  }
  void Put(const std::string& name, std::string_view content) const {
    Result<File> file = File::Open(JoinPath(path_, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    EXPECT_TRUE(file->WriteAll(AsBytes(content)).ok());
  }
  // `first_block` of the relation is the file's first page.
  void Relation(const std::string& name, std::uint32_t seed, std::uint32_t pages,
                std::uint32_t first_block = 0) const {
    Bytes content;
    for (std::uint32_t i = 0; i < pages; i++) {
      const Bytes page = FakePage(seed + i, first_block + i);
      content.insert(content.end(), page.begin(), page.end());
    }
    Put(name, AsText(content));
  }
  // Makes the tablespace's folder of this cluster, and one that belongs to another.
  void Tablespace(const std::string& oid, const std::string& target) const {
    const std::string version = "PG_15_" + std::to_string(kFakeCatalog);
    EXPECT_TRUE(MakeDirectories(target).ok());
    EXPECT_EQ(::symlink(target.c_str(), (JoinPath(path_, "pg_tblspc/") + oid).c_str()), 0);
    Folder("pg_tblspc/" + oid + "/" + version);
    Folder("pg_tblspc/" + oid + "/" + version + "/5");
    Folder("pg_tblspc/" + oid + "/PG_14_202107181");
    Put("pg_tblspc/" + oid + "/PG_14_202107181/x", "another cluster's");
    Relation("pg_tblspc/" + oid + "/" + version + "/5/16401", 20, 2);
  }

  // A directory that is there already.
  static FakeCluster At(std::string path) { return FakeCluster(std::move(path), 0); }

  const std::string& path() const { return path_; }
  std::string Read(const std::string& name) const {
    Result<std::string> text = ReadTextFile(JoinPath(path_, name), 1ULL << 30);
    EXPECT_TRUE(text.ok()) << text.status().ToString();
    return text.ok() ? *text : std::string();
  }

 private:
  FakeCluster(std::string path, int) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace pitr

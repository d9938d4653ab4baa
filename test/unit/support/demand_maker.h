// An incomplete data directory with a repository of packs beside it, made by hand: every page's content is known.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/codec/compress.h"
#include "core/demand/directory.h"
#include "unit/support/temp_dir.h"

namespace pitr {

class DemandMaker {
 public:
  DemandMaker() {
    EXPECT_TRUE(MakeDirectories(data() + "/base/5").ok());
    EXPECT_TRUE(MakeDirectories(data() + "/global").ok());
    EXPECT_TRUE(MakeDirectories(repository() + "/packs/sn-1").ok());
    pack_.resize(64);
    content_.snapshot = "sn-1";
    content_.places = {repository()};
    content_.packs = {"packs/sn-1/1"};
  }

  std::string data() const { return dir_ / "data"; }
  std::string repository() const { return dir_ / "repository"; }
  std::string pack() const { return repository() + "/packs/sn-1/1"; }
  std::string Path(const std::string& file) const { return data() + "/" + file; }

  static Bytes Page(std::uint32_t seed, std::uint32_t page) {
    Bytes bytes(demand::kPageBytes);
    for (std::size_t i = 0; i < bytes.size(); i++) {
      bytes[i] = static_cast<std::uint8_t>(i < 64 ? seed * 31 + page * 7 + i : page >> 3);
    }
    // As a heap page: no special space.
    bytes[16] = 0;
    bytes[17] = 0x20;
    return bytes;
  }

  // A sparse file of `pages` pages whose content lies in frames of `frame_pages` each; page 0 of `hole` is in no frame.
  void Relation(const std::string& path, std::uint32_t seed, std::uint32_t pages,
                std::uint32_t frame_pages = 32, std::uint32_t hole = ~0U) {
    const Result<File> file = File::Open(Path(path), O_RDWR | O_CREAT | O_EXCL);
    ASSERT_TRUE(file.ok());
    ASSERT_EQ(::ftruncate(file->fd(), off_t{pages} * demand::kPageBytes), 0);
    demand::IndexFile entry;
    entry.path = path;
    entry.pages = pages;
    for (std::uint32_t page = 0; page < pages; page += frame_pages) {
      const std::uint32_t count = std::min(frame_pages, pages - page);
      Bytes plain, packed;
      for (std::uint32_t i = page; i < page + count; i++) {
        const Bytes bytes = Page(seed, i);
        plain.insert(plain.end(), bytes.begin(), bytes.end());
      }
      ASSERT_TRUE(CompressBlock(1, plain, &packed).ok());
      if (page != hole) {
        entry.runs.push_back({page, count, static_cast<std::uint32_t>(content_.frames.size()), 0});
        content_.frames.push_back({0, pack_.size(), Xxh3(plain),
                                   static_cast<std::uint32_t>(packed.size()),
                                   static_cast<std::uint32_t>(plain.size()), false});
        pack_.insert(pack_.end(), packed.begin(), packed.end());
      }
    }
    content_.files.push_back(std::move(entry));
  }

  demand::IndexContent& content() { return content_; }

  void Finish(const std::string& label = "START WAL LOCATION: 0/2000028\n") {
    WritePack();
    const Status made = demand::MakeFolder(data(), content_, label);
    ASSERT_TRUE(made.ok()) << made.ToString();
  }
  void WritePack() const { ASSERT_TRUE(WriteFileLoosely(pack(), pack_).ok()); }
  Bytes& pack_bytes() { return pack_; }

  Result<std::unique_ptr<demand::Directory>> TryOpen() {
    return demand::Directory::Open(data(), &source_);
  }
  std::unique_ptr<demand::Directory> Open() {
    auto opened = TryOpen();
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    return opened.ok() ? std::move(*opened) : nullptr;
  }

  Bytes OnDisk(const std::string& path, std::uint32_t page) const {
    Bytes bytes(demand::kPageBytes);
    const Result<File> file = File::Open(Path(path), O_RDONLY);
    EXPECT_TRUE(file.ok());
    const auto got = file->ReadAt(std::uint64_t{page} * bytes.size(), bytes.data(), bytes.size());
    EXPECT_TRUE(got.ok() && *got == bytes.size());
    return bytes;
  }

 private:
  TempDir dir_;
  Bytes pack_;
  demand::IndexContent content_;
  demand::LocalPacks source_;
};

}  // namespace pitr

// Read-ahead for a recovering server: threads that unpack the coming segments into the spool, so that replay never waits for
// decompression, nor for a distant store. They live and die with the process that started the server. Losing them costs time only: wal-get fetches itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/repo/wal_archive.h"
#include "core/types/wal_name.h"
#include "tool/wal_source.h"

namespace pitr::tool {

class WalPrefetch {
 public:
  // `segments` in the order in which recovery wants them; about `read_ahead_bytes` (but one segment) wait in the spool.
  // `repo` is the one of `source`, and must outlive this.
  WalPrefetch(Repository* repo, WalSource source, std::vector<SegmentId> segments,
              std::uint64_t read_ahead_bytes);
  ~WalPrefetch();  // ends the threads
  WalPrefetch(const WalPrefetch&) = delete;
  WalPrefetch& operator=(const WalPrefetch&) = delete;

 private:
  void Run() noexcept;
  Status FetchAll();
  Status Fetch(const WalReader& reader, SegmentId segment, const std::string& name);
  bool HasRoom() const;

  Repository* repo_;
  WalSource source_;
  std::vector<SegmentId> segments_;
  std::uint64_t segment_size_, room_;
  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> next_{0};  // of segments_, that nobody has taken
  std::vector<std::thread> threads_;
};

}  // namespace pitr::tool

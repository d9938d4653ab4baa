// Read-ahead for a recovering server: a thread that unpacks the coming segments into the spool, so that replay never waits for
// decompression. It lives and dies with the process that started the server. Losing it costs time only: wal-get fetches itself.
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
  // `segments` in the order in which recovery wants them; at most `read_ahead_bytes` (but one segment) wait in the spool.
  WalPrefetch(WalSource source, std::vector<SegmentId> segments, std::uint64_t read_ahead_bytes);
  ~WalPrefetch();  // ends the thread
  WalPrefetch(const WalPrefetch&) = delete;
  WalPrefetch& operator=(const WalPrefetch&) = delete;

 private:
  void Run() noexcept;
  Status FetchAll();
  Status Fetch(const WalReader& reader, SegmentId segment, const std::string& name);
  bool HasRoom() const;

  WalSource source_;
  std::vector<SegmentId> segments_;
  std::uint64_t segment_size_, room_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace pitr::tool

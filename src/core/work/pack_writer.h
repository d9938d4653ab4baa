// Packs: objects of some 64 MiB in which frames stand one after the other. Format: doc/snapshot-format.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/repo/manifest.h"

namespace pitr {

Bytes EncodePackHead(const SnapshotId& snapshot, std::uint32_t number);
// kCorrupt when it is another pack's head or damaged.
Status CheckPackHead(ByteView head, const SnapshotId& snapshot, std::uint32_t number);

// One thread's packs of one snapshot: at most one is open. Numbers come from a counter that all threads share.
class PackWriter {
 public:
  PackWriter(Repository* repo, SnapshotId snapshot, std::atomic<std::uint32_t>* next_number,
             std::uint64_t target = kPackTarget)
      : repo_(repo), snapshot_(std::move(snapshot)), next_number_(next_number), target_(target) {}

  struct Place {
    std::uint32_t number = 0;  // of the pack
    std::uint64_t offset = 0;
  };
  // Opens a pack if none is open; closes it when it has reached its size.
  Result<Place> Add(ByteView frame);
  // Publishes the open pack. DURABLE when OK, as every pack closed before.
  Status Close();
  // Published by this writer; for removal when the snapshot fails.
  const std::vector<std::uint32_t>& published() const { return published_; }

 private:
  Status Open();

  Repository* repo_;
  SnapshotId snapshot_;
  std::atomic<std::uint32_t>* next_number_;
  std::uint64_t target_;
  std::unique_ptr<ObjectWriter> writer_;
  std::uint32_t number_ = 0;
  std::uint64_t size_ = 0;
  std::vector<std::uint32_t> published_;
};

}  // namespace pitr

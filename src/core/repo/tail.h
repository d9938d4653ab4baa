// The flushed part of the segment that is being written, in pieces (tail/): each holds what was flushed since the one before, so
// that a second's worth of WAL costs a second's worth of work. A piece takes in those before it that are not much larger than
// what it adds; so there are few of them however often they are shipped, and each byte is shipped again a few times at most. A
// whole segment replaces all of its pieces.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/repo/tail_pieces.h"
#include "core/repo/wal_archive.h"

namespace pitr {

// For one branch; kept as long as somebody ships again and again. Not for use by several threads at once. Several writers, also
// of several processes, do not harm each other: names are put-if-absent, and nothing is removed but what was found to be the
// same as the file, or was made here.
class TailWriter {
 public:
  // `still_ready` of the options is not asked. `repo` must outlive the writer.
  TailWriter(Repository* repo, ShipOptions options) : repo_(repo), options_(std::move(options)) {}

  // Afterwards the first `flushed` bytes of the open segment at `path` can be read from the repository. DURABLE. `was_there`:
  // they could before, and nothing was asked of the store unless the segment is a new one; sizes are those of the piece made
  // now, `last_end` is of the last record that ends in it. What the repository holds of a segment that was not met before is
  // compared with the file: other content is kAlreadyExists. kForeign and kCorrupt as ShipWalFile. kNotReady: the file at `path`
  // became another one while it was read. Memory: a few MiB.
  Result<ShipResult> Ship(const std::string& path, SegmentId segment, std::uint32_t flushed);

  // Pieces that later ones have taken in; Ship() leaves them, so that who waits for it does not wait for this as well. What cannot
  // be removed now is tried again the next time: no reason to fail. IDEMPOTENT.
  Status RemoveTakenIn();
  // Pieces of other segments, whose whole ones may be there by now: removed if so. One look-up a segment. IDEMPOTENT.
  Status RemoveReplaced();
  bool has_replaceable() const { return !earlier_.empty(); }
  // The segment that was shipped last, and its bytes that are durable.
  std::optional<SegmentId> segment() const { return segment_; }
  std::uint32_t reached() const { return chain_.empty() ? 0 : chain_.back().piece.end; }

 private:
  struct Earlier {
    std::vector<std::string> objects;
    int looks = 0;
  };
  Status LookAt(const File& file, const std::string& path, SegmentId segment,
                std::uint32_t flushed);
  Status CheckSame(const File& file, const std::string& path, const NamedPiece& piece) const;
  Status Publish(const File& file, const std::string& path, const layout::TailPiece& piece,
                 ShipResult* result) const;

  Repository* repo_;
  ShipOptions options_;
  std::optional<SegmentId> segment_;   // what is known is of this one
  std::vector<NamedPiece> chain_;      // without a hole from the segment's start
  std::vector<NamedPiece> redundant_;  // within the chain: to be removed
  // Pieces of somebody who is ahead of us (a standby's primary) cannot be compared before we are as far.
  std::uint32_t ahead_ = 0;
  std::map<SegmentId, Earlier> earlier_;  // of other segments
};

// Once, by somebody who keeps no writer.
Result<ShipResult> ShipTail(Repository* repo, const ShipOptions& options, const std::string& path,
                            SegmentId segment, std::uint32_t flushed);

}  // namespace pitr

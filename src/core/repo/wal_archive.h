// WAL in the repository. A segment is one object: its bytes and, in the same object, its index; so it is there
// with its index or not at all. Readers walk branch -> ancestor; pieces of an open segment stand in for it
// until the whole one is there.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/repo/branches.h"
#include "core/repo/repository.h"
#include "core/wal/index.h"

namespace pitr {

struct ShipOptions {
  BranchId branch;
  RootIdentity root;
  int compression_level = 3;
  // Asked when all bytes are read, before the object is published: false = kNotReady and nothing is published (the file
  // may have been recycled while it was read, internals 28).
  std::function<bool()> still_ready;
  // Asked last of all, of pieces as well: false = kNotReady and nothing is published (the lease of the branch is over).
  std::function<bool()> may_publish;
  const CancelToken* cancel = nullptr;
};
struct ShipResult {
  std::uint64_t raw_bytes = 0, stored_bytes = 0;
  bool was_there = false;  // the same content was in the repository already
  Lsn last_end;  // of the last record that begins and ends here (WAL; invalid when there is none)
};

// Ships the file `path` under the archive file name `name`. Segments are header-checked (kForeign: system identifier,
// major, page address, timeline; both values in the message) and must not end early except by a switch record (kCorrupt
// "ends early"; .partial may). IDEMPOTENT: same content is OK with was_there; the same name with other content is
// kAlreadyExists with the SHA-256 of both in the detail. kInvalidArgument for a name that the server does not archive.
// Memory: a few MiB, whatever the size of segments. DURABLE.
Result<ShipResult> ShipWalFile(Repository* repo, const ShipOptions& options,
                               const std::string& path, const std::string& name);

// The lines through which the history of `branch` runs: itself, its ancestor up to the fork, ….
class WalReader {
 public:
  // `line`: AncestryOf() of the branch to read for.
  WalReader(Repository* repo, std::vector<Branch> line) : repo_(repo), line_(std::move(line)) {}

  struct Found {
    std::string object;  // empty for tail pieces
    BranchId branch;
    bool is_partial = false;  // object is a .partial
    bool from_tail = false;
    std::vector<std::string> pieces;
  };
  // kNotFound = proven absent in every line. A line's segments count only when they begin before the fork of the line
  // that left it, on a timeline that it had reached by then. Whole segments of any line first, then .partial, then pieces.
  Result<Found> FindSegment(SegmentId segment) const;
  // Bytes of a whole segment; a .partial and pieces are zero-filled behind what they hold.
  Result<Bytes> ReadSegment(SegmentId segment) const;
  Result<wal::SegmentIndex> ReadIndex(SegmentId segment) const;
  // As wal::DecodeIndexHead: no lists. Of a whole segment that costs one suffix read; of others as much as ReadIndex.
  Result<wal::SegmentIndex> ReadIndexHead(SegmentId segment) const;
  // History file text from any of the lines.
  Result<std::string> ReadHistory(TimelineId timeline) const;
  // Timelines that any of the lines has WAL or history for, ascending.
  Result<std::vector<TimelineId>> Timelines() const;
  // Segments of one timeline that any of the lines holds (forks respected), ascending. tail_only: no whole one, but a
  // .partial or pieces that begin at its start.
  struct Held {
    SegmentId segment;
    BranchId branch;
    bool tail_only = false;
    std::uint64_t stored_bytes = 0;
  };
  Result<std::vector<Held>> Segments(TimelineId timeline) const;
  std::uint64_t segment_size() const { return line_.front().root.segment_size; }
  const std::vector<Branch>& line() const { return line_; }
  Repository* repo() const { return repo_; }

 private:
  // Whether what line_[i] holds of `timeline` (and, with a number, of that segment) belongs to this history.
  bool Counts(std::size_t i, TimelineId timeline) const;
  bool Counts(std::size_t i, SegmentId segment) const;
  Status ReadPieces(const Found& found, Bytes* joined) const;
  // What is found, without the zeroes behind it.
  // The index of a whole segment as it is stored, and its object; nullopt when there is none. One request where FindSegment and then a
  // read would be two: searches look at many.
  Result<std::optional<Bytes>> ReadWholeIndex(SegmentId segment, std::string* object) const;
  Result<Bytes> ReadWhatIsThere(SegmentId segment, Found* found) const;
  Status AddHeld(std::size_t i, TimelineId timeline, std::map<std::uint64_t, Held>* held) const;

  Repository* repo_;
  std::vector<Branch> line_;
};

}  // namespace pitr

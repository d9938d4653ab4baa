// The WAL index: what one segment says about commits, blocks touched, drops and settings, gathered in
// the same pass in which the segment is compressed. Format: doc/wal-index-format.md.
//
// A record may begin in one segment and end in the next, which may not exist yet: an index keeps the head
// that it could not finish (`tail`) and the continuation that it found at its own beginning (`head`);
// JoinTail joins them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/types/ids.h"
#include "core/types/lsn.h"
#include "core/types/wal_name.h"

namespace pitr::wal {

struct RelFork {
  std::uint32_t tablespace = 0, database = 0, relation = 0;
  std::uint8_t fork = 0;  // 0 main, 1 fsm, 2 vm, 3 init
  friend auto operator<=>(const RelFork&, const RelFork&) = default;
};

enum class EventKind : std::uint8_t {
  kCommit = 1,
  kAbort = 2,
  kPrepare = 3,
  kCommitPrepared = 4,
  kAbortPrepared = 5,
  kRestorePoint = 6,
};

// A moment that a target can name. Order is LSN order.
struct Event {
  EventKind kind = EventKind::kCommit;
  Lsn start, end;    // of the record; end as the server's EndRecPtr (see Record::end in reader.h)
  Xid xid = 0;       // of the transaction (the prepared one for *Prepared); 0 for restore points
  Timestamp time;    // commit, abort or prepare time; of the restore point
  std::string name;  // gid, or restore point name; empty otherwise
  bool IsCommit() const { return kind == EventKind::kCommit || kind == EventKind::kCommitPrepared; }
  bool IsAbort() const { return kind == EventKind::kAbort || kind == EventKind::kAbortPrepared; }
};

struct Truncation {
  Lsn start;
  RelFork relation;          // fork is 0
  std::uint32_t blocks = 0;  // length afterwards (main fork)
  std::uint32_t flags = 0;   // SMGR_TRUNCATE_HEAP 1, _VM 2, _FSM 4 (storage_xlog.h)
};

// Relations whose files a commit or abort record removes.
struct RelationDrop {
  Lsn start;
  RelFork relation;  // fork is 0: all forks go
};
struct RelationCreate {  // XLOG_SMGR_CREATE
  Lsn start;
  RelFork relation;
};

enum class DatabaseEventKind : std::uint8_t { kCreateFileCopy = 1, kCreateWalLog = 2, kDrop = 3 };
struct DatabaseEvent {
  DatabaseEventKind kind;
  Lsn start;
  std::uint32_t database = 0, tablespace = 0;  // one row a tablespace for a drop
};

// XLOG_PARAMETER_CHANGE: what a recovering server's settings are compared with (internals 6).
struct ParameterChange {
  Lsn start;
  std::int32_t max_connections = 0, max_worker_processes = 0, max_wal_senders = 0,
               max_prepared_transactions = 0, max_locks_per_transaction = 0;
  std::int32_t wal_level = 0;  // 0 minimal, 1 replica, 2 logical
  bool wal_log_hints = false, track_commit_timestamp = false;
};

// XLOG_END_OF_RECOVERY and shutdown/online checkpoints.
struct CheckpointRecord {
  Lsn start;
  Lsn redo;  // start of redo; invalid for end-of-recovery
  TimelineId timeline = 0, previous_timeline = 0;
  bool shutdown = false, end_of_recovery = false;
};

// The bytes of a record that runs over a border of the segment, at most kFragmentCap of them: all header
// fields lie in the first few KiB of a record. Only the main data of a commit can be longer and matter;
// 1 MiB is 87,381 dropped relations, and what is cut is said (SegmentIndex::lists_cut).
inline constexpr std::size_t kFragmentCap = 1U << 20;
struct Fragment {
  Lsn start;                // tail: start of the record. head: unused
  std::uint32_t total = 0;  // tail: xl_tot_len if known, else 0. head: xlp_rem_len
  Bytes bytes;              // tail: from its first byte. head: the continuation, without
                            // page headers; fewer than `total` says, and less than the cap:
                            // the rest lies in the next segment, or the WAL ended in it
  bool present = false;
};

struct SegmentIndex {
  RootIdentity root;
  SegmentId segment;
  std::uint16_t page_magic = 0;
  bool partial = false;      // the WAL ended inside (zeroes, or the input ended)
  Lsn first_start;           // of the first record that begins here; invalid when none does
  Lsn last_start, last_end;  // of the last record that begins and ends here; invalid when none
  Lsn head_end;              // end of the continuation at the beginning, if it ends here
  Fragment head, tail;
  std::uint64_t records = 0;  // that begin and end here
  std::vector<Event> events;
  std::map<RelFork, std::vector<std::uint32_t>> blocks;  // sorted, unique
  std::vector<Truncation> truncations;
  std::vector<RelationDrop> relation_drops;
  std::vector<RelationCreate> relation_creates;
  std::vector<DatabaseEvent> database_events;
  std::vector<ParameterChange> parameter_changes;
  std::vector<CheckpointRecord> checkpoints;
  std::vector<std::uint8_t> custom_resource_managers;  // ids >= 128, sorted, unique
  // Commit times here (commits and aborts); both 0 when there is none. Clock disorder is possible,
  // so first and last are not enough.
  Timestamp min_time, max_time;
  // A record was longer than the fragments hold: relation_drops of its commit may lack some.
  bool lists_cut = false;
  // A record of a resource manager whose records we do not read carries XLR_SPECIAL_REL_UPDATE: `blocks`
  // is not all that changed, so relation files must be copied whole.
  bool unexplained_changes = false;

  // Sizes of the lists, from the head of an encoded index; filled by the two Decode functions only.
  struct Counts {
    std::uint32_t events = 0, commits = 0, restore_points = 0, relation_forks = 0;
    friend bool operator==(const Counts&, const Counts&) = default;
  } counts;
  // Why the WAL ended inside, for messages; not stored.
  std::string end_reason;
};

// What the bytes must be: a page of another system, major, segment size, of a later timeline or at a
// higher address is kForeign with both values. A lower address is old content of a recycled file, which
// ends the WAL; an older timeline is normal where a timeline begins inside a segment.
struct ExpectedWal {
  RootIdentity root;
  SegmentId segment;
};

// Fed with the bytes of one segment in order, in pieces of any size. Checks page headers and record
// CRCs on the way: WAL that ends early (zeroes, old content of a recycled file, a CRC that does not fit)
// sets `partial`; the caller decides whether that is an error. A segment that ends in a switch record
// (rest unused) is not partial.
class IndexBuilder {
 public:
  explicit IndexBuilder(const ExpectedWal& expected);
  ~IndexBuilder();
  IndexBuilder(const IndexBuilder&) = delete;
  IndexBuilder& operator=(const IndexBuilder&) = delete;
  // kForeign, see above; kUnsupported for a major or WAL block size that we do not know;
  // kInvalidArgument for more bytes than a segment has.
  Status Add(ByteView bytes);
  // REQUIRES: called once, after Add returned only OK. The input may be shorter than a segment (then partial).
  Result<SegmentIndex> Finish();

 private:
  struct State;
  State* state_;
};

// Fixed little-endian format with magic "PWIX", version, checksum; body zstd-compressed.
Bytes EncodeIndex(const SegmentIndex& index);
// kCorrupt for anything that is not exactly such an object.
Result<SegmentIndex> DecodeIndex(ByteView bytes);
// The fixed part alone, from the first kIndexHeadSize bytes: identity, first_start, last_*, min/max_time
// and counts, so that a search by time or LSN need not decode bodies. Lists stay empty.
inline constexpr std::size_t kIndexHeadSize = 128;
Result<SegmentIndex> DecodeIndexHead(ByteView bytes);

// Adds to `earlier` what the record that runs from `earlier` into the following segments says: decodes the
// joined record into earlier's lists, counts it, sets last_start and last_end (first_start too when it is
// the only one) and clears `tail`. `continuation` are the following segments in order; only as many as the record needs are read.
// False, with `earlier` unchanged, when there is no tail or the pieces do not (yet) make a whole record:
// a missing segment, an aborted record (the next segment then begins without a continuation), a CRC that
// does not fit. The CRC of a record of which a piece was cut at kFragmentCap is not checked.
bool JoinTail(SegmentIndex* earlier, const std::vector<const SegmentIndex*>& continuation);

}  // namespace pitr::wal

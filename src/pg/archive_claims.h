// Who ships what: claims in shared memory, taken by the archiver, the workers and the launcher alike, and the counters of
// pitr_archive. A claim ends with its process; what a process shipped ahead of the archiver stays noted until the archiver asks.
//
// Every function may THROW ErrorInFlight. REQUIRES: GetShared() is not null.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "core/base/status.h"
#include "core/repo/wal_archive.h"
#include "pg/archive_state.h"

namespace pitr::pg {

// What a file of pg_wal looked like: a recycled segment has another time, a removed and rewritten one another inode.
struct FileMark {
  std::uint64_t device = 0, inode = 0;
  std::int64_t size = 0, modified_ns = 0;
  friend bool operator==(const FileMark&, const FileMark&) = default;
};
Result<FileMark> MarkOf(const std::string& path);

enum class ClaimAnswer {
  kMine,
  kBusy,     // another living process ships it
  kShipped,  // exactly this file is durable at this destination
  kNoRoom,   // the table is full: the archiver ships all the same, workers wait
};

struct ClaimRequest {
  const std::string& name;
  FileMark mark;
  std::uint64_t destination = 0;
  bool take_from_living =
      false;  // the archiver has waited long enough; the other one will notice before it publishes
};

// `place` gets where a claim of mine stands.
ClaimAnswer Claim(const ClaimRequest& request, int* place);
// Asked by the core right before an object is published, hence without a lock, an error or an exception.
bool IsClaimMine(int place) noexcept;
// The claim ends without success. Nothing when it is not mine.
void ReleaseClaim(const std::string& name);
// The claim becomes a note for the archiver. Nothing when it is not mine any more.
void MarkShipped(const ClaimRequest& request);
// The archiver tells the server that the file is archived: the note goes, the counters move.
void Confirm(const std::string& name);
// Names of the files that were shipped to `destination` ahead of the archiver.
std::set<std::string> NotedShipped(std::uint64_t destination);
// Frees notes of files that wait no more, for a table that fills up. `is_waiting(name)` is asked without the lock.
void ForgetNotes(bool (*is_waiting)(const char* name));

// From every process that ships, once: its claims end with it.
void ReleaseClaimsAtExit();

}  // namespace pitr::pg

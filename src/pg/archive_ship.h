// Shipping one file of pg_wal to the repository: the same for the archiver, the workers and the launcher. One process at a time
// ships a file, no segment of a timeline goes before its history file, and only what is durable is called shipped.
//
// Nothing here needs a transaction or the catalogue. Everything may THROW ErrorInFlight. REQUIRES: GetShared() is not null.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/repo/identity.h"
#include "core/repo/repository.h"
#include "core/repo/wal_archive.h"
#include "pg/archive_claims.h"
#include "pg/interrupts.h"

namespace pitr::pg {

// Files that wait: history files first, then oldest first, as the archiver takes them (ready_file_comparator in pgarch.c).
struct ReadyFiles {
  std::int64_t count = 0;
  std::vector<std::string> names;  // the first `limit`
};
Result<ReadyFiles> ListReadyFiles(std::size_t limit);
// Also notes the number for the compression level.
std::int64_t CountReadyFiles();
bool IsReady(const char* name) noexcept;

// The repository and identity of a process that ships, opened when they are first needed.
class Shipper {
 public:
  // `cancel` ends what is under way; not owned.
  explicit Shipper(const CancelToken* cancel = &ServerCancel()) : cancel_(cancel) {}

  enum class Verdict {
    kShipped,  // now, by this call; the claim has become a note unless `confirm` follows
    kDurable,  // before, by another process
    kBusy,     // another living process is at it
    kGone,     // does not wait any more
    kNoRoom,   // no claim to be had
  };
  enum class Claiming { kPolite, kTakeFromLiving, kWithoutRoom };

  // Opens what is not open, or what the settings no longer name, and makes sure that this server is the writer of its branch: kOtherWriter
  // when it is not, and the repository stays open then. kCancelled when the process is to stop.
  Status Open();
  void Close();
  bool is_open() const { return repository_ != nullptr; }
  Repository* repository() const { return repository_.get(); }
  const Identity& identity() const { return *identity_; }
  std::uint64_t destination() const { return destination_; }  // which repository and branch
  // Another number for each repository object: what refers to one that was closed is of no use.
  int opened() const { return opened_; }
  void set_cancel(const CancelToken* cancel) { cancel_ = cancel; }
  // For this process's branch, without `still_ready`.
  ShipOptions Options(int compression_level) const;

  // Ships `path` under `name` while it waits (.ready). Counts what it does; a Status that is not OK was recorded and logged,
  // except kCancelled. REQUIRES: is_open().
  Result<Verdict> Ship(const std::string& name, const std::string& path, Claiming claiming);
  // Every file that waits, the archiver's own confirmation aside. kNotReady while another process is at one of them.
  Status ShipWaiting();
  // The history file of a timeline, which goes before anything else of it. REQUIRES: is_open().
  Status ShipHistory(TimelineId timeline);

 private:
  Status OpenRepository();
  Status ShipHistoryOf(const std::string& name);
  Result<ShipResult> ShipClaimed(const std::string& name, const std::string& path, int place,
                                 Claiming claiming);

  const CancelToken* cancel_;
  int opened_ = 0;
  RepositoryAccess access_;
  std::int64_t loaded_at_ = 0;  // of the settings
  std::unique_ptr<Repository> repository_;
  std::optional<Identity> identity_;
  std::uint64_t destination_ = 0;
  std::set<TimelineId> histories_;  // in the repository, or nowhere
};

}  // namespace pitr::pg

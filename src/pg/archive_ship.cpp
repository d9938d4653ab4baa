#include "pg/archive_ship.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/types/wal_name.h"
#include "pg/archive_report.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/identity.h"
#include "pg/lease.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
}

namespace pitr::pg {

namespace {

constexpr std::string_view kStatusDirectory = XLOGDIR "/archive_status";
constexpr std::string_view kReady = ".ready";
// More than this many files waiting are a backlog: compressed less, to be gone sooner.
constexpr std::int64_t kBacklog = 8;

std::uint64_t SegmentSize() { return static_cast<std::uint64_t>(wal_segment_size); }

bool IsHistory(std::string_view name) { return name.ends_with(".history"); }

bool GoesBefore(const std::string& a, const std::string& b) {
  return IsHistory(a) != IsHistory(b) ? IsHistory(a) : a < b;
}

void NoteReadyCount(std::int64_t count) {
  const std::int64_t now = SystemClock().Now().micros;
  const LockHolder lock(ArchiveLock());
  GetShared()->archive.ready_count = count;
  GetShared()->archive.ready_counted_at = now;
}

std::int64_t NotedReadyCount() {
  const LockHolder lock(ArchiveLock(), false);
  return GetShared()->archive.ready_count;
}

int LevelNow() {
  const Settings settings = CurrentSettings();
  return NotedReadyCount() > kBacklog ? settings.backlog_compression_level
                                      : settings.compression_level;
}

}  // namespace

bool IsReady(const char* name) noexcept {
  char path[MAXPGPATH];
  const int length =
      std::snprintf(path, sizeof path, "%s/%s%s", kStatusDirectory.data(), name, kReady.data());
  return length > 0 && static_cast<std::size_t>(length) < sizeof path && ::access(path, F_OK) == 0;
}

Result<ReadyFiles> ListReadyFiles(std::size_t limit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(kStatusDirectory.data()),
                                                      ::closedir);
  if (directory == nullptr) {
    return Status::FromErrno(errno, "open directory \"" + std::string(kStatusDirectory) + "\"");
  }
  ReadyFiles ready;
  errno = 0;
  while (const struct dirent* entry = ::readdir(directory.get())) {
    const std::string_view file = entry->d_name;
    if (file.ends_with(kReady)) {
      const std::string_view name = file.substr(0, file.size() - kReady.size());
      if (ParseWalFileName(name, SegmentSize())) {
        ready.names.emplace_back(name);
      }
    }
    errno = 0;
  }
  if (errno != 0) {
    return Status::FromErrno(errno, "read directory \"" + std::string(kStatusDirectory) + "\"");
  }
  ready.count = static_cast<std::int64_t>(ready.names.size());
  const std::size_t kept = std::min(limit, ready.names.size());
  std::partial_sort(ready.names.begin(), ready.names.begin() + static_cast<std::ptrdiff_t>(kept),
                    ready.names.end(), GoesBefore);
  ready.names.resize(kept);
  NoteReadyCount(ready.count);
  return ready;
}

std::int64_t CountReadyFiles() {
  const Result<ReadyFiles> ready = ListReadyFiles(0);
  return ready.ok() ? ready->count : 0;
}

Status Shipper::OpenRepository() {
  const Settings settings = CurrentSettings();
  if (repository_ != nullptr && settings.repository == access_ &&
      settings.loaded_at == loaded_at_) {
    return Status::Ok();
  }
  Close();
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<Repository> repository, OpenConfiguredRepository());
  PITR_ASSIGN_OR_RETURN(Identity identity, EnsureIdentity(repository.get()));
  destination_ = DestinationOf(*repository, identity);
  access_ = settings.repository;
  loaded_at_ = settings.loaded_at;
  repository_ = std::move(repository);
  identity_ = std::move(identity);
  opened_++;
  return Status::Ok();
}

Status Shipper::Open() {
  PITR_RETURN_IF_ERROR(OpenRepository());
  return HoldLease(repository_.get(), *identity_);
}

void Shipper::Close() {
  repository_.reset();
  identity_.reset();
  histories_.clear();
  destination_ = 0;
}

ShipOptions Shipper::Options(int compression_level) const {
  ShipOptions options;
  options.branch = identity_->branch_id;
  options.root = identity_->root;
  options.compression_level = compression_level;
  options.may_publish = [destination = destination_]() noexcept {
    return IsLeaseGood(destination);
  };
  options.cancel = cancel_;
  return options;
}

// A timeline without its history file cannot be found by who reads the archive, so that goes first. A timeline that never had
// one (a server that was set up on it) has none in pg_wal either.
Status Shipper::ShipHistoryOf(const std::string& name) {
  const std::optional<WalFileName> parsed = ParseWalFileName(name, SegmentSize());
  return !parsed || parsed->kind == WalFileKind::kHistory ? Status::Ok()
                                                          : ShipHistory(parsed->timeline);
}

Status Shipper::ShipHistory(TimelineId timeline) {
  if (timeline <= 1 || histories_.contains(timeline)) {
    return Status::Ok();
  }
  const std::string history = HistoryName(timeline);
  const std::string path = JoinPath(XLOGDIR, history);
  if (PathExists(path)) {
    Result<ShipResult> shipped = ShipWalFile(repository_.get(), Options(0), path, history);
    if (!shipped.ok()) {
      return std::move(shipped).status().Prefix("history of timeline " + std::to_string(timeline));
    }
  }
  histories_.insert(timeline);
  return Status::Ok();
}

Status Shipper::ShipWaiting() {
  PITR_ASSIGN_OR_RETURN(const ReadyFiles ready, ListReadyFiles(kArchiveEntries));
  for (const std::string& name : ready.names) {
    PITR_ASSIGN_OR_RETURN(const Verdict verdict,
                          Ship(name, JoinPath(XLOGDIR, name), Claiming::kPolite));
    if (verdict == Verdict::kBusy || verdict == Verdict::kNoRoom) {
      return Status(Code::kNotReady, "\"" + name + "\" is being archived");
    }
  }
  return Status::Ok();
}

Result<ShipResult> Shipper::ShipClaimed(const std::string& name, const std::string& path, int place,
                                        Claiming claiming) {
  if (claiming == Claiming::kPolite) {
    PITR_FAULT("archive_worker.claimed");
  }
  PITR_RETURN_IF_ERROR(ShipHistoryOf(name));
  ShipOptions options = Options(LevelNow());
  options.still_ready = [&name, place]() noexcept {
    return IsReady(name.c_str()) && (place < 0 || IsClaimMine(place));
  };
  return ShipWalFile(repository_.get(), options, path, name);
}

Result<Shipper::Verdict> Shipper::Ship(const std::string& name, const std::string& path,
                                       Claiming claiming) {
  const Result<FileMark> mark = MarkOf(path);
  if (!mark.ok()) {
    if (mark.status().code() == Code::kNotFound && !IsReady(name.c_str())) {
      return Verdict::kGone;
    }
    RecordFailure(name, FailureScope::kFile, mark.status());
    return mark.status();
  }
  const ClaimRequest request = {name, *mark, destination_, claiming == Claiming::kTakeFromLiving};
  int place = -1;
  switch (Claim(request, &place)) {
    case ClaimAnswer::kMine:
      break;
    case ClaimAnswer::kBusy:
      return Verdict::kBusy;
    case ClaimAnswer::kShipped:
      return Verdict::kDurable;
    case ClaimAnswer::kNoRoom:
      if (claiming == Claiming::kPolite) {
        return Verdict::kNoRoom;
      }
      break;
  }
  // The list may be old: who shipped the file since has given up the claim, and all of it would be compressed in vain.
  if (!IsReady(name.c_str())) {
    ReleaseClaim(name);
    return Verdict::kGone;
  }
  Result<ShipResult> shipped = ShipClaimed(name, path, place, claiming);
  const Result<FileMark> after = MarkOf(path);
  if (shipped.ok() && after.ok() && *after == *mark) {
    MarkShipped(request);
    RecordShipped(name, *shipped);
    return Verdict::kShipped;
  }
  ReleaseClaim(name);
  if (shipped.ok()) {
    // The file was changed under our hands; what was published passed all checks, so it is asked again from the start.
    return Verdict::kGone;
  }
  switch (shipped.status().code()) {
    case Code::kCancelled:
      return shipped.status();
    case Code::kNotReady:
      return Verdict::kGone;
    default:
      RecordFailure(name, ScopeOf(shipped.status().code()), shipped.status());
      return shipped.status();
  }
}

}  // namespace pitr::pg

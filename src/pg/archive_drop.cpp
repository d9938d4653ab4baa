#include "pg/archive_drop.h"

#include <algorithm>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/repo/branches.h"
#include "core/repo/manifest.h"
#include "core/types/wal_name.h"
#include "core/work/dropped_wal.h"
#include "pg/archive_claims.h"
#include "pg/archive_report.h"
#include "pg/archive_ship.h"
#include "pg/guc.h"
#include "pg/log.h"
#include "pg/operation.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kSecond = 1000000;
// A store that fails once, while much waits for another reason, costs nothing.
constexpr std::int64_t kFailsForGood = 10 * kSecond;

// Behind the newest gap: whether a snapshot has been taken there is looked at until it has.
constinit bool may_want_snapshot = true;
constinit std::int64_t next_try = 0;

std::string Folder() { return JoinPath(DataDirectory(), "pitr"); }

bool IsTooMuch(int limit_mb) {
  const auto waiting = static_cast<std::uint64_t>(std::max<std::int64_t>(CountReadyFiles(), 0));
  return waiting * ServerIdentity().segment_size > static_cast<std::uint64_t>(limit_mb) << 20;
}

std::string RangeText(const Gap& gap) {
  return gap.begin.ToString() + " - " + gap.end.ToString() + " of timeline " +
         std::to_string(gap.timeline);
}

bool IsBehind(const Manifest& snapshot, const BranchId& branch, const Gap& gap) {
  return snapshot.branch == branch && snapshot.start_lsn >= gap.end &&
         snapshot.timeline >= gap.timeline;
}

Status BeginSnapshot(const BranchSet& branches, const Identity& identity, std::int64_t now) {
  NewOperation operation;
  operation.kind = "snapshot";
  operation.branch = branches.FindId(identity.branch_id)->name;
  operation.branch_id = identity.branch_id;
  operation.request["origin"] = "first";  // of the stretch that begins behind the gap
  operation.request["name"] = "after_gap_" + FormatTime({now}, 0);
  operation.wait = false;
  const Status started = StartOperationNow(operation).status();
  return started.code() == Code::kLockTimeout ? Status::Ok() : started;
}

// Nothing behind a gap can be restored until there is one; WAL that waits from before it would only be waited for.
Status TakeSnapshotBehind(Repository* repo, const Identity& identity) {
  const std::int64_t now = SystemClock().Now().micros;
  if (!may_want_snapshot || now < next_try || InRecovery() || IsArchiveFailing()) {
    return Status::Ok();
  }
  next_try = now + 15 * kSecond;
  PITR_ASSIGN_OR_RETURN(const std::vector<Gap> gaps, ReadGaps(repo, identity.branch_id));
  if (gaps.empty()) {
    may_want_snapshot = false;
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads, ListSnapshots(repo, nullptr));
  may_want_snapshot = std::none_of(heads.begin(), heads.end(), [&](const ManifestHead& head) {
    return IsBehind(head.manifest, identity.branch_id, gaps.back());
  });
  if (!may_want_snapshot) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  if (branches.FindId(identity.branch_id) == nullptr) return Status::Ok();
  return BeginSnapshot(branches, identity, now);
}

}  // namespace

Result<bool> LetGo(const std::string& name, std::uint64_t destination) {
  const int limit = DropBacklogSetting();
  if (limit == 0 || SynchronousSetting() || !IsArchiveFailing() || !IsTooMuch(limit)) return false;
  const std::uint64_t size = ServerIdentity().segment_size;
  const std::optional<WalFileName> file = ParseWalFileName(name, size);
  if (!file || file->kind != WalFileKind::kSegment) return false;
  const Timestamp now = SystemClock().Now();
  const ArchiveCounters counters = ReadArchiveCounters();
  if (now.micros - counters.failing_since < kFailsForGood) return false;
  if (destination != 0 && NotedShipped(destination).contains(name)) return false;
  Gap gap;
  gap.timeline = file->timeline;
  gap.begin = SegmentStart(file->segment, size);
  gap.end = gap.begin + size;
  gap.since = now;
  gap.cause = "let go: " + counters.last_error;
  PITR_ASSIGN_OR_RETURN(const std::vector<Gap> before, ReadDropped(Folder()));
  PITR_RETURN_IF_ERROR(NoteDropped(Folder(), gap));
  if (before.empty()) {
    LogQuietly(WARNING, "WAL is let go without being archived, beginning with " + name,
               "More than pitr.archive_max_backlog (" + std::to_string(limit) +
                   " MB) waits: " + counters.last_error,
               "Points from its beginning to the next snapshot will not be restorable. "
               "pitr.on_archive_failure = 'hold' keeps it.");
  }
  return true;
}

Status TellOfGaps(Repository* repo, const Identity& identity) {
  PITR_ASSIGN_OR_RETURN(const std::vector<Gap> gaps, SetDroppedAside(Folder()));
  if (!gaps.empty()) {
    PITR_FAULT("drop.before_publish");
    PITR_RETURN_IF_ERROR(AddGaps(repo, identity.branch_id, gaps));
    PITR_FAULT("drop.published");
    PITR_RETURN_IF_ERROR(ForgetDroppedAside(Folder()));
    may_want_snapshot = true;
    next_try = 0;
    for (const Gap& gap : gaps) {
      LogQuietly(WARNING, "WAL " + RangeText(gap) + " was let go without being archived", gap.cause,
                 "Points in it can not be restored; a snapshot begins behind it.");
    }
  }
  return TakeSnapshotBehind(repo, identity);
}

void LookForGapsAnew() {
  may_want_snapshot = true;
  next_try = 0;
}

Status ProblemOfGaps() {
  PITR_ASSIGN_OR_RETURN(const std::vector<Gap> gaps, ReadDropped(Folder()));
  if (gaps.empty()) return Status::Ok();
  return Status(Code::kGap, "WAL " + RangeText(gaps.back()) + " was let go without being archived")
      .WithHint(
          "Points in it can not be restored. A snapshot is taken behind it when the repository can "
          "be used again; pitr_gaps() shows it then.");
}

}  // namespace pitr::pg

#include "pg/health.h"

#include <algorithm>

#include "core/base/cancel.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/drills.h"
#include "core/repo/manifest.h"
#include "pg/archive_drop.h"
#include "pg/archive_report.h"
#include "pg/branch_room.h"
#include "pg/branch_rows.h"
#include "pg/demand.h"
#include "pg/repositories.h"
#include "pg/server_facts.h"
#include "pg/session.h"
#include "pg/synchronous.h"
#include "pg/tail.h"
#include "pg/view_cache.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

void LookAtArchive(Health* health) {
  const ArchiveCounters archive = ReadArchiveCounters();
  if (SettingValue("archive_mode") == "off" || SettingValue("archive_library") != "pitr_ext") {
    health->archive_state = "off";
    health->problem = "WAL is not archived by this extension";
    health->hint = "Set archive_mode = on (restart) and archive_library = 'pitr_ext'.";
  } else if (archive.is_failing) {
    health->archive_state = "failing";
    health->problem = "archiving fails: " + archive.last_error;
    health->hint = "WAL is kept until it works again; pg_wal grows meanwhile.";
  } else if (health->backlog.files > 64) {
    health->archive_state = "behind";
    health->problem = std::to_string(health->backlog.files) + " WAL files wait to be archived";
    health->hint = "Raise pitr.archive_workers or look at the repository's speed.";
  }
}

constexpr std::size_t kDrills = 20;

// No repository that is well takes so long.
constexpr std::int64_t kLongWait = 5 * 1000000LL;

// Whoever looks why nothing commits must find it here, whatever else is wrong.
void LookAtCommits(Health* health, Timestamp now) {
  const Status status = CheckCommitsGoOn();
  if (!status.ok()) {
    health->problem = status.message();
    health->hint = status.hint();
  } else if (AreCommitsSynchronous() && ReadTailReport(now).behind_micros > kLongWait) {
    health->problem = "commits wait for the repository" +
                      (health->problem.empty() ? std::string() : ": " + health->problem);
    if (health->hint.empty()) {
      health->hint = "The server log says what the tail shipper met.";
    }
  }
}

Status LookAtRepository(Health* health) {
  const WaitLimit limit(ViewTimeMs("status"));
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  PITR_ASSIGN_OR_RETURN(
      const std::vector<WindowRow> window,
      RestoreWindow(session.repo.get(), session.branches, session.identity.branch_id));
  for (const WindowRow& row : window) {
    health->can_restore = true;
    if (row.earliest_time &&
        (!health->window_start || *row.earliest_time < *health->window_start)) {
      health->window_start = row.earliest_time;
    }
    if (row.latest_time && (!health->window_end || *row.latest_time > *health->window_end)) {
      health->window_end = row.latest_time;
    }
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads,
                        ListSnapshots(session.repo.get(), nullptr));
  if (!heads.empty()) health->last_snapshot = heads.back().manifest.finished_at;
  PITR_ASSIGN_OR_RETURN(const Json flags, ReadSnapshotFlags(session.repo.get()));
  for (const ManifestHead& head : heads) {
    const SnapshotFlags one = FlagsOf(flags, head.manifest.id);
    if (one.verified_at && (!health->last_verified || *one.verified_at > *health->last_verified)) {
      health->last_verified = one.verified_at;
    }
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<DrillRecord> drills,
                        ReadDrills(session.repo.get(), kDrills));
  for (const DrillRecord& drill : drills) {
    if (drill.passed) health->last_drill = drill.started_at;
  }
  if (!health->can_restore && health->problem.empty()) {
    health->problem = "there is no snapshot yet";
    health->hint =
        "The first one is taken by itself; SELECT * FROM pitr_create_snapshot() takes one now.";
  }
  return Status::Ok();
}

// How long what was seen last stands for what is.
constexpr std::int64_t kStillTrue = 90 * 1000000LL;

// The members of Health that only the repository knows, in one row.
std::vector<std::optional<Timestamp>*> KeptTimes(Health* health) {
  return {&health->window_start, &health->window_end, &health->last_snapshot,
          &health->last_verified, &health->last_drill};
}

void KeepHealth(Health* health, Timestamp now) {
  Json times = Json::array();
  for (const std::optional<Timestamp>* time : KeptTimes(health))
    times.push_back(*time ? Json((*time)->micros) : Json());
  times.push_back(health->can_restore);
  KeepView("status", {now, now, Json::array({times})});
}

// What it was when it was last seen. A repository that only answers too slowly has not lost it all at once.
Timestamp RecallHealth(Health* health, const Status& problem, Timestamp now) {
  const std::optional<KeptView> kept = LoadView("status");
  const std::vector<std::optional<Timestamp>*> times = KeptTimes(health);
  const bool has_kept = kept && kept->rows.size() == 1 && kept->rows[0].size() == times.size() + 1;
  health->can_restore = has_kept && problem.code() == Code::kUnavailable &&
                        now.micros - kept->as_of.micros < kStillTrue &&
                        kept->rows[0][times.size()] == true;
  if (!health->can_restore) {
    health->problem = problem.message();
    health->hint = problem.hint();
  }
  if (!has_kept) return now;
  for (std::size_t i = 0; i < times.size(); i++) {
    const Json& value = kept->rows[0][i];
    *times[i] = value.is_number_integer()
                    ? std::optional<Timestamp>(Timestamp{value.get<std::int64_t>()})
                    : std::nullopt;
  }
  return kept->as_of;
}

// How much time's work would be gone if this machine were gone now.
std::optional<std::int64_t> LossMicros(const Health& health, Timestamp now) {
  if (!health.can_restore) return std::nullopt;  // everything
  const TailReport tail = ReadTailReport(now);
  if (tail.behind_micros) return tail.behind_micros;
  if (!health.window_end) return std::nullopt;
  return now.micros - health.window_end->micros;
}

}  // namespace

Backlog CountBacklog() {
  Backlog backlog;
  const Result<std::vector<std::string>> names =
      ListDirectory(JoinPath(JoinPath(DataDirectory(), "pg_wal"), "archive_status"));
  if (!names.ok()) return backlog;
  backlog.files = std::count_if(names->begin(), names->end(),
                                [](const std::string& name) { return name.ends_with(".ready"); });
  backlog.bytes = backlog.files * static_cast<std::int64_t>(ServerIdentity().segment_size);
  return backlog;
}

Health ReadHealth() {
  const Timestamp now = SystemClock().Now();
  Health health;
  health.as_of = now;
  health.backlog = CountBacklog();
  LookAtArchive(&health);
  const Status status = LookAtRepository(&health);
  if (status.ok()) {
    KeepHealth(&health, now);
  } else {
    health.as_of = RecallHealth(&health, status, now);
  }
  LookAtCommits(&health, now);
  // Whatever else is wrong: this cannot be made good again.
  const Status gaps = ProblemOfGaps();
  if (!gaps.ok()) {
    health.problem =
        gaps.message() + (health.problem.empty() ? std::string() : "; " + health.problem);
    health.hint = gaps.hint();
  }
  for (const auto& check : {ProblemOfRepositories, CheckDisks}) {
    const Status found = health.problem.empty() ? check() : Status::Ok();
    if (found.ok()) continue;
    health.problem = found.message();
    health.hint = found.hint();
  }
  if (health.problem.empty() && IncompleteDirectory() != nullptr) {
    health.hint =
        "The data directory is incomplete: do not copy, rewind, upgrade or checksum it offline;"
        " pitr_operations shows its completion.";
  }
  health.loss_micros = LossMicros(health, now);
  return health;
}

}  // namespace pitr::pg

// pitr_metrics: what monitoring wants to know, as OpenMetrics text. From memory, and of the repository as much as pitr_status sees.
#include <map>

#include "core/base/cancel.h"
#include "core/base/file.h"
#include "core/base/open_metrics.h"
#include "core/work/look.h"
#include "pg/archive_report.h"
#include "pg/boundary.h"
#include "pg/demand.h"
#include "pg/health.h"
#include "pg/operation.h"
#include "pg/repositories.h"
#include "pg/row_builder.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/tail.h"
#include "pg/view_cache.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

using Type = OpenMetrics::Type;

class Writer {
 public:
  void Gauge(const char* name, const char* unit, const char* help, std::int64_t value) {
    out_.Family(name, Type::kGauge, unit, help);
    out_.Sample(value);
  }
  void Counter(const char* name, const char* unit, const char* help, std::uint64_t value) {
    out_.Family(name, Type::kCounter, unit, help);
    out_.Sample(static_cast<std::int64_t>(value));
  }
  // Left out when it is not known.
  void Seconds(const char* name, const char* help, const std::optional<std::int64_t>& micros) {
    out_.Family(name, Type::kGauge, "seconds", help);
    if (micros) out_.Seconds(*micros);
  }
  void Time(const char* name, const char* help, const std::optional<Timestamp>& time) {
    Seconds(name, help, time ? std::optional<std::int64_t>(time->micros) : std::nullopt);
  }
  OpenMetrics& out() { return out_; }

 private:
  OpenMetrics out_;
};

std::optional<Timestamp> OptionalTime(std::int64_t micros) {
  return micros == 0 ? std::nullopt : std::optional<Timestamp>(Timestamp{micros});
}

void WriteHealth(const Health& health, Writer* to) {
  to->Gauge("pitr_can_restore", "", "1: this server can be restored from its repository.",
            health.can_restore ? 1 : 0);
  to->Gauge("pitr_has_problem", "", "1: pitr_status names a problem.",
            health.problem.empty() ? 0 : 1);
  to->Time("pitr_window_start_timestamp_seconds", "Earliest moment that can be restored.",
           health.window_start);
  to->Time("pitr_window_end_timestamp_seconds", "Latest moment that can be restored.",
           health.window_end);
  to->Seconds("pitr_loss_if_crashed_now_seconds",
              "Time whose commits would be lost if the machine were gone now.", health.loss_micros);
  to->Time("pitr_last_snapshot_timestamp_seconds", "When the newest snapshot was finished.",
           health.last_snapshot);
  to->Time("pitr_last_verified_timestamp_seconds",
           "When a snapshot was verified last, and found good.", health.last_verified);
  to->Time("pitr_last_drill_timestamp_seconds",
           "When a restore drill was begun last that found all well.", health.last_drill);
  to->Time("pitr_repository_seen_timestamp_seconds",
           "As of when the values above are; earlier than now while the repository is away.",
           health.as_of);
}

void WriteArchive(const Health& health, Writer* to) {
  const ArchiveCounters archive = ReadArchiveCounters();
  to->Gauge("pitr_archive_failing", "", "1: the last attempt to archive failed.",
            archive.is_failing ? 1 : 0);
  to->Gauge("pitr_archive_backlog_segments", "segments", "WAL files that wait to be archived.",
            health.backlog.files);
  to->Gauge("pitr_archive_backlog_bytes", "bytes", "Size of the WAL files that wait.",
            health.backlog.bytes);
  to->Counter("pitr_archived_segments", "segments", "WAL files archived since the server started.",
              archive.archived_count);
  to->Counter("pitr_archive_failures", "", "Failed attempts to archive since the server started.",
              archive.failed_count);
  to->Counter("pitr_archive_raw_bytes", "bytes", "WAL archived since the server started.",
              archive.raw_bytes);
  to->Counter("pitr_archive_stored_bytes", "bytes",
              "What that takes in the repository, compressed.", archive.stored_bytes);
  to->Time("pitr_last_archived_timestamp_seconds", "When a WAL file was archived last.",
           OptionalTime(archive.last_archived_at));
  to->Time("pitr_last_archive_failure_timestamp_seconds", "When an attempt failed last.",
           OptionalTime(archive.last_failed_at));
  to->Seconds("pitr_tail_behind_seconds",
              "Age of the oldest flushed WAL that is not in the repository.",
              ReadTailReport(SystemClock().Now()).behind_micros);
}

// Of each member, one family after the other: samples of a family stand together.
void WriteRepositories(Writer* to) {
  const WaitLimit limit(ViewTimeMs("metrics"));
  const std::vector<RepositoryView> views = LookAtRepositories();
  OpenMetrics& out = to->out();
  out.Family("pitr_repository_reachable", Type::kGauge, "", "1: the repository can be used.");
  for (const RepositoryView& view : views)
    out.Sample(view.problem.ok() ? 1 : 0, {{"repository", view.label}});
  out.Family("pitr_repository_behind_segments", Type::kGauge, "segments",
             "WAL files that the others have and it has not.");
  for (const RepositoryView& view : views)
    out.Sample(static_cast<std::int64_t>(view.behind_segments), {{"repository", view.label}});
  out.Family("pitr_repository_behind_bytes", Type::kGauge, "bytes",
             "What the others have and it has not.");
  for (const RepositoryView& view : views)
    out.Sample(static_cast<std::int64_t>(view.behind_bytes), {{"repository", view.label}});
  out.Family("pitr_repository_free_bytes", Type::kGauge, "bytes",
             "Free space of a repository in a folder.");
  for (const RepositoryView& view : views) {
    if (view.free_bytes)
      out.Sample(static_cast<std::int64_t>(*view.free_bytes), {{"repository", view.label}});
  }
}

void WriteOperations(Writer* to) {
  std::map<std::string, std::int64_t> running;
  for (const OperationSlot& slot : AllOperations()) {
    const OperationRecord record = RecordOfSlot(slot);
    if (record.state == "running" || record.state == "queued") running[record.kind]++;
  }
  OpenMetrics& out = to->out();
  out.Family("pitr_operations_running", Type::kGauge, "", "Operations that run, by kind.");
  for (const auto& [kind, count] : running)
    out.Sample(count, {{"kind", kind}});
}

void WritePlaces(Writer* to) {
  const demand::Directory* incomplete = IncompleteDirectory();
  to->Gauge("pitr_incomplete_bytes", "bytes",
            "What of the data directory is still to be loaded from the repository.",
            incomplete == nullptr ? 0 : static_cast<std::int64_t>(incomplete->AbsentBytes()));
  const Result<std::string> branches = BranchDirectory();
  if (!branches.ok()) return;
  to->Gauge("pitr_looks", "", "Servers that show a moment of the past.",
            static_cast<std::int64_t>(ListLooks(*branches).size()));
  // Where it will be, until there is one.
  const std::string place = PathExists(*branches) ? *branches : DataDirectory();
  const Result<std::uint64_t> free = FreeSpace(place), whole = WholeSpace(place);
  if (!free.ok() || !whole.ok()) return;
  to->Gauge("pitr_branch_directory_free_bytes", "bytes",
            "Free space on the file system of the branch directory.",
            static_cast<std::int64_t>(*free));
  to->Gauge("pitr_branch_directory_size_bytes", "bytes",
            "Size of the file system of the branch directory.", static_cast<std::int64_t>(*whole));
}

Result<Datum> Metrics() {
  PITR_RETURN_IF_ERROR(RequireShared());
  const Health health = ReadHealth();
  Writer writer;
  WriteHealth(health, &writer);
  WriteArchive(health, &writer);
  WriteRepositories(&writer);
  WriteOperations(&writer);
  WritePlaces(&writer);
  return TextDatum(writer.out().Finish());
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_metrics) { return pitr::pg::Metrics(); }

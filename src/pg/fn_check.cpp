// pitr_check: is everything in place, proven by a round trip of a restore point through the repository.
#include <fcntl.h>

#include <algorithm>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/repo/layout.h"
#include "core/repo/wal_archive.h"
#include "pg/boundary.h"
#include "pg/demand.h"
#include "pg/fetch_worker.h"
#include "pg/guc.h"
#include "pg/lease.h"
#include "pg/repositories.h"
#include "pg/restore_checks.h"
#include "pg/server_facts.h"
#include "pg/session.h"
#include "pg/shmem.h"
#include "pg/synchronous.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/wait_event.h"
}

namespace pitr::pg {

namespace {

constexpr std::uint64_t kLowSpace = 1ULL << 30;

struct Rows {
  RowBuilder* rows;
  void Add(const char* item, const Status& status, const std::string& detail) {
    rows->Text(item)
        .Bool(status.ok())
        .Text(status.ok() ? detail
                          : status.message() +
                                (status.detail().empty() ? "" : " (" + status.detail() + ")"));
    rows->TextOrNull(std::string_view(status.ok() ? std::string() : status.hint())).EndRow();
  }
};

Status Wrong(std::string message, std::string hint) {
  return Status(Code::kNotReady, std::move(message)).WithHint(std::move(hint));
}

Status CheckSettings() {
  if (SettingValue("archive_mode") == "off") {
    return Wrong("archive_mode is off", "Set archive_mode = on and restart the server.");
  }
  if (SettingValue("archive_library") != "pitr_ext") {
    return Wrong("archive_library is \"" + SettingValue("archive_library") + "\"",
                 "Set archive_library = 'pitr_ext'.");
  }
  // 15 silently prefers the library, 16 and later refuse to archive at all (internals 29).
  if (!SettingValue("archive_command").empty()) {
    return Wrong("archive_command is set beside archive_library", "Set archive_command = ''.");
  }
  if (SettingValue("wal_level") == "minimal")
    return Wrong("wal_level is minimal", "Set wal_level = replica and restart.");
  return Status::Ok();
}

// Beside what the server itself and others take.
Status CheckWorkers(std::string* detail) {
  const int wanted = WantedWorkers() + RegisteredFetchWorkers();
  *detail =
      std::to_string(wanted) + " of max_worker_processes = " + std::to_string(max_worker_processes);
  if (const int fetchers = RegisteredFetchWorkers(); fetchers > 0) {
    *detail += ", " + std::to_string(fetchers) + " of " + std::to_string(FetchWorkersSetting()) +
               " fetch workers among them";
  }
  if (wanted + 1 <= max_worker_processes) return Status::Ok();
  return Wrong("the extension needs " + std::to_string(wanted + 1) +
                   " background workers, max_worker_processes is " +
                   std::to_string(max_worker_processes),
               "Raise max_worker_processes or lower pitr.archive_workers; archiving works with the "
               "archiver alone.");
}

Status CheckSpace(Repository* repo, std::string* detail) {
  const std::optional<std::uint64_t> free = repo->store()->FreeBytes();
  if (!free) return Status::Ok();
  *detail = std::to_string(*free >> 20) + " MiB free in " + repo->Describe();
  if (*free >= kLowSpace) return Status::Ok();
  return Wrong("only " + std::to_string(*free >> 20) + " MiB are free in " + repo->Describe(),
               "Make room for WAL and snapshots.");
}

// Writes an own object, reads it back and removes it.
Status CheckWritable(Repository* repo) {
  PITR_ASSIGN_OR_RETURN(const Bytes token, RandomBytes(8));
  const std::string name = layout::ProbeObject(ToHex(token));
  PITR_RETURN_IF_ERROR(repo->store()->Put(name, token));
  PITR_ASSIGN_OR_RETURN(const Bytes back, repo->store()->Get(name, 64));
  PITR_RETURN_IF_ERROR(repo->store()->Remove(name));
  if (back != token) return Status(Code::kCorrupt, "an object came back with other content");
  return Status::Ok();
}

void Nap() {
  Call([] {
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20L, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
  });
  CheckInterrupts();
}

struct Written {
  Lsn end;
  SegmentId segment;
  std::string name;
};

Written WriteRestorePoint(const std::string& name) {
  Written written;
  written.name = name;
  const TimelineId timeline = CurrentTimeline();
  written.end = {Call([&] {
    const XLogRecPtr end = XLogRestorePoint(name.c_str());
    RequestXLogSwitch(false);
    return end;
  })};
  written.segment = {timeline, (written.end.value - 1) / ServerIdentity().segment_size};
  return written;
}

// The segment of the restore point: in the repository whole, the same bytes as in pg_wal, and the index names the point.
Status CompareSegment(const WalReader& reader, const Written& written) {
  PITR_ASSIGN_OR_RETURN(const Bytes stored, reader.ReadSegment(written.segment));
  const std::string path = JoinPath(JoinPath(DataDirectory(), "pg_wal"),
                                    SegmentName(written.segment, reader.segment_size()));
  const Result<Bytes> local = ReadFile(path, reader.segment_size());
  // Recycled already: then the index alone has to say it.
  if (local.ok() && *local != stored) {
    return Status(Code::kCorrupt, "segment " + BaseName(path) +
                                      " in the repository differs from the one in pg_wal");
  }
  PITR_ASSIGN_OR_RETURN(const wal::SegmentIndex index, reader.ReadIndex(written.segment));
  for (const wal::Event& event : index.events) {
    if (event.kind == wal::EventKind::kRestorePoint && event.name == written.name)
      return Status::Ok();
  }
  return Status(Code::kCorrupt,
                "the index of segment " + BaseName(path) + " does not name the restore point");
}

// `end` becomes the restore point's position; unset on a standby, which cannot write one.
Status RoundTrip(const Session& session, std::int64_t timeout_micros, Lsn* end,
                 std::string* detail) {
  if (InRecovery()) {
    *detail = "not on a standby";
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const Bytes token, RandomBytes(4));
  const Written written = WriteRestorePoint("pitr_check_" + ToHex(token));
  PITR_ASSIGN_OR_RETURN(const std::vector<const Branch*> ancestry,
                        session.branches.AncestryOf(session.identity.branch_id));
  std::vector<Branch> line;
  for (const Branch* branch : ancestry)
    line.push_back(*branch);
  const WalReader reader(session.repo.get(), line);
  const std::int64_t began = SystemClock().MonotonicMillis();
  for (;;) {
    const Result<WalReader::Found> found = reader.FindSegment(written.segment);
    if (found.ok() && !found->from_tail) break;
    if (!found.ok() && found.status().code() != Code::kNotFound) return found.status();
    if ((SystemClock().MonotonicMillis() - began) * 1000 >= timeout_micros) {
      return Wrong("segment " + SegmentName(written.segment, reader.segment_size()) +
                       " did not arrive in the repository in time",
                   "pitr_archive shows the last error of archiving.");
    }
    Nap();
  }
  PITR_RETURN_IF_ERROR(CompareSegment(reader, written));
  *end = written.end;
  *detail = "restore point at " + written.end.ToString() + " read back after " +
            std::to_string(SystemClock().MonotonicMillis() - began) + " ms";
  return Status::Ok();
}

// Is there a snapshot, and does archived WAL lead from it to `end`, what was just written (when valid)?
Status CheckHistory(const Session& session, Lsn end, std::string* detail) {
  PITR_ASSIGN_OR_RETURN(
      const std::vector<WindowRow> window,
      RestoreWindow(session.repo.get(), session.branches, session.identity.branch_id));
  if (window.empty()) {
    return Wrong("there is no snapshot to restore from",
                 "SELECT * FROM pitr_create_snapshot() takes one.");
  }
  Lsn newest;
  for (const WindowRow& row : window) {
    if (row.line_id == session.identity.branch_id) newest = std::max(newest, row.latest_lsn);
  }
  if (end.valid() && newest < end) {
    return Wrong("WAL is missing behind " + newest.ToString() +
                     ": what was written later cannot be restored",
                 "SELECT * FROM pitr_create_snapshot() begins a new stretch of history;"
                 " pitr_verify() names the WAL that is missing.");
  }
  *detail = std::to_string(window.size()) + " reachable stretches of history";
  return Status::Ok();
}

// A row for each of several repositories.
void AddRepositories(Rows* rows) {
  const std::vector<RepositoryView> views = LookAtRepositories();
  for (std::size_t i = 0; views.size() > 1 && i < views.size(); i++) {
    const RepositoryView& view = views[i];
    Status status = view.problem.ok() ? view.catch_up_problem : view.problem;
    if (status.ok() && view.behind_segments + view.behind_bytes > 0) {
      status = Wrong(std::to_string(view.behind_segments) + " WAL files and " +
                         std::to_string(view.behind_bytes) + " bytes behind",
                     "It is being brought up to date.");
    }
    status = std::move(status).Prefix("\"" + view.label + "\"");
    const std::string item = "repository " + std::to_string(i + 1);
    rows->Add(item.c_str(), status,
              view.label + (view.is_required ? ", required" : ", best effort"));
  }
}

Result<Datum> Check(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  const std::int64_t timeout = IsNull(fcinfo, 0) ? 60LL * 1000000 : IntervalArg(fcinfo, 0);
  RowBuilder builder(fcinfo);
  Rows rows{&builder};
  std::string detail;
  const Status settings = CheckSettings();
  rows.Add("settings", settings, "archive_mode, archive_library, archive_command, wal_level");
  Status status = CheckWorkers(&detail);
  rows.Add("workers", status, detail);
  detail.clear();
  status = CheckSynchronous(&detail);
  rows.Add("synchronous", status, detail);
  rows.Add("in-place restore", CheckServerCanExchange(), "the data directory can be exchanged");
  const Status demand = CheckDemandLoading();
  rows.Add("demand loading", Status::Ok(),
           demand.ok() ? "restored directories are served before all of them is laid out"
                       : "restored directories are laid out whole: " + demand.message());
  Result<Session> session = OpenSession();
  rows.Add("repository", session.ok() ? Status::Ok() : session.status(),
           session.ok() ? session->repo->Describe() : "");
  if (!session.ok()) return builder.Finish();
  AddRepositories(&rows);
  rows.Add("encryption", Status::Ok(),
           session->repo->is_encrypted() ? "by key " + session->repo->key_id()
                                         : "the repository is not encrypted");
  const Status writer = HoldLease(session->repo.get(), session->identity);
  rows.Add("writer", writer, DescribeHeldLease());
  rows.Add("write and read", CheckWritable(session->repo.get()),
           "an object was written and read back");
  detail.clear();
  status = CheckSpace(session->repo.get(), &detail);
  rows.Add("space", status, detail);
  Lsn end;
  // Whoever may not write would wait for its segment in vain.
  if (settings.ok() && writer.ok()) {
    status = RoundTrip(*session, timeout, &end, &detail);
    rows.Add("archive round trip", status, detail);
  }
  status = CheckHistory(*session, end, &detail);
  rows.Add("snapshots", status, detail);
  return builder.Finish();
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_check) {
  return pitr::pg::Audited("pitr_check", "", [&] { return pitr::pg::Check(fcinfo); });
}

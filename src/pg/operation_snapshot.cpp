// Snapshot and verification operations.
#include <algorithm>
#include <map>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/catalogue.h"
#include "core/repo/layout.h"
#include "core/repo/manifest.h"
#include "core/repo/wal_archive.h"
#include "pg/backup_session.h"
#include "pg/boundary.h"
#include "pg/demand.h"
#include "pg/guc.h"
#include "pg/lease.h"
#include "pg/log.h"
#include "pg/operation_kinds.h"
#include "pg/replay_bound.h"
#include "pg/scheduled_snapshot.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#include "postmaster/syslogger.h"
#include "storage/latch.h"
#include "utils/wait_event.h"
}

namespace pitr::pg {

namespace {

void Nap(long milliseconds) {
  Call([milliseconds] {
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
              PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
  });
  CheckInterrupts();
}

// Pieces of a segment count as far as they go.
bool Reaches(const WalReader::Found& found, std::uint64_t number, Lsn stop, std::uint64_t size) {
  if (!found.from_tail) return true;
  return std::any_of(found.pieces.begin(), found.pieces.end(), [&](const std::string& object) {
    const auto piece = layout::ParseTailName(layout::LastPart(object), size);
    return piece && number * size + piece->end >= stop.value;
  });
}

// A snapshot is restorable only when the WAL from its start to its stop is in the repository: our own durable segments are
// waited for, not the server's word about them (internals 30).
Status WaitForWal(const OperationContext& context, TimelineId timeline, Lsn start, Lsn stop) {
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(context.repo));
  PITR_ASSIGN_OR_RETURN(const std::vector<const Branch*> line,
                        branches.AncestryOf(context.identity->branch_id));
  std::vector<Branch> copies;
  for (const Branch* branch : line)
    copies.push_back(*branch);
  const WalReader reader(context.repo, copies);
  const std::uint64_t size = reader.segment_size();
  const std::uint64_t last = (stop.value - 1) / size;
  for (std::uint64_t number = start.value / size; number <= last;) {
    Result<WalReader::Found> found = reader.FindSegment({timeline, number});
    if (found.ok() && Reaches(*found, number, stop, size)) {
      number++;
      continue;
    }
    if (!found.ok() && found.status().code() != Code::kNotFound) return found.status();
    if (context.operation->CancelRequested())
      return Status(Code::kCancelled, "the snapshot was cancelled");
    // A server that has lost its branch archives nothing: it would be waited for in vain.
    PITR_RETURN_IF_ERROR(HoldLease(context.repo, *context.identity));
    Nap(50);
  }
  return HoldLease(context.repo, *context.identity);
}

// An increment wants to know what changed up to its start: the WAL of before must be in the repository, the open segment's part too.
// Whoever asks for a snapshot waits for it in any case, at the end.
Status ShipUpToNow(const OperationContext& context) {
  for (;;) {
    const Status shipped = RequestShip(1000, context.operation);
    if (shipped.ok() || shipped.code() == Code::kCancelled) return shipped;
    // A server that has lost its branch ships nothing: it would be waited for in vain.
    PITR_RETURN_IF_ERROR(HoldLease(context.repo, *context.identity));
  }
}

// Contents that belong to this moment of this server only.
Json ExcludedDirectories() {
  Json excluded = Json::array();
  excluded.push_back("pitr");
  const std::string log = SettingValue("log_directory");
  if (!log.empty() && log.front() != '/') excluded.push_back(log);
  return excluded;
}

Json SnapshotJob(const OperationContext& context, const Json& request, const std::string& id,
                 const BackupStart& start, bool standby) {
  const Settings settings = CurrentSettings();
  const RootIdentity root = ServerIdentity();
  Json job;
  job["kind"] = "snapshot";
  PutAccess(settings.repository, &job);
  job["data_directory"] = DataDirectory();
  job["snapshot_id"] = id;
  job["name"] = request.value("name", std::string());
  job["origin"] = request.value("origin", std::string("manual"));
  job["branch_id"] = context.identity->branch_id;
  job["system_identifier"] = std::to_string(root.system_identifier);
  job["server_major"] = root.server_major;
  job["segment_size"] = root.segment_size;
  job["timeline"] = start.timeline;
  job["start_lsn"] = start.start.ToString();
  job["started_at"] = FormatTime(SystemClock().Now());
  job["expires_at"] = request.contains("expires_at") ? request["expires_at"] : Json(nullptr);
  job["from_standby"] = standby;
  job["compression_level"] = settings.snapshot_compression_level;
  job["workers"] = settings.snapshot_workers;
  job["nice"] = WorkerNiceSetting();
  job["verify_checksums"] = SettingValue("data_checksums") == "on";
  job["excluded_directories"] = ExcludedDirectories();
  job["full_because"] = nullptr;
  if (standby) job["full_because"] = "it is taken on a standby";
  return job;
}

Status RemoveManifest(Repository* repo, const std::string& id) {
  const Status there = repo->store()->Stat(layout::ManifestObject(id)).status();
  if (there.code() == Code::kNotFound) return Status::Ok();
  PITR_RETURN_IF_ERROR(there);
  // Said before it is done, for replicas that are away now.
  PITR_RETURN_IF_ERROR(UpdateDocument(repo, "snapshots", [&](Json* document) {
    (*document)[id]["deleted_at"] = SystemClock().Now().micros;
    return Status::Ok();
  }));
  return repo->store()->Remove(layout::ManifestObject(id));
}

// A child that died behind its manifest, or could not say that it was written: whoever asked is told that there is no snapshot, and
// nobody may have looked whether its base is there. The packs are collected later.
void RemoveUnannounced(Repository* repo, const std::string& id) {
  const Status status = RemoveManifest(repo, id);
  if (!status.ok()) LogStatus(WARNING, "could not remove snapshot \"" + id + "\"", status);
}

// All that it refers to was read to its end, and found good.
Status MarkVerified(Repository* repo, const std::vector<SnapshotId>& snapshots) {
  const std::int64_t now = SystemClock().Now().micros;
  return UpdateDocument(repo, "snapshots", [&](Json* document) {
    for (const SnapshotId& id : snapshots)
      (*document)[id]["verified_at"] = now;
    return Status::Ok();
  });
}

// One, or all that are there before any is read.
Result<std::vector<SnapshotId>> SnapshotsToVerify(const OperationContext& context,
                                                  const Json& request) {
  const Result<std::string> one = JsonText(request, "snapshot");
  if (one.ok()) return std::vector<SnapshotId>{*one};
  PITR_ASSIGN_OR_RETURN(const std::vector<ManifestHead> heads,
                        ListSnapshots(context.repo, nullptr));
  std::vector<SnapshotId> all;
  for (const ManifestHead& head : heads)
    all.push_back(head.manifest.id);
  return all;
}

}  // namespace

Result<Json> RunSnapshot(const OperationContext& context) {
  // The child reads files by itself and would find holes.
  PITR_RETURN_IF_ERROR(RequireCompleteDirectory("a snapshot"));
  const Json request = context.operation->Request();
  PITR_ASSIGN_OR_RETURN(const std::string id, NewSnapshotId(SystemClock().Now().micros / 1000000));
  const bool standby = InRecovery();
  if (request.value("origin", std::string()) == "schedule") {
    context.operation->SetPhase("wait for WAL");
    PITR_RETURN_IF_ERROR(ShipUpToNow(context));
    PITR_ASSIGN_OR_RETURN(std::optional<Json> answer, AnswerWithoutSnapshot(context, request));
    if (answer) return *std::move(answer);
  }
  BackupSession session;
  context.operation->SetPhase("checkpoint");
  const BackupStart start = session.Start("pitr snapshot " + id);
  if (!standby) {
    context.operation->SetPhase("wait for WAL");
    PITR_RETURN_IF_ERROR(ShipUpToNow(context));
  }
  const Json job = SnapshotJob(context, request, id, start, standby);
  bool may_be_published = false;
  const auto stop_backup = [&](const std::string&) -> Result<Json> {
    context.operation->SetPhase("stop");
    const BackupStop stop = session.Stop();
    context.operation->SetPhase("wait for WAL");
    if (standby) PITR_RETURN_IF_ERROR(RequestShip(1000));
    PITR_RETURN_IF_ERROR(WaitForWal(context, start.timeline, start.start, stop.stop));
    Json answer;
    answer["stop"]["stop_lsn"] = stop.stop.ToString();
    answer["stop"]["backup_label"] = stop.label;
    answer["stop"]["tablespace_map"] = stop.tablespace_map;
    answer["stop"]["finished_at"] = FormatTime(SystemClock().Now());
    may_be_published = true;
    return answer;
  };
  Result<Json> result = RunChild(context, job, stop_backup);
  if (!result.ok()) {
    if (may_be_published) RemoveUnannounced(context.repo, id);
    return result;
  }
  if (job.value("origin", "") == std::string_view("replay")) {
    context.operation->SetPhase("thin out");
    // The snapshot is there whatever becomes of the others; next time they are looked at again.
    const Status thinned = ThinReplaySnapshots(context);
    if (!thinned.ok()) LogStatus(WARNING, "could not thin out snapshots", thinned);
  }
  return result;
}

namespace {

// Snapshots by id: all of their frames could be read, or not. The next snapshot is not based on a damaged one.
Status RememberDamage(Repository* repo, const std::map<std::string, bool>& is_good) {
  const auto is_known_bad = [](const Json& flags, const std::string& id) {
    const Json* const flag = JsonObject(flags, id);
    return flag != nullptr && flag->value("damaged", false);
  };
  PITR_ASSIGN_OR_RETURN(const Json flags, ReadDocument(repo, "snapshots"));
  const bool is_said = std::all_of(is_good.begin(), is_good.end(), [&](const auto& snapshot) {
    return snapshot.second != is_known_bad(flags, snapshot.first);
  });
  if (is_said) return Status::Ok();
  return UpdateDocument(repo, "snapshots", [&](Json* document) {
    for (const auto& [id, good] : is_good) {
      if (!good || is_known_bad(*document, id)) (*document)[id]["damaged"] = !good;
    }
    return Status::Ok();
  });
}

}  // namespace

Result<Json> RunVerify(const OperationContext& context) {
  const Json request = context.operation->Request();
  PITR_ASSIGN_OR_RETURN(const std::vector<SnapshotId> snapshots,
                        SnapshotsToVerify(context, request));
  Json job;
  job["kind"] = "verify";
  PutAccess(CurrentSettings().repository, &job);
  job["snapshot"] = request.contains("snapshot") ? request["snapshot"] : Json(nullptr);
  job["byte_budget"] = request.contains("bytes") ? request["bytes"] : Json(nullptr);
  job["workers"] = CurrentSettings().restore_workers;
  job["nice"] = WorkerNiceSetting();
  Json findings = Json::array();
  std::uint64_t checked = 0;
  std::map<std::string, bool> is_good;
  PITR_ASSIGN_OR_RETURN(
      Json result, RunChild(context, job, [&](const std::string& line) -> Result<Json> {
        PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(line, "finding"));
        const Json* finding = JsonObject(json, "finding");
        if (finding == nullptr) return Json::object();
        checked++;
        if (finding->value("kind", "") == "frame") {
          const auto [at, is_new] = is_good.emplace(finding->value("object", ""), true);
          at->second = at->second && finding->value("ok", false);
        }
        // What is wrong is always kept; what is right only while it fits the answer.
        if (!finding->value("ok", false) || findings.size() < 20) findings.push_back(*finding);
        return Json::object();
      }));
  PITR_RETURN_IF_ERROR(RememberDamage(context.repo, is_good));
  while (DumpJson(findings).size() > sizeof(OperationSlot{}.result) - 512 && !findings.empty()) {
    findings.erase(findings.size() - 1);
  }
  if (result.value("damaged", std::uint64_t{1}) == 0 &&
      result.value("skipped", std::uint64_t{1}) == 0 && !snapshots.empty()) {
    PITR_RETURN_IF_ERROR(MarkVerified(context.repo, snapshots));
  }
  result["checked"] = checked;
  result["findings"] = findings;
  return result;
}

}  // namespace pitr::pg

// The steps of a build in order. Nothing here is durable until the last step, and nothing outside of the directory and its tablespace
// targets is changed: whatever ends a build, removing those is all there is to undo.
#include "tool/build.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/demand/folder.h"
#include "core/repo/repository.h"
#include "core/store/address_list.h"
#include "core/work/control_file.h"
#include "core/work/lay_out.h"
#include "core/work/tablespaces.h"
#include "tool/auto_conf.h"
#include "tool/durability.h"
#include "tool/held.h"
#include "tool/recovery.h"
#include "tool/wal_lookup.h"
#include "tool/wal_prefetch.h"

namespace pitr::tool {

namespace {

// Folders where others are links (allow_in_place_tablespaces, for tests of PostgreSQL itself).
bool HasInPlaceTablespaces(const Manifest& manifest) {
  constexpr std::string_view kLinks = "pg_tblspc/";
  return std::any_of(manifest.files.begin(), manifest.files.end(), [&](const ManifestFile& file) {
    return file.kind == FileKind::kDirectory && file.path.starts_with(kLinks) &&
           file.path.find('/', kLinks.size()) == std::string::npos;
  });
}

// Bytes of WAL replayed, as progress adds them.
class ReplayMeter {
 public:
  ReplayMeter(BuildClient* client, Lsn from, bool counts)
      : client_(client), last_(from), counts_(counts) {}
  void To(Lsn lsn) {
    if (lsn > last_) {
      if (counts_) client_->progress()->Done(lsn - last_);
      last_ = lsn;
      client_->ReplayedTo(lsn);
    }
  }

 private:
  BuildClient* client_;
  Lsn last_;
  bool counts_;
};

ControlSettings Maximum(const ControlSettings& a, const ControlSettings& b) {
  ControlSettings most = a;
  most.max_connections = std::max(a.max_connections, b.max_connections);
  most.max_worker_processes = std::max(a.max_worker_processes, b.max_worker_processes);
  most.max_wal_senders = std::max(a.max_wal_senders, b.max_wal_senders);
  most.max_prepared_transactions =
      std::max(a.max_prepared_transactions, b.max_prepared_transactions);
  most.max_locks_per_transaction =
      std::max(a.max_locks_per_transaction, b.max_locks_per_transaction);
  most.wal_level = std::max(a.wal_level, b.wal_level);
  most.wal_log_hints = a.wal_log_hints || b.wal_log_hints;
  most.track_commit_timestamp = a.track_commit_timestamp || b.track_commit_timestamp;
  return most;
}

// Where the packs are: folders that hold them as they are, and what fetch workers open. None when the nearest one needs fetch workers and
// there are none.
std::vector<std::string> DemandPlaces(const Repository& repo, const BuildRequest& request) {
  std::vector<std::string> places;
  const auto addresses = ParseStoreAddresses(request.repository.address);
  if (!addresses.ok()) {
    return places;
  }
  for (const StoreAddress& each : *addresses) {
    if (!repo.is_encrypted() && each.address.starts_with('/')) {
      places.push_back(each.address);
    } else if (request.fetch_workers > 0) {
      places.push_back(std::string(demand::kFetchPrefix) + each.address);
    } else if (places.empty()) {
      return places;
    }
  }
  return places;
}

class Build {
 public:
  Build(const BuildRequest& request, BuildClient* client, const CancelToken& cancel)
      : request_(request), client_(client), cancel_(cancel) {}

  Status Run();
  Status Visit(const std::function<Status(const ConnectTo&, Connection*)>& look, VisitEnd end);
  Status StayAtPoint(const LookPlace& place);
  void EndReadAhead() { read_ahead_.reset(); }  // before the directory is removed
  BuildResult result;

 private:
  Status OpenSnapshot();
  Status ChooseTablespaces();
  Status LayOut();
  Status TakeUp();
  Result<WalSource> MakeSource();
  Status BeginReadAhead();
  RecoveryRequest MakeRecovery() const;
  Result<std::unique_ptr<RecoveringServer>> BeginRecovery(const RecoveryRequest& recovery);
  Result<std::unique_ptr<RecoveringServer>> RecoverAndPromote();
  Status Recover();
  Status WaitAtTarget(RecoveringServer* server);
  Status CarryRolesOver(Connection* connection);
  Status Mask(Connection* connection);
  Status CheckTimeline();
  Status Configure();
  Status SyncTablespaces();
  Status CheckPlace(const std::string& tablespace) const;

  const BuildRequest& request_;
  BuildClient* client_;
  const CancelToken& cancel_;
  std::unique_ptr<Repository> repo_;
  Manifest manifest_;
  std::optional<WalLookup> lookup_;
  std::vector<SegmentId> segments_;
  std::optional<WalSource> source_;
  std::optional<WalPrefetch> read_ahead_;
  std::map<std::string, std::string> tablespaces_;  // oid -> target
  bool is_incomplete_ = false;
  bool goes_on_ = false;  // how much is replayed is the server's to know
  std::int64_t replay_began_ms_ = 0;
};

// After an exchange it would be in the old directory.
Status Build::CheckPlace(const std::string& tablespace) const {
  if (!request_.live || !tablespace.starts_with(request_.live->data_directory + "/")) {
    return Status::Ok();
  }
  return Status(Code::kNotReady,
                "tablespace location \"" + tablespace + "\" is inside the data directory")
      .WithHint("Restore to a new directory with \"pitr restore\".");
}

Status Build::ChooseTablespaces() {
  tablespaces_ = request_.tablespaces;
  for (const ManifestFile& file : manifest_.files) {
    if (file.kind != FileKind::kSymlink || !request_.has_own_tablespaces) {
      continue;
    }
    const std::string oid = BaseName(file.path);
    if (!tablespaces_.contains(oid) && !tablespaces_.contains(file.path)) {
      PITR_RETURN_IF_ERROR(CheckPlace(file.link_target));
      tablespaces_[oid] = TablespaceTarget(file.link_target, request_.branch, oid);
    }
  }
  return Status::Ok();
}

Status Build::OpenSnapshot() {
  client_->progress()->Phase("layout");
  PITR_ASSIGN_OR_RETURN(repo_, Repository::OpenAddress(request_.repository, false));
  lookup_.emplace(repo_.get(), request_.line, request_.wal_from, request_.record_end);
  PITR_ASSIGN_OR_RETURN(manifest_, ReadManifest(repo_.get(), request_.snapshot));
  return ChooseTablespaces();
}

Status Build::LayOut() {
  LayOutOptions options;
  options.directory = request_.directory;
  options.workers = request_.workers;
  options.tablespaces = tablespaces_;
  if (request_.demand_load && !request_.library.empty()) {
    options.demand_places = DemandPlaces(*repo_, request_);
  }
  OnePhase progress(client_->progress());
  options.on_tree = [this] { return BeginReadAhead(); };
  PITR_RETURN_IF_ERROR(LayOutDirectory(repo_.get(), manifest_, options, &progress, &cancel_));
  is_incomplete_ = PathExists(JoinPath(request_.directory, demand::kFolder));
  PITR_ASSIGN_OR_RETURN(source_->used_timelines, lookup_->TakeUsedTimelines());
  // The identity of the past, if the snapshot had it, is the one of another line.
  return PublishFile(StagingFile(request_.directory, "identity.json"), AsBytes(request_.identity),
                     false);
}

Result<WalSource> Build::MakeSource() {
  PITR_ASSIGN_OR_RETURN(WalLookup::Path path, lookup_->TakePath());
  segments_ = std::move(path.segments);
  WalSource source;
  source.repository = request_.repository;
  source.line = std::move(path.line);
  for (const Branch& branch : path.family) {
    source.family.push_back(branch.id);
  }
  source.target_timeline = request_.timeline;
  source.spool = StagingFile(request_.directory, "spool");
  source.durable = false;
  return source;
}

// WAL comes while files are laid out, and as long as the server asks for it.
Status Build::BeginReadAhead() {
  PITR_RETURN_IF_ERROR(MakeDirectories(StagingFile(request_.directory, "spool")));
  PITR_ASSIGN_OR_RETURN(source_, MakeSource());
  read_ahead_.emplace(repo_.get(), *source_, segments_, request_.read_ahead_bytes);
  return Status::Ok();
}

Status Build::WaitAtTarget(RecoveringServer* server) {
  ReplayMeter meter(client_, request_.wal_from, !goes_on_);
  PITR_RETURN_IF_ERROR(server->WaitAtTarget([&meter](Lsn lsn) { meter.To(lsn); }, cancel_));
  result.replay_ms = static_cast<std::uint64_t>(SystemClock().MonotonicMillis() - replay_began_ms_);
  PITR_FAULT("build.at_target");
  return Status::Ok();
}

Status Build::CarryRolesOver(Connection* connection) {
  client_->progress()->Phase("roles");
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> prepared,
      connection->Query("SELECT gid FROM pg_prepared_xacts ORDER BY gid", cancel_));
  for (const Row& row : prepared) {
    result.prepared_transactions.push_back(row.at(0).value_or(""));
  }
  PITR_ASSIGN_OR_RETURN(const auto today, client_->RolesOfToday());
  if (today) {
    PITR_ASSIGN_OR_RETURN(result.roles, CarryRoles(connection, *today, request_.superuser,
                                                   request_.keep_passwords, cancel_));
  }
  PITR_FAULT("build.roles");
  return Status::Ok();
}

// Nothing of before is in a segment that an archive will get.
Status Build::Mask(Connection* connection) {
  client_->progress()->Phase("mask");
  ConnectTo to = {request_.socket_directory, request_.port, {}, {}};
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> user,
                        connection->Query("SELECT current_user", cancel_));
  to.users = {user.at(0).at(0).value_or("")};
  PITR_RETURN_IF_ERROR(RunMasking(to, *request_.masking, cancel_));
  return connection->Run("SELECT pg_switch_wal()", cancel_);
}

Status Build::CheckTimeline() {
  PITR_ASSIGN_OR_RETURN(const ControlFile control, ReadControlFile(request_.directory));
  result.timeline = control.timeline;
  const bool is_reused = std::find(source_->used_timelines.begin(), source_->used_timelines.end(),
                                   control.timeline) != source_->used_timelines.end();
  if (is_reused) {
    return Status(Code::kInternal, "the replacement opened timeline " +
                                       std::to_string(control.timeline) + ", which is in use");
  }
  return Status::Ok();
}

RecoveryRequest Build::MakeRecovery() const {
  RecoveryRequest recovery;
  recovery.source = *source_;
  recovery.directory = request_.directory;
  recovery.bin_directory = request_.bin_directory;
  recovery.record_end = request_.record_end;
  recovery.branch = request_.branch;
  recovery.connect = {request_.socket_directory,
                      request_.port,
                      SuperuserCandidates(request_.superuser),
                      {"postgres", "template1"}};
  RecoveryConfig& config = recovery.config;
  config.socket_directory = request_.socket_directory;
  config.port = request_.port;
  config.server_major = manifest_.root.server_major;
  config.segment_size = manifest_.root.segment_size;
  config.program = request_.program;
  config.spool = recovery.source.durable ? "" : recovery.source.spool;
  config.record_start = request_.record_start;
  config.timeline = request_.timeline;
  config.settings = Maximum(request_.settings, manifest_.control);
  config.preload_libraries = request_.preload_libraries;
  config.library = request_.library;
  config.is_incomplete = is_incomplete_;
  config.has_in_place_tablespaces = HasInPlaceTablespaces(manifest_);
  config.fetch_workers = request_.fetch_workers;
  config.keys = request_.repository.keys;
  config.recovery_settings = request_.recovery_settings;
  return recovery;
}

Result<std::unique_ptr<RecoveringServer>> Build::BeginRecovery(const RecoveryRequest& recovery) {
  client_->progress()->Phase("replay");
  if (!goes_on_) client_->progress()->Total(request_.wal_bytes);
  PITR_FAULT("build.start_staging");
  std::vector<std::string> ignored;
  replay_began_ms_ = SystemClock().MonotonicMillis();
  PITR_ASSIGN_OR_RETURN(auto server, RecoveringServer::Start(recovery, &ignored));
  for (const std::string& name : ignored) {
    client_->Note("setting \"" + name + "\" of pitr.recovery_settings is not for recovery");
  }
  PITR_RETURN_IF_ERROR(WaitAtTarget(server.get()));
  return server;
}

Result<std::unique_ptr<RecoveringServer>> Build::RecoverAndPromote() {
  PITR_ASSIGN_OR_RETURN(auto server, BeginRecovery(MakeRecovery()));
  client_->progress()->Phase("promote");
  PITR_RETURN_IF_ERROR(server->Promote(cancel_));
  PITR_FAULT("build.promoted");
  return server;
}

// Nothing is laid out, nothing is read ahead: where replay begins is where the server has stopped.
Status Build::TakeUp() {
  goes_on_ = true;
  is_incomplete_ = PathExists(JoinPath(request_.directory, demand::kFolder));
  PITR_RETURN_IF_ERROR(MakeDirectories(StagingFile(request_.directory, "spool")));
  PITR_ASSIGN_OR_RETURN(source_, MakeSource());
  PITR_ASSIGN_OR_RETURN(source_->used_timelines, lookup_->TakeUsedTimelines());
  return Status::Ok();
}

Status Build::StayAtPoint(const LookPlace& place) {
  PITR_RETURN_IF_ERROR(OpenSnapshot());
  PITR_RETURN_IF_ERROR(place.goes_on ? TakeUp() : LayOut());
  RecoveryRequest recovery = MakeRecovery();
  recovery.config.is_look = true;
  recovery.host = place.host;
  recovery.log = place.log;
  PITR_ASSIGN_OR_RETURN(const auto server, BeginRecovery(recovery));
  PITR_ASSIGN_OR_RETURN(const demand::FolderSummary missing,
                        demand::ReadFolder(request_.directory));
  result.incomplete_bytes = missing.absent_bytes;
  PITR_FAULT("look.left");
  // Nothing may fail behind that: the directory would be removed below a server that nobody ends.
  PITR_RETURN_IF_ERROR(server->LeaveToReaders(cancel_));
  result.stands_by = server->stands_by();
  return Status::Ok();
}

// In-progress transactions of that moment are over then, and their locks with them.
Status Build::Visit(const std::function<Status(const ConnectTo&, Connection*)>& look,
                    VisitEnd end) {
  PITR_RETURN_IF_ERROR(OpenSnapshot());
  PITR_RETURN_IF_ERROR(LayOut());
  PITR_ASSIGN_OR_RETURN(const auto server, RecoverAndPromote());
  EndReadAhead();
  PITR_RETURN_IF_ERROR(look(MakeRecovery().connect, server->connection()));
  return end == VisitEnd::kCleanStop ? server->Finish(cancel_) : Status::Ok();
}

Status Build::Recover() {
  PITR_ASSIGN_OR_RETURN(const auto server, RecoverAndPromote());
  PITR_RETURN_IF_ERROR(CarryRolesOver(server->connection()));
  if (request_.masking) PITR_RETURN_IF_ERROR(Mask(server->connection()));
  PITR_RETURN_IF_ERROR(server->Finish(cancel_));
  if (request_.masking) PITR_RETURN_IF_ERROR(RemoveWalOfMasking(request_.directory));
  return CheckTimeline();
}

Status Build::Configure() {
  client_->progress()->Phase("check");
  if (request_.live) {
    PITR_RETURN_IF_ERROR(TakeOverLiveFiles(*request_.live, request_.directory));
    PITR_FAULT("build.before_second_start");
    if (request_.branch_settings) {
      PITR_RETURN_IF_ERROR(AppendToAutoConf(request_.directory, *request_.branch_settings));
      RemoveSocketDirectory(request_.socket_directory);
      return RemoveFile(StagingFile(request_.directory, "staging.log"));
    }
    const TrialRequest trial = {request_.directory, request_.bin_directory,
                                request_.socket_directory, request_.port, is_incomplete_};
    PITR_RETURN_IF_ERROR(TryLiveSettings(*request_.live, trial, cancel_));
  } else if (PathExists(PastAutoConf(request_.directory))) {
    const std::string past = PastAutoConf(request_.directory);
    if (::rename(past.c_str(), JoinPath(request_.directory, "postgresql.auto.conf").c_str()) != 0) {
      return Status::FromErrno(errno, "rename \"" + past + "\"");
    }
  }
  RemoveSocketDirectory(request_.socket_directory);
  return RemoveFile(StagingFile(request_.directory, "staging.log"));
}

// Those that replay has made are on file systems that nobody has looked at yet.
Status Build::SyncTablespaces() {
  PITR_ASSIGN_OR_RETURN(const auto links, TablespaceLinks(request_.directory));
  std::vector<std::string> places;
  for (const TablespaceLink& link : links) {
    PITR_RETURN_IF_ERROR(CheckPlace(link.target));
    places.push_back(link.target);
  }
  PITR_ASSIGN_OR_RETURN(FileSystems file_systems, FileSystems::Open(places));
  return file_systems.Sync();
}

Status Build::Run() {
  PITR_RETURN_IF_ERROR(OpenSnapshot());
  std::vector<std::string> places = {request_.directory};
  for (const auto& [oid, target] : tablespaces_) {
    places.push_back(target);
  }
  PITR_ASSIGN_OR_RETURN(FileSystems file_systems, FileSystems::Open(places));
  PITR_RETURN_IF_ERROR(LayOut());
  PITR_RETURN_IF_ERROR(Recover());
  EndReadAhead();
  PITR_RETURN_IF_ERROR(Configure());
  PITR_FAULT("build.before_sync");
  client_->progress()->Phase("sync");
  PITR_RETURN_IF_ERROR(file_systems.Sync());
  PITR_RETURN_IF_ERROR(SyncTablespaces());
  PITR_ASSIGN_OR_RETURN(const demand::FolderSummary missing,
                        demand::ReadFolder(request_.directory));
  result.incomplete_bytes = missing.absent_bytes;
  PITR_FAULT("build.done");
  return cancel_.IsCancelled() ? Status(Code::kCancelled, "cancelled") : Status::Ok();
}

}  // namespace

void RemoveBuilt(const BuildRequest& request, BuildClient* client) {
  const auto note = [client](const Status& removed) {
    if (!removed.ok()) {
      client->Note("could not remove what was built: " + removed.ToString());
    }
  };
  note(RemoveDataDirectory(request.directory,
                           request.live ? request.live->data_directory : std::string()));
  for (const auto& [oid, target] : request.tablespaces) {
    note(RemoveTree(target));
  }
  RemoveSocketDirectory(request.socket_directory);
}

Status CheckPlacesAreFree(const BuildRequest& request) {
  for (const auto& [oid, target] : request.tablespaces) {
    const Result<std::vector<std::string>> names = ListDirectory(target);
    if (names.ok() && !names->empty()) {
      return Status(Code::kAlreadyExists, "tablespace directory \"" + target + "\" is not empty");
    }
  }
  const Result<bool> is_free = IsFree(request.directory);
  return is_free.ok() && *is_free
             ? Status::Ok()
             : Status(Code::kAlreadyExists, "\"" + request.directory + "\" is not empty");
}

Status VisitPoint(const BuildRequest& request, BuildClient* client,
                  const std::function<Status(const ConnectTo&, Connection*)>& look, VisitEnd end,
                  const CancelToken& cancel) {
  PITR_RETURN_IF_ERROR(CheckPlacesAreFree(request));
  return Build(request, client, cancel).Visit(look, end);
}

Result<BuildResult> BuildLook(const BuildRequest& request, const LookPlace& place,
                              BuildClient* client, const CancelToken& cancel) {
  if (!place.goes_on) PITR_RETURN_IF_ERROR(CheckPlacesAreFree(request));
  Build build(request, client, cancel);
  const Status status = build.StayAtPoint(place);
  build.EndReadAhead();
  if (!status.ok()) {
    RemoveBuilt(request, client);
    return status;
  }
  return std::move(build.result);
}

Result<BuildResult> BuildReplacement(const BuildRequest& request, BuildClient* client,
                                     const CancelToken& cancel) {
  PITR_RETURN_IF_ERROR(CheckPlacesAreFree(request));
  Build build(request, client, cancel);
  Status status = build.Run();
  if (!status.ok()) {
    build.EndReadAhead();
    RemoveBuilt(request, client);
    return status;
  }
  return std::move(build.result);
}

}  // namespace pitr::tool

// Builds a data directory at a point of the past: lay out, recover, promote, roles, configuration, trial start, sync. One engine
// for the server's restore (`pitr job`) and for `pitr restore`, where no server is left.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/result.h"
#include "core/repo/access.h"
#include "core/repo/manifest.h"
#include "core/types/ids.h"
#include "core/work/progress.h"
#include "tool/live_trial.h"
#include "tool/masking.h"
#include "tool/roles.h"
#include "tool/staging_config.h"

namespace pitr::tool {

struct BuildRequest {
  RepositoryAccess repository;
  std::string directory;
  std::string identity;  // content of pitr/identity.json
  // The plan.
  BranchId line;
  TimelineId timeline = 0;
  Lsn record_start, record_end, wal_from;
  SnapshotId snapshot;
  std::uint64_t wal_bytes = 0;
  ControlSettings settings;
  // Means.
  std::string bin_directory, program, socket_directory;
  int port = 5432;
  int workers = 2;
  std::uint64_t read_ahead_bytes = 0;
  std::string recovery_settings, preload_libraries;
  std::string library;  // ours, as servers preload it; empty: it is not known where it is
  // Relation files are loaded when they are read, where the repository allows it and there is the library; else all is laid out.
  bool demand_load = false;
  int fetch_workers = 0;  // that server's, for what is no plain folder; 0: it has none
  BranchId branch;        // that the directory will write
  // Targets that were chosen by hand, by OID. The others are refused, or `branch` has its own where the tablespaces were (tablespaces.h).
  std::map<std::string, std::string> tablespaces;
  bool has_own_tablespaces = false;
  // What today gives.
  std::string superuser;  // name of the bootstrap superuser, may be empty
  bool keep_passwords = true;
  // Of a branch that gets a server of its own beside the live one: what it has otherwise, in postgresql.auto.conf. It is not tried with the
  // live settings, since it is started with its own.
  std::optional<std::vector<Setting>> branch_settings;
  // What changes its data before anybody can connect: then its history begins behind that.
  std::optional<Masking> masking;
  std::optional<LiveServer>
      live;  // none: the directory keeps the configuration of the past and is not tried
};

struct BuildResult {
  TimelineId timeline = 0;
  RoleOutcome roles;
  std::vector<std::string> prepared_transactions;
  std::uint64_t incomplete_bytes = 0;  // still to be loaded
  std::uint64_t replay_ms = 0;         // from the start of staging to the target
  bool stands_by = false;              // of a look: it had left recovery, and cannot replay on
};

// Who wants the directory. Called from the building thread, Progress also from others.
class BuildClient {
 public:
  virtual ~BuildClient() = default;
  virtual Progress* progress() = 0;
  virtual void ReplayedTo(Lsn lsn) noexcept = 0;
  virtual void Note(const std::string& text) = 0;
  // Roles of today; nothing = leave roles as they were.
  virtual Result<std::optional<std::vector<Role>>> RolesOfToday() = 0;
};

// DURABLE: the directory, cleanly shut down. On error or cancel it is removed, with the tablespace targets. kAlreadyExists when
// it is there and not empty.
Result<BuildResult> BuildReplacement(const BuildRequest& request, BuildClient* client,
                                     const CancelToken& cancel);

// The directory as it was at the point, open for one look: `look` has a connection of a superuser, and where to make more. The server is ended
// behind that, or cleanly stopped; the directory is the caller's to remove. Not durable.
enum class VisitEnd { kAtOnce, kCleanStop };
Status VisitPoint(const BuildRequest& request, BuildClient* client,
                  const std::function<Status(const ConnectTo&, Connection*)>& look, VisitEnd end,
                  const CancelToken& cancel);

// The directory as it was at the point, with a server for readers that stays (core/work/look.h) as long as the postmaster of the mark `host`. On error or
// cancel neither is left. Not durable.
struct LookPlace {
  std::string host, log;
  // The directory is that of a look at an earlier point, of the same history and laid out from the same snapshot: it replays on.
  bool goes_on = false;
};
Result<BuildResult> BuildLook(const BuildRequest& request, const LookPlace& place,
                              BuildClient* client, const CancelToken& cancel);

// Nothing is where the directory and its chosen tablespaces shall be, but for what claims it (directory_claim.h): what was there before is never
// removed. kAlreadyExists.
Status CheckPlacesAreFree(const BuildRequest& request);

// What a build has made, for a caller that cannot use it after all.
void RemoveBuilt(const BuildRequest& request, BuildClient* client);

// Passes on everything but phases, which the job names itself.
class OnePhase final : public Progress {
 public:
  explicit OnePhase(Progress* progress) : progress_(progress) {}
  void Phase(std::string_view) noexcept override {}
  void Total(std::uint64_t bytes) noexcept override { progress_->Total(bytes); }
  void Done(std::uint64_t more_bytes) noexcept override { progress_->Done(more_bytes); }

 private:
  Progress* progress_;
};

}  // namespace pitr::tool

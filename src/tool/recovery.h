// Recovers a laid-out directory to one record and opens it on a timeline of its own (DESIGN.md 5, internals 6, 7, 14).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/base/cancel.h"
#include "core/base/result.h"
#include "core/types/lsn.h"
#include "tool/connection.h"
#include "tool/staging_config.h"
#include "tool/staging_server.h"
#include "tool/wal_source.h"

namespace pitr::tool {

struct RecoveryRequest {
  std::string directory, bin_directory;
  RecoveryConfig config;
  ConnectTo connect;
  WalSource source;
  BranchId branch;   // that the directory will write: its tablespaces are named after it
  Lsn record_end;    // of the target record: nothing behind it may be replayed
  std::string host;  // mark of the postmaster that a look (`config.is_look`) ends with
  std::string log;   // of a look; empty: beside the other files
};

class RecoveringServer {
 public:
  // Moves the laid-out postgresql.auto.conf aside, writes the generated files, starts the server. `ignored` as RecoveryConfigText.
  static Result<std::unique_ptr<RecoveringServer>> Start(const RecoveryRequest& request,
                                                         std::vector<std::string>* ignored);

  // Until the target record, and nothing behind it, is replayed: recovery pauses there, or has ended by itself. `replayed` hears
  // how far it is. An error when it stopped anywhere else.
  Status WaitAtTarget(const std::function<void(Lsn)>& replayed, const CancelToken& cancel);
  // At the target: for readers from here on, whatever becomes of us. One that has promoted itself, since hot standby could not become active there
  // (internals 6), becomes a standby first: what was in progress is over by that as well, and nothing can be written.
  Status LeaveToReaders(const CancelToken& cancel);
  bool stands_by() const { return request_.config.stands_by; }
  // Out of recovery, on a new timeline. IDEMPOTENT.
  Status Promote(const CancelToken& cancel);
  // REQUIRES: Promote was OK.
  Connection* connection() { return &*connection_; }
  // Checkpoint and clean stop; removes what Start made, but for staging.log. pg_control then says "shut down".
  Status Finish(const CancelToken& cancel);

 private:
  struct Look;
  explicit RecoveringServer(const RecoveryRequest& request) : request_(request) {}
  void TryConnect(Status* problem);
  Result<Look> LookOnce(const CancelToken& cancel);
  Result<bool> Judge(const Look& look) const;
  Status PromoteByFile() const;
  Status StandBy(const CancelToken& cancel);
  void ReportSpool(const std::function<void(Lsn)>& replayed) const;

  RecoveryRequest request_;
  std::unique_ptr<StagingServer> server_;
  std::optional<Connection> connection_;
  bool is_in_recovery_ = true;
};

// Paths of what staging leaves in a directory while it works.
std::string StagingFile(const std::string& directory, std::string_view name);
// The postgresql.auto.conf of the past, kept for reference (or for who restores without a live server).
std::string PastAutoConf(const std::string& directory);

}  // namespace pitr::tool

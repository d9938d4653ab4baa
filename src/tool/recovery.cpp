// The watch over a recovering server. It is believed to be at the target only when it says so in two ways, state and position: a
// setting that is too low pauses recovery short of the target, and without an active hot standby a pause at the target becomes a
// promotion (xlogrecovery.c recoveryPausesHere, CheckRequiredParameterValues; 15 to 18).
#include "tool/recovery.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "core/base/file.h"
#include "core/types/wal_name.h"
#include "core/work/look.h"
#include "tool/live_trial.h"

namespace pitr::tool {

namespace {

constexpr std::string_view kConfigFile = "staging.conf", kHbaFile = "staging_hba.conf",
                           kIdentFile = "staging_ident.conf", kWalGetFile = "wal-get.json",
                           kSpool = "spool", kLogFile = "staging.log";
// Near the target a millisecond counts; later it does not.
constexpr std::chrono::milliseconds kFirstPoll(10), kLaterPoll(50);
constexpr int kFirstRounds = 100;
// A question may meet the moment at which recovery ends.
constexpr int kToleratedErrors = 3;

Status Cancelled() { return Status(Code::kCancelled, "cancelled"); }

Status WriteText(const std::string& path, const std::string& text) {
  return PublishFile(path, AsBytes(text), false);
}

Status MoveAside(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
    return Status::FromErrno(errno, "rename \"" + from + "\"");
  }
  return Status::Ok();
}

Status PrepareDirectory(const RecoveryRequest& request, const std::string& config) {
  const std::string& directory = request.directory;
  // Read after every generated file, so it must not be there (internals 11).
  PITR_RETURN_IF_ERROR(
      MoveAside(JoinPath(directory, "postgresql.auto.conf"), PastAutoConf(directory)));
  PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(directory, "standby.signal")));
  PITR_RETURN_IF_ERROR(WriteText(StagingFile(directory, kConfigFile), config));
  PITR_RETURN_IF_ERROR(WriteText(StagingFile(directory, kHbaFile), StagingHbaText()));
  PITR_RETURN_IF_ERROR(WriteText(StagingFile(directory, kIdentFile), StagingIdentText()));
  PITR_RETURN_IF_ERROR(
      WriteText(StagingFile(directory, kWalGetFile), WalSourceText(request.source)));
  return WriteText(JoinPath(directory, "recovery.signal"), "");
}

StagingOptions ServerOptions(const RecoveryRequest& request) {
  StagingOptions options;
  options.directory = request.directory;
  options.bin_directory = request.bin_directory;
  options.arguments = AsArguments({
      {"data_directory", request.directory},
      {"config_file", StagingFile(request.directory, kConfigFile)},
      {"hba_file", StagingFile(request.directory, kHbaFile)},
      {"ident_file", StagingFile(request.directory, kIdentFile)},
  });
  options.environment = {{"PITR_STAGING", "1"},
                         {"PITR_REBUILDABLE", request.source.durable ? "0" : "1"},
                         {"PITR_WAL_GET_CONFIG", StagingFile(request.directory, kWalGetFile)},
                         {"PITR_TABLESPACES_OF", request.branch}};
  options.log_file = request.log.empty() ? StagingFile(request.directory, kLogFile) : request.log;
  if (request.config.is_look) {
    options.environment[std::string(kLookVariable)] = "1";
    options.supervisor = request.config.program;
    options.host = request.host;
  }
  return options;
}

}  // namespace

struct RecoveringServer::Look {
  bool in_recovery = true;
  std::string pause_state;
  Lsn replayed;
};

std::string StagingFile(const std::string& directory, std::string_view name) {
  return JoinPath(JoinPath(directory, "pitr"), name);
}

std::string PastAutoConf(const std::string& directory) {
  return StagingFile(directory, "postgresql.auto.conf.past");
}

Result<std::unique_ptr<RecoveringServer>> RecoveringServer::Start(
    const RecoveryRequest& request, std::vector<std::string>* ignored) {
  PITR_ASSIGN_OR_RETURN(const std::string config, RecoveryConfigText(request.config, ignored));
  PITR_RETURN_IF_ERROR(MakeSocketDirectory(request.connect.socket_directory));
  PITR_RETURN_IF_ERROR(PrepareDirectory(request, config));
  std::unique_ptr<RecoveringServer> recovering(new RecoveringServer(request));
  PITR_ASSIGN_OR_RETURN(recovering->server_, StagingServer::Start(ServerOptions(request)));
  return recovering;
}

void RecoveringServer::TryConnect(Status* problem) {
  Result<Connection> opened = Connection::Open(request_.connect);
  if (opened.ok()) {
    connection_ = std::move(*opened);
  } else {
    *problem = std::move(opened).status();
  }
}

Result<RecoveringServer::Look> RecoveringServer::LookOnce(const CancelToken& cancel) {
  PITR_ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      connection_->Query("SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN"
                         " pg_get_wal_replay_pause_state() END, pg_last_wal_replay_lsn()",
                         cancel));
  Look look;
  look.in_recovery = rows.at(0).at(0) == "t";
  look.pause_state = rows[0].at(1).value_or("");
  if (rows[0].at(2)) {
    PITR_ASSIGN_OR_RETURN(look.replayed, Lsn::Parse(*rows[0][2]));
  }
  return look;
}

// True at the target, false while it is on the way.
Result<bool> RecoveringServer::Judge(const Look& look) const {
  if (look.replayed > request_.record_end) {
    return server_->Failure("recovery went beyond the target: replayed up to " +
                            look.replayed.ToString() + ", wanted " +
                            request_.record_end.ToString());
  }
  const bool reached = look.replayed > request_.config.record_start;
  const bool stands = !look.in_recovery || look.pause_state == "paused";
  if (stands && !reached) {
    return server_->Failure("recovery stopped at " + look.replayed.ToString() +
                            ", before the target " + request_.record_end.ToString());
  }
  return stands;
}

void RecoveringServer::ReportSpool(const std::function<void(Lsn)>& replayed) const {
  // Before hot standby lets us in, the segment that was asked for last says how far recovery is.
  const std::uint64_t segment_size = request_.config.segment_size;
  const std::optional<WalFileName> name =
      ParseWalFileName(ReadSpoolPosition(request_.source.spool), segment_size);
  if (name) {
    replayed(SegmentStart(name->segment, segment_size));
  }
}

Status RecoveringServer::WaitAtTarget(const std::function<void(Lsn)>& replayed,
                                      const CancelToken& cancel) {
  int errors = 0;
  for (int round = 0;; round++) {
    if (cancel.IsCancelled()) {
      return Cancelled();
    }
    PITR_RETURN_IF_ERROR(server_->CheckRunning());
    Status problem;
    if (!connection_ && server_->State() == "ready") {
      TryConnect(&problem);
    }
    if (problem.code() == Code::kNotReady) {
      return server_->Failure("no superuser can connect to the recovering server: " +
                              problem.message());
    }
    if (connection_) {
      const Result<Look> look = LookOnce(cancel);
      if (look.ok()) {
        replayed(look->replayed);
        PITR_ASSIGN_OR_RETURN(const bool at_target, Judge(*look));
        if (at_target) {
          is_in_recovery_ = look->in_recovery;
          return Status::Ok();
        }
      } else if (look.status().code() == Code::kUnavailable) {
        connection_.reset();  // ended by a conflict with recovery, or by the server's end
      } else if (look.status().code() == Code::kCancelled || ++errors > kToleratedErrors) {
        return look.status();
      }
    } else {
      ReportSpool(replayed);
    }
    std::this_thread::sleep_for(round < kFirstRounds ? kFirstPoll : kLaterPoll);
  }
}

Status RecoveringServer::StandBy(const CancelToken& cancel) {
  connection_.reset();
  PITR_RETURN_IF_ERROR(server_->Stop(StopMode::kFast, cancel));
  PITR_RETURN_IF_ERROR(CheckShutDown(request_.directory));
  request_.config.stands_by = true;
  PITR_ASSIGN_OR_RETURN(const std::string config, RecoveryConfigText(request_.config, nullptr));
  PITR_RETURN_IF_ERROR(WriteText(StagingFile(request_.directory, kConfigFile), config));
  PITR_RETURN_IF_ERROR(WriteText(JoinPath(request_.directory, "standby.signal"), ""));
  PITR_ASSIGN_OR_RETURN(server_, StagingServer::Start(ServerOptions(request_)));
  return server_->WaitReady(cancel);
}

Status RecoveringServer::LeaveToReaders(const CancelToken& cancel) {
  if (!is_in_recovery_) {
    PITR_RETURN_IF_ERROR(StandBy(cancel));
  }
  connection_.reset();
  server_->Leave();
  return Status::Ok();
}

Status RecoveringServer::PromoteByFile() const {
  // As pg_ctl promote does.
  PITR_RETURN_IF_ERROR(WriteText(JoinPath(request_.directory, "promote"), ""));
  if (::kill(server_->pid(), SIGUSR1) != 0) {
    return Status::FromErrno(errno, "signal the recovering server");
  }
  return Status::Ok();
}

Status RecoveringServer::Promote(const CancelToken& cancel) {
  bool asked = false, woken = false;
  for (;;) {
    if (cancel.IsCancelled()) {
      return Cancelled();
    }
    PITR_RETURN_IF_ERROR(server_->CheckRunning());
    Status problem;
    if (!connection_) {
      TryConnect(&problem);
    }
    if (connection_) {
      const Result<Look> look = LookOnce(cancel);
      if (look.ok() && !look->in_recovery) {
        return Status::Ok();
      }
      if (!look.ok() && look.status().code() == Code::kUnavailable) {
        connection_.reset();
      }
    }
    if (asked && !woken && connection_) {
      // The pause looks for a promotion once a second only; ending the pause ends the recovery as well. It is an error, and no
      // harm, when the promotion has been noticed by now.
      (void)connection_->Run("SELECT pg_wal_replay_resume()", cancel);
      woken = true;
    }
    if (!asked) {
      // Without waiting, so that a cancel is heard meanwhile.
      const bool by_sql = connection_ && connection_->Run("SELECT pg_promote(false)", cancel).ok();
      if (!by_sql) {
        PITR_RETURN_IF_ERROR(PromoteByFile());
      }
      asked = true;
    }
    std::this_thread::sleep_for(kFirstPoll);
  }
}

Status RecoveringServer::Finish(const CancelToken& cancel) {
  if (connection_) {
    PITR_RETURN_IF_ERROR(connection_->Run("CHECKPOINT", cancel));
    connection_.reset();
  }
  PITR_RETURN_IF_ERROR(server_->Stop(StopMode::kFast, cancel));
  PITR_RETURN_IF_ERROR(CheckShutDown(request_.directory));
  for (const std::string_view name : {kConfigFile, kHbaFile, kIdentFile, kWalGetFile}) {
    PITR_RETURN_IF_ERROR(RemoveFile(StagingFile(request_.directory, name)));
  }
  PITR_RETURN_IF_ERROR(RemoveTree(StagingFile(request_.directory, kSpool)));
  return RemoveFile(JoinPath(request_.directory, "postmaster.opts"));
}

}  // namespace pitr::tool

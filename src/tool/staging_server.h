// A postmaster of our own on a private socket: started, watched by its pid and postmaster.pid, stopped. It has a session of its
// own, so that signals to our process group pass it by (internals 19), and ends when this process does, however that ends.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/result.h"

namespace pitr::tool {

struct StagingOptions {
  std::string directory;
  std::string bin_directory;
  std::vector<std::string> arguments;              // after -D directory
  std::map<std::string, std::string> environment;  // added to what is left of ours
  std::string log_file;                            // its stdout and stderr, appended
  // The program `pitr` and the mark of a postmaster: its `compute` runs the server, which then can be left to that. Empty: we do.
  std::string supervisor, host;
};

enum class StopMode { kFast, kImmediate };

// Ours, without what belongs to the live server, with `added`: for a server that is another one.
std::vector<std::string> ServerEnvironment(const std::map<std::string, std::string>& added);

class StagingServer {
 public:
  // kInUse when postmaster.pid names a living server of this directory. The thread that calls must live as long as the server.
  static Result<std::unique_ptr<StagingServer>> Start(const StagingOptions& options);
  // Still running: ends it with SIGQUIT, after 5 s with SIGKILL.
  ~StagingServer();
  StagingServer(const StagingServer&) = delete;
  StagingServer& operator=(const StagingServer&) = delete;

  pid_t pid() const { return pid_; }  // of its supervisor, if it has one
  // Reaps. OK while it runs; else the status of its end with the last lines of its log as detail.
  Status CheckRunning();
  // The word that the postmaster keeps in postmaster.pid: "starting", "ready", "standby", "stopping"; empty before.
  std::string State() const;
  // Until State() is "ready"; as CheckRunning when it ends before, kCancelled.
  Status WaitReady(const CancelToken& cancel);
  // Until it is gone. A fast stop that is cancelled becomes an immediate one and returns kCancelled.
  Status Stop(StopMode mode, const CancelToken& cancel);
  // It stays when we end. REQUIRES: a supervisor.
  void Leave() { is_running_ = false; }
  // An error with the last lines of the log as detail.
  Status Failure(std::string message) const;

 private:
  StagingServer(StagingOptions options, pid_t pid) : options_(std::move(options)), pid_(pid) {}
  bool Reap();
  void EndNow() noexcept;

  StagingOptions options_;
  pid_t pid_;
  int exit_status_ = 0;
  bool is_running_ = true;
};

// The last lines of a server's log, at most `max_bytes`, without the noise of restored segments.
std::string LogTail(const std::string& path, std::size_t max_bytes);

}  // namespace pitr::tool

// `pitr job`: heavy work as a child of a worker of the server, over lines of JSON (JOBS.md).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

#include "core/base/cancel.h"
#include "core/base/json_fwd.h"
#include "core/base/log.h"
#include "core/base/pace.h"
#include "core/base/result.h"
#include "core/types/lsn.h"
#include "core/work/progress.h"

namespace pitr::tool {

// Lines to the worker. Any thread may speak; a worker that does not listen any more means cancel.
class JobOutput final : public Progress, public Logger {
 public:
  // Progress: one line at each change of phase, else at most five a second.
  void Phase(std::string_view name) noexcept override;
  void Total(std::uint64_t bytes) noexcept override;
  void Done(std::uint64_t more_bytes) noexcept override;
  void ReplayedTo(Lsn lsn) noexcept;
  void Log(LogLevel level, std::string_view message) noexcept override;

  void Send(const Json& line) noexcept;

 private:
  void SendProgress(bool at_once) noexcept;      // REQUIRES: mutex_ held
  void Write(const std::string& text) noexcept;  // REQUIRES: mutex_ held

  std::mutex mutex_;
  std::string phase_;
  std::uint64_t done_ = 0, total_ = 0;
  Lsn replayed_;
  std::int64_t sent_at_ms_ = 0;
};

// Lines from the worker, read by a thread of its own so that the end of file is heard at once.
class JobInput {
 public:
  // Starts the thread, which lives until the process ends. End of file requests cancel. {"limits":{"read_rate":N}} is not waited for by
  // anybody: `pace` keeps to it from then on.
  void Start(Pace* pace);
  // The next line. kCancelled when the worker went away or cancel was asked for.
  Result<Json> Next(const CancelToken& cancel);
  // There was no memory for a line; that cancels as well, and is not what the worker asked for.
  bool RanOutOfMemory() const { return ran_out_of_memory_; }

 private:
  void ReadLines() noexcept;
  void Take(std::string line);
  bool TakeLimits(const std::string& line) const;

  Pace* pace_ = nullptr;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<std::string> lines_;
  bool ended_ = false;
  std::atomic<bool> ran_out_of_memory_ = false;
};

struct JobContext {
  JobOutput* output;
  JobInput* input;
  const CancelToken* cancel;
  Pace* pace;  // of reading data files
  // Sends {"need": what} and waits for the answer that has a member of that name.
  Result<Json> Ask(std::string_view what);
};

// The kinds. Each returns the last line: {"done":{…}} or {"built":{…}}.
Result<Json> RunSnapshotJob(const Json& job, JobContext* context);
Result<Json> RunBuildJob(const Json& job, JobContext* context);
Result<Json> RunLookJob(const Json& job, JobContext* context);
Result<Json> RunSchemaJob(const Json& job, JobContext* context);
Result<Json> RunDrillJob(const Json& job, JobContext* context);
Result<Json> RunSchemaTextJob(const Json& job, JobContext* context);
Result<Json> RunPrepareJob(const Json& job, JobContext* context);
Result<Json> RunStartJob(const Json& job, JobContext* context);
Result<Json> RunVerifyJob(const Json& job, JobContext* context);
Result<Json> RunReplicateJob(const Json& job, JobContext* context);
Result<Json> RunRecoverJob(const Json& job, JobContext* context);
Result<Json> RunRecoverTidyJob(const Json& job, JobContext* context);
Result<Json> RunDumpJob(const Json& job, JobContext* context);
Result<Json> RunRestoreDumpJob(const Json& job, JobContext* context);
Result<Json> RunRetentionJob(const Json& job, JobContext* context);

}  // namespace pitr::tool

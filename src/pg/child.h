// The `pitr` program as a supervised child of an operation's worker (src/tool/JOBS.md): a bug, the OOM killer or a hung store
// ends the operation and never restarts the server.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "core/base/json_fwd.h"
#include "core/base/result.h"

namespace pitr::pg {

class Child {
 public:
  Child() = default;
  ~Child();  // kills what still runs (SIGKILL), never raises
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Starts `pitr job` and hands it the job.
  Status Start(const Json& job);
  Status Send(const Json& line);
  // The next line of the child; waits on the latch as well and asks `cancelled` each time it wakes (at least ten times a
  // second): true ends the child and gives kCancelled. The end of the child without a result is kInternal with how it ended.
  // THROWS ErrorInFlight (interrupts).
  Result<Json> Next(const std::function<bool()>& cancelled);
  // The same without waiting: nothing when the child has said nothing yet.
  Result<std::optional<Json>> TryNext();
  // After the last line. A child that does not end in 10 s is killed.
  void Finish() noexcept;

 private:
  Status SpawnJob(int input, int output);
  Status EndedEarly();
  void Close() noexcept;

  pid_t pid_ = 0;
  int to_child_ = -1, from_child_ = -1;
  std::string buffer_;
};

// A child of this session for as long as the job takes: its last line, {"done":{…}}. `answer`, if the kind asks for anything: to each {"need":…}.
// Errors of the job with their class. THROWS ErrorInFlight (interrupts).
Result<Json> RunJob(const Json& job, const std::function<bool()>& cancelled,
                    const std::function<Result<Json>()>& answer = {});

// {"error":{…}} of a child as a Status with its own SQLSTATE class.
Status StatusFromJson(const Json& error);

}  // namespace pitr::pg

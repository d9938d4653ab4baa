// The frame around the kinds of jobs. It holds nothing that must outlive the worker: signal, parent's death and end of input all
// end in the same flag, which every loop of the work looks at.
#include "tool/job.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <thread>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "tool/commands.h"
#include "tool/exit_codes.h"
#include "tool/job_fields.h"
#include "tool/member_notes.h"
#include "tool/signals.h"

namespace pitr::tool {

namespace {

constexpr std::int64_t kProgressMillis = 200;  // at most five a second
constexpr std::size_t kMaxLine = 16U << 20;
constexpr std::chrono::milliseconds kCancelLook(100);

Json ErrorLine(const Status& status) {
  Json error;
  error["sqlstate"] = SqlState(status.code());
  error["message"] = status.message();
  error["detail"] = status.detail();
  error["hint"] = status.hint();
  Json line;
  line["error"] = std::move(error);
  return line;
}

Result<Json> Dispatch(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(const std::string kind, JsonText(job, "kind"));
  if (kind == "snapshot") {
    return RunSnapshotJob(job, context);
  }
  if (kind == "build") {
    return RunBuildJob(job, context);
  }
  if (kind == "look") {
    return RunLookJob(job, context);
  }
  if (kind == "schema") {
    return RunSchemaJob(job, context);
  }
  if (kind == "schema_text") {
    return RunSchemaTextJob(job, context);
  }
  if (kind == "drill") {
    return RunDrillJob(job, context);
  }
  if (kind == "prepare") {
    return RunPrepareJob(job, context);
  }
  if (kind == "start") {
    return RunStartJob(job, context);
  }
  if (kind == "verify") {
    return RunVerifyJob(job, context);
  }
  if (kind == "replicate") {
    return RunReplicateJob(job, context);
  }
  if (kind == "recover") {
    return RunRecoverJob(job, context);
  }
  if (kind == "recover_tidy") {
    return RunRecoverTidyJob(job, context);
  }
  if (kind == "dump") {
    return RunDumpJob(job, context);
  }
  if (kind == "restore_dump") {
    return RunRestoreDumpJob(job, context);
  }
  if (kind == "retention") {
    return RunRetentionJob(job, context);
  }
  return Status(Code::kInvalidArgument, "unknown kind of job \"" + kind + "\"");
}

// The library throws when memory runs out; the worker then wants a line rather than a signal.
Result<Json> DispatchGuarded(const Json& job, JobContext* context) {
  try {
    return Dispatch(job, context);
  } catch (const std::bad_alloc&) {
    return Status(Code::kOutOfMemory, "out of memory");
  } catch (const std::exception& error) {
    return Status(Code::kInternal, error.what());
  }
}

// Ends with the worker, however that ends.
void TieToParent() {
  const pid_t parent = getppid();
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  // It died before the kernel knew; when it died before that, the end of our input says so.
  if (getppid() != parent) {
    RequestCancel();
  }
}

// Beyond the server's own. Threads that are made later inherit it.
void BeNice(const Json& job) {
  const Result<int> nice = JsonNumberOr<int>(job, "nice", 0);
  if (nice.ok() && *nice > 0) {
    [[maybe_unused]] const int now = ::nice(*nice);  // to stand back is always allowed
  }
}

}  // namespace

void JobOutput::Write(const std::string& text) noexcept {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t put = ::write(STDOUT_FILENO, text.data() + written, text.size() - written);
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put <= 0) {
      RequestCancel();
      return;
    }
    written += static_cast<std::size_t>(put);
  }
}

void JobOutput::Send(const Json& line) noexcept {
  const std::string text = DumpJson(line) + "\n";
  const std::lock_guard lock(mutex_);
  Write(text);
}

void JobOutput::SendProgress(bool at_once) noexcept {
  const std::int64_t now = SystemClock().MonotonicMillis();
  if (!at_once && now - sent_at_ms_ < kProgressMillis) {
    return;
  }
  sent_at_ms_ = now;
  Json line;
  Json& progress = line["progress"];
  progress["phase"] = phase_;
  progress["done"] = done_;
  progress["total"] = total_;
  progress["replay_lsn"] = replayed_.ToString();
  Write(DumpJson(line) + "\n");
}

void JobOutput::Phase(std::string_view name) noexcept {
  const std::lock_guard lock(mutex_);
  phase_ = name;
  done_ = total_ = 0;
  SendProgress(true);
}

void JobOutput::Total(std::uint64_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  total_ = bytes;
  SendProgress(false);
}

void JobOutput::Done(std::uint64_t more_bytes) noexcept {
  const std::lock_guard lock(mutex_);
  done_ += more_bytes;
  SendProgress(false);
}

void JobOutput::ReplayedTo(Lsn lsn) noexcept {
  const std::lock_guard lock(mutex_);
  replayed_ = lsn;
}

void JobOutput::Log(LogLevel, std::string_view message) noexcept {
  Json line;
  line["note"] = message;
  Send(line);
}

void JobInput::Start(Pace* pace) {
  pace_ = pace;
  std::thread([this] { ReadLines(); }).detach();
}

bool JobInput::TakeLimits(const std::string& line) const {
  if (!line.starts_with("{\"limits\"")) {
    return false;
  }
  const Result<Json> json = ParseJson(line, "limits", kMaxLine);
  const Json* limits = json.ok() ? JsonObject(*json, "limits") : nullptr;
  const auto rate = limits != nullptr ? JsonUint(*limits, "read_rate") : std::uint64_t{0};
  if (rate.ok()) {
    pace_->SetRate(*rate);
  }
  return true;
}

void JobInput::Take(std::string line) {
  if (TakeLimits(line)) {
    return;
  }
  if (line.starts_with("{\"cancel\"")) {
    RequestCancel();
    return;
  }
  const std::lock_guard lock(mutex_);
  lines_.push_back(std::move(line));
  arrived_.notify_one();
}

void JobInput::ReadLines() noexcept {
  try {
    std::string rest;
    std::string block(65536, '\0');
    for (;;) {
      const ssize_t got = ::read(STDIN_FILENO, block.data(), block.size());
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got <= 0 || rest.size() > kMaxLine) {
        break;
      }
      rest.append(block, 0, static_cast<std::size_t>(got));
      for (std::size_t end; (end = rest.find('\n')) != std::string::npos;) {
        Take(rest.substr(0, end));
        rest.erase(0, end + 1);
      }
    }
  } catch (const std::exception&) {
    ran_out_of_memory_ = true;
  }
  RequestCancel();
  const std::lock_guard lock(mutex_);
  ended_ = true;
  arrived_.notify_one();
}

Result<Json> JobInput::Next(const CancelToken& cancel) {
  std::unique_lock lock(mutex_);
  while (lines_.empty()) {
    if (ended_ || cancel.IsCancelled()) {
      return Status(Code::kCancelled, "cancelled");
    }
    arrived_.wait_for(lock, kCancelLook);
  }
  const std::string line = std::move(lines_.front());
  lines_.pop_front();
  lock.unlock();
  return ParseJson(line, "line from the worker", kMaxLine);
}

Result<Json> JobContext::Ask(std::string_view what) {
  Json line;
  line["need"] = what;
  output->Send(line);
  PITR_ASSIGN_OR_RETURN(Json answer, input->Next(*cancel));
  if (!answer.contains(std::string(what))) {
    return Status(Code::kInternal, "the answer to \"" + std::string(what) + "\" is another one");
  }
  return answer;
}

int JobMain(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) {
    return kExitUsage;
  }
  CatchCancelSignals();
  // The worker's sockets and files are none of ours, and a server that we start must not keep them open.
  close_range(3, ~0U, 0);
  TieToParent();
  // Both outlive this function: the reading thread uses them until the process ends.
  static JobOutput output;
  static JobInput input;
  static Pace pace;
  TellOfMembers(&output);
  input.Start(&pace);
  JobContext context = {&output, &input, &CancelOfProcess(), &pace};
  Result<Json> job = input.Next(CancelOfProcess());
  if (job.ok()) {
    BeNice(*job);
  }
  Result<Json> last = job.ok() ? DispatchGuarded(*job, &context) : std::move(job);
  if (!last.ok() && input.RanOutOfMemory()) {
    last = Status(Code::kOutOfMemory, "out of memory");
  }
  output.Send(last.ok() ? *last : ErrorLine(last.status()));
  // Without static destructors, which the reading thread might meet.
  _exit(last.ok() ? kExitDone : kExitFailed);
}

}  // namespace pitr::tool

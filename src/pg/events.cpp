#include "pg/events.h"

#include <cstring>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "pg/boundary.h"
#include "pg/compute.h"
#include "pg/event_state.h"
#include "pg/guc.h"
#include "pg/guc_branch.h"
#include "pg/in_transaction.h"
#include "pg/log.h"
#include "pg/row_builder.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
#include "commands/async.h"
#include "postmaster/bgworker.h"
#include "utils/guc.h"
}

namespace pitr::pg {

namespace {

constexpr std::int64_t kCommandMs = 30'000;
constexpr std::size_t kMostWaiting = 100;
// A database that is not there makes each attempt a FATAL in the log.
constexpr std::int64_t kWorkerSoonMs = 1000, kWorkerLaterMs = 60'000;
constexpr std::size_t kMaxMessage = 1500;

std::int64_t NowMs() { return SystemClock().MonotonicMillis(); }

// Whole characters of UTF-8.
std::string Cut(const std::string& text) {
  if (text.size() <= kMaxMessage) return text;
  std::size_t size = kMaxMessage;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80)
    size--;
  return text.substr(0, size);
}

std::string EventText(const Event& event) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(Cut(text));
  };
  Json json;
  json["at"] = FormatTime(SystemClock().Now());
  json["event"] = event.event;
  json["branch"] = text_or_null(event.branch);
  json["severity"] = event.severity;
  json["message"] = Cut(event.message);
  json["hint"] = text_or_null(event.hint);
  json["operation_id"] = text_or_null(event.operation_id);
  return DumpJson(json);
}

// The oldest one makes room: whoever listens now wants to know what is so now.
void PutInRing(const std::string& text) {
  if (text.size() >= kEventTextSize) return;
  const LockHolder lock(OperationsLock());
  EventsShared& events = GetShared()->events;
  std::memcpy(events.text[events.put % kEventRing], text.c_str(), text.size() + 1);
  events.put++;
  if (events.put - events.taken > kEventRing) events.taken = events.put - kEventRing;
}

// A branch acts like its source only when it is told to.
bool MayAct() { return !IsCompute() || CurrentBranchSettings().activity; }

bool StartNotifier() {
  return Call([] {
    BackgroundWorker worker;
    std::memset(&worker, 0, sizeof worker);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    std::snprintf(worker.bgw_library_name, sizeof worker.bgw_library_name, "%s", "pitr_ext");
    std::snprintf(worker.bgw_function_name, sizeof worker.bgw_function_name, "%s",
                  "pitr_notifier_main");
    std::snprintf(worker.bgw_name, sizeof worker.bgw_name, "%s", "pitr notifier");
    std::snprintf(worker.bgw_type, sizeof worker.bgw_type, "%s", "pitr notifier");
    return RegisterDynamicBackgroundWorker(&worker, nullptr);
  });
}

std::vector<std::string> TakeFromRing() {
  std::vector<std::string> texts(kEventRing);
  for (std::string& text : texts)
    text.reserve(kEventTextSize);
  std::size_t count = 0;
  {
    const LockHolder lock(OperationsLock());
    EventsShared& events = GetShared()->events;
    for (; events.taken < events.put; events.taken++)
      texts[count++].assign(events.text[events.taken % kEventRing]);
  }
  texts.resize(count);
  return texts;
}

}  // namespace

void EventSender::Send(const Event& event) {
  if (!MayAct()) return;
  const std::string text = EventText(event);
  PutInRing(text);
  if (EventCommandSetting().empty()) return;
  for_command_.push_back(text);
  if (for_command_.size() > kMostWaiting) {
    for_command_.pop_front();
    LogQuietly(WARNING, "pitr.event_command is too slow: an event was left out");
  }
}

void EventSender::RunCommands() {
  if (command_.IsRunning()) {
    const std::optional<Status> ended = command_.Look(kCommandMs);
    if (!ended) return;
    if (!ended->ok()) LogStatus(WARNING, "pitr.event_command", *ended);
  }
  const std::string command = EventCommandSetting();
  if (command.empty()) for_command_.clear();
  if (for_command_.empty()) return;
  const Status started = command_.Start(command, for_command_.front() + "\n");
  for_command_.pop_front();
  if (!started.ok()) LogStatus(WARNING, "pitr.event_command", started);
}

void EventSender::Notify() {
  std::uint64_t put = 0, taken = 0;
  {
    const LockHolder lock(OperationsLock(), false);
    put = GetShared()->events.put;
    taken = GetShared()->events.taken;
  }
  if (taken == put || NowMs() < next_worker_ms_ || InRecovery()) return;
  // The last one did not get as far as it should have.
  const bool has_failed = taken < asked_for_;
  next_worker_ms_ = NowMs() + (has_failed ? kWorkerLaterMs : kWorkerSoonMs);
  asked_for_ = put;
  (void)StartNotifier();  // no free slot: later
}

void EventSender::Tick() {
  RunCommands();
  Notify();
}

// The worker's life, once connected.
void NotifyAll() {
  const std::vector<std::string> texts = TakeFromRing();
  if (texts.empty()) return;
  Call([] {
    // Nobody waits for it, least of all for a repository that is away.
    SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION);
    SetCurrentStatementStartTimestamp();
  });
  BeginTransaction();
  for (const std::string& text : texts) {
    const std::string payload = ServerOfUtf8(text);
    Call([&] { Async_Notify("pitr_events", payload.c_str()); });
  }
  EndTransaction();
}

}  // namespace pitr::pg

PITR_WORKER(pitr_notifier_main) {
  pitr::pg::Call([] {
    pitr::pg::BeginWorker();
    BackgroundWorkerInitializeConnection(pitr::pg::DatabaseSetting(), nullptr, 0);
  });
  pitr::pg::NotifyAll();
  return pitr::Status::Ok();
}

#include "pg/workers.h"

#include <cstdio>
#include <string_view>

#include "core/store/http.h"
#include "pg/boundary.h"
#include "pg/exchange.h"
#include "pg/guc.h"
#include "pg/shmem.h"
#include "pg/version.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#if PITR_ARCHIVE_STATE
#include "archive/archive_module.h"
#else
#include "postmaster/pgarch.h"
#endif
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/wait_event.h"
}

namespace pitr::pg {

namespace {

// Seconds before a worker that ended is started again; after a crash cycle the server starts it at once.
constexpr int kRestartSeconds = 5;
constexpr long kConfirmationPollMs = 10;
// Without a byte: longer than a sound repository is silent.
constexpr std::int64_t kStalledMs = 1000;

// Set in the postmaster, inherited by its children.
constinit int registered_archive_workers = 0;

void Fill(BackgroundWorker* worker, const char* name, const char* function, int number) {
  std::memset(worker, 0, sizeof *worker);
  // No database: archiving and schedules work with the extension created in none.
  worker->bgw_flags = BGWORKER_SHMEM_ACCESS;
  // On a standby too (archive_mode = always).
  worker->bgw_start_time = BgWorkerStart_ConsistentState;
  worker->bgw_restart_time = kRestartSeconds;
  worker->bgw_main_arg = Int32GetDatum(number);
  std::snprintf(worker->bgw_library_name, sizeof worker->bgw_library_name, "%s", "pitr_ext");
  std::snprintf(worker->bgw_function_name, sizeof worker->bgw_function_name, "%s", function);
  std::snprintf(worker->bgw_name, sizeof worker->bgw_name, "%s", name);
  std::snprintf(worker->bgw_type, sizeof worker->bgw_type, "%s", name);
}

// `registered`: it sleeps while pitr.synchronous is off, instead of ending.
void FillConfirmer(BackgroundWorker* worker, bool registered) {
  Fill(worker, "pitr confirmer", "pitr_confirmer_main", registered ? 1 : 0);
  // For the name of a role.
  worker->bgw_flags |= BGWORKER_BACKEND_DATABASE_CONNECTION;
  // Commits wait for it.
  worker->bgw_restart_time = 1;
}

void FillArchiveWorker(BackgroundWorker* worker, int number) {
  Fill(worker, "pitr archive worker", "pitr_archive_worker_main", number);
  std::snprintf(worker->bgw_name, sizeof worker->bgw_name, "pitr archive worker %d", number + 1);
}

}  // namespace

void RegisterWorkers() {
  BackgroundWorker worker;
  Fill(&worker, "pitr launcher", "pitr_launcher_main", 0);
  RegisterBackgroundWorker(&worker);
  if (XLogArchiveMode == ARCHIVE_MODE_OFF) {
    return;
  }
  Fill(&worker, "pitr tail shipper", "pitr_tail_worker_main", 0);
  // For the heartbeat, which connects to no database, and only when it is on.
  worker.bgw_flags |= BGWORKER_BACKEND_DATABASE_CONNECTION;
  RegisterBackgroundWorker(&worker);
  if (SynchronousSetting()) {
    FillConfirmer(&worker, true);
    RegisterBackgroundWorker(&worker);
  }
  registered_archive_workers = ArchiveWorkersSetting();
  for (int number = 0; number < registered_archive_workers; number++) {
    FillArchiveWorker(&worker, number);
    RegisterBackgroundWorker(&worker);
  }
}

// Launcher, tail shipper, one operation worker, the archive workers; the confirmer if commits are to wait, with demand loading the completion.
int WantedWorkers() {
  return 3 + ArchiveWorkersSetting() + (SynchronousSetting() ? 1 : 0) +
         (DemandLoadSetting() ? 1 : 0);
}

int RegisteredArchiveWorkers() { return registered_archive_workers; }

bool StartArchiveWorker(int number) {
  return Call([&] {
    BackgroundWorker worker;
    FillArchiveWorker(&worker, number);
    // A crash cycle forgets it; the launcher starts it again if it is still wanted.
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    return RegisterDynamicBackgroundWorker(&worker, nullptr);
  });
}

bool StartConfirmer() {
  return Call([] {
    BackgroundWorker worker;
    FillConfirmer(&worker, false);
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    return RegisterDynamicBackgroundWorker(&worker, nullptr);
  });
}

bool IsArchiveWorkerRunning(int number) {
  const LockHolder lock(ArchiveLock(), false);
  return GetShared()->archive.workers[number].pid != 0;
}

bool TakeArchiveWorkerSlot(int number) {
  const LockHolder lock(ArchiveLock());
  ArchiveWorkerSlot& slot = GetShared()->archive.workers[number];
  if (slot.pid != 0) {
    return false;
  }
  slot.pid = MyProcPid;
  slot.latch = reinterpret_cast<std::uint64_t>(MyLatch);
  return true;
}

void WakeArchiveWorkers() {
  std::uint64_t latches[kMaxArchiveWorkers];
  int count = 0;
  {
    const LockHolder lock(ArchiveLock(), false);
    for (const ArchiveWorkerSlot& slot : GetShared()->archive.workers) {
      if (slot.pid != 0 && slot.pid != MyProcPid) {
        latches[count++] = slot.latch;
      }
    }
  }
  for (int i = 0; i < count; i++) {
    SetLatch(reinterpret_cast<Latch*>(latches[i]));
  }
}

bool IsArchivingHere() {
  if (XLogArchiveMode == ARCHIVE_MODE_OFF || XLogArchiveLibrary == nullptr) {
    return false;
  }
  std::string_view library = XLogArchiveLibrary;
  // As a name, or as a path with or without its suffix.
  if (library.ends_with(".so")) {
    library.remove_suffix(3);
  }
  library.remove_prefix(library.rfind('/') + 1);
  return library == "pitr_ext";
}

void BeginWorker() {
  // Before the signals are let in: the handler that workers have otherwise raises FATAL inside the handler, possibly in the
  // middle of malloc (bgworker.c of 15 to 18).
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
  BackgroundWorkerUnblockSignals();
  GetShared()->archive.is_store_stalled = 0;  // a word of its own, like the next
}

bool WaitInWorker(long timeout_ms) { return WaitInWorker(timeout_ms, {}); }

bool WaitInWorker(long timeout_ms, WorkerSocket socket) {
  constexpr int kEvents = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
  if (socket.descriptor < 0) {
    (void)WaitLatch(MyLatch, kEvents, timeout_ms, PG_WAIT_EXTENSION);
  } else {
    const int ready = WL_SOCKET_READABLE | (socket.for_writing ? WL_SOCKET_WRITEABLE : 0);
    (void)WaitLatchOrSocket(MyLatch, kEvents | ready, socket.descriptor, timeout_ms,
                            PG_WAIT_EXTENSION);
  }
  ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
  if (!ConfigReloadPending) {
    return false;
  }
  ConfigReloadPending = false;
  ProcessConfigFile(PGC_SIGHUP);
  return true;
}

void WaitForConfirmation() {
  while (!WorkerMustStop() && IsExchangeUnconfirmed()) {
    Call([] { (void)WaitInWorker(kConfirmationPollMs); });
  }
}

bool WorkerMustStop() { return ShutdownRequestPending != 0; }

void EndWorker() {
  if (HasHttpStalled(kStalledMs)) {
    GetShared()->archive.is_store_stalled = 1;
  }
  proc_exit(1);
}

bool IsStoreStalled() noexcept {
  const volatile std::int32_t* stalled = &GetShared()->archive.is_store_stalled;
  return *stalled != 0 || HasHttpStalled(kStalledMs);
}

}  // namespace pitr::pg

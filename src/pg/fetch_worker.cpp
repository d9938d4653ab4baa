#include "pg/fetch_worker.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <string>

#include "core/demand/directory.h"
#include "core/demand/folder.h"
#include "core/repo/repository.h"
#include "pg/boundary.h"
#include "pg/demand.h"
#include "pg/guc.h"
#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
}

namespace pitr::pg {

namespace {

// Sessions wait: at once, when one has ended.
constexpr int kRestartSeconds = 1;
constexpr int kIdleMs = 1000;
constexpr long kNothingMissingMs = 60'000;
// Of the server's own background workers: parallel queries, replication.
constexpr int kLeftForOthers = 2;

// Set in the postmaster, inherited by its children.
constinit int registered = 0;

void Register(int count) {
  for (int number = 0; number < count; number++) {
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
    // Recovery misses pages too.
    worker.bgw_start_time = BgWorkerStart_PostmasterStart;
    worker.bgw_restart_time = kRestartSeconds;
    std::snprintf(worker.bgw_library_name, sizeof worker.bgw_library_name, "%s", "pitr_ext");
    std::snprintf(worker.bgw_function_name, sizeof worker.bgw_function_name, "%s",
                  "pitr_fetch_worker_main");
    std::snprintf(worker.bgw_name, sizeof worker.bgw_name, "pitr fetch worker %d", number + 1);
    std::snprintf(worker.bgw_type, sizeof worker.bgw_type, "%s", "pitr fetch worker");
    RegisterBackgroundWorker(&worker);
  }
  registered = count;
}

class Fetcher {
 public:
  // False: nothing is asked for.
  bool Step(const demand::Directory& directory);
  // The settings have changed, or a store failed.
  void Forget() { repositories_.clear(); }

 private:
  Status Read(const demand::IndexView& index, const demand::FetchTable::Work& work);
  Result<Repository*> Open(const std::string& address);

  std::map<std::string, std::unique_ptr<Repository>> repositories_;  // by address
};

Result<Repository*> Fetcher::Open(const std::string& address) {
  std::unique_ptr<Repository>& repository = repositories_[address];
  if (repository == nullptr) {
    PITR_ASSIGN_OR_RETURN(
        repository, Repository::OpenAddress({address, CurrentSettings().repository.keys}, false));
  }
  return repository.get();
}

Status Fetcher::Read(const demand::IndexView& index, const demand::FetchTable::Work& work) {
  const demand::FrameEntry& frame = index.frames()[work.frame];
  const std::string address(
      index.Text(index.places()[work.place]).substr(demand::kFetchPrefix.size()));
  PITR_ASSIGN_OR_RETURN(Repository* const repository, Open(address));
  const std::string pack(index.Text(index.packs()[frame.pack]));
  PITR_ASSIGN_OR_RETURN(const Bytes bytes,
                        repository->store()->GetRange(pack, frame.offset, frame.packed_size));
  if (bytes.size() != frame.packed_size) {
    return Status(Code::kCorrupt, "\"" + pack + "\" ends before the frame at offset " +
                                      std::to_string(frame.offset));
  }
  std::memcpy(work.packed, bytes.data(), bytes.size());
  return Status::Ok();
}

bool Fetcher::Step(const demand::Directory& directory) {
  demand::FetchTable::Work work;
  if (!directory.fetches().Take(&work)) {
    return false;
  }
  // Whatever happens, somebody waits for an answer.
  std::string failure = "the fetch worker has no memory";
  try {
    const Status status = Read(directory.index(), work);
    if (status.ok()) {
      directory.fetches().Finish(work, nullptr);
      return true;
    }
    if (status.code() == Code::kCancelled) {
      directory.fetches().GiveBack(work);
      return false;
    }
    failure = status.ToString();
    if (status.code() != Code::kNotFound && status.code() != Code::kCorrupt) Forget();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  directory.fetches().Finish(work, failure.c_str());
  return true;
}

}  // namespace

void RegisterFetchWorkers(bool is_staging, int others) {
  // The directory may be there already, or come in by an exchange while the postmaster goes on.
  if (!demand::NeedsFetching(DataDir) && (is_staging || !NeedsFetchWorkersSetting())) {
    return;
  }
  // The trial of the live server's settings has no room for anybody's workers; ours alone are let in, or what is missing could not be read.
  if (is_staging && max_worker_processes == 0) {
    const int count = FetchWorkersSetting();
    max_worker_processes = INT_MAX;
    Register(count);
    max_worker_processes = count;
    return;
  }
  const int room = max_worker_processes - others - (is_staging ? 0 : kLeftForOthers);
  Register(std::clamp(room, std::min(1, max_worker_processes), FetchWorkersSetting()));
}

int RegisteredFetchWorkers() noexcept { return registered; }

PITR_WORKER(pitr_fetch_worker_main) {
  Call([] {
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    BackgroundWorkerUnblockSignals();
  });
  Fetcher fetcher;
  while (!WorkerMustStop()) {
    const demand::Directory* directory = IncompleteDirectory();
    const bool is_idle = directory == nullptr || !directory->fetches();
    if (!is_idle && fetcher.Step(*directory)) {
      if (ConfigReloadPending == 0) continue;
    } else if (!is_idle && !WorkerMustStop()) {
      directory->fetches().WaitForWork(kIdleMs);
    }
    if (is_idle) fetcher.Forget();
    if (Call([&] { return WaitInWorker(is_idle ? kNothingMissingMs : 0); })) fetcher.Forget();
  }
  // Status 1: the postmaster starts it again, unless it stops.
  Call([] { proc_exit(1); });
  return Status::Ok();
}

}  // namespace pitr::pg

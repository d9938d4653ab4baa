// What happens when the server loads the library. In the postmaster this defines settings, asks for shared memory, registers
// workers and installs hooks, and does nothing else: no files, no threads, no OpenSSL.
#include <cstdlib>
#include <cstring>

#include "core/base/cancel.h"
#include "pg/attachment.h"
#include "pg/ddl_point.h"
#include "pg/demand.h"
#include "pg/exchange.h"
#include "pg/fetch_worker.h"
#include "pg/guc.h"
#include "pg/interrupts.h"
#include "pg/look_guard.h"
#include "pg/replica_ledger.h"
#include "pg/shmem.h"
#include "pg/tablespace_redo.h"
#include "pg/version.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

namespace {

// Set by the program `pitr` in servers that rebuild a past: they archive nothing and run no workers of ours.
bool IsStagingServer() {
  const char* staging = std::getenv("PITR_STAGING");
  return staging != nullptr && std::strcmp(staging, "1") == 0;
}

}  // namespace

extern "C" {

PITR_MODULE_MAGIC("pitr_ext", "0.5.0");

PGDLLEXPORT void _PG_init(void);

void _PG_init(void) {
  const bool preloaded = process_shared_preload_libraries_in_progress;
  pitr::pg::DefineSettings(preloaded);
  pitr::SetProcessCancel(&pitr::pg::ServerCancel());
  if (!preloaded) {
    return;
  }
  // A staging server may stand on an incomplete directory as well.
  pitr::pg::DemandInit();
  if (IsStagingServer()) {
    pitr::pg::RedirectTablespaces();
    pitr::pg::RegisterFetchWorkers(true, 0);
    pitr::pg::LookGuardInit();
    return;
  }
  pitr::pg::ShmemInit();
  pitr::pg::UseSharedLedger();
  pitr::pg::RegisterWorkers();
  pitr::pg::RegisterFetchWorkers(false, pitr::pg::WantedWorkers());
  pitr::pg::ExchangeInit();
  pitr::pg::DdlPointInit();
  pitr::pg::AttachmentInit();
}
}

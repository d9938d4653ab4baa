// Fetch workers: the only processes that read a remote or encrypted repository for sessions that miss pages (core/demand/fetch_table.h).
#pragma once

namespace pitr::pg {

// From _PG_init in the postmaster, of live and of staging servers; `others`: workers of ours that this server has or will have. Registers as
// many as pitr.fetch_workers says and max_worker_processes has room for, when the settings or the data directory need them. RAISES.
void RegisterFetchWorkers(bool is_staging, int others);
// How many this server has.
int RegisteredFetchWorkers() noexcept;

}  // namespace pitr::pg

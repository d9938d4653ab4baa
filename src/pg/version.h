// Every test of the server's version in the project. Code elsewhere is written against the newest spelling.
#pragma once

#include "pg/postgres_headers.h"

#if PG_VERSION_NUM < 150000
#error "pitr_ext needs PostgreSQL 15 or later"
#endif

namespace pitr::pg {

inline constexpr int kServerMajor = PG_VERSION_NUM / 10000;

}  // namespace pitr::pg

// 16 moved archive modules to archive/archive_module.h: _PG_archive_module_init returns the callbacks, which take a state.
// 15: it fills the struct that it is given, and the declarations are in postmaster/pgarch.h.
#if PG_VERSION_NUM >= 160000
#define PITR_ARCHIVE_STATE 1
#else
#define PITR_ARCHIVE_STATE 0
#endif

// 17: arch_module_check_errdetail says why a module calls itself not configured.
#if PG_VERSION_NUM >= 170000
#define PITR_ARCHIVE_ERRDETAIL 1
#else
#define PITR_ARCHIVE_ERRDETAIL 0
#endif

// 18: the magic block names the module and its version.
#if PG_VERSION_NUM >= 180000
#define PITR_MODULE_MAGIC(module_name, module_version) \
  PG_MODULE_MAGIC_EXT(.name = module_name, .version = module_version)
#else
#define PITR_MODULE_MAGIC(module_name, module_version) PG_MODULE_MAGIC
#endif

// 16 renamed the access to the status entries of other processes; index from 1.
#if PG_VERSION_NUM >= 160000
#define PITR_LOCAL_BACKEND(index) pgstat_get_local_beentry_by_index(index)
#else
#define PITR_LOCAL_BACKEND(index) pgstat_fetch_stat_local_beentry(index)
#endif

// 16: the table of settings is a hash table, and the function that lists it counts as well.
#if PG_VERSION_NUM >= 160000
#define PITR_LIST_SETTINGS(count) get_guc_variables(&(count))
#else
#define PITR_LIST_SETTINGS(count) ((count) = GetNumConfigOptions(), get_guc_variables())
#endif

// 17 renamed the counters of transaction ids in shared memory.
#if PG_VERSION_NUM >= 170000
#define PITR_XID_COUNTERS TransamVariables
#else
#define PITR_XID_COUNTERS ShmemVariableCache
#endif

// 18 renamed what every auxiliary process does between two rounds.
#if PG_VERSION_NUM >= 180000
#define PITR_MAIN_LOOP_INTERRUPTS ProcessMainLoopInterrupts
#else
#define PITR_MAIN_LOOP_INTERRUPTS HandleMainLoopInterrupts
#endif

// 19 renamed CHECKPOINT_IMMEDIATE (18.6 still has it).
#if PG_VERSION_NUM >= 190000
#define PITR_CHECKPOINT_FAST CHECKPOINT_FAST
#else
#define PITR_CHECKPOINT_FAST CHECKPOINT_IMMEDIATE
#endif

// 16: a backup's state is a struct and its label is built from it; 15: the label text is the state.
#if PG_VERSION_NUM >= 160000
#define PITR_BACKUP_STATE 1
#else
#define PITR_BACKUP_STATE 0
#endif

// 16: to be a member of a role is not to be able to become it.
#if PG_VERSION_NUM >= 160000
#define PITR_RIGHT_TO_BECOME "SET"
#else
#define PITR_RIGHT_TO_BECOME "MEMBER"
#endif

#include "pg/look_guard.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/work/look.h"
#include "pg/boundary.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "libpq/auth.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"
}

namespace pitr::pg {

namespace {

constinit ClientAuthentication_hook_type previous_authentication = nullptr;
constinit object_access_hook_type previous_object_access = nullptr;
// The lock of the look's users, until this process ends.
constinit int use = -1;
constexpr int kUseTries = 40;
constexpr useconds_t kUseNap = 5000;

// It would go on to another state, and take writes.
void RefuseToGoOn() {
  Report report;
  const Outcome outcome = Run(
      [] {
        return Status(Code::kPermission, "a server of the past stays at its point")
            .WithHint("pitr_create_branch makes a branch of it that can be written.");
      },
      &report);
  Raise(outcome, report);
}

bool TakeUse(const char* path) {
  use = open(path, O_RDWR | O_CLOEXEC);
  if (use < 0) return false;
  // The launcher has it for a moment now and then.
  for (int i = 0; flock(use, LOCK_SH | LOCK_NB) != 0; i++) {
    if (i == kUseTries || (errno != EWOULDBLOCK && errno != EINTR)) return false;
    usleep(kUseNap);
  }
  struct stat held {};
  struct stat named {};
  return fstat(use, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
         futimens(use, nullptr) == 0;
}

extern "C" {

static void NoteEndOfUse(int, Datum) {
  if (use >= 0) (void)futimens(use, nullptr);
}

// In a transaction, before the session has a user (postinit.c InitPostgres, 15 to 18). What is changed is this process's copy of the row: that
// nothing is replayed here any more keeps it in place until InitializeSessionUserId has read it.
static void LetRoleIn(const char* name) {
  HeapTuple tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(name));
  if (!HeapTupleIsValid(tuple)) {
    char message[NAMEDATALEN + 64];
    std::snprintf(message, sizeof message, "role \"%s\" did not exist at that point", name);
    RaiseFatal(ERRCODE_UNDEFINED_OBJECT, message, "Ask as a role that was there then.");
  }
  Form_pg_authid role = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple));
  role->rolcanlogin = true;
  role->rolconnlimit = -1;
  ReleaseSysCache(tuple);
}

static void OnAuthentication(Port* port, int status) {
  if (previous_authentication != nullptr) previous_authentication(port, status);
  if (status != STATUS_OK) return;
  char path[MAXPGPATH];
  std::snprintf(path, sizeof path, "%s/../use", DataDir);
  on_proc_exit(NoteEndOfUse, 0);
  if (!TakeUse(path)) {
    RaiseFatal(ERRCODE_CANNOT_CONNECT_NOW, "this server of the past is being removed",
               "Ask for the point again.");
  }
  LetRoleIn(port->user_name);
}

static void OnObjectAccess(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
                           void* argument) {
  if (previous_object_access != nullptr)
    previous_object_access(access, class_id, object_id, sub_id, argument);
  if (access != OAT_FUNCTION_EXECUTE) return;
  if (object_id == F_PG_PROMOTE || object_id == F_PG_WAL_REPLAY_RESUME) RefuseToGoOn();
}
}

}  // namespace

void LookGuardInit() {
  if (std::getenv(kLookVariable.data()) == nullptr) return;
  previous_authentication = ClientAuthentication_hook;
  ClientAuthentication_hook = OnAuthentication;
  previous_object_access = object_access_hook;
  object_access_hook = OnObjectAccess;
}

}  // namespace pitr::pg

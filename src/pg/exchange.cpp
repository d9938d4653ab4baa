// The exchange of two data directories in the postmaster, at the one moment when no other process of the server runs:
// between the end of all children in a crash cycle and the re-reading of the control file (15-18 PostmasterStateMachine:
// shmem_exit(1), LocalProcessControlFile, shared memory, startup process).
//
// Everything here that runs in the postmaster is plain system calls on buffers that exist already: nothing can fail half-way
// for want of memory, nothing throws, and any error leaves (or puts back) the old directory.
#include "pg/exchange.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/hash.h"
#include "pg/boundary.h"
#include "pg/exchange_order.h"
#include "pg/log.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "libpq/auth.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "utils/pidfile.h"
}

namespace pitr::pg {

namespace {

// What the postmaster remembers over the crash cycle that it just made: shared memory is new afterwards.
struct Held {
  bool exchanged = false;  // and not known to be confirmed
  int live_parent = -1, staged_parent = -1, old_directory = -1, new_directory = -1;
  char live_name[256] = {}, staged_name[256] = {}, log_directory[256] = {};
  char nonce[33] = {};
};
constinit Held held;
constexpr ssize_t kControlFileSize = 8192;  // PG_CONTROL_FILE_SIZE
constinit ClientAuthentication_hook_type previous_authentication = nullptr;
constinit char file_buffer[32768] = {};
constinit char message[512] = {};

void Say(const char* what) {
  const int error = errno;
  if (error != 0) {
    std::snprintf(message, sizeof message, "pitr_ext: %s: %s", what, std::strerror(error));
  } else {
    std::snprintf(message, sizeof message, "pitr_ext: %s", what);
  }
  LogQuietly(LOG, message);
}

// Bytes of a small file below an open directory into file_buffer (NUL-terminated); -1 on error.
ssize_t ReadSmall(int directory, const char* path) {
  const int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  std::size_t size = 0;
  while (size < sizeof file_buffer - 1) {
    const ssize_t got = read(fd, file_buffer + size, sizeof file_buffer - 1 - size);
    if (got < 0) {
      close(fd);
      return -1;
    }
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  close(fd);
  file_buffer[size] = '\0';
  return static_cast<ssize_t>(size);
}

bool WriteSmall(int directory, const char* path, std::size_t size, bool durably) {
  const int fd = openat(directory, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool ok =
      write(fd, file_buffer, size) == static_cast<ssize_t>(size) && (!durably || fsync(fd) == 0);
  return close(fd) == 0 && ok;
}

// The intent of that directory names this exchange and has this state.
// Copies what stands between the quotes after `"<member>":` in file_buffer, "" when it is not there.
void CopyJsonText(const char* member, char* to, std::size_t size) {
  char quoted[64];
  std::snprintf(quoted, sizeof quoted, "\"%s\"", member);
  const char* begin = std::strstr(file_buffer, quoted);
  begin = begin == nullptr ? "" : begin + std::strlen(quoted);
  begin += std::strspn(begin, " :\t\n");
  begin += *begin == '"' ? 1 : 0;
  std::snprintf(to, size, "%.*s", static_cast<int>(std::strcspn(begin, "\"")), begin);
}

bool IntentSays(int directory, const char* nonce, const char* state) {
  char nonce_there[64] = {}, state_there[32] = {};
  if (ReadSmall(directory, "pitr/intent.json") <= 0) return false;
  CopyJsonText("nonce", nonce_there, sizeof nonce_there);
  CopyJsonText("state", state_there, sizeof state_there);
  return std::strcmp(nonce_there, nonce) == 0 && std::strcmp(state_there, state) == 0;
}

// A postmaster that was started anew stands on the incoming directory of an exchange that nobody has confirmed: the one that
// made it was killed, and its guard still goes back if the directory does not come up.
bool IsUnconfirmedHere() {
  char branch[128] = {}, incoming[128] = {}, state[32] = {};
  if (ReadSmall(AT_FDCWD, "pitr/identity.json") <= 0) return false;
  CopyJsonText("branch_id", branch, sizeof branch);
  if (ReadSmall(AT_FDCWD, "pitr/intent.json") <= 0) return false;
  CopyJsonText("incoming", incoming, sizeof incoming);
  CopyJsonText("state", state, sizeof state);
  return branch[0] != '\0' && std::strcmp(branch, incoming) == 0 &&
         std::strcmp(state, "armed") == 0;
}

// postmaster.pid of the new directory: the same, but "starting", so that whoever waits for "ready" waits for the new one.
bool CopyLockFile(int from, int to) {
  const ssize_t size = ReadSmall(from, "postmaster.pid");
  if (size <= 0) return false;
  char* line = file_buffer;
  for (int number = 1; number < LOCK_FILE_LINE_PM_STATUS && line != nullptr; number++) {
    line = std::strchr(line, '\n');
    if (line != nullptr) line++;
  }
  if (line != nullptr && std::strlen(line) >= std::strlen(PM_STATUS_STARTING)) {
    std::memcpy(line, PM_STATUS_STARTING, std::strlen(PM_STATUS_STARTING));
  }
  if (!WriteSmall(to, "postmaster.pid", static_cast<std::size_t>(size), true)) return false;
  // As the server itself, which syncs the one (an empty one would keep it from starting) and not the other (made anew by each start).
  const ssize_t options = ReadSmall(from, "postmaster.opts");
  return options < 0 || WriteSmall(to, "postmaster.opts", static_cast<std::size_t>(options), false);
}

// Splits an absolute path into an open parent and a name.
int OpenParent(const char* path, char* name, std::size_t name_size) {
  char parent[1024];
  const char* slash = std::strrchr(path, '/');
  if (slash == nullptr || slash[1] == '\0' || std::strlen(slash + 1) >= name_size) {
    errno = EINVAL;
    return -1;
  }
  const auto length = static_cast<std::size_t>(slash - path);
  if (length + 1 >= sizeof parent) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::memcpy(parent, path, length);
  parent[length] = '\0';
  std::strcpy(name, slash + 1);
  return open(length == 0 ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void CloseHeld() {
  for (int* fd :
       {&held.live_parent, &held.staged_parent, &held.old_directory, &held.new_directory}) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
  held.exchanged = false;
}

bool OpenAll(const ExchangeOrder& order) {
  held.live_parent = OpenParent(order.live, held.live_name, sizeof held.live_name);
  held.staged_parent = OpenParent(order.staged, held.staged_name, sizeof held.staged_name);
  if (held.live_parent < 0 || held.staged_parent < 0) return false;
  held.old_directory =
      openat(held.live_parent, held.live_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  held.new_directory =
      openat(held.staged_parent, held.staged_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return held.old_directory >= 0 && held.new_directory >= 0;
}

bool Swap() {
  return renameat2(held.live_parent, held.live_name, held.staged_parent, held.staged_name,
                   RENAME_EXCHANGE) == 0;
}

// The logging collector survives the crash cycle and keeps writing to the directory it is in (internals 16): its folder
// moves with the server, the old directory keeps a link to it. Not worth failing the exchange for.
void MoveLogDirectory(const ExchangeOrder& order) {
  std::strcpy(held.log_directory, order.log_directory);
  if (order.log_directory[0] == '\0') return;
  char target[1400];
  // A directory that comes back has the link of its own leaving, a built one may have an empty folder.
  unlinkat(held.new_directory, order.log_directory, 0);
  unlinkat(held.new_directory, order.log_directory, AT_REMOVEDIR);
  std::snprintf(target, sizeof target, "%s/%s", order.live, order.log_directory);
  if (renameat2(held.old_directory, order.log_directory, held.new_directory, order.log_directory,
                RENAME_NOREPLACE) != 0 ||
      symlinkat(target, held.old_directory, order.log_directory) != 0) {
    Say("the log directory stays in the old data directory");
  }
}

// Going back: the link would name itself, and a collector that cannot open its file keeps the server from starting.
void MoveLogDirectoryBack() {
  struct stat info {};
  if (held.log_directory[0] == '\0' ||
      fstatat(held.old_directory, held.log_directory, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
      !S_ISLNK(info.st_mode)) {
    return;
  }
  if (unlinkat(held.old_directory, held.log_directory, 0) != 0 ||
      renameat2(held.new_directory, held.log_directory, held.old_directory, held.log_directory,
                RENAME_NOREPLACE) != 0) {
    Say("the log directory stays in the directory that did not start");
  }
}

void DoExchange(const ExchangeOrder& order) {
  errno = 0;
  if (!OpenAll(order)) {
    Say("no exchange: could not open the two data directories");
  } else if (!IntentSays(held.old_directory, order.nonce, "armed") ||
             !IntentSays(held.new_directory, order.nonce, "armed")) {
    Say("no exchange: the intent on disk is not the one that was ordered");
  } else if (ReadSmall(held.new_directory, "global/pg_control") != kControlFileSize) {
    // What the postmaster could not read it would PANIC about, and nobody could bring the old directory back.
    Say("no exchange: the control file of the new directory cannot be read");
  } else if (!CopyLockFile(held.old_directory, held.new_directory)) {
    Say("no exchange: could not copy postmaster.pid");
  } else if (PITR_FAULT_PLAIN("exchange.before_rename")) {
    Say("no exchange: injected fault");
  } else if (!Swap()) {
    Say("no exchange: could not exchange the two data directories");
    unlinkat(held.new_directory, "postmaster.pid", 0);
  } else if (fchdir(held.new_directory) != 0) {
    Say("could not change to the new data directory, going back");
    if (!Swap() || fchdir(held.old_directory) != 0) Say("could not go back");
  } else {
    (void)PITR_FAULT_PLAIN("exchange.after_rename");
    held.exchanged = true;
    std::strcpy(held.nonce, order.nonce);
    MoveLogDirectory(order);
    unlinkat(held.old_directory, "postmaster.pid", 0);
    // Both parents, before the server can acknowledge a commit in the new directory (internals 10).
    if (fsync(held.live_parent) != 0 || fsync(held.staged_parent) != 0 ||
        fsync(held.old_directory) != 0 || fsync(held.new_directory) != 0) {
      Say("could not fsync after the exchange");
    }
    (void)PITR_FAULT_PLAIN("exchange.after_sync");
    errno = 0;
    Say("data directories exchanged, starting on the restored one");
    return;
  }
  CloseHeld();
}

// A crash cycle: before_shmem_exit, shared memory still attached. Also called at every end of the postmaster (internals 8),
// when it must do nothing.
void BeforeShmemExit(int code, Datum) {
  if (!IsPostmasterEnvironment || IsUnderPostmaster || proc_exit_inprogress || code != 1) return;
  Shared* shared = GetShared();
  if (shared == nullptr) return;
  // An earlier exchange is confirmed or, if not, what follows is a second crash of the new directory: no way back from here,
  // the new directory recovers by itself like any server.
  const ExchangeOrder order = shared->exchange.order;
  if (order.magic != kArmedMagic || order.checksum != OrderChecksum(order)) return;
  if (held.exchanged) CloseHeld();
  DoExchange(order);
}

// Every end of the postmaster: an exchange that nobody confirmed did not come up, so the old directory comes back
// (internals 9). What counts as confirmed is on disk; shared memory is gone here.
void OnProcExit(int, Datum) {
  if (!held.exchanged || !IsPostmasterEnvironment || IsUnderPostmaster) return;
  if (!IntentSays(held.new_directory, held.nonce, "armed")) return;
  errno = 0;
  unlinkat(held.new_directory, "postmaster.pid", 0);
  if (!Swap() || fchdir(held.old_directory) != 0) {
    Say("could not bring the old data directory back");
    return;
  }
  unlinkat(held.new_directory, "postmaster.pid", 0);
  MoveLogDirectoryBack();
  if (fsync(held.live_parent) != 0 || fsync(held.staged_parent) != 0)
    Say("could not fsync after going back");
  errno = 0;
  Say("the restored directory did not start: the old data directory is back");
  CloseHeld();
}

// Runs at the end of authentication of every client and walsender, after it is in the process array: whoever passes before
// the flag is set is seen by the scan that follows. Answers at once, never waits (internals 20).
void RefuseSessions(Port* port, int status) {
  if (previous_authentication != nullptr) previous_authentication(port, status);
  Shared* shared = GetShared();
  if (shared == nullptr) return;
  if (shared->exchange.refuse_sessions) {
    RaiseFatal(ERRCODE_CANNOT_CONNECT_NOW, "the server is being restored to another point in time",
               "Try again in a moment.");
  }
  // In this order: see IdleWatch::Stop.
  if (status == STATUS_OK) shared->exchange.last_session_ms = SystemClock().MonotonicMillis();
  pg_memory_barrier();
  if (shared->exchange.refuse_for_idleness) {
    RaiseFatal(ERRCODE_CANNOT_CONNECT_NOW, "branch is starting",
               "Nobody was connected for a while, so it is being stopped. Try again in a moment.");
  }
}

}  // namespace

std::uint64_t OrderChecksum(const ExchangeOrder& order) {
  return Xxh3({reinterpret_cast<const std::uint8_t*>(&order), offsetof(ExchangeOrder, checksum)});
}

void ExchangeInit() {
  previous_authentication = ClientAuthentication_hook;
  ClientAuthentication_hook = RefuseSessions;
  on_proc_exit(OnProcExit, 0);
}

void ExchangeShmemStartup() {
  if (IsUnderPostmaster) return;
  before_shmem_exit(BeforeShmemExit, 0);
  // Until the launcher of the new directory has confirmed the exchange on disk nobody may commit in it: a start that still
  // fails would take the commit back with the directory.
  GetShared()->exchange.refuse_sessions =
      held.exchanged ? IntentSays(held.new_directory, held.nonce, "armed") : IsUnconfirmedHere();
}

bool IsExchangeUnconfirmed() noexcept {
  const Shared* shared = GetShared();
  return shared != nullptr && shared->exchange.refuse_sessions && !shared->exchange.confirmed;
}

}  // namespace pitr::pg

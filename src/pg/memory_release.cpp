#include "pg/memory_release.h"

#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "core/base/file.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "storage/pg_shmem.h"
}

namespace pitr::pg {

namespace {

constexpr std::size_t kMaxText = 16U << 20;
constexpr long kPollMillis = 10;
constexpr int kPolls =
    1000;  // ten seconds: a crash cycle has ended its processes by force after five
// From the end of the small segment to that of the large one (sysv_shmem.c, 15 to 18: on_shmem_exit callbacks in reverse order).
constexpr long kLastMillis = 200;

void Sleep(long milliseconds) {
  const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  ::nanosleep(&time, nullptr);
}

// Plain system calls only: this is a copy of a process with a server around it.
[[noreturn]] void Hold() {
  ::setsid();  // the crash cycle signals process groups
  for (int number = 1; number < NSIG; number++) {
    ::signal(number, SIG_DFL);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // It holds the directory for moments longer when that fails.
  [[maybe_unused]] const int left = ::chdir("/");
  ::close_range(0, ~0U, 0);
  // The small segment tells servers of each other: whoever is attached to it counts as a part of this one.
  if (::shmdt(UsedShmemSegAddr) == 0) {
    struct shmid_ds state;
    for (int poll = 0;
         poll < kPolls && ::shmctl(static_cast<int>(UsedShmemSegID), IPC_STAT, &state) == 0;
         poll++) {
      Sleep(kPollMillis);
    }
    Sleep(kLastMillis);
  }
  ::_exit(0);
}

}  // namespace

bool MayReleaseMemoryLate() {
  // Huge pages may be just enough for one, and cost nothing to give back.
  const Result<std::string> maps = ReadTextFile("/proc/self/maps", kMaxText);
  // Without overcommitment the second memory may be refused.
  const Result<std::string> overcommit = ReadTextFile("/proc/sys/vm/overcommit_memory", 64);
  return maps.ok() && maps->find("anon_hugepage") == std::string::npos && overcommit.ok() &&
         !overcommit->starts_with("2");
}

void ReleaseMemoryLate() noexcept {
  if (::fork() == 0) {
    Hold();
  }
}

}  // namespace pitr::pg

#include "pg/archive_claims.h"

#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/process.h"
#include "core/types/wal_name.h"
#include "pg/boundary.h"
#include "pg/error_map.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
}

namespace pitr::pg {

namespace {

ArchiveShared& Table() { return GetShared()->archive; }

std::uint64_t MyStamp() {
  static std::uint64_t stamp = 0;
  static int stamp_pid = 0;
  if (stamp_pid != MyProcPid) {
    stamp = ProcessStart(MyProcPid);
    stamp_pid = MyProcPid;
  }
  return stamp;
}

bool IsAlive(std::int32_t pid, std::uint64_t stamp) {
  if (::kill(pid, 0) != 0 && errno == ESRCH) {
    return false;
  }
  const std::uint64_t now = ProcessStart(pid);
  // Without /proc only the pid is known.
  return now == 0 || stamp == 0 || now == stamp;
}

// REQUIRES: the lock.
ArchiveEntry* Find(const char* name) {
  for (ArchiveEntry& entry : Table().entries) {
    if (entry.state != ArchiveEntryState::kFree && std::strcmp(entry.name, name) == 0) {
      return &entry;
    }
  }
  return nullptr;
}

ArchiveEntry* FindFree() {
  for (ArchiveEntry& entry : Table().entries) {
    if (entry.state == ArchiveEntryState::kFree) {
      return &entry;
    }
  }
  return nullptr;
}

FileMark MarkOfEntry(const ArchiveEntry& entry) {
  return {entry.device, entry.inode, entry.size, entry.modified_ns};
}

bool IsMine(const ArchiveEntry& entry) {
  return entry.state == ArchiveEntryState::kShipping && entry.pid == MyProcPid;
}

struct Holder {
  std::int32_t pid;
  std::uint64_t stamp;
};

// One look at the table. `dead`: a holder whose claim may be taken. `holder` is set for kBusy.
ClaimAnswer TryClaim(const ClaimRequest& request, std::uint64_t stamp, const Holder& dead,
                     Holder* holder, int* place) {
  const LockHolder lock(ArchiveLock());
  ArchiveEntry* entry = Find(request.name.c_str());
  if (entry != nullptr) {
    switch (entry->state) {
      case ArchiveEntryState::kShipped:
        if (entry->destination == request.destination && MarkOfEntry(*entry) == request.mark) {
          return ClaimAnswer::kShipped;
        }
        break;
      case ArchiveEntryState::kShipping:
        if (!IsMine(*entry) && !request.take_from_living &&
            (entry->pid != dead.pid || entry->pid_stamp != dead.stamp)) {
          *holder = {entry->pid, entry->pid_stamp};
          return ClaimAnswer::kBusy;
        }
        break;
      case ArchiveEntryState::kFree:
        break;
    }
  } else {
    entry = FindFree();
    if (entry == nullptr) {
      return ClaimAnswer::kNoRoom;
    }
    std::memset(entry, 0, sizeof *entry);
    CopyText(request.name, entry->name, sizeof entry->name);
  }
  entry->state = ArchiveEntryState::kShipping;
  entry->pid = MyProcPid;
  entry->pid_stamp = stamp;
  *place = static_cast<int>(entry - Table().entries);
  return ClaimAnswer::kMine;
}

extern "C" {

// At exit: nothing here can raise but taking the lock, which raises only when 200 are held.
static void ReleaseAllClaims(int, Datum) {
  if (GetShared() == nullptr) {
    return;
  }
  LWLockAcquire(ArchiveLock(), LW_EXCLUSIVE);
  for (ArchiveEntry& entry : Table().entries) {
    if (IsMine(entry)) {
      entry.state = ArchiveEntryState::kFree;
    }
  }
  for (ArchiveWorkerSlot& worker : Table().workers) {
    if (worker.pid == MyProcPid) {
      worker = {};
    }
  }
  TailShared& tail = GetShared()->tail;
  if (tail.pid == MyProcPid) {
    tail.pid = 0;
    tail.latch = 0;
  }
  LWLockRelease(ArchiveLock());
}
}

}  // namespace

Result<FileMark> MarkOf(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) {
    return Status::FromErrno(errno, "stat file \"" + path + "\"");
  }
  return FileMark{st.st_dev, st.st_ino, st.st_size,
                  st.st_mtim.tv_sec * 1'000'000'000LL + st.st_mtim.tv_nsec};
}

ClaimAnswer Claim(const ClaimRequest& request, int* place) {
  const std::uint64_t stamp = MyStamp();
  Holder holder{};
  const ClaimAnswer answer = TryClaim(request, stamp, Holder{}, &holder, place);
  if (answer != ClaimAnswer::kBusy || IsAlive(holder.pid, holder.stamp)) {
    return answer;
  }
  const Holder dead = holder;
  return TryClaim(request, stamp, dead, &holder, place);
}

bool IsClaimMine(int place) noexcept {
  // Only who takes the claim over writes here, and then it is not mine any more.
  return IsMine(Table().entries[place]);
}

void ReleaseClaim(const std::string& name) {
  const LockHolder lock(ArchiveLock());
  ArchiveEntry* entry = Find(name.c_str());
  if (entry != nullptr && IsMine(*entry)) {
    entry->state = ArchiveEntryState::kFree;
  }
}

void MarkShipped(const ClaimRequest& request) {
  const LockHolder lock(ArchiveLock());
  ArchiveEntry* entry = Find(request.name.c_str());
  if (entry != nullptr && IsMine(*entry)) {
    entry->state = ArchiveEntryState::kShipped;
    entry->destination = request.destination;
    entry->device = request.mark.device;
    entry->inode = request.mark.inode;
    entry->size = request.mark.size;
    entry->modified_ns = request.mark.modified_ns;
  }
}

void Confirm(const std::string& name) {
  const std::optional<WalFileName> parsed =
      ParseWalFileName(name, static_cast<std::uint64_t>(wal_segment_size));
  const std::int64_t now = SystemClock().Now().micros;
  const LockHolder lock(ArchiveLock());
  ArchiveEntry* entry = Find(name.c_str());
  if (entry != nullptr && (entry->state == ArchiveEntryState::kShipped || IsMine(*entry))) {
    entry->state = ArchiveEntryState::kFree;
  }
  ArchiveShared& table = Table();
  CopyText(name, table.last_archived_wal, sizeof table.last_archived_wal);
  table.last_archived_at = now;
  table.archived_count++;
  if (parsed && parsed->kind == WalFileKind::kSegment) {
    table.timeline = parsed->timeline;
  }
}

std::set<std::string> NotedShipped(std::uint64_t destination) {
  // Copied whole under the lock; names are made afterwards, since that may throw.
  std::vector<ArchiveEntry> entries(kArchiveEntries);
  {
    const LockHolder lock(ArchiveLock(), false);
    std::memcpy(entries.data(), Table().entries, sizeof Table().entries);
  }
  std::set<std::string> names;
  for (const ArchiveEntry& entry : entries) {
    if (entry.state == ArchiveEntryState::kShipped && entry.destination == destination) {
      names.emplace(entry.name);
    }
  }
  return names;
}

void ForgetNotes(bool (*is_waiting)(const char* name)) {
  for (int i = 0; i < kArchiveEntries; i++) {
    char name[kWalNameSize] = {};
    {
      const LockHolder lock(ArchiveLock(), false);
      const ArchiveEntry& entry = Table().entries[i];
      if (entry.state == ArchiveEntryState::kShipped) {
        std::memcpy(name, entry.name, sizeof name);
      }
    }
    if (name[0] == '\0' || is_waiting(name)) {
      continue;
    }
    const LockHolder lock(ArchiveLock());
    ArchiveEntry& entry = Table().entries[i];
    if (entry.state == ArchiveEntryState::kShipped && std::strcmp(entry.name, name) == 0) {
      entry.state = ArchiveEntryState::kFree;
    }
  }
}

void ReleaseClaimsAtExit() {
  Call([] { before_shmem_exit(ReleaseAllClaims, 0); });
}

}  // namespace pitr::pg

#include "pg/look_keeper.h"

#include <algorithm>
#include <csignal>
#include <map>

#include "core/demand/folder.h"
#include "core/repo/pins.h"
#include "core/work/attachment.h"
#include "core/work/living_server.h"
#include "core/work/look.h"
#include "core/work/tablespaces.h"
#include "pg/attachment.h"
#include "pg/branch_directory.h"
#include "pg/branch_room.h"
#include "pg/compute.h"
#include "pg/guc_branch.h"
#include "pg/log.h"
#include "pg/look_table.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kSecond = 1000000;
constexpr int kEndMillis = 10000;

struct Seen {
  std::int64_t used_at = 0, pinned_at = 0;  // microseconds since the Unix epoch
};
constinit std::map<std::string, Seen>* seen = nullptr;  // by folder

// A folder under its new name.
Status RemoveRest(Repository* repo, const std::string& folder) {
  const Result<Look> look = ReadLook(folder);
  PITR_ASSIGN_OR_RETURN(const std::string live, RealDataDirectory());
  PITR_RETURN_IF_ERROR(RemoveDataDirectory(JoinPath(folder, "data"), live));
  if (look.ok()) {
    if (!look->directory.empty()) PITR_RETURN_IF_ERROR(UnpinBranch(repo, look->directory));
    // It is in the folder, unless its path would be too long (PrivateSocketDirectory).
    if (look->socket_directory.starts_with("/tmp/pitr-"))
      PITR_RETURN_IF_ERROR(RemoveTree(look->socket_directory));
  }
  return RemoveTree(folder);
}

Status GiveUp(const Look& look) {
  PITR_ASSIGN_OR_RETURN(const File taken, TryTakeLook(look.folder));
  return taken.is_open() ? EndLook(look, taken) : Status::Ok();
}

// While it is loaded from a snapshot.
Status RenewPin(Repository* repo, const Look& look, Timestamp now, Seen* known) {
  if (known->pinned_at == 0) known->pinned_at = now.micros;
  if (now.micros - known->pinned_at < kPinRenewMicros) return Status::Ok();
  known->pinned_at = now.micros;
  const auto snapshot = demand::SnapshotOfFolder(look.data());
  if (!snapshot.ok() || !*snapshot) return Status::Ok();
  return PinSnapshot(repo, NewLookPin(**snapshot, look.directory, look.data(), now));
}

// One that is not ready and that nobody builds.
Status GiveUpUnbuilt(const std::string& folder) {
  PITR_ASSIGN_OR_RETURN(const File table, TryLockLooks(DirectoryName(folder)));
  if (!table.is_open()) return Status::Ok();
  const Result<Look> look = ReadLook(folder);
  // Whoever began it died before its first word.
  if (!look.ok()) return PathExists(folder) ? GiveUpLook(folder).status() : Status::Ok();
  return look->is_ready || IsBeingBuilt(*look) ? Status::Ok() : GiveUp(*look);
}

// `has_room`: or it goes, whoever reads from it.
Status Attend(Repository* repo, const std::string& folder, bool has_room) {
  const Result<Look> look = ReadLook(folder);
  if (!look.ok() || !look->is_ready) return GiveUpUnbuilt(folder);
  if (!has_room) PITR_RETURN_IF_ERROR(StopServer(look->data(), SIGQUIT, kEndMillis));
  if (!LivingServer(look->data())) return GiveUp(*look);
  const Timestamp now = SystemClock().Now();
  Seen& known = (*seen)[folder];
  PITR_RETURN_IF_ERROR(RenewPin(repo, *look, now, &known));
  const std::int64_t timeout = std::int64_t{TimeTravelIdleTimeoutSetting()} * kSecond;
  if (TimeTravelMaxSetting() > 0 && IsAttached(*look, AttachmentDirectory())) {
    known.used_at = now.micros;
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const File taken, TryTakeLook(folder));
  if (!taken.is_open()) {
    known.used_at = now.micros;
    return Status::Ok();
  }
  const std::int64_t used_at = std::max(known.used_at, LastUseOfLook(folder).micros);
  if (now.micros - used_at < timeout && TimeTravelMaxSetting() > 0) return Status::Ok();
  LogQuietly(DEBUG1, "pitr_ext: nobody reads from the server at \"" + look->point + "\"");
  return EndLook(*look, taken);
}

}  // namespace

Status KeepLooks(Repository* repo) {
  if (seen == nullptr) {
    seen = new std::map<std::string, Seen>;
    // A session may have died with the server before it could take its link back.
    DropAttachments(AttachmentDirectory(), kAttachmentPrefix);
  }
  PITR_ASSIGN_OR_RETURN(const std::string place, BranchDirectory());
  const Result<std::vector<std::string>> names = ListDirectory(place);
  if (!names.ok()) return Status::Ok();
  const bool has_looks = std::any_of(names->begin(), names->end(), IsLookName);
  const Status room = has_looks ? CheckBranchRoom(place) : Status::Ok();
  const bool has_room = room.code() != Code::kDiskFull;
  if (!has_room) LogStatus(WARNING, "ending the servers at points of the past", room);
  for (const std::string& name : *names) {
    if (!IsLookName(name) && !IsGoneLookName(name)) continue;
    if (!IsOurBranchDirectory(place)) return Status::Ok();
    const std::string path = JoinPath(place, name);
    const Status kept = IsLookName(name) ? Attend(repo, path, has_room) : RemoveRest(repo, path);
    if (!kept.ok()) LogStatus(WARNING, "could not look after \"" + path + "\"", kept);
  }
  std::erase_if(*seen, [](const auto& known) { return !PathExists(known.first); });
  return Status::Ok();
}

}  // namespace pitr::pg

#include "pg/restore_checks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <string>

#include "core/base/file.h"
#include "core/repo/manifest.h"
#include "core/work/tablespaces.h"
#include "pg/boundary.h"
#include "pg/branch_directory.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "postmaster/postmaster.h"
}

namespace pitr::pg {

namespace {

Status NotReady(std::string message, std::string hint) {
  return Status(Code::kNotReady, std::move(message)).WithHint(std::move(hint));
}

// A directory is a mount point when it stands in the mount table; the device alone would miss bind mounts.
bool IsMountPoint(const std::string& directory) {
  Result<std::string> table = ReadTextFile("/proc/self/mountinfo", 16U << 20);
  if (!table.ok()) return false;
  std::size_t begin = 0;
  while (begin < table->size()) {
    std::size_t end = table->find('\n', begin);
    if (end == std::string::npos) end = table->size();
    // Fields: id parent major:minor root mount-point ...
    std::size_t field = begin;
    for (int skip = 0; skip < 4 && field < end; skip++)
      field = table->find(' ', field) + 1;
    if (table->compare(field, directory.size(), directory) == 0 && field + directory.size() < end &&
        (*table)[field + directory.size()] == ' ') {
      return true;
    }
    begin = end + 1;
  }
  return false;
}

bool IsInside(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() && path.compare(0, directory.size(), directory) == 0 &&
         path[directory.size()] == '/';
}

Status CheckLayout(const std::string& data) {
  if (IsMountPoint(data)) {
    return NotReady("the data directory \"" + data + "\" is a mount point and cannot be exchanged",
                    "Put the data directory one level below the mount point, for example \"" +
                        data + "/data\".");
  }
  struct stat wal {};
  if (lstat(JoinPath(data, "pg_wal").c_str(), &wal) == 0 && S_ISLNK(wal.st_mode)) {
    return NotReady("pg_wal is a symbolic link, which an in-place restore does not support",
                    "Move pg_wal into the data directory, or restore to a new directory with "
                    "\"pitr restore\".");
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<TablespaceLink> tablespaces, TablespaceLinks(data));
  for (const TablespaceLink& each : tablespaces) {
    if (IsInside(each.target, data)) {
      return NotReady(
          "tablespace location \"" + each.target + "\" is inside the data directory",
          "Move the tablespace elsewhere, or restore to a new directory with \"pitr restore\".");
    }
  }
  return Status::Ok();
}

Status CheckSockets(const std::string& data) {
  std::string directories = SettingValue("unix_socket_directories");
  while (!directories.empty()) {
    const std::size_t comma = directories.find(',');
    std::string one = directories.substr(0, comma);
    directories = comma == std::string::npos ? "" : directories.substr(comma + 1);
    while (!one.empty() && one.front() == ' ')
      one.erase(0, 1);
    if (one.empty() || one.front() == '@') continue;
    char resolved[PATH_MAX];
    const std::string absolute = one.front() == '/' ? one : JoinPath(data, one);
    if (realpath(absolute.c_str(), resolved) == nullptr) continue;
    if (resolved == data || IsInside(resolved, data)) {
      return NotReady("the socket directory \"" + one + "\" is inside the data directory",
                      "Set unix_socket_directories to a directory elsewhere.");
    }
  }
  const std::string pid_file = SettingValue("external_pid_file");
  if (!pid_file.empty() && (pid_file.front() != '/' || IsInside(pid_file, data))) {
    return NotReady("external_pid_file \"" + pid_file + "\" is inside the data directory",
                    "Set external_pid_file to a path elsewhere.");
  }
  return Status::Ok();
}

// The proof that no rule can replace: two empty directories in the same two parents change places.
Status TryExchange(const std::string& data, const std::string& branches) {
  const std::string tag = ".pitr-probe-" + std::to_string(getpid());
  const std::string here = JoinPath(DirectoryName(data), tag), there = JoinPath(branches, tag);
  Status status;
  if (mkdir(here.c_str(), 0700) != 0) {
    status = Status::FromErrno(errno, "make \"" + here + "\" beside the data directory");
  } else if (mkdir(there.c_str(), 0700) != 0) {
    status = Status::FromErrno(errno, "make \"" + there + "\"");
  } else if (renameat2(AT_FDCWD, here.c_str(), AT_FDCWD, there.c_str(), RENAME_EXCHANGE) != 0) {
    status = Status::FromErrno(errno, "exchange \"" + here + "\" and \"" + there + "\"");
  }
  rmdir(here.c_str());
  rmdir(there.c_str());
  if (status.ok()) return status;
  return NotReady(
      "the data directory cannot be exchanged: " + status.message(),
      "The server's user must be able to write in the parent of the data directory, and the branch "
      "directory must be on the same file system as the data directory.");
}

}  // namespace

Status CheckServerCanExchange() {
  if (InRecovery()) {
    return NotReady("a standby cannot be restored in place",
                    "Restore the primary; standbys are rebuilt from it.");
  }
  if (!restart_after_crash) {
    return NotReady("restart_after_crash is off, so the server would stop instead of restarting",
                    "Set restart_after_crash = on and reload the configuration.");
  }
  if (access(PitrProgram().c_str(), X_OK) != 0) {
    return NotReady("the program \"" + PitrProgram() + "\" is missing",
                    "Install it with \"make install\".");
  }
  PITR_ASSIGN_OR_RETURN(const std::string data, RealDataDirectory());
  PITR_RETURN_IF_ERROR(CheckLayout(data));
  PITR_RETURN_IF_ERROR(CheckSockets(data));
  PITR_ASSIGN_OR_RETURN(const std::string branches, BranchDirectory());
  const Status made = ClaimBranchDirectory(branches);
  if (made.code() == Code::kForeign)
    return NotReady(made.message(), made.hint()).WithDetail(made.detail());
  if (!made.ok()) {
    return NotReady("the branch directory cannot be used: " + made.message(),
                    "Make it and give it to the server's user, or set pitr.branch_directory.");
  }
  return TryExchange(data, branches);
}

namespace {

void AppendList(std::string* text, const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return;
  if (!text->empty()) *text += "; ";
  *text += what;
  for (std::size_t i = 0; i < names.size(); i++)
    *text += (i == 0 ? ": \"" : ", \"") + names[i] + "\"";
}

}  // namespace

Status CheckDependants(const Dependants& dependants, const std::vector<std::string>& prepared,
                       bool force) {
  if (force) return Status::Ok();
  std::string text;
  if (dependants.standbys > 0)
    text = "attached standbys or receivers: " + std::to_string(dependants.standbys);
  AppendList(&text, "replication slots", dependants.replication_slots);
  AppendList(&text, "subscriptions", dependants.subscriptions);
  AppendList(&text, "prepared transactions at the target", prepared);
  if (text.empty()) return Status::Ok();
  return Status(Code::kNotReady, "the restore would break what depends on this server")
      .WithDetail("Affected are " + text + ".")
      .WithHint("Use force => true to restore all the same.");
}

namespace {

std::string NearestPlace(std::string path) {
  while (!PathExists(path) && path != "/" && path != ".")
    path = DirectoryName(path);
  return path;
}

// One entry a file system, the replacement directory's own first.
Status AddNeed(const std::string& place, std::uint64_t bytes, std::vector<DiskNeed>* needs) {
  struct stat info {};
  if (stat(place.c_str(), &info) != 0) return Status::FromErrno(errno, "look at \"" + place + "\"");
  for (DiskNeed& need : *needs) {
    if (need.device != info.st_dev) continue;
    need.needed += bytes;
    return Status::Ok();
  }
  PITR_ASSIGN_OR_RETURN(const std::uint64_t free, FreeSpace(place));
  needs->push_back({place, info.st_dev, bytes, free});
  return Status::Ok();
}

// Bytes, without holes, of each tablespace that the snapshot has a link for, by where it was.
Result<std::map<std::string, std::uint64_t>> TablespaceBytes(Repository* repo,
                                                             const SnapshotId& snapshot) {
  PITR_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(repo, snapshot));
  std::map<std::string, std::string> locations;
  for (const ManifestFile& file : manifest.files) {
    if (file.kind == FileKind::kSymlink) locations[file.path] = file.link_target;
  }
  std::map<std::string, std::uint64_t> bytes;
  for (const ManifestFile& file : manifest.files) {
    if (!file.path.starts_with("pg_tblspc/")) continue;
    const auto found = locations.find(file.path.substr(0, file.path.find('/', 10)));
    if (found == locations.end()) continue;
    for (const Extent& extent : file.extents)
      bytes[found->second] += extent.length;
  }
  return bytes;
}

std::uint64_t WithReserve(std::uint64_t bytes) { return bytes + bytes / 10; }

}  // namespace

Result<std::vector<DiskNeed>> FindDiskNeeds(Repository* repo, const RestorePlan& plan) {
  PITR_ASSIGN_OR_RETURN(const std::string branches, BranchDirectory());
  std::map<std::string, std::uint64_t> aside;
  // A manifest is read for those who may have some alone; without them a tablespace of the past counts as part of the directory.
  PITR_ASSIGN_OR_RETURN(const auto links, TablespaceLinks(DataDirectory()));
  if (!links.empty() && !plan.snapshot.empty()) {
    PITR_ASSIGN_OR_RETURN(aside, TablespaceBytes(repo, plan.snapshot));
  }
  std::uint64_t inside = plan.data_bytes;
  for (const auto& [location, bytes] : aside)
    inside -= std::min(inside, bytes);
  std::vector<DiskNeed> needs;
  PITR_RETURN_IF_ERROR(AddNeed(NearestPlace(branches),
                               WithReserve(inside) + plan.wal_bytes + (64ULL << 20), &needs));
  for (const auto& [location, bytes] : aside)
    PITR_RETURN_IF_ERROR(AddNeed(NearestPlace(location), WithReserve(bytes), &needs));
  return needs;
}

Status CheckDiskNeeds(const std::vector<DiskNeed>& needs) {
  const auto full = std::find_if(needs.begin(), needs.end(),
                                 [](const DiskNeed& need) { return need.free < need.needed; });
  if (full == needs.end()) return Status::Ok();
  return Status(Code::kDiskFull, "not enough free disk space for the replacement directory")
      .WithDetail(std::to_string(full->needed) + " bytes are needed at \"" + full->place + "\", " +
                  std::to_string(full->free) + " are free.")
      .WithHint(
          "Free space on that file system; old undo branches can be deleted "
          "with "
          "pitr_delete_branch(branch, force => true).");
}

}  // namespace pitr::pg

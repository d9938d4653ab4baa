// Copying configuration. The rule is by exclusion: what we know to be the server's is left alone, everything else was put there by
// a person and is needed at the next reload.
#include "core/work/live_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <optional>

#include "core/base/file.h"

namespace pitr {

namespace {

constexpr std::string_view kAutoConf = "postgresql.auto.conf";
constexpr std::size_t kMaxAutoConf = 16U << 20;
constexpr std::size_t kCopyBuffer = 1U << 20;

// initdb.c subdirs[] and the files that the server writes at the top (15, 17, 18), sorted.
constexpr std::string_view kServerEntries[] = {
    "PG_VERSION",
    "backup_label",
    "backup_label.old",
    "backup_manifest",
    "base",
    "current_logfiles",
    "current_logfiles.tmp",
    "global",
    "log",
    "logrotate",
    "lost+found",
    "pg_commit_ts",
    "pg_dynshmem",
    "pg_internal.init",
    "pg_log",
    "pg_logical",
    "pg_multixact",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_snapshots",
    "pg_stat",
    "pg_stat_tmp",
    "pg_subtrans",
    "pg_tblspc",
    "pg_twophase",
    "pg_upgrade_output.d",
    "pg_wal",
    "pg_xact",
    "pitr",
    "postgresql.auto.conf.tmp",
    "postmaster.opts",
    "postmaster.pid",
    "promote",
    "recovery.signal",
    "standby.signal",
    "tablespace_map",
    "tablespace_map.old",
};

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

std::optional<std::string> RealPath(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) {
    return std::nullopt;
  }
  std::string text(real);
  std::free(real);
  return text;
}

Status Failed(std::string_view verb, const std::string& path) {
  return Status::FromErrno(errno, std::string(verb) + " \"" + path + "\"");
}

Status CopyPlainFile(const std::string& from, const struct stat& info, const std::string& to) {
  // be-secure-common.c check_ssl_key_file_permissions (15): a key that is root's may be readable by a group, ours may not.
  const mode_t mode = info.st_mode & (info.st_uid == ::geteuid() ? 0777U : 0700U);
  PITR_ASSIGN_OR_RETURN(const File source, File::Open(from, O_RDONLY));
  PITR_ASSIGN_OR_RETURN(File target, File::Open(to, O_WRONLY | O_CREAT | O_EXCL, 0600));
  Bytes buffer(kCopyBuffer);
  for (std::uint64_t offset = 0;;) {
    PITR_ASSIGN_OR_RETURN(const std::size_t got,
                          source.ReadAt(offset, buffer.data(), buffer.size()));
    if (got == 0) {
      break;
    }
    PITR_RETURN_IF_ERROR(target.WriteAll(ByteView(buffer).first(got)));
    offset += got;
  }
  if (::fchmod(target.fd(), mode) != 0) {
    return Failed("change mode of", to);
  }
  return Status::Ok();
}

Status CopyLink(const std::string& from, const std::string& to) {
  std::string target(4096, '\0');
  const ssize_t size = ::readlink(from.c_str(), target.data(), target.size());
  if (size < 0) {
    return Failed("read link", from);
  }
  target.resize(static_cast<std::size_t>(size));
  return ::symlink(target.c_str(), to.c_str()) == 0 ? Status::Ok() : Failed("make link", to);
}

// REQUIRES: nothing under the name `to`.
Status CopyNew(const std::string& from, const std::string& to) {
  struct stat info {};
  if (::lstat(from.c_str(), &info) != 0) {
    // The live server goes on working: what was listed may be gone.
    return errno == ENOENT ? Status::Ok() : Failed("look at", from);
  }
  if (S_ISLNK(info.st_mode)) {
    return CopyLink(from, to);
  }
  if (S_ISREG(info.st_mode)) {
    return CopyPlainFile(from, info, to);
  }
  if (!S_ISDIR(info.st_mode)) {
    return Status::Ok();
  }
  if (::mkdir(to.c_str(), 0700) != 0) {
    return Failed("make directory", to);
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(from));
  for (const std::string& name : names) {
    PITR_RETURN_IF_ERROR(CopyNew(JoinPath(from, name), JoinPath(to, name)));
  }
  return ::chmod(to.c_str(), info.st_mode & 0777U) == 0 ? Status::Ok()
                                                        : Failed("change mode of", to);
}

// Beside the old one first, so that a reader never meets half a file.
Status CopyOver(const std::string& from, const std::string& to) {
  const std::string temporary =
      JoinPath(DirectoryName(to), ".pitr-new." + std::string(BaseName(to)));
  PITR_RETURN_IF_ERROR(RemoveTree(temporary));
  PITR_RETURN_IF_ERROR(CopyNew(from, temporary));
  if (!PathExists(temporary)) {
    return Status::Ok();
  }
  struct stat info {};
  // rename replaces a file by a file only.
  if (::lstat(to.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    PITR_RETURN_IF_ERROR(RemoveTree(to));
  } else if (::lstat(temporary.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    PITR_RETURN_IF_ERROR(RemoveFile(to));
  }
  return ::rename(temporary.c_str(), to.c_str()) == 0 ? Status::Ok() : Failed("rename", temporary);
}

// Relative to the live directory; nothing when the name leads out of it or to what the server made.
std::optional<std::string> RelativeName(const std::string& named, const std::string& live) {
  std::string path = named;
  if (StartsWith(path, "/")) {
    const std::optional<std::string> parent = RealPath(DirectoryName(path));
    const std::optional<std::string> root = RealPath(live);
    if (!parent || !root || !StartsWith(*parent + "/", *root + "/")) {
      return std::nullopt;
    }
    path = (*parent + "/" + std::string(BaseName(path))).substr(root->size() + 1);
  }
  while (StartsWith(path, "./")) {
    path.erase(0, 2);
  }
  const std::string top = path.substr(0, path.find('/'));
  const bool leads_out = ("/" + path + "/").find("/../") != std::string::npos;
  return path.empty() || leads_out || IsServerEntry(top) ? std::nullopt
                                                         : std::optional<std::string>(path);
}

Status WriteAutoConf(const LiveFilesOptions& options) {
  const std::string path = JoinPath(options.directory, kAutoConf);
  if (!PathExists(JoinPath(options.live_directory, kAutoConf))) {
    PITR_RETURN_IF_ERROR(RemoveFile(path));
  }
  if (options.synchronous_standby_names == options.own_standby_names) {
    return Status::Ok();
  }
  Result<std::string> text = ReadTextFile(path, kMaxAutoConf);
  if (!text.ok() && text.status().code() != Code::kNotFound) {
    return std::move(text).status();
  }
  // The last line of a name wins; ALTER SYSTEM can take it away again.
  const std::string content = (text.ok() ? *text : "") + "\nsynchronous_standby_names = '" +
                              options.own_standby_names + "'\n";
  PITR_RETURN_IF_ERROR(RemoveFile(path));
  PITR_ASSIGN_OR_RETURN(File file, File::Open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  return file.WriteAll(AsBytes(content));
}

}  // namespace

bool IsServerEntry(std::string_view name) {
  return std::binary_search(std::begin(kServerEntries), std::end(kServerEntries), name) ||
         StartsWith(name, "pgsql_tmp") || StartsWith(name, ".pitr-new.") || name == "core" ||
         StartsWith(name, "core.");
}

Status CopyLiveFiles(const LiveFilesOptions& options) {
  PITR_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectory(options.live_directory));
  std::vector<std::string> wanted;
  for (std::string& name : names) {
    const bool excluded =
        std::find(options.excluded.begin(), options.excluded.end(), name) != options.excluded.end();
    if (!IsServerEntry(name) && !excluded) {
      wanted.push_back(std::move(name));
    }
  }
  for (const std::string& named : options.named) {
    const std::optional<std::string> name = RelativeName(named, options.live_directory);
    // Below a top-level entry that is copied anyway there is nothing to add.
    if (name &&
        std::find(wanted.begin(), wanted.end(), name->substr(0, name->find('/'))) == wanted.end()) {
      wanted.push_back(*name);
    }
  }
  for (const std::string& name : wanted) {
    const std::string to = JoinPath(options.directory, name);
    PITR_RETURN_IF_ERROR(MakeDirectories(DirectoryName(to)));
    PITR_RETURN_IF_ERROR(CopyOver(JoinPath(options.live_directory, name), to));
  }
  for (const std::string_view signal : {"recovery.signal", "standby.signal"}) {
    PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(options.directory, signal)));
  }
  return WriteAutoConf(options);
}

std::string PathInReplacement(const std::string& path, const std::string& live_directory,
                              const std::string& directory) {
  const std::optional<std::string> parent = RealPath(DirectoryName(path));
  const std::optional<std::string> root = RealPath(live_directory);
  if (!parent || !root || !StartsWith(*parent + "/", *root + "/")) {
    return path;
  }
  return directory + parent->substr(root->size()) + "/" + std::string(BaseName(path));
}

}  // namespace pitr

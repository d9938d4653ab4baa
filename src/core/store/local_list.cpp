// The other half of local_store: names, listings and removal.
#include "core/store/local_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "core/store/local_names.h"

namespace pitr {

namespace local {

bool IsHidden(std::string_view entry) { return entry.starts_with('.') || entry == "lost+found"; }

Status CheckObjectName(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  bool at_part_begin = true;
  for (const char c : name) {
    const bool is_slash = c == '/';
    if (is_slash ? at_part_begin : !is_allowed(c) || (at_part_begin && c == '.')) {
      return Status(Code::kInvalidArgument, "\"" + std::string(name) + "\" is no object name");
    }
    at_part_begin = is_slash;
  }
  if (at_part_begin) {
    return Status(Code::kInvalidArgument, "\"" + std::string(name) + "\" is no object name");
  }
  return Status::Ok();
}

Status CheckPrefix(std::string_view prefix) {
  if (prefix.empty()) {
    return Status::Ok();
  }
  if (!prefix.ends_with('/')) {
    return Status(Code::kInvalidArgument,
                  "prefix \"" + std::string(prefix) + "\" does not end in \"/\"");
  }
  return CheckObjectName(prefix.substr(0, prefix.size() - 1));
}

}  // namespace local

namespace {

struct Entry {
  std::string name;  // a folder's with "/" behind it: that is how it sorts among whole names
  bool IsFolder() const { return name.back() == '/'; }
};

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

// The type of an entry; DT_UNKNOWN from file systems that do not tell is looked up.
unsigned char TypeOf(DIR* directory, const struct dirent* entry) {
  if (entry->d_type != DT_UNKNOWN) {
    return entry->d_type;
  }
  struct stat found = {};
  if (::fstatat(::dirfd(directory), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
    return DT_UNKNOWN;
  }
  if (S_ISDIR(found.st_mode)) {
    return DT_DIR;
  }
  return S_ISREG(found.st_mode) ? DT_REG : DT_UNKNOWN;
}

// Visible files and folders of `directory`, sorted as parts of whole names. Never fails half-way silently:
// 0 or an errno.
int ReadEntries(DIR* directory, std::vector<Entry>* out) {
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(directory);
    if (entry == nullptr) {
      break;
    }
    if (local::IsHidden(entry->d_name)) {
      continue;
    }
    const unsigned char type = TypeOf(directory, entry);
    if (type == DT_REG || type == DT_DIR) {
      out->push_back({std::string(entry->d_name) + (type == DT_DIR ? "/" : "")});
    }
  }
  if (errno != 0) {
    return errno;
  }
  std::sort(out->begin(), out->end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return 0;
}

}  // namespace

Status LocalStore::ListFolder(const std::string& prefix, const std::string& after,
                              std::size_t limit, std::vector<ObjectStat>* out) const {
  const std::string path = PathOf(prefix);
  const Directory directory(::opendir(path.c_str()));
  if (directory == nullptr) {
    // Removed meanwhile, never there, or an object of that name: nothing is below it.
    Status status = ErrorFor(errno, "list", prefix);
    return status.code() == Code::kNotFound ? Status::Ok() : status;
  }
  std::vector<Entry> entries;
  if (const int errnum = ReadEntries(directory.get(), &entries); errnum != 0) {
    return ErrorFor(errnum, "list", prefix);
  }
  for (const Entry& entry : entries) {
    if (limit != 0 && out->size() >= limit) {
      break;
    }
    const std::string name = prefix + entry.name;
    if (entry.IsFolder()) {
      // All names below begin with `name`, so they are all behind `after` or all before it, unless it
      // begins with `name` itself.
      if (name > after || after.starts_with(name)) {
        PITR_RETURN_IF_ERROR(ListFolder(name, after, limit, out));
      }
      continue;
    }
    struct stat found = {};
    if (name > after &&
        ::fstatat(::dirfd(directory.get()), entry.name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0) {
      out->push_back({name, static_cast<std::uint64_t>(found.st_size)});
    }
  }
  return Status::Ok();
}

Result<std::vector<ObjectStat>> LocalStore::List(const std::string& prefix,
                                                 const std::string& after, std::size_t limit) {
  PITR_RETURN_IF_ERROR(local::CheckPrefix(prefix));
  std::vector<ObjectStat> found;
  PITR_RETURN_IF_ERROR(ListFolder(prefix, after, limit, &found));
  return found;
}

// A folder without objects is not there for the reader, as in S3: a killed writer may leave one. Errors
// count as "holds something": a name too many is better than one too few.
bool LocalStore::HoldsObject(const std::string& prefix) const {
  const Directory directory(::opendir(PathOf(prefix).c_str()));
  if (directory == nullptr) {
    return errno != ENOENT;
  }
  std::vector<std::string> folders;
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) {
      break;
    }
    if (local::IsHidden(entry->d_name)) {
      continue;
    }
    const unsigned char type = TypeOf(directory.get(), entry);
    if (type == DT_REG) {
      return true;
    }
    if (type == DT_DIR) {
      folders.emplace_back(entry->d_name);
    }
  }
  return errno != 0 || std::any_of(folders.begin(), folders.end(), [&](const std::string& name) {
           return HoldsObject(prefix + name + "/");
         });
}

Result<std::vector<std::string>> LocalStore::ListParts(const std::string& prefix) {
  PITR_RETURN_IF_ERROR(local::CheckPrefix(prefix));
  const Directory directory(::opendir(PathOf(prefix).c_str()));
  std::vector<std::string> parts;
  if (directory == nullptr) {
    Status status = ErrorFor(errno, "list", prefix);
    if (status.code() != Code::kNotFound) {
      return status;
    }
    return parts;
  }
  std::vector<Entry> entries;
  if (const int errnum = ReadEntries(directory.get(), &entries); errnum != 0) {
    return ErrorFor(errnum, "list", prefix);
  }
  for (Entry& entry : entries) {
    if (!entry.IsFolder() || HoldsObject(prefix + entry.name)) {
      parts.push_back(std::move(entry.name));
    }
  }
  return parts;
}

// Best effort: an empty folder is invisible anyway. rmdir fails on the first that still holds something.
void LocalStore::RemoveEmptyFolders(const std::string& name) const {
  for (std::size_t slash = name.rfind('/'); slash != std::string::npos && slash != 0;
       slash = name.rfind('/', slash - 1)) {
    if (::rmdir(PathOf(name.substr(0, slash)).c_str()) != 0) {
      return;
    }
  }
}

Status LocalStore::Remove(const std::string& name) {
  PITR_RETURN_IF_ERROR(local::CheckObjectName(name));
  const std::string path = PathOf(name);
  // Opened before, so that the name's absence can be synced even when the folder goes with it.
  const int fd = ::open(DirectoryName(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    Status status = ErrorFor(errno, "remove", name);
    return status.code() == Code::kNotFound ? Status::Ok() : status;
  }
  File folder(fd);
  if (::unlink(path.c_str()) != 0) {
    // EISDIR: a folder is no object. ENOENT may be a removal by another process that is not synced yet.
    if (errno != ENOENT && errno != EISDIR) {
      return ErrorFor(errno, "remove", name);
    }
    PITR_RETURN_IF_ERROR(CheckRoot());
  }
  PITR_RETURN_IF_ERROR(folder.Sync());
  RemoveEmptyFolders(name);
  return Status::Ok();
}

Status LocalStore::CollectAbandoned(std::int64_t age_seconds) {
  const std::string folder = PathOf(local::kTemporaryFolder);
  Result<std::vector<std::string>> names = ListDirectory(folder);
  if (!names.ok()) {
    return names.status().code() == Code::kNotFound ? CheckRoot() : std::move(names).status();
  }
  const std::time_t now = std::time(nullptr);
  for (const std::string& name : *names) {
    const std::string path = JoinPath(folder, name);
    struct stat found = {};
    if (::lstat(path.c_str(), &found) == 0 && S_ISREG(found.st_mode) &&
        now - found.st_mtime >= age_seconds) {
      PITR_RETURN_IF_ERROR(RemoveFile(path));
    }
  }
  return Status::Ok();
}

std::optional<std::uint64_t> LocalStore::FreeBytes() {
  Result<std::uint64_t> bytes = FreeSpace(root_);
  if (!bytes.ok()) {
    return std::nullopt;
  }
  return *bytes;
}

}  // namespace pitr

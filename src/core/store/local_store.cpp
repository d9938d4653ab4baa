// Objects of a local folder: publishing and reading. Listings and clean-up are in local_list.cpp.
#include "core/store/local_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "core/base/fault.h"
#include "core/base/hash.h"
#include "core/store/local_names.h"

namespace pitr {

namespace {

// One write call moves this much; also the step in which write-back of a big object is started.
constexpr std::size_t kWriteSize = 1U << 20;
// Folders in use at a time are a handful (one per timeline, kind, snapshot); beyond this the cache starts anew.
constexpr std::size_t kMaxDurableFolders = 256;
// Whoever removes its last object has to win each time.
constexpr int kPublishAttempts = 100;

Result<LocalStore::Identity> IdentityOf(int fd, const std::string& path, int flags) {
  struct statx found = {};
  if (::statx(fd, path.c_str(), flags, STATX_INO | STATX_BTIME, &found) != 0) {
    return Status::FromErrno(errno, "stat \"" + path + "\"");
  }
  // Where the file system keeps no birth time the field stays zero and device and inode must do.
  const bool has_birth = (found.stx_mask & STATX_BTIME) != 0;
  return LocalStore::Identity{std::uint64_t{found.stx_dev_major} << 32 | found.stx_dev_minor,
                              found.stx_ino, has_birth ? found.stx_btime.tv_sec : 0,
                              has_birth ? found.stx_btime.tv_nsec : 0};
}

// rename(2) to `to` in the open `folder` that replaces nothing. File systems without that flag (NFS, some
// FUSE) get link and unlink, which is as exclusive. 0 or an errno.
int RenameExclusive(const std::string& from, int folder, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), folder, to.c_str(), RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return errno;
  }
  if (::linkat(AT_FDCWD, from.c_str(), folder, to.c_str(), 0) != 0) {
    return errno;
  }
  ::unlink(from.c_str());  // one left over is invisible and collected later
  return 0;
}

}  // namespace

// Buffers up to kWriteSize; a full buffer goes to the file and its write-back is started at once, so that
// the fsync of Commit finds little left to do.
class LocalWriter final : public ObjectWriter {
 public:
  LocalWriter(LocalStore* store, std::string name) : store_(store), name_(std::move(name)) {}
  ~LocalWriter() override {
    if (!temporary_.empty()) {
      ::unlink(temporary_.c_str());
    }
  }

  Status Open() {
    PITR_ASSIGN_OR_RETURN(file_, store_->CreateTemporary(&temporary_));
    return Status::Ok();
  }

  Status Append(ByteView bytes) override {
    while (!bytes.empty()) {
      if (buffer_.empty() && bytes.size() >= kWriteSize) {
        PITR_RETURN_IF_ERROR(Write(bytes.first(kWriteSize)));
        bytes = bytes.subspan(kWriteSize);
        continue;
      }
      const std::size_t take = std::min(bytes.size(), kWriteSize - buffer_.size());
      buffer_.insert(buffer_.end(), bytes.begin(),
                     bytes.begin() + static_cast<std::ptrdiff_t>(take));
      bytes = bytes.subspan(take);
      if (buffer_.size() == kWriteSize) {
        PITR_RETURN_IF_ERROR(Write(buffer_));
        buffer_.clear();
      }
    }
    return Status::Ok();
  }

  Status Commit() override {
    if (temporary_.empty()) {
      return Status(Code::kInternal, "object \"" + name_ + "\" was committed before");
    }
    if (!buffer_.empty()) {
      PITR_RETURN_IF_ERROR(Write(buffer_));
      buffer_.clear();
    }
    if (PathExists(store_->PathOf(name_))) {
      return store_->Taken(name_);  // the same answer as Publish has, without a sync for nothing
    }
    PITR_FAULT("store.put.before_sync");
    while (::fsync(file_.fd()) != 0) {
      if (errno != EINTR) {
        return store_->ErrorFor(errno, "fsync", name_);
      }
    }
    if (written_ >= kWriteSize) {
      // What is read again in an emergency only should not push the database's own files out of memory.
      ::posix_fadvise(file_.fd(), 0, 0, POSIX_FADV_DONTNEED);
    }
    PITR_FAULT("store.put.after_sync");
    PITR_RETURN_IF_ERROR(store_->Publish(temporary_, name_));
    temporary_.clear();
    file_ = File();
    return Status::Ok();
  }

 private:
  Status Write(ByteView bytes) {
    const std::uint64_t begin = written_;
    while (!bytes.empty()) {
      const ssize_t put = ::write(file_.fd(), bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) {
        continue;
      }
      if (put <= 0) {
        return store_->ErrorFor(put < 0 ? errno : ENOSPC, "write", name_);
      }
      written_ += static_cast<std::uint64_t>(put);
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    // Only a hint: what it does not start, and its errors, are for fsync. The last, partial piece is
    // followed by fsync at once and needs none.
    if (written_ - begin == kWriteSize) {
      ::sync_file_range(file_.fd(), static_cast<off_t>(begin), static_cast<off_t>(kWriteSize),
                        SYNC_FILE_RANGE_WRITE);
    }
    return Status::Ok();
  }

  LocalStore* store_;
  std::string name_, temporary_;
  File file_;
  Bytes buffer_;
  std::uint64_t written_ = 0;
};

Result<std::unique_ptr<LocalStore>> LocalStore::Open(const std::string& folder) {
  const std::string what = "repository folder \"" + folder + "\"";
  struct stat found = {};
  if (::stat(folder.c_str(), &found) != 0) {
    Status status = Status::FromErrno(errno, "open " + what);
    return Status(Code::kIo, status.message())
        .WithHint(
            "The folder is not created by itself: if it lies on a mounted disk, check that the "
            "disk is mounted, otherwise create it with mode 0700 for the server's user.");
  }
  if (!S_ISDIR(found.st_mode)) {
    return Status(Code::kIo, what + " is not a folder").WithHint("Name a folder.");
  }
  if (::access(folder.c_str(), R_OK | W_OK | X_OK) != 0) {
    return Status(Code::kIo, Status::FromErrno(errno, "use " + what).message())
        .WithHint("The user that runs the server must be able to read and write it.");
  }
  PITR_ASSIGN_OR_RETURN(const Identity identity, IdentityOf(AT_FDCWD, folder, 0));
  return std::unique_ptr<LocalStore>(new LocalStore(folder, identity));
}

Status LocalStore::CheckRoot() const {
  Result<Identity> now = IdentityOf(AT_FDCWD, root_, 0);
  if (now.ok() && *now == identity_) {
    return Status::Ok();
  }
  return Status(Code::kIo, "repository folder \"" + root_ + "\" is not the one that was opened")
      .WithHint("Its disk may have been unmounted, or the folder replaced.");
}

Status LocalStore::ErrorFor(int errnum, std::string_view verb, const std::string& name) const {
  Status status = Status::FromErrno(
      errnum, std::string(verb) + " object \"" + name + "\" in \"" + root_ + "\"");
  if (status.code() == Code::kDiskFull) {
    return Status(Code::kDiskFull, "no space left in repository folder \"" + root_ + "\"")
        .WithDetail(status.message() + ".");
  }
  if (errnum == ENOENT || errnum == ENOTDIR) {
    PITR_RETURN_IF_ERROR(CheckRoot());
    return Status(Code::kNotFound,
                  "object \"" + name + "\" is not in repository \"" + root_ + "\"");
  }
  return status;
}

Result<File> LocalStore::CreateTemporary(std::string* path) {
  const std::string folder = PathOf(local::kTemporaryFolder);
  for (;;) {
    PITR_ASSIGN_OR_RETURN(const Bytes random, RandomBytes(8));
    const std::string candidate = JoinPath(folder, ToHex(random));
    const int fd = ::open(candidate.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
      *path = candidate;
      return File(fd);
    }
    if (errno == ENOENT) {
      PITR_RETURN_IF_ERROR(CheckRoot());
      // Not synced: what is unfinished need not survive.
      if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
        return ErrorFor(errno, "create the folder of", std::string(local::kTemporaryFolder));
      }
    } else if (errno != EEXIST && errno != EINTR) {
      return ErrorFor(errno, "create", std::string(local::kTemporaryFolder));
    }
  }
}

// Syncs each parent although mkdir may say EEXIST: whoever made the folder may not have synced it yet.
Result<File> LocalStore::MakeFolder(const std::string& folder) {
  PITR_RETURN_IF_ERROR(CheckRoot());
  std::string path = root_;
  File parent;
  PITR_ASSIGN_OR_RETURN(parent, File::Open(path, O_RDONLY | O_DIRECTORY));
  for (std::string_view rest = folder; !rest.empty();) {
    const std::size_t slash = rest.find('/');
    path = JoinPath(path, rest.substr(0, slash));
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrorFor(errno, "create the folder of", folder);
    }
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
      return errno == ENOTDIR
                 ? Status(Code::kAlreadyExists, "\"" + path + "\" is an object, not a folder")
                 : ErrorFor(errno, "open the folder of", folder);
    }
    File child(fd);
    PITR_RETURN_IF_ERROR(parent.Sync());
    parent = std::move(child);
  }
  return parent;
}

Result<File> LocalStore::OpenFolderOf(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : name.substr(0, slash);
  const std::string path = PathOf(folder);
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    File opened(fd);
    PITR_ASSIGN_OR_RETURN(const Identity identity, IdentityOf(fd, "", AT_EMPTY_PATH));
    const std::lock_guard lock(mutex_);
    const auto known = durable_folders_.find(folder);
    if (known != durable_folders_.end() && known->second == identity) {
      return opened;
    }
  }
  PITR_ASSIGN_OR_RETURN(File made, MakeFolder(folder));
  PITR_ASSIGN_OR_RETURN(const Identity identity, IdentityOf(made.fd(), "", AT_EMPTY_PATH));
  const std::lock_guard lock(mutex_);
  if (durable_folders_.size() >= kMaxDurableFolders) {
    durable_folders_.clear();
  }
  durable_folders_[folder] = identity;
  return made;
}

Status LocalStore::Taken(const std::string& name) {
  // Whoever was first may have been killed before it synced the folder.
  PITR_ASSIGN_OR_RETURN(File folder, OpenFolderOf(name));
  PITR_RETURN_IF_ERROR(folder.Sync());
  return Status(Code::kAlreadyExists,
                "object \"" + name + "\" is already in repository \"" + root_ + "\"");
}

// Others may remove an empty folder between our opening it and the rename (see Remove): then once more. The
// rename goes through the descriptor, so that the folder synced is the folder that got the name, not
// another one made meanwhile under the same path.
Status LocalStore::Publish(const std::string& temporary, const std::string& name) {
  for (int attempt = 1;; attempt++) {
    Result<File> folder = OpenFolderOf(name);
    if (!folder.ok() &&
        (folder.status().code() != Code::kNotFound || attempt == kPublishAttempts)) {
      return std::move(folder).status();
    }
    const int errnum =
        folder.ok() ? RenameExclusive(temporary, folder->fd(), BaseName(name)) : ENOENT;
    if (errnum == EEXIST || errnum == EISDIR || errnum == ENOTEMPTY) {
      return Taken(name);
    }
    if (errnum == ENOENT && attempt < kPublishAttempts && PathExists(temporary)) {
      continue;
    }
    if (errnum == ENOENT) {
      return Status(Code::kIo,
                    "object \"" + name + "\" could not be published in \"" + root_ + "\"")
          .WithDetail("Its temporary file \"" + temporary + "\" or its folder was removed.");
    }
    if (errnum != 0) {
      return ErrorFor(errnum, "publish", name);
    }
    PITR_FAULT("store.put.after_link");
    return folder->Sync();
  }
}

Status LocalStore::Put(const std::string& name, ByteView bytes) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer, Create(name));
  PITR_RETURN_IF_ERROR(writer->Append(bytes));
  return writer->Commit();
}

Result<std::unique_ptr<ObjectWriter>> LocalStore::Create(const std::string& name) {
  PITR_RETURN_IF_ERROR(local::CheckObjectName(name));
  auto writer = std::make_unique<LocalWriter>(this, name);
  PITR_RETURN_IF_ERROR(writer->Open());
  return std::unique_ptr<ObjectWriter>(std::move(writer));
}

Result<File> LocalStore::OpenObject(const std::string& name, std::uint64_t* size) const {
  PITR_RETURN_IF_ERROR(local::CheckObjectName(name));
  const int fd = ::open(PathOf(name).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return ErrorFor(errno, "open", name);
  }
  File file(fd);
  struct stat found = {};
  if (::fstat(fd, &found) != 0) {
    return ErrorFor(errno, "stat", name);
  }
  if (!S_ISREG(found.st_mode)) {
    return ErrorFor(ENOENT, "open", name);  // a folder is no object
  }
  *size = static_cast<std::uint64_t>(found.st_size);
  return file;
}

namespace {

// [offset, offset + size) of a file of `file_size` bytes, cut at its end.
Result<Bytes> ReadRange(const File& file, std::uint64_t file_size, std::uint64_t offset,
                        std::uint64_t size) {
  if (offset >= file_size) {
    return Bytes();
  }
  Bytes bytes(static_cast<std::size_t>(std::min(size, file_size - offset)));
  PITR_ASSIGN_OR_RETURN(const std::size_t got, file.ReadAt(offset, bytes.data(), bytes.size()));
  bytes.resize(got);
  return bytes;
}

}  // namespace

Result<Bytes> LocalStore::Get(const std::string& name, std::uint64_t max_size) {
  std::uint64_t size = 0;
  PITR_ASSIGN_OR_RETURN(const File file, OpenObject(name, &size));
  if (size > max_size) {
    return Status(Code::kLimit,
                  "object \"" + name + "\" is larger than " + std::to_string(max_size) + " bytes");
  }
  return ReadRange(file, size, 0, size);
}

Result<Bytes> LocalStore::GetRange(const std::string& name, std::uint64_t offset,
                                   std::uint64_t size) {
  std::uint64_t file_size = 0;
  PITR_ASSIGN_OR_RETURN(const File file, OpenObject(name, &file_size));
  return ReadRange(file, file_size, offset, size);
}

Result<Bytes> LocalStore::GetSuffix(const std::string& name, std::uint64_t size) {
  std::uint64_t file_size = 0;
  PITR_ASSIGN_OR_RETURN(const File file, OpenObject(name, &file_size));
  return ReadRange(file, file_size, file_size - std::min(size, file_size), size);
}

Result<ObjectStat> LocalStore::Stat(const std::string& name) {
  PITR_RETURN_IF_ERROR(local::CheckObjectName(name));
  struct stat found = {};
  if (::stat(PathOf(name).c_str(), &found) != 0) {
    return ErrorFor(errno, "stat", name);
  }
  if (!S_ISREG(found.st_mode)) {
    return ErrorFor(ENOENT, "stat", name);
  }
  return ObjectStat{name, static_cast<std::uint64_t>(found.st_size)};
}

}  // namespace pitr

#include "core/base/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace pitr {

namespace {

Status Unusable(std::string message, std::string_view hint) {
  return Status(Code::kInvalidArgument, std::move(message)).WithHint(std::string(hint));
}

std::string Named(std::string_view what, const std::string& path) {
  return std::string(what).append(" \"").append(path).append("\"");
}

Result<SecretFileState> CheckFile(const File& file, const std::string& named) {
  struct stat found = {};
  if (::fstat(file.fd(), &found) != 0) {
    return Unusable(Status::FromErrno(errno, "stat " + named).message(),
                    "Check the file and its disk.");
  }
  if (!S_ISREG(found.st_mode)) {
    return Unusable(named + " is no regular file", "Name a file.");
  }
  if (found.st_uid != ::geteuid()) {
    return Unusable(named + " belongs to user " + std::to_string(found.st_uid) + ", not to user " +
                        std::to_string(::geteuid()) + " who reads it",
                    "Use chown; whoever owns the file can read and replace the keys.");
  }
  if ((found.st_mode & 077) != 0) {
    char mode[16];
    std::snprintf(mode, sizeof mode, "0%03o", static_cast<unsigned>(found.st_mode & 07777));
    return Unusable(named + " has mode " + mode + ", which gives rights to group or others",
                    "Use chmod 0600; if somebody may have read the keys, replace them.");
  }
  return SecretFileState{
      found.st_dev,         found.st_ino,          static_cast<std::uint64_t>(found.st_size),
      found.st_mtim.tv_sec, found.st_mtim.tv_nsec, found.st_ctim.tv_sec,
      found.st_ctim.tv_nsec};
}

}  // namespace

Result<SecretFile> OpenSecretFile(const std::string& path, std::string_view what,
                                  std::string_view named_by) {
  // O_NONBLOCK: a pipe of that name must not stop the caller.
  Result<File> file = File::Open(path, O_RDONLY | O_NONBLOCK);
  if (!file.ok()) {
    return Unusable(std::string(what) + ": " + file.status().message(), named_by);
  }
  PITR_ASSIGN_OR_RETURN(const SecretFileState state, CheckFile(*file, Named(what, path)));
  return SecretFile{std::move(*file), state};
}

Result<std::size_t> ReadSecretFile(const SecretFile& file, const std::string& path,
                                   std::string_view what, std::span<std::uint8_t> out) {
  const Result<std::size_t> size = file.file.ReadAt(0, out.data(), out.size());
  if (!size.ok() || file.state.size > out.size()) {
    return Unusable(Named(what, path) + " could not be read or is too large",
                    "It holds keys and a few comments, nothing else.");
  }
  return *size;
}

}  // namespace pitr

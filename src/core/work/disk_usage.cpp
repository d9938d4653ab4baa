#include "core/work/disk_usage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "core/base/file.h"

namespace pitr {

namespace {

constexpr std::uint64_t kBlock = 512;  // unit of st_blocks, whatever the file system's own is

}  // namespace

void DiskUsage::OpenNext() {
  path_ = std::move(waiting_.back());
  waiting_.pop_back();
  const int fd = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0) {
    // One below that is gone was removed meanwhile; the first must be there.
    failed_ = failed_ || !has_begun_ || errno != ENOENT;
  } else {
    bytes_ += static_cast<std::uint64_t>(info.st_blocks) * kBlock;
  }
  has_begun_ = true;
  if (fd < 0) return;
  reading_.reset(::fdopendir(fd));
  if (reading_ == nullptr) {
    failed_ = true;
    ::close(fd);
  }
}

void DiskUsage::Count(const char* name) {
  struct stat info {};
  if (::fstatat(::dirfd(reading_.get()), name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
    failed_ = failed_ || errno != ENOENT;
  } else if (S_ISDIR(info.st_mode)) {
    waiting_.push_back(JoinPath(path_, name));
  } else {
    bytes_ += static_cast<std::uint64_t>(info.st_blocks) * kBlock;
    if (S_ISLNK(info.st_mode) && path_.ends_with("/pg_tblspc"))
      AddTablespace(JoinPath(path_, name));
  }
}

void DiskUsage::AddTablespace(const std::string& link) {
  const Result<std::vector<std::string>> names = ListDirectory(link);
  if (!names.ok()) {
    failed_ = failed_ || names.status().code() != Code::kNotFound;
    return;
  }
  for (const std::string& name : *names) {
    if (name.starts_with("PG_")) waiting_.push_back(JoinPath(link, name));
  }
}

bool DiskUsage::Advance(std::size_t entries) {
  while (entries > 0) {
    if (reading_ == nullptr) {
      if (waiting_.empty()) return true;
      OpenNext();
      entries--;
      continue;
    }
    errno = 0;
    const dirent* entry = ::readdir(reading_.get());
    if (entry == nullptr) {
      failed_ = failed_ || errno != 0;
      reading_.reset();
      continue;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    Count(entry->d_name);
    entries--;
  }
  return reading_ == nullptr && waiting_.empty();
}

std::optional<std::uint64_t> DiskUsage::bytes() const {
  return failed_ ? std::nullopt : std::optional<std::uint64_t>(bytes_);
}

}  // namespace pitr

// What a living process has: a file or directory with a lock of the file system on it, which ends with the process, whatever becomes of it, and is seen
// by other containers and, where the file system is shared, by other machines.
#pragma once

#include <optional>
#include <string>

#include "core/base/file.h"
#include "core/base/result.h"

namespace pitr::tool {

// Its descriptor, which holds the lock; nullopt when another process has it, or the name leads elsewhere by now. kNotFound.
Result<std::optional<File>> Hold(const std::string& path);

// What servers leave in a folder for sockets, and the folder if it is then empty.
void RemoveSocketDirectory(const std::string& directory);

// A directory of our own in /tmp, where a path is short enough for a socket; removed in the end. Those that processes left which are gone
// are removed first.
class SocketDirectory {
 public:
  static Result<SocketDirectory> Make();
  SocketDirectory() = default;
  SocketDirectory(SocketDirectory&& other) noexcept = default;
  SocketDirectory& operator=(SocketDirectory&& other) noexcept = default;
  ~SocketDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  File held_;
};

}  // namespace pitr::tool

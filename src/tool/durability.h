// Makes a whole directory tree durable by its file systems: syncfs instead of an fsync for each of many thousand files.
#pragma once

#include <string>
#include <vector>

#include "core/base/file.h"

namespace pitr::tool {

class FileSystems {
 public:
  // Opens the file system of each path (of the nearest parent that exists). REQUIRES: called before the writes that Sync is to
  // vouch for: the kernel tells a write error to descriptors that were open when it happened (syncfs(2), Linux 5.8).
  static Result<FileSystems> Open(const std::vector<std::string>& paths);
  // DURABLE: everything written to those file systems so far, names included.
  Status Sync();

 private:
  std::vector<File> roots_;  // one a device
};

}  // namespace pitr::tool

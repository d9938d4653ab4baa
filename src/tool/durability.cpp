// syncfs(2) over a few descriptors.
#include "tool/durability.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>

namespace pitr::tool {

Result<FileSystems> FileSystems::Open(const std::vector<std::string>& paths) {
  FileSystems systems;
  std::set<dev_t> seen;
  for (const std::string& path : paths) {
    std::string place = path;
    while (!PathExists(place) && place != "/" && place != ".") {
      place = DirectoryName(place);
    }
    PITR_ASSIGN_OR_RETURN(File root, File::Open(place, O_RDONLY | O_DIRECTORY));
    struct stat info {};
    if (::fstat(root.fd(), &info) != 0) {
      return Status::FromErrno(errno, "look at \"" + place + "\"");
    }
    if (seen.insert(info.st_dev).second) {
      systems.roots_.push_back(std::move(root));
    }
  }
  return systems;
}

Status FileSystems::Sync() {
  for (const File& root : roots_) {
    if (::syncfs(root.fd()) != 0) {
      return Status::FromErrno(errno, "sync a file system");
    }
  }
  return Status::Ok();
}

}  // namespace pitr::tool

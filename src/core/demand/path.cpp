#include "core/demand/path.h"

#include <climits>
#include <cstdio>
#include <cstring>

namespace pitr::demand {

namespace {

constinit char names[2][PATH_MAX] = {};
using Tablespaces = std::vector<std::pair<std::string, std::string>>;
constinit Tablespaces* tablespaces_used = nullptr;  // of the postmaster, inherited; one at a time
constinit thread_local char rewritten[PATH_MAX] = {};

// What follows `name` and a slash; nullptr when it does not begin so.
const char* Behind(const char* path, const char* name, std::size_t size) noexcept {
  return size > 0 && std::strncmp(path, name, size) == 0 && path[size] == '/' ? path + size
                                                                              : nullptr;
}

const char* WithoutDots(const char* path) noexcept {
  for (;;) {
    if (path[0] == '/') {
      path++;
    } else if (path[0] == '.' && path[1] == '/') {
      path += 2;
    } else {
      return path;
    }
  }
}

const char* InTablespace(const char* path) noexcept {
  if (tablespaces_used == nullptr) {
    return nullptr;
  }
  for (const auto& [folder, called] : *tablespaces_used) {
    const char* behind = Behind(path, called.c_str(), called.size());
    if (behind == nullptr) {
      continue;
    }
    const int size =
        std::snprintf(rewritten, sizeof rewritten, "%s/%s", folder.c_str(), WithoutDots(behind));
    return size > 0 && static_cast<std::size_t>(size) < sizeof rewritten ? rewritten : nullptr;
  }
  return nullptr;
}

}  // namespace

void UsePaths(const char* name, const char* real_name, Tablespaces tablespaces) {
  std::snprintf(names[0], sizeof names[0], "%s", name);
  std::snprintf(names[1], sizeof names[1], "%s", real_name);
  delete tablespaces_used;
  tablespaces_used = tablespaces.empty() ? nullptr : new Tablespaces(std::move(tablespaces));
}

const char* PathInDirectory(const char* path) noexcept {
  if (path[0] != '/') {
    return WithoutDots(path);
  }
  for (const char* name : names) {
    const char* behind = Behind(path, name, std::strlen(name));
    if (behind != nullptr) {
      return WithoutDots(behind);
    }
  }
  return InTablespace(path);
}

}  // namespace pitr::demand

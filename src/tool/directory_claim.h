// A data directory that `pitr restore` is making. The file pitr/building says so, from before any other file is in the directory until it is whole, and
// is held by the process that makes it (held.h). One that nobody holds was left by a process that is gone: what lies there is half made and
// nobody's.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "core/base/file.h"
#include "core/base/result.h"
#include "core/types/ids.h"

namespace pitr::tool {

class DirectoryClaim {
 public:
  // DURABLE. Makes the directory if need be. REQUIRES: it and the directories of tablespaces are empty (CheckPlacesAreFree). kInUse when
  // somebody else was faster.
  static Result<DirectoryClaim> Take(const std::string& directory, const BranchId& line,
                                     const std::map<std::string, std::string>& tablespaces);
  // DURABLE. It is whole, and like any other from here on.
  Status Finish();

  DirectoryClaim() = default;

 private:
  DirectoryClaim(std::string path, File held) : path_(std::move(path)), held_(std::move(held)) {}

  std::string path_;
  File held_;
};

// Takes away what is half made there, with its tablespaces, and says of which line it was; nothing when there is nothing of the kind. kInUse when
// it is being made, or a server runs on it.
Result<std::optional<BranchId>> RemoveHalfMade(const std::string& directory);

}  // namespace pitr::tool

// Which names a local folder takes for objects; shared by the two halves of local_store.
#pragma once

#include <string_view>

#include "core/base/status.h"

namespace pitr::local {

inline constexpr std::string_view kTemporaryFolder = ".tmp";

// Entries of the folder that are no objects: ours begin with ".", and so do those of other programs
// (".snapshot", ".Trash-0"); "lost+found" belongs to the file system.
bool IsHidden(std::string_view entry);
// kInvalidArgument unless `name` is made of "/"-separated parts of [A-Za-z0-9._-] that do not begin with ".":
// nothing leaves the folder, nothing reaches what is hidden.
Status CheckObjectName(std::string_view name);
// As above for a prefix: empty, or a name with "/" behind it.
Status CheckPrefix(std::string_view prefix);

}  // namespace pitr::local

// Address -> store; the only place that names concrete stores. An absolute path is a folder.
#pragma once

#include <memory>
#include <string>

#include "core/store/store.h"

namespace pitr {

// kInvalidArgument for an address that is neither an absolute path nor a whole s3:// address (s3_address.h);
// kIo with a hint when the folder is absent (it is never made: an unmounted disk must not be filled beside its
// mount point), no folder, or not accessible.
Result<std::unique_ptr<ObjectStore>> OpenStore(const std::string& address);  // also in store.h
// Syntax only, for the check hook of pitr.repository.
Status CheckStoreAddress(const std::string& address);

}  // namespace pitr

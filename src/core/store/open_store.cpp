// Address -> store; see the header.
#include "core/store/open_store.h"

#include <algorithm>

#include "core/store/local_store.h"
#include "core/store/s3_store.h"

namespace pitr {

namespace {

bool IsS3(const std::string& address) { return address.starts_with("s3://"); }

}  // namespace

Status CheckStoreAddress(const std::string& address) {
  if (IsS3(address)) {
    return ParseS3Address(address).status();
  }
  if (!address.starts_with('/')) {
    return Status(Code::kInvalidArgument,
                  "repository address \"" + address + "\" is neither an absolute path nor s3://");
  }
  const bool has_control =
      std::any_of(address.begin(), address.end(), [](char c) { return c >= 0 && c < ' '; });
  if (has_control) {
    return Status(Code::kInvalidArgument, "repository address contains a control character");
  }
  return Status::Ok();
}

Result<std::unique_ptr<ObjectStore>> OpenStore(const std::string& address) {
  PITR_RETURN_IF_ERROR(CheckStoreAddress(address));
  if (IsS3(address)) {
    PITR_ASSIGN_OR_RETURN(const S3Address parsed, ParseS3Address(address));
    PITR_ASSIGN_OR_RETURN(std::unique_ptr<S3Store> store, S3Store::Open(parsed));
    return std::unique_ptr<ObjectStore>(std::move(store));
  }
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<LocalStore> store, LocalStore::Open(address));
  return std::unique_ptr<ObjectStore>(std::move(store));
}

}  // namespace pitr

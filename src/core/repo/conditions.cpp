#include "core/repo/conditions.h"

#include <string>

#include "core/base/hash.h"
#include "core/repo/layout.h"
#include "core/store/abilities.h"

namespace pitr {

Result<bool> TakesNamesOnce(ObjectStore* store) {
  PITR_ASSIGN_OR_RETURN(const Bytes token, RandomBytes(8));
  const std::string name = layout::ProbeObject(ToHex(token));
  Status status = store->Put(name, token);
  if (status.code() == Code::kUnsupported) {
    return false;
  }
  PITR_RETURN_IF_ERROR(status);
  status = store->Put(name, token);
  PITR_RETURN_IF_ERROR(store->Remove(name));
  if (status.ok()) {
    return false;
  }
  return status.code() == Code::kAlreadyExists ? KeepsWritersApart(store) : status;
}

Result<bool> KeepsWritersApart(ObjectStore* store) {
  PITR_ASSIGN_OR_RETURN(const Bytes token, RandomBytes(8));
  const std::string name = layout::ProbeObject(ToHex(token));
  const Result<bool> keeps_apart = KeepsWritersApart(store, name);
  PITR_RETURN_IF_ERROR(store->Remove(name));
  return keeps_apart;
}

}  // namespace pitr

#include "core/repo/access.h"
#include "core/base/json.h"

namespace pitr {

void PutAccess(const RepositoryAccess& access, Json* json) {
  (*json)["repository"] = access.address;
  if (!access.keys.file.empty()) {
    (*json)["encryption_key_file"] = access.keys.file;
  }
  if (!access.keys.command.empty()) {
    (*json)["encryption_key_command"] = access.keys.command;
  }
}

Result<RepositoryAccess> AccessFrom(const Json& json) {
  RepositoryAccess access;
  PITR_ASSIGN_OR_RETURN(access.address, JsonText(json, "repository"));
  PITR_ASSIGN_OR_RETURN(const auto file, JsonOptionalText(json, "encryption_key_file"));
  PITR_ASSIGN_OR_RETURN(const auto command, JsonOptionalText(json, "encryption_key_command"));
  access.keys = {file.value_or(""), command.value_or("")};
  return access;
}

}  // namespace pitr

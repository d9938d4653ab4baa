// All that opening a repository takes. Jobs and wal-get.json carry it as members "repository", "encryption_key_file" and
// "encryption_key_command": where a key is, never a key.
#pragma once

#include <string>

#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "core/codec/keyring.h"

namespace pitr {

struct RepositoryAccess {
  std::string address;
  KeySource keys = {};
  friend bool operator==(const RepositoryAccess&, const RepositoryAccess&) = default;
};

void PutAccess(const RepositoryAccess& access, Json* json);
// kCorrupt with the name of the member.
Result<RepositoryAccess> AccessFrom(const Json& json);

}  // namespace pitr

// The master key of an encrypted repository: random, made with it, the same for its whole life. It lies in the repository itself, in small
// numbered objects `keys/<number>`, wrapped by a repository key that only the administrator has. Changing the repository key is
// writing one such object and removing those before it; nothing else of the repository is touched.
//
// All functions want the store below the encryption: key objects are not encrypted as others are.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/result.h"
#include "core/codec/keyring.h"
#include "core/store/store.h"

namespace pitr {

struct OpenedMasterKey {
  SecretKey key;
  std::string wrapped_by;  // id of the repository key that opened it
  std::uint64_t number = 0;
};

// The master key, by the newest key object that one of `keys` opens. kNotFound when there is no key object; kKeyMissing with the ids of
// both sides when `keys` opens none; kCorrupt when one that it should open is damaged.
Result<OpenedMasterKey> OpenMasterKey(ObjectStore* store, const std::string& repository_id,
                                      const KeyRing& keys);
// Makes a master key, wrapped by the current one of `keys`. DURABLE. kAlreadyExists when somebody was first.
Status CreateMasterKey(ObjectStore* store, const std::string& repository_id, const KeyRing& keys);

struct Rewrapped {
  std::uint64_t objects =
      0;  // key objects that were written: 0 when the current key wraps the newest one already
  std::string key_id;  // of the current key
};
// Wraps the master key by the current one of `keys`, which also hold the one of before. DURABLE, IDEMPOTENT: afterwards only the
// current key opens the repository. Killed anywhere it leaves a repository that the old key, the new one, or both open; called
// again it goes on. Safe beside readers and writers, who have the master key, and beside others who do the same.
Result<Rewrapped> RewrapMasterKey(ObjectStore* store, const std::string& repository_id,
                                  const KeyRing& keys);

// Id of the repository key that the newest key object asks for; "unknown" when it cannot be told. For messages.
std::string NeededKeyId(ObjectStore* store);

}  // namespace pitr

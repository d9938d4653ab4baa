// An opened repository: the store, its identity, and what every part of the product asks it for.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/codec/keyring.h"
#include "core/repo/access.h"
#include "core/repo/master_key.h"
#include "core/store/store.h"

namespace pitr {

class EncryptedStore;

class Repository {
 public:
  inline static constexpr int kFormatVersion = 1;

  // kNotReady when the store is empty (no repository.json) unless `create`; kForeign for another format or a newer version.
  // Creating checks that the folder is empty: anything else in it is kForeign. With `keys` the repository that is created is encrypted;
  // kKeyMissing when one that is encrypted is opened without the key that it needs, or one that is not with any.
  static Result<std::unique_ptr<Repository>> Open(std::unique_ptr<ObjectStore> store, bool create,
                                                  const KeyRing& keys = {});
  // The same of LoadKeys() and OpenStore(address), or of OpenReplicas() when the address is a list.
  static Result<std::unique_ptr<Repository>> OpenAddress(const RepositoryAccess& access,
                                                         bool create);

  // Plain objects, also of an encrypted repository.
  ObjectStore* store() const { return store_.get(); }
  const std::string& id() const { return id_; }
  // False: the store lets names be taken twice, or knows no put-if-absent; found out when the repository was made. Then a name is looked
  // for before it is written, and what keeps two servers apart is the lease alone (lease.h).
  bool conditional_writes() const { return conditional_writes_; }
  bool is_encrypted() const { return encrypted_ != nullptr; }
  // Of the repository key that opened it; empty when it is not encrypted.
  const std::string& key_id() const { return key_id_; }
  // RewrapMasterKey for this repository; kNotReady when it is not encrypted.
  Result<Rewrapped> Rewrap(const KeyRing& keys);
  std::string Describe() const { return store_->Describe(); }

  // A local directory, made when it is needed, where entries of logs are kept (log_cache.h); empty: none.
  void set_cache_directory(std::string directory) { cache_directory_ = std::move(directory); }
  const std::string& cache_directory() const { return cache_directory_; }

  // The highest number of a catalogue kind that this object has seen, 0 for none: listings begin behind it. Never more
  // than what is there, since the newest number of a kind is never removed.
  std::uint64_t NewestSeen(std::string_view kind) const;
  void SetNewestSeen(std::string_view kind, std::uint64_t number);

 private:
  Repository(std::unique_ptr<ObjectStore> store, std::string id, bool conditional_writes)
      : store_(std::move(store)), id_(std::move(id)), conditional_writes_(conditional_writes) {}
  Status Unlock(bool create, const KeyRing& keys);

  std::unique_ptr<ObjectStore> store_;
  EncryptedStore* encrypted_ = nullptr;  // store_, when it is one
  std::string id_, key_id_;
  bool conditional_writes_ = true;
  std::string cache_directory_;
  mutable std::mutex mutex_;  // of newest_: workers of the program share a repository
  std::map<std::string, std::uint64_t, std::less<>> newest_;
};

}  // namespace pitr

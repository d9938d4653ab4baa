// A store whose objects lie encrypted in another one. Who uses it sees plain bytes, plain sizes and the names as they are; nothing above
// the store interface knows that a repository is encrypted.
//
// Each object has a data key of its own, wrapped by the master key together with the repository's id and the object's name. So what
// was changed, cut, reordered, renamed, taken from another object or another repository is kCorrupt, before a byte of it is given to a
// caller. Not noticed: an object that is removed, or put back as it was before under the same name. Names and sizes are not hidden.
//
// Ranges stay ranges: the chunks that hold them are read, and once before that the foot of the object, which is remembered.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/codec/cipher.h"
#include "core/codec/encrypted_format.h"
#include "core/store/abilities.h"
#include "core/store/store.h"

namespace pitr {

class EncryptedStore final : public ObjectStore, public Distrusting, public Racing {
 public:
  EncryptedStore(std::unique_ptr<ObjectStore> inner, const SecretKey& master_key,
                 std::string repository_id);

  // With the bytes as they are stored.
  ObjectStore* inner() const { return inner_.get(); }

  Status Put(const std::string& name, ByteView bytes) override;
  Result<std::unique_ptr<ObjectWriter>> Create(const std::string& name) override;
  Result<Bytes> Get(const std::string& name, std::uint64_t max_size) override;
  Result<Bytes> GetRange(const std::string& name, std::uint64_t offset,
                         std::uint64_t size) override;
  Result<Bytes> GetSuffix(const std::string& name, std::uint64_t size) override;
  Result<ObjectStat> Stat(const std::string& name) override;
  Result<std::vector<ObjectStat>> List(const std::string& prefix, const std::string& after,
                                       std::size_t limit) override;
  Result<std::vector<std::string>> ListParts(const std::string& prefix) override;
  Status Remove(const std::string& name) override;
  Status CollectAbandoned(std::int64_t age_seconds) override;
  std::optional<std::uint64_t> FreeBytes() override;
  void ForgoConditions() override { inner_->ForgoConditions(); }
  Result<bool> KeepsWritersApart(const std::string& name) override {
    return pitr::KeepsWritersApart(inner_.get(), name);
  }
  bool Distrust(const std::string& name) override;
  std::string Describe() const override;

 private:
  friend class EncryptedWriter;

  // What the foot of an object says.
  struct Object {
    SecretKey key;
    std::uint64_t plain_size = 0;
  };

  Result<Bytes> MakeFoot(const std::string& name, const SecretKey& key,
                         std::uint64_t plain_size) const;
  Result<Object> OpenFoot(const std::string& name, ByteView foot) const;
  Result<Object> ReadFoot(const std::string& name);
  std::optional<Object> Remembered(const std::string& name) const;
  void Remember(const std::string& name, const Object& object);
  void Forget(const std::string& name);

  // [offset, offset + size) of an object, cut at its end.
  Result<Bytes> ReadRange(const std::string& name, const Object& object, std::uint64_t offset,
                          std::uint64_t size);
  Result<Bytes> ReadSuffix(const std::string& name, std::uint64_t size);

  const std::unique_ptr<ObjectStore> inner_;
  const SecretKey master_key_;
  std::array<std::uint8_t, encrypted::kMasterKeyIdSize> master_key_id_ = {};
  const std::string repository_id_;
  mutable std::mutex mutex_;  // of feet_
  // Names are used again at times, so what is remembered is tried and, when it does not open, read anew.
  std::map<std::string, Object> feet_;
};

}  // namespace pitr

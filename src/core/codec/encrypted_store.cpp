// Invariant: plain bytes leave this file only from a chunk whose tag agreed under a data key whose foot agreed.
#include "core/codec/encrypted_store.h"

#include <algorithm>
#include <cstring>

#include "core/base/hash.h"

namespace pitr {

namespace {

using encrypted::BodySize;
using encrypted::Damaged;
using encrypted::Foot;
using encrypted::kChunkSize;
using encrypted::kFootSize;
using encrypted::kStoredChunkSize;
using encrypted::StoredSize;

// Some 200 bytes each; packs are read one after the other, so a few would do.
constexpr std::size_t kMaxRemembered = 1024;

std::uint64_t AddUpTo(std::uint64_t a, std::uint64_t b) {
  return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

// Chunks as they are stored, among other bytes.
struct Sealed {
  Bytes bytes;
  std::size_t offset = 0, size = 0;  // of the chunks in them
  std::uint64_t first_chunk = 0;
};

// The plain bytes [begin, end) of the object. REQUIRES: the chunks cover them. Chunks are opened where they lie and moved together: a
// second buffer of a range's size costs more than the cipher.
Result<Bytes> OpenChunks(const std::string& name, const SecretKey& key, Sealed sealed,
                         std::uint64_t begin, std::uint64_t end) {
  PITR_ASSIGN_OR_RETURN(const auto cipher, AesGcm::Create(key, AesGcm::Use::kOpen));
  std::uint8_t* to = sealed.bytes.data();
  std::uint64_t number = sealed.first_chunk;
  for (std::size_t done = 0; done < sealed.size; number++) {
    std::uint8_t* const chunk = sealed.bytes.data() + sealed.offset + done;
    const std::size_t size = std::min(sealed.size - done, kStoredChunkSize);
    done += size;
    if (size <= kTagSize) {
      return Damaged(name, "it is cut off");
    }
    const std::uint64_t chunk_begin = number * kChunkSize;
    const std::uint64_t chunk_end = chunk_begin + size - kTagSize;
    PITR_ASSIGN_OR_RETURN(const bool is_right,
                          cipher->Open(CounterNonce(number), {}, {chunk, size}, chunk));
    if (!is_right) {
      return Damaged(
          name, "its bytes from " + std::to_string(chunk_begin) + " on are not what was written");
    }
    const std::uint64_t from = std::max(begin, chunk_begin), until = std::min(end, chunk_end);
    const auto wanted = static_cast<std::size_t>(until - from);
    std::memmove(to, chunk + static_cast<std::size_t>(from - chunk_begin), wanted);
    to += wanted;
  }
  sealed.bytes.resize(static_cast<std::size_t>(end - begin));
  return std::move(sealed.bytes);
}

}  // namespace

// Seals each full chunk as it comes; the last one, and the foot, at Commit.
class EncryptedWriter final : public ObjectWriter {
 public:
  EncryptedWriter(EncryptedStore* store, std::string name, const SecretKey& key,
                  std::unique_ptr<AesGcm> cipher, std::unique_ptr<ObjectWriter> inner)
      : store_(store),
        name_(std::move(name)),
        key_(key),
        cipher_(std::move(cipher)),
        inner_(std::move(inner)) {}

  Status Append(ByteView bytes) override {
    while (!bytes.empty()) {
      if (pending_.empty() && bytes.size() >= kChunkSize) {
        PITR_RETURN_IF_ERROR(WriteChunk(bytes.first(kChunkSize)));
        bytes = bytes.subspan(kChunkSize);
        continue;
      }
      const std::size_t take = std::min(bytes.size(), kChunkSize - pending_.size());
      pending_.insert(pending_.end(), bytes.begin(),
                      bytes.begin() + static_cast<std::ptrdiff_t>(take));
      bytes = bytes.subspan(take);
      if (pending_.size() == kChunkSize) {
        PITR_RETURN_IF_ERROR(WriteChunk(pending_));
        pending_.clear();
      }
    }
    return Status::Ok();
  }

  Status Commit() override {
    if (is_committed_) {
      return Status(Code::kInternal, "object \"" + name_ + "\" was committed before");
    }
    is_committed_ = true;
    if (!pending_.empty()) {
      PITR_RETURN_IF_ERROR(WriteChunk(pending_));
    }
    PITR_ASSIGN_OR_RETURN(const Bytes foot, store_->MakeFoot(name_, key_, plain_size_));
    PITR_RETURN_IF_ERROR(inner_->Append(foot));
    return inner_->Commit();
  }

 private:
  // A number is used up before its chunk is sealed: none is ever used twice, whatever fails.
  Status WriteChunk(ByteView plain) {
    sealed_.resize(plain.size() + kTagSize);
    PITR_RETURN_IF_ERROR(cipher_->Seal(CounterNonce(next_chunk_++), {}, plain, sealed_.data()));
    plain_size_ += plain.size();
    return inner_->Append(sealed_);
  }

  EncryptedStore* store_;
  const std::string name_;
  const SecretKey key_;
  const std::unique_ptr<AesGcm> cipher_;
  const std::unique_ptr<ObjectWriter> inner_;
  Bytes pending_, sealed_;
  std::uint64_t next_chunk_ = 0, plain_size_ = 0;
  bool is_committed_ = false;
};

EncryptedStore::EncryptedStore(std::unique_ptr<ObjectStore> inner, const SecretKey& master_key,
                               std::string repository_id)
    : inner_(std::move(inner)), master_key_(master_key), repository_id_(std::move(repository_id)) {
  const Result<Bytes> id = FromHex(master_key.Id());
  std::copy_n(id->begin(), master_key_id_.size(), master_key_id_.begin());
}

// -- feet ----------------------------------------------------------------------------------------

Result<Bytes> EncryptedStore::MakeFoot(const std::string& name, const SecretKey& key,
                                       std::uint64_t plain_size) const {
  Foot foot;
  foot.plain_size = plain_size;
  foot.master_key_id = master_key_id_;
  const Bytes context = encrypted::FootContext(foot, repository_id_, name);
  PITR_ASSIGN_OR_RETURN(foot.data_key, WrapKey(master_key_, context, key));
  return encrypted::EncodeFoot(foot);
}

Result<EncryptedStore::Object> EncryptedStore::OpenFoot(const std::string& name,
                                                        ByteView bytes) const {
  PITR_ASSIGN_OR_RETURN(const Foot foot, encrypted::DecodeFoot(bytes, name));
  if (foot.master_key_id != master_key_id_) {
    return Damaged(name, "it was encrypted for another repository, with master key " +
                             ToHex(foot.master_key_id) + " and not " + ToHex(master_key_id_));
  }
  const Bytes context = encrypted::FootContext(foot, repository_id_, name);
  PITR_ASSIGN_OR_RETURN(const std::optional<SecretKey> key,
                        UnwrapKey(master_key_, context, foot.data_key));
  if (!key) {
    return Damaged(name, "its end is not what was written under this name");
  }
  return Object{*key, foot.plain_size};
}

Result<EncryptedStore::Object> EncryptedStore::ReadFoot(const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const Bytes foot, inner_->GetSuffix(name, kFootSize));
  PITR_ASSIGN_OR_RETURN(Object object, OpenFoot(name, foot));
  Remember(name, object);
  return object;
}

std::optional<EncryptedStore::Object> EncryptedStore::Remembered(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = feet_.find(name);
  return found == feet_.end() ? std::nullopt : std::optional<Object>(found->second);
}

void EncryptedStore::Remember(const std::string& name, const Object& object) {
  const std::lock_guard lock(mutex_);
  if (feet_.size() >= kMaxRemembered) {
    feet_.clear();
  }
  feet_.insert_or_assign(name, object);
}

void EncryptedStore::Forget(const std::string& name) {
  const std::lock_guard lock(mutex_);
  feet_.erase(name);
}

// -- writing -------------------------------------------------------------------------------------

Result<std::unique_ptr<ObjectWriter>> EncryptedStore::Create(const std::string& name) {
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<ObjectWriter> inner, inner_->Create(name));
  PITR_ASSIGN_OR_RETURN(const SecretKey key, SecretKey::Random());
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<AesGcm> cipher, AesGcm::Create(key, AesGcm::Use::kSeal));
  return std::unique_ptr<ObjectWriter>(
      std::make_unique<EncryptedWriter>(this, name, key, std::move(cipher), std::move(inner)));
}

Status EncryptedStore::Put(const std::string& name, ByteView bytes) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer, Create(name));
  PITR_RETURN_IF_ERROR(writer->Append(bytes));
  return writer->Commit();
}

Status EncryptedStore::Remove(const std::string& name) {
  Forget(name);
  return inner_->Remove(name);
}

Status EncryptedStore::CollectAbandoned(std::int64_t age_seconds) {
  return inner_->CollectAbandoned(age_seconds);
}

// -- reading -------------------------------------------------------------------------------------

Result<Bytes> EncryptedStore::Get(const std::string& name, std::uint64_t max_size) {
  PITR_ASSIGN_OR_RETURN(Bytes stored, inner_->Get(name, StoredSize(max_size)));
  if (stored.size() < kFootSize) {
    return Damaged(name, "it is too short");
  }
  PITR_ASSIGN_OR_RETURN(const Object object, OpenFoot(name, ByteView(stored).last(kFootSize)));
  if (stored.size() != StoredSize(object.plain_size)) {
    return Damaged(name, "it has " + std::to_string(stored.size()) + " bytes, not " +
                             std::to_string(StoredSize(object.plain_size)));
  }
  if (object.plain_size > max_size) {
    return Status(Code::kLimit,
                  "object \"" + name + "\" is larger than " + std::to_string(max_size) + " bytes");
  }
  const std::size_t body_size = stored.size() - kFootSize;
  return OpenChunks(name, object.key, {std::move(stored), 0, body_size, 0}, 0, object.plain_size);
}

Result<Bytes> EncryptedStore::ReadRange(const std::string& name, const Object& object,
                                        std::uint64_t offset, std::uint64_t size) {
  if (offset >= object.plain_size || size == 0) {
    return Bytes();
  }
  const std::uint64_t end = offset + std::min(size, object.plain_size - offset);
  const std::uint64_t first = offset / kChunkSize, behind = (end - 1) / kChunkSize + 1;
  const std::uint64_t stored_begin = first * kStoredChunkSize;
  const std::uint64_t stored_end = std::min(behind * kStoredChunkSize, BodySize(object.plain_size));
  PITR_ASSIGN_OR_RETURN(Bytes stored,
                        inner_->GetRange(name, stored_begin, stored_end - stored_begin));
  const std::size_t stored_size = stored.size();
  if (stored_size != stored_end - stored_begin) {
    return Damaged(name, "it is cut off");
  }
  return OpenChunks(name, object.key, {std::move(stored), 0, stored_size, first}, offset, end);
}

Result<Bytes> EncryptedStore::GetRange(const std::string& name, std::uint64_t offset,
                                       std::uint64_t size) {
  // Where nothing would be read, the object itself is asked, which may be gone.
  const std::optional<Object> known = Remembered(name);
  if (known && offset < known->plain_size && size > 0) {
    Result<Bytes> bytes = ReadRange(name, *known, offset, size);
    if (bytes.status().code() != Code::kCorrupt) {
      return bytes;
    }
    Forget(name);
  }
  PITR_ASSIGN_OR_RETURN(const Object object, ReadFoot(name));
  return ReadRange(name, object, offset, size);
}

Result<Bytes> EncryptedStore::ReadSuffix(const std::string& name, std::uint64_t size) {
  // At most a chunk more than is wanted, their tags, and the foot: the chunks that hold the last `size` bytes are among it.
  const std::uint64_t tags = AddUpTo(size / kChunkSize, 2) * kTagSize;
  const std::uint64_t wanted = AddUpTo(AddUpTo(size, kChunkSize + kFootSize), tags);
  PITR_ASSIGN_OR_RETURN(Bytes stored, inner_->GetSuffix(name, wanted));
  if (stored.size() < kFootSize) {
    return Damaged(name, "it is too short");
  }
  PITR_ASSIGN_OR_RETURN(const Object object, OpenFoot(name, ByteView(stored).last(kFootSize)));
  Remember(name, object);
  const std::uint64_t offset = object.plain_size - std::min(size, object.plain_size);
  if (offset == object.plain_size) {
    return Bytes();
  }
  const std::uint64_t first = offset / kChunkSize;
  const std::uint64_t needed = BodySize(object.plain_size) - first * kStoredChunkSize;
  const std::size_t body_size = stored.size() - kFootSize;
  if (body_size < needed) {
    return Damaged(name, "it is cut off");
  }
  const auto size_there = static_cast<std::size_t>(needed);
  return OpenChunks(name, object.key,
                    {std::move(stored), body_size - size_there, size_there, first}, offset,
                    object.plain_size);
}

Result<Bytes> EncryptedStore::GetSuffix(const std::string& name, std::uint64_t size) {
  const std::optional<Object> known = Remembered(name);
  if (known && known->plain_size > 0 && size > 0) {
    const std::uint64_t offset = known->plain_size - std::min(size, known->plain_size);
    Result<Bytes> bytes = ReadRange(name, *known, offset, size);
    if (bytes.status().code() != Code::kCorrupt) {
      return bytes;
    }
    Forget(name);
  }
  return ReadSuffix(name, size);
}

Result<ObjectStat> EncryptedStore::Stat(const std::string& name) {
  PITR_ASSIGN_OR_RETURN(ObjectStat found, inner_->Stat(name));
  found.size = encrypted::PlainSize(found.size);
  return found;
}

Result<std::vector<ObjectStat>> EncryptedStore::List(const std::string& prefix,
                                                     const std::string& after, std::size_t limit) {
  PITR_ASSIGN_OR_RETURN(std::vector<ObjectStat> found, inner_->List(prefix, after, limit));
  for (ObjectStat& object : found) {
    object.size = encrypted::PlainSize(object.size);
  }
  return found;
}

Result<std::vector<std::string>> EncryptedStore::ListParts(const std::string& prefix) {
  return inner_->ListParts(prefix);
}

std::optional<std::uint64_t> EncryptedStore::FreeBytes() { return inner_->FreeBytes(); }

bool EncryptedStore::Distrust(const std::string& name) {
  Forget(name);
  return pitr::Distrust(inner_.get(), name);
}

std::string EncryptedStore::Describe() const { return inner_->Describe(); }

}  // namespace pitr

// Opening and making a repository. repository.json is plain JSON, so that a person can tell what the folder
// is; it is written first and never changes.
#include "core/repo/repository.h"

#include <algorithm>

#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/codec/encrypted_store.h"
#include "core/repo/conditions.h"
#include "core/repo/layout.h"
#include "core/repo/replica_set.h"

namespace pitr {

namespace {

constexpr std::string_view kFormatName = "pitr_ext repository";
constexpr std::string_view kNoCipher = "none";
constexpr std::string_view kAes256Gcm = "aes-256-gcm";
constexpr std::uint64_t kMaxDescription = 64U << 10;

struct Description {
  std::string id;
  bool is_encrypted = false;
  bool conditional_writes = true;
};

Result<Description> ReadDescription(ObjectStore* store) {
  const std::string where = " in \"" + store->Describe() + "\"";
  PITR_ASSIGN_OR_RETURN(const Bytes bytes,
                        store->Get(std::string(layout::kRepositoryObject), kMaxDescription));
  PITR_ASSIGN_OR_RETURN(const Json json,
                        ParseJson(AsText(bytes), std::string(layout::kRepositoryObject) + where));
  Result<std::string> format = JsonText(json, "format");
  Result<std::uint64_t> version = JsonUint(json, "version");
  if (!format.ok() || *format != kFormatName || !version.ok()) {
    return Status(Code::kForeign, std::string(layout::kRepositoryObject) + where +
                                      " does not describe a repository of pitr_ext");
  }
  if (*version != Repository::kFormatVersion) {
    return Status(Code::kForeign, "repository" + where + " has format version " +
                                      std::to_string(*version) +
                                      ", this version of pitr_ext reads " +
                                      std::to_string(Repository::kFormatVersion))
        .WithHint("Use a version of pitr_ext that knows this format.");
  }
  PITR_ASSIGN_OR_RETURN(const std::string cipher, JsonText(json, "cipher"));
  if (cipher != kNoCipher && cipher != kAes256Gcm) {
    return Status(Code::kForeign, "repository" + where + " is encrypted with \"" + cipher +
                                      "\", which this version of pitr_ext cannot read");
  }
  PITR_ASSIGN_OR_RETURN(const std::string id, JsonText(json, "id"));
  const bool conditional_writes =
      !json.contains("conditional_writes") || json["conditional_writes"] != Json(false);
  return Description{id, cipher != kNoCipher, conditional_writes};
}

// What pitr_check and the probes below write, when they are killed, is nothing of anybody's.
Result<std::vector<std::string>> PartsOf(ObjectStore* store) {
  PITR_ASSIGN_OR_RETURN(std::vector<std::string> parts, store->ListParts(""));
  std::erase(parts, layout::kProbeFolder);
  return parts;
}

// Makes repository.json. Another process that does so at the same time is as good as we are.
Status WriteDescription(ObjectStore* store, bool is_encrypted) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> parts, PartsOf(store));
  // It was not there a moment ago: somebody else has made it since, and perhaps more.
  if (std::find(parts.begin(), parts.end(), layout::kRepositoryObject) != parts.end()) {
    return Status::Ok();
  }
  if (!parts.empty()) {
    return Status(Code::kForeign,
                  "\"" + store->Describe() + "\" is not empty and no repository of pitr_ext")
        .WithDetail("It holds \"" + parts.front() + "\".")
        .WithHint("Name an empty folder.");
  }
  PITR_ASSIGN_OR_RETURN(const bool takes_names_once, TakesNamesOnce(store));
  if (!takes_names_once) {
    store->ForgoConditions();
  }
  PITR_ASSIGN_OR_RETURN(const Bytes id, RandomBytes(16));
  Json json;
  json["format"] = kFormatName;
  json["version"] = Repository::kFormatVersion;
  json["id"] = ToHex(id);
  json["cipher"] = is_encrypted ? kAes256Gcm : kNoCipher;
  json["created_at"] = FormatTime(SystemClock().Now(), 0);
  if (!takes_names_once) {
    json["conditional_writes"] = false;
  }
  const std::string text = DumpJson(json, 2) + "\n";
  const Status status = store->Put(std::string(layout::kRepositoryObject), AsBytes(text));
  return status.code() == Code::kAlreadyExists ? Status::Ok() : status;
}

// Nothing but repository.json: whoever made it has not written its keys yet, and nothing that would need them.
Result<bool> IsBeingMade(ObjectStore* store) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> parts, PartsOf(store));
  return parts.size() == 1 && parts.front() == layout::kRepositoryObject;
}

// The master key; made together with the repository, and never later: a lost one must not look like one that was not made yet.
Result<OpenedMasterKey> OpenOrCreateMasterKey(ObjectStore* store, const std::string& id,
                                              bool create, const KeyRing& keys) {
  for (bool is_second = false;; is_second = true) {
    Result<OpenedMasterKey> opened = OpenMasterKey(store, id, keys);
    if (opened.ok() || opened.status().code() != Code::kNotFound) {
      return opened;
    }
    PITR_ASSIGN_OR_RETURN(const bool is_being_made, IsBeingMade(store));
    if (is_being_made && !create) {
      return Status(Code::kNotReady,
                    "the repository in \"" + store->Describe() + "\" is just being made");
    }
    if (is_being_made) {
      const Status created = CreateMasterKey(store, id, keys);
      if (!created.ok() && created.code() != Code::kAlreadyExists) {
        return created;
      }
    } else if (is_second) {  // they may have come between the first look and the listing
      return Status(Code::kCorrupt,
                    "the keys of the repository in \"" + store->Describe() + "\" are gone")
          .WithHint(
              "Bring the folder \"keys\" back from a copy: without it nothing in the "
              "repository can be read.");
    }
  }
}

Status NoKey(ObjectStore* store) {
  return Status(Code::kKeyMissing, "encryption key missing: the repository in \"" +
                                       store->Describe() + "\" is encrypted")
      .WithDetail("It needs key " + NeededKeyId(store) + ".")
      .WithHint(
          "Set pitr.encryption_key_file or pitr.encryption_key_command; for the program "
          "pitr, --encryption-key-file.");
}

// Not taken as it is: whoever names a key wants nothing written plainly, and the file that says so might have been replaced.
Status NotEncrypted(ObjectStore* store, const KeyRing& keys) {
  return Status(Code::kKeyMissing, "the repository in \"" + store->Describe() +
                                       "\" is not encrypted, but an encryption key is configured")
      .WithDetail("Configured is key " + keys.Ids() + ".")
      .WithHint(
          "Encryption begins with a new, empty repository; for this one reset "
          "pitr.encryption_key_file and pitr.encryption_key_command.");
}

}  // namespace

Status Repository::Unlock(bool create, const KeyRing& keys) {
  if (keys.empty()) {
    return NoKey(store_.get());
  }
  PITR_ASSIGN_OR_RETURN(const OpenedMasterKey opened,
                        OpenOrCreateMasterKey(store_.get(), id_, create, keys));
  key_id_ = opened.wrapped_by;
  auto encrypted = std::make_unique<EncryptedStore>(std::move(store_), opened.key, id_);
  encrypted_ = encrypted.get();
  store_ = std::move(encrypted);
  return Status::Ok();
}

Result<std::unique_ptr<Repository>> Repository::Open(std::unique_ptr<ObjectStore> store,
                                                     bool create, const KeyRing& keys) {
  Result<Description> found = ReadDescription(store.get());
  if (!found.ok() && found.status().code() == Code::kNotFound) {
    if (!create && store->Stat(std::string(layout::kFillingObject)).ok()) {
      return Status(Code::kNotReady,
                    "the repository in \"" + store->Describe() + "\" is not filled yet")
          .WithHint("Use the one that it is being filled from.");
    }
    if (!create) {
      return Status(Code::kNotReady, "there is no repository in \"" + store->Describe() + "\"")
          .WithHint("If it lies on a mounted disk, check that the disk is mounted.");
    }
    PITR_RETURN_IF_ERROR(WriteDescription(store.get(), !keys.empty()));
    found = ReadDescription(store.get());
  }
  if (!found.ok()) {
    return std::move(found).status();
  }
  if (!found->is_encrypted && !keys.empty()) {
    return NotEncrypted(store.get(), keys);
  }
  if (!found->conditional_writes) {
    store->ForgoConditions();
  }
  std::unique_ptr<Repository> repository(
      new Repository(std::move(store), found->id, found->conditional_writes));
  if (found->is_encrypted) {
    PITR_RETURN_IF_ERROR(repository->Unlock(create, keys));
  }
  return repository;
}

Result<std::unique_ptr<Repository>> Repository::OpenAddress(const RepositoryAccess& access,
                                                            bool create) {
  PITR_ASSIGN_OR_RETURN(const KeyRing keys, LoadKeys(access.keys));
  PITR_ASSIGN_OR_RETURN(const std::vector<StoreAddress> entries,
                        ParseStoreAddresses(access.address));
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<ObjectStore> store, entries.size() == 1
                                                                ? OpenStore(entries.front().address)
                                                                : OpenReplicas(entries, create));
  return Open(std::move(store), create, keys);
}

Result<Rewrapped> Repository::Rewrap(const KeyRing& keys) {
  if (!is_encrypted()) {
    return Status(Code::kNotReady, "the repository in \"" + Describe() + "\" is not encrypted")
        .WithHint("Encryption begins with a new, empty repository.");
  }
  if (keys.empty()) {
    return NoKey(encrypted_->inner());
  }
  PITR_ASSIGN_OR_RETURN(const Rewrapped rewrapped, RewrapMasterKey(encrypted_->inner(), id_, keys));
  key_id_ = rewrapped.key_id;
  return rewrapped;
}

std::uint64_t Repository::NewestSeen(std::string_view kind) const {
  const std::lock_guard lock(mutex_);
  const auto seen = newest_.find(kind);
  return seen == newest_.end() ? 0 : seen->second;
}

void Repository::SetNewestSeen(std::string_view kind, std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  std::uint64_t& seen = newest_.try_emplace(std::string(kind), 0).first->second;
  seen = number > seen ? number : seen;
}

}  // namespace pitr

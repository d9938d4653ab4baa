// A key object is an envelope around a short JSON text, not compressed, so that a person can read which key it asks for, and its
// checksum tells damage from another key.
#include "core/repo/master_key.h"

#include <algorithm>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/codec/envelope.h"
#include "core/repo/layout.h"

namespace pitr {

namespace {

constexpr std::uint64_t kVersion = 1;
constexpr std::string_view kCipher = "aes-256-gcm";
constexpr std::uint64_t kMaxKeyObject = 64U << 10;
// Each lost race means that another change of keys got through.
constexpr int kAttempts = 20;

struct KeyObject {
  std::string repository_id, wrapped_by, master_key_id;
  WrappedKey wrapped;
};

// What the wrapped key is bound to.
Bytes ContextOf(const KeyObject& object) {
  Bytes out;
  ByteWriter writer(&out);
  writer.Text("pitr_ext master key");
  writer.Text(object.repository_id);
  writer.Text(object.wrapped_by);
  writer.Text(object.master_key_id);
  return out;
}

Status Damaged(const std::string& name, const std::string& why) {
  return Status(Code::kCorrupt, "object \"" + name + "\" is damaged: " + why)
      .WithHint(
          "Bring the object back from a copy: without it nothing in the repository can be "
          "read.");
}

template <std::size_t kSize>
Status ParseHex(const Json& json, std::string_view member, std::array<std::uint8_t, kSize>* out) {
  PITR_ASSIGN_OR_RETURN(const std::string text, JsonText(json, member));
  PITR_ASSIGN_OR_RETURN(const Bytes bytes, FromHex(text));
  if (bytes.size() != kSize) {
    return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" has another size");
  }
  std::copy(bytes.begin(), bytes.end(), out->begin());
  return Status::Ok();
}

Result<KeyObject> ParseKeyObject(const Json& json) {
  KeyObject object;
  PITR_ASSIGN_OR_RETURN(const std::uint64_t version, JsonUint(json, "version"));
  PITR_ASSIGN_OR_RETURN(const std::string cipher, JsonText(json, "cipher"));
  if (version != kVersion || cipher != kCipher) {
    return Status(Code::kUnsupported, "the keys of the repository are in another format");
  }
  PITR_ASSIGN_OR_RETURN(object.repository_id, JsonText(json, "repository"));
  PITR_ASSIGN_OR_RETURN(object.wrapped_by, JsonText(json, "wrapped_by"));
  PITR_ASSIGN_OR_RETURN(object.master_key_id, JsonText(json, "master_key_id"));
  PITR_RETURN_IF_ERROR(ParseHex(json, "nonce", &object.wrapped.nonce));
  PITR_RETURN_IF_ERROR(ParseHex(json, "wrapped_key", &object.wrapped.sealed));
  return object;
}

// kNotFound when it was removed.
Result<KeyObject> ReadKeyObject(ObjectStore* store, std::uint64_t number) {
  const std::string name = layout::KeyObject(number);
  PITR_ASSIGN_OR_RETURN(const Bytes text,
                        ReadEnvelope(store, name, ObjectKind::kText, kMaxKeyObject));
  const Result<Json> json = ParseJson(AsText(text), name);
  if (!json.ok()) {
    return json.status();
  }
  Result<KeyObject> object = ParseKeyObject(*json);
  if (object.ok() || object.status().code() == Code::kUnsupported) {
    return object;
  }
  return Damaged(name, object.status().message());
}

// DURABLE. kAlreadyExists.
Status WriteKeyObject(ObjectStore* store, std::uint64_t number, const std::string& repository_id,
                      const SecretKey& with, const SecretKey& master_key) {
  KeyObject object = {repository_id, with.Id(), master_key.Id(), {}};
  PITR_ASSIGN_OR_RETURN(object.wrapped, WrapKey(with, ContextOf(object), master_key));
  Json json;
  json["version"] = kVersion;
  json["repository"] = repository_id;
  json["cipher"] = kCipher;
  json["wrapped_by"] = object.wrapped_by;
  json["master_key_id"] = object.master_key_id;
  json["nonce"] = ToHex(object.wrapped.nonce);
  json["wrapped_key"] = ToHex(object.wrapped.sealed);
  json["created_at"] = FormatTime(SystemClock().Now(), 0);
  return WriteEnvelope(store, layout::KeyObject(number), ObjectKind::kText, 0,
                       AsBytes(DumpJson(json, 2) + "\n"));
}

// Ascending.
Result<std::vector<std::uint64_t>> KeyNumbers(ObjectStore* store) {
  PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> found, store->List(layout::KeysPrefix()));
  std::vector<std::uint64_t> numbers;
  for (const ObjectStat& object : found) {
    if (const auto number = layout::ParseKeyObject(object.name)) {
      numbers.push_back(*number);
    }
  }
  return numbers;
}

Result<OpenedMasterKey> OpenOne(const KeyObject& object, std::uint64_t number,
                                const std::string& repository_id, const SecretKey& with) {
  const std::string name = layout::KeyObject(number);
  if (object.repository_id != repository_id) {
    return Damaged(
        name, "it belongs to repository " + object.repository_id + ", not to " + repository_id);
  }
  PITR_ASSIGN_OR_RETURN(const std::optional<SecretKey> key,
                        UnwrapKey(with, ContextOf(object), object.wrapped));
  if (!key || key->Id() != object.master_key_id) {
    return Damaged(name, "what it holds is not what was wrapped by key " + object.wrapped_by);
  }
  return OpenedMasterKey{*key, object.wrapped_by, number};
}

Status WrongKey(const std::string& where, const std::string& needed, const KeyRing& keys) {
  return Status(Code::kKeyMissing, "encryption key of the repository in \"" + where + "\" is wrong")
      .WithDetail("The repository needs key " + needed + ", configured is " + keys.Ids() + ".")
      .WithHint(
          "Key ids are no keys; name the file or command that gives the key with the needed "
          "id.");
}

// One look at what is there. `is_stale`: an object was removed since it was listed.
Result<OpenedMasterKey> TryOpen(ObjectStore* store, const std::string& repository_id,
                                const KeyRing& keys, bool* is_stale) {
  PITR_ASSIGN_OR_RETURN(std::vector<std::uint64_t> numbers, KeyNumbers(store));
  if (numbers.empty()) {
    return Status(Code::kNotFound, "the repository in \"" + store->Describe() + "\" has no keys");
  }
  std::reverse(numbers.begin(), numbers.end());
  std::string needed;
  Status problem;
  for (const std::uint64_t number : numbers) {
    const Result<KeyObject> object = ReadKeyObject(store, number);
    *is_stale = *is_stale || object.status().code() == Code::kNotFound;
    if (!object.ok()) {
      problem = problem.ok() ? object.status() : problem;
      continue;
    }
    const SecretKey* with = keys.Find(object->wrapped_by);
    if (with == nullptr) {
      needed = needed.empty() ? object->wrapped_by : needed;
      continue;
    }
    Result<OpenedMasterKey> opened = OpenOne(*object, number, repository_id, *with);
    if (opened.ok() || opened.status().code() != Code::kCorrupt) {
      return opened;
    }
    problem = problem.ok() ? opened.status() : problem;
  }
  return problem.ok() ? WrongKey(store->Describe(), needed, keys) : problem;
}

}  // namespace

Result<OpenedMasterKey> OpenMasterKey(ObjectStore* store, const std::string& repository_id,
                                      const KeyRing& keys) {
  for (int attempt = 1;; attempt++) {
    bool is_stale = false;
    Result<OpenedMasterKey> opened = TryOpen(store, repository_id, keys, &is_stale);
    if (opened.ok() || !is_stale) {
      return opened;
    }
    if (attempt == kAttempts) {
      return Status(Code::kInUse, "the keys of the repository are being changed all the time");
    }
  }
}

Status CreateMasterKey(ObjectStore* store, const std::string& repository_id, const KeyRing& keys) {
  PITR_ASSIGN_OR_RETURN(const SecretKey key, SecretKey::Random());
  return WriteKeyObject(store, 1, repository_id, keys.current(), key);
}

namespace {

// Puts the next number, and looks whether it opens before anything else is given up.
Status WriteRewrapped(ObjectStore* store, const std::string& repository_id, const KeyRing& keys,
                      const OpenedMasterKey& opened, std::uint64_t number) {
  PITR_FAULT("rewrap.before_write");
  PITR_RETURN_IF_ERROR(WriteKeyObject(store, number, repository_id, keys.current(), opened.key));
  PITR_FAULT("rewrap.after_write");
  PITR_ASSIGN_OR_RETURN(const KeyObject written, ReadKeyObject(store, number));
  PITR_ASSIGN_OR_RETURN(const OpenedMasterKey again,
                        OpenOne(written, number, repository_id, keys.current()));
  return again.key.bytes() == opened.key.bytes()
             ? Status::Ok()
             : Damaged(layout::KeyObject(number), "it came back with another key");
}

// The newest key object counts. One above what we opened is of somebody who changes the keys at this moment, and then we look
// again; or asks for a key that we do not have, and then it is not ours to take back; or is damaged, and then we go above it.
Result<bool> IsOvertaken(ObjectStore* store, const KeyRing& keys, std::uint64_t opened,
                         std::uint64_t newest) {
  if (newest == opened) {
    return false;
  }
  const Result<KeyObject> object = ReadKeyObject(store, newest);
  if (object.ok() && keys.Find(object->wrapped_by) == nullptr) {
    return WrongKey(store->Describe(), object->wrapped_by, keys);
  }
  return object.ok() || object.status().code() != Code::kCorrupt;
}

Status RemoveBefore(ObjectStore* store, const std::vector<std::uint64_t>& numbers,
                    std::uint64_t kept) {
  for (const std::uint64_t number : numbers) {
    if (number < kept) {
      PITR_FAULT("rewrap.before_remove");
      PITR_RETURN_IF_ERROR(store->Remove(layout::KeyObject(number)));
    }
  }
  return Status::Ok();
}

}  // namespace

Result<Rewrapped> RewrapMasterKey(ObjectStore* store, const std::string& repository_id,
                                  const KeyRing& keys) {
  Rewrapped result;
  result.key_id = keys.current().Id();
  for (int attempt = 1; attempt <= kAttempts; attempt++) {
    PITR_ASSIGN_OR_RETURN(const OpenedMasterKey opened, OpenMasterKey(store, repository_id, keys));
    PITR_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, KeyNumbers(store));
    if (numbers.empty() || numbers.back() < opened.number) {
      continue;
    }
    PITR_ASSIGN_OR_RETURN(const bool is_overtaken,
                          IsOvertaken(store, keys, opened.number, numbers.back()));
    if (is_overtaken) {
      continue;
    }
    std::uint64_t kept = opened.number;
    if (opened.wrapped_by != result.key_id) {
      kept = numbers.back() + 1;
      const Status written = WriteRewrapped(store, repository_id, keys, opened, kept);
      if (written.code() == Code::kAlreadyExists || written.code() == Code::kNotFound) {
        continue;
      }
      PITR_RETURN_IF_ERROR(written);
      result.objects++;
    }
    PITR_RETURN_IF_ERROR(RemoveBefore(store, numbers, kept));
    return result;
  }
  return Status(Code::kInUse, "the keys of the repository are being changed all the time");
}

std::string NeededKeyId(ObjectStore* store) {
  const Result<std::vector<std::uint64_t>> numbers = KeyNumbers(store);
  if (!numbers.ok() || numbers->empty()) {
    return "unknown";
  }
  const Result<KeyObject> object = ReadKeyObject(store, numbers->back());
  return object.ok() ? object->wrapped_by : "unknown";
}

}  // namespace pitr

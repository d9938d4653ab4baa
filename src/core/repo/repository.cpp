// Opening and making a repository. repository.json is plain JSON, so that a person can tell what the folder
// is; it is written first and never changes.
#include "core/repo/repository.h"

#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/repo/layout.h"

namespace pitr {

namespace {

constexpr std::string_view kFormatName = "pitr_ext repository";
constexpr std::string_view kNoCipher = "none";
constexpr std::uint64_t kMaxDescription = 64U << 10;

// The id in repository.json.
Result<std::string> ReadDescription(ObjectStore* store) {
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
  if (cipher != kNoCipher) {
    return Status(Code::kForeign, "repository" + where + " is encrypted with \"" + cipher +
                                      "\", which this version of pitr_ext cannot read");
  }
  return JsonText(json, "id");
}

// Makes repository.json. Another process that does so at the same time is as good as we are.
Status WriteDescription(ObjectStore* store) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> parts, store->ListParts(""));
  for (const std::string& part : parts) {
    if (part != layout::kRepositoryObject) {
      return Status(Code::kForeign,
                    "\"" + store->Describe() + "\" is not empty and no repository of pitr_ext")
          .WithDetail("It holds \"" + part + "\".")
          .WithHint("Name an empty folder.");
    }
  }
  PITR_ASSIGN_OR_RETURN(const Bytes id, RandomBytes(16));
  Json json;
  json["format"] = kFormatName;
  json["version"] = Repository::kFormatVersion;
  json["id"] = ToHex(id);
  json["cipher"] = kNoCipher;
  json["created_at"] = FormatTime(SystemClock().Now(), 0);
  Status status =
      store->Put(std::string(layout::kRepositoryObject), AsBytes(DumpJson(json, 2) + "\n"));
  return status.code() == Code::kAlreadyExists ? Status::Ok() : status;
}

}  // namespace

Result<std::unique_ptr<Repository>> Repository::Open(std::unique_ptr<ObjectStore> store,
                                                     bool create) {
  Result<std::string> id = ReadDescription(store.get());
  if (!id.ok() && id.status().code() == Code::kNotFound) {
    if (!create) {
      return Status(Code::kNotReady, "there is no repository in \"" + store->Describe() + "\"")
          .WithHint("If it lies on a mounted disk, check that the disk is mounted.");
    }
    PITR_RETURN_IF_ERROR(WriteDescription(store.get()));
    id = ReadDescription(store.get());
  }
  if (!id.ok()) {
    return std::move(id).status();
  }
  return std::unique_ptr<Repository>(new Repository(std::move(store), *std::move(id)));
}

Result<std::unique_ptr<Repository>> Repository::OpenAddress(const std::string& address,
                                                            bool create) {
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<ObjectStore> store, OpenStore(address));
  return Open(std::move(store), create);
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

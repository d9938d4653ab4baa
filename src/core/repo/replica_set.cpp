#include "core/repo/replica_set.h"

#include <algorithm>
#include <mutex>

#include "core/base/json.h"
#include "core/repo/layout.h"
#include "core/store/open_mirror.h"

namespace pitr {

namespace {

constexpr std::uint64_t kMaxText = 64U << 10;

// The id that an object of JSON gives; nothing when it is not there.
Result<std::optional<std::string>> IdIn(ObjectStore* store, std::string_view object,
                                        std::string_view format) {
  const Result<Bytes> bytes = store->Get(std::string(object), kMaxText);
  if (!bytes.ok() && bytes.status().code() == Code::kNotFound) {
    return std::optional<std::string>();
  }
  PITR_RETURN_IF_ERROR(bytes.status());
  const std::string what = std::string(object) + " in \"" + store->Describe() + "\"";
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(AsText(*bytes), what));
  const Result<std::string> said = JsonText(json, "format");
  const Result<std::string> id = JsonText(json, "id");
  if (!said.ok() || *said != format || !id.ok()) {
    return Status(Code::kForeign, what + " is not of pitr_ext");
  }
  return std::optional<std::string>(*id);
}

// What is known of the entries together; lives as long as the store.
struct Family {
  std::mutex mutex;
  std::string id, label;  // of the first that was seen
  bool is_being_made = false;
};

Status DifferentIds(const Family& family, const std::string& id, const std::string& label) {
  return Status(Code::kForeign, "\"" + family.label + "\" and \"" + label +
                                    "\" are two repositories, not replicas of one")
      .WithDetail("\"" + family.label + "\" is repository " + family.id + ", \"" + label +
                  "\" is repository " + id + ".")
      .WithHint("Name an empty place for the second one; it is filled from the first.");
}

Status Vanished(const std::string& label) {
  return Status(Code::kIo, "\"" + label + "\" is empty, but was a repository before")
      .WithHint(
          "If it lies on a mounted disk, check that the disk is mounted. To have it filled anew, "
          "take "
          "it out of pitr.repository, reload, and put it back.");
}

Result<bool> TakesPart(Family* family, MemberLedger* ledger, ObjectStore* store,
                       const StoreAddress& address) {
  PITR_ASSIGN_OR_RETURN(const ReplicaLook look, LookAtReplica(store));
  const std::lock_guard lock(family->mutex);
  if (look.kind == ReplicaKind::kEmpty) {
    return ledger->WasMember(address.place) ? Result<bool>(Vanished(address.label))
                                            : Result<bool>(family->is_being_made);
  }
  if (family->id.empty()) {
    family->id = look.id;
    family->label = address.label;
  }
  if (family->id != look.id) {
    return DifferentIds(*family, look.id, address.label);
  }
  return look.kind == ReplicaKind::kRepository;
}

// Whether some entry is a repository, or all required ones are empty and one may be made.
Status CheckTogether(const MirroredStore& store, bool create, Family* family) {
  Status trouble;
  bool is_required_away = false, has_repository = false;
  for (const std::unique_ptr<MirrorMember>& member : store.members()) {
    if (!member->is_required() && member->IsResting()) {
      continue;
    }
    const Result<std::shared_ptr<ObjectStore>> opened = member->Acquire();
    if (opened.ok()) {
      has_repository = has_repository || *opened != nullptr;
      continue;
    }
    const Code code = opened.status().code();
    if (code == Code::kForeign || code == Code::kCancelled) {
      return opened.status();
    }
    trouble = trouble.ok() || member->is_required() ? opened.status() : trouble;
    is_required_away = is_required_away || member->is_required();
  }
  if (has_repository) {
    return Status::Ok();
  }
  if (is_required_away || (!trouble.ok() && !create)) {
    return trouble;
  }
  if (!family->id.empty()) {
    return Status(Code::kNotReady, "no repository of \"" + store.Describe() + "\" is filled yet")
        .WithHint("Name the one that it is filled from as well.");
  }
  if (!create) {
    return Status(Code::kNotReady, "there is no repository in \"" + store.Describe() + "\"")
        .WithHint("If they lie on mounted disks, check that these are mounted.");
  }
  family->is_being_made = true;
  for (const std::unique_ptr<MirrorMember>& member : store.members()) {
    member->LookAgain();
  }
  return Status::Ok();
}

}  // namespace

Result<ReplicaLook> LookAtReplica(ObjectStore* store) {
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> id,
                        IdIn(store, layout::kRepositoryObject, "pitr_ext repository"));
  if (id) {
    return ReplicaLook{ReplicaKind::kRepository, *id};
  }
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> filling,
                        IdIn(store, layout::kFillingObject, layout::kFillingFormat));
  if (filling) {
    return ReplicaLook{ReplicaKind::kFilling, *filling};
  }
  PITR_ASSIGN_OR_RETURN(std::vector<std::string> parts, store->ListParts(""));
  // Whoever makes it tries first what the store can do.
  std::erase(parts, layout::kProbeFolder);
  if (parts.empty()) {
    return ReplicaLook{};
  }
  if (std::find(parts.begin(), parts.end(), layout::kRepositoryObject) != parts.end()) {
    return LookAtReplica(store);  // it was made a moment ago
  }
  return Status(Code::kForeign,
                "\"" + store->Describe() + "\" is not empty and no repository of pitr_ext")
      .WithDetail("It holds \"" + parts.front() + "\".")
      .WithHint("Name an empty folder.");
}

bool MayBeReplaced(const std::string& object_name) {
  return layout::IsProbeObject(object_name) || layout::IsTailObject(object_name) ||
         layout::ParseLeaseObject(object_name).has_value();
}

Result<std::unique_ptr<ObjectStore>> OpenReplicas(const std::vector<StoreAddress>& entries,
                                                  bool create, MemberLedger* ledger) {
  const auto family = std::make_shared<Family>();
  const auto look = [family, ledger](ObjectStore* store, const StoreAddress& address) {
    return TakesPart(family.get(), ledger, store, address);
  };
  std::unique_ptr<MirroredStore> store = OpenMirror(entries, look, {MayBeReplaced}, ledger);
  PITR_RETURN_IF_ERROR(CheckTogether(*store, create, family.get()));
  return std::unique_ptr<ObjectStore>(std::move(store));
}

}  // namespace pitr

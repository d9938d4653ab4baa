// A deleter marks, looks whether its mark stands, removes the manifest; who pins takes a mark back, waits a moment, and looks whether the
// manifest is there. Only a deleter that stands still between its look and its removal for longer than that gets past a pin.
#include "core/repo/pins.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/base/process.h"
#include "core/repo/catalogue.h"
#include "core/repo/layout.h"

namespace pitr {

namespace {

constexpr std::string_view kDocument = "snapshots";
constexpr std::chrono::seconds kDeleterPause(2);
// A replica that was away for longer brings a deleted snapshot back, and it goes once more.
constexpr std::int64_t kRememberDeletedMicros = 7LL * 86400 * 1000000;

Result<Pin> Decode(const SnapshotId& snapshot, const BranchId& branch, const Json& json) {
  Pin pin;
  pin.snapshot = snapshot;
  pin.branch = branch;
  PITR_ASSIGN_OR_RETURN(pin.host, JsonText(json, "host"));
  PITR_ASSIGN_OR_RETURN(pin.directory, JsonText(json, "directory"));
  PITR_ASSIGN_OR_RETURN(pin.renewed_at.micros, JsonInt(json, "renewed_at"));
  PITR_ASSIGN_OR_RETURN(pin.expires_at.micros, JsonInt(json, "expires_at"));
  pin.of_look = json.value("look", false);
  return pin;
}

Json Encode(const Pin& pin) {
  Json json;
  json["host"] = pin.host;
  json["directory"] = pin.directory;
  json["renewed_at"] = pin.renewed_at.micros;
  json["expires_at"] = pin.expires_at.micros;
  if (pin.of_look) json["look"] = true;
  return json;
}

void DropPins(Json* document, const BranchId& branch) {
  for (auto& [id, entry] : document->items()) {
    if (!entry.is_object() || JsonObject(entry, "pins") == nullptr) continue;
    entry["pins"].erase(branch);
    if (entry["pins"].empty()) entry.erase("pins");
  }
}

bool IsKept(const Json& document, const SnapshotId& id) {
  const Json* entry = JsonObject(document, id);
  return entry != nullptr && entry->contains("kept") && (*entry)["kept"] == true;
}

bool IsMarked(const Json& document, const SnapshotId& id) {
  const Json* entry = JsonObject(document, id);
  return entry != nullptr && entry->contains("deleted_at");
}

Status Pinned(const Pin& pin, const BranchSet& branches) {
  const Branch* branch = branches.FindId(pin.branch);
  const std::string name = branch == nullptr ? pin.branch : branch->name;
  return Status(Code::kInUse, "the directory of branch \"" + name +
                                  "\" is still being loaded from snapshot \"" + pin.snapshot + "\"")
      .WithDetail("It is \"" + pin.directory + "\" on host \"" + pin.host +
                  "\", which was there at " + FormatTime(pin.renewed_at, 0) +
                  ". It is waited for until " + FormatTime(pin.expires_at, 0) + ".")
      .WithHint("Let it complete, or delete that branch if it is not wanted any more.");
}

// nullopt: it may go.
Result<std::optional<Status>> WhyItStays(const Json& document, const BranchSet& branches,
                                         const SnapshotId& id, Timestamp now) {
  if (IsKept(document, id)) {
    return std::optional(
        Status(Code::kNotReady, "snapshot \"" + id + "\" is kept")
            .WithHint("Let go of it with pitr_keep_snapshot('" + id + "', false)."));
  }
  PITR_ASSIGN_OR_RETURN(const std::optional<Pin> pin, PinOf(document, branches, id, now));
  return pin ? std::optional(Pinned(*pin, branches)) : std::nullopt;
}

void ForgetOldDeletions(Json* document, Timestamp now) {
  std::vector<std::string> old;
  for (const auto& [id, entry] : document->items()) {
    const auto deleted = entry.is_object() ? JsonOptionalInt(entry, "deleted_at")
                                           : Result<std::optional<std::int64_t>>(std::nullopt);
    if (deleted.ok() && *deleted && **deleted < now.micros - kRememberDeletedMicros) {
      old.push_back(id);
    }
  }
  for (const std::string& id : old) {
    document->erase(id);
  }
}

}  // namespace

Pin NewPin(const SnapshotId& snapshot, const BranchId& branch, const std::string& directory,
           Timestamp now) {
  return {snapshot, branch, HostName(), directory, now, {now.micros + kPinMicros}};
}

Pin NewLookPin(const SnapshotId& snapshot, const BranchId& branch, const std::string& directory,
               Timestamp now) {
  return {snapshot, branch, HostName(), directory, now, {now.micros + kLookPinMicros}, true};
}

Result<std::vector<Pin>> PinsIn(const Json& document) {
  std::vector<Pin> pins;
  for (const auto& [id, entry] : document.items()) {
    const Json* list = entry.is_object() ? JsonObject(entry, "pins") : nullptr;
    if (list == nullptr) continue;
    for (const auto& [branch, json] : list->items()) {
      Result<Pin> pin = Decode(id, branch, json);
      if (!pin.ok()) {
        return std::move(pin).status().Prefix("pins of snapshot \"" + id + "\"");
      }
      pins.push_back(std::move(*pin));
    }
  }
  return pins;
}

Result<std::optional<Pin>> PinOf(const Json& document, const BranchSet& branches,
                                 const SnapshotId& snapshot, Timestamp now) {
  PITR_ASSIGN_OR_RETURN(const std::vector<Pin> pins, PinsIn(document));
  for (const Pin& pin : pins) {
    const Branch* branch = branches.FindId(pin.branch);
    const bool has_branch = branch != nullptr && !branch->deleted_at;
    const bool is_void = (!has_branch && !pin.of_look) || pin.expires_at < now;
    if (pin.snapshot == snapshot && !is_void) return std::optional(pin);
  }
  return std::optional<Pin>();
}

Status PinSnapshot(Repository* repo, const Pin& pin) {
  bool is_taken_back = false;
  PITR_RETURN_IF_ERROR(UpdateDocument(repo, kDocument, [&](Json* document) {
    DropPins(document, pin.branch);
    is_taken_back = IsMarked(*document, pin.snapshot);
    Json& entry = (*document)[pin.snapshot];
    if (!entry.is_object()) entry = Json::object();
    entry.erase("deleted_at");
    entry["pins"][pin.branch] = Encode(pin);
    return Status::Ok();
  }));
  PITR_FAULT("pin.put");
  if (is_taken_back) {
    std::this_thread::sleep_for(kDeleterPause);
  }
  Status there = repo->store()->Stat(layout::ManifestObject(pin.snapshot)).status();
  if (there.code() == Code::kNotFound) {
    PITR_RETURN_IF_ERROR(UnpinBranch(repo, pin.branch));
    return Status(Code::kNotFound, "snapshot \"" + pin.snapshot + "\" was deleted meanwhile")
        .WithHint("Begin again: another snapshot may reach the same point.");
  }
  return there;
}

Status UnpinBranch(Repository* repo, const BranchId& branch) {
  PITR_ASSIGN_OR_RETURN(const Json now, ReadDocument(repo, kDocument));
  PITR_ASSIGN_OR_RETURN(const std::vector<Pin> pins, PinsIn(now));
  const bool has_pin =
      std::any_of(pins.begin(), pins.end(), [&](const Pin& pin) { return pin.branch == branch; });
  if (!has_pin) return Status::Ok();
  return UpdateDocument(repo, kDocument, [&](Json* document) {
    DropPins(document, branch);
    return Status::Ok();
  });
}

Status CheckDeletable(Repository* repo, const SnapshotId& id, Timestamp now) {
  PITR_ASSIGN_OR_RETURN(const Json document, ReadDocument(repo, kDocument));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  PITR_ASSIGN_OR_RETURN(std::optional<Status> stays, WhyItStays(document, branches, id, now));
  return stays ? std::move(*stays) : Status::Ok();
}

Status MarkDeleted(Repository* repo, std::vector<SnapshotId>* gone, Timestamp now, Status* why) {
  const std::vector<SnapshotId> wanted = *gone;
  return UpdateDocument(repo, kDocument, [&](Json* document) -> Status {
    // Behind the document: a branch is in the catalogue before its pin is.
    PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
    gone->clear();
    for (const SnapshotId& id : wanted) {
      PITR_ASSIGN_OR_RETURN(std::optional<Status> stays, WhyItStays(*document, branches, id, now));
      if (!stays) {
        gone->push_back(id);
        (*document)[id]["deleted_at"] = now.micros;
      } else if (why != nullptr) {
        *why = std::move(*stays);
      }
    }
    ForgetOldDeletions(document, now);
    return Status::Ok();
  });
}

Status CheckStillMarked(Repository* repo, const SnapshotId& id) {
  PITR_FAULT("snapshot.marked_deleted");
  PITR_ASSIGN_OR_RETURN(const Json document, ReadDocument(repo, kDocument));
  if (IsMarked(document, id)) return Status::Ok();
  return Status(Code::kInUse, "snapshot \"" + id + "\" was taken into use meanwhile")
      .WithHint("It is not deleted. Try again later.");
}

}  // namespace pitr

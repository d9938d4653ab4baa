#include "core/repo/replicate.h"

#include <algorithm>
#include <set>

#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/repo/catalogue.h"
#include "core/repo/dump_attempts.h"
#include "core/repo/layout.h"
#include "core/repo/manifest_packs.h"
#include "core/repo/replica_diff.h"
#include "core/repo/replica_set.h"
#include "core/repo/wal_removals.h"
#include "core/store/abilities.h"
#include "core/store/copy_object.h"

namespace pitr {

namespace {

constexpr std::int64_t kReportMs = 1000;
// While something is copied more is written; after these the rest is the next run's.
constexpr int kRounds = 3;

class Run {
 public:
  Run(std::vector<Replica>* replicas, const ReplicateOptions& options)
      : replicas_(*replicas),
        options_(options),
        is_deleted_([this](const std::string& id) { return IsDeleted(id); }),
        is_named_([this](const std::string& pack) { return IsNamed(pack); }),
        is_wal_removed_([this](const std::string& name) { return IsWalRemoved(name); }) {}

  Result<std::vector<ReplicaState>> Go() {
    PITR_RETURN_IF_ERROR(Look());
    // First what only others have, so that what is copied is all.
    for (const bool brings : {true, false}) {
      named_ = nullptr;  // manifests that are brought name packs too
      for (std::size_t i = 0; i < replicas_.size(); i++) {
        if (i != hub_ && states_[i].problem.ok()) {
          states_[i].problem = brings ? Bring(i) : Fill(i);
          if (states_[i].problem.code() == Code::kCancelled) {
            return states_[i].problem;
          }
        }
      }
    }
    for (const ReplicaState& state : states_) {
      Report(state);
    }
    return states_;
  }

 private:
  ObjectStore* store(std::size_t i) const { return replicas_[i].store.get(); }

  Status CheckCancel() const {
    const bool is_cancelled =
        (options_.cancel != nullptr && options_.cancel->IsCancelled()) || IsProcessCancelled();
    return is_cancelled ? Status(Code::kCancelled, "the catch-up was cancelled") : Status::Ok();
  }

  void Report(const ReplicaState& state) {
    reported_ms_ = SystemClock().MonotonicMillis();
    if (options_.report) {
      options_.report(state);
    }
  }

  // What each holds, and who is the hub.
  Status Look() {
    std::string all;
    for (const Replica& replica : replicas_) {
      ReplicaState state;
      state.place = replica.address.place;
      state.label = replica.address.label;
      state.is_required = replica.address.is_required;
      state.problem = replica.problem;
      all.append(all.empty() ? "" : ",").append(state.label);
      looks_.emplace_back();
      if (replica.store != nullptr) {
        const Result<ReplicaLook> look = LookAtReplica(replica.store.get());
        state.problem = look.status();
        state.free_bytes = replica.store->FreeBytes();
        if (look.ok()) {
          looks_.back() = *look;
          state.is_filled = look->kind == ReplicaKind::kRepository;
        }
      }
      states_.push_back(std::move(state));
    }
    PITR_RETURN_IF_ERROR(ChooseHub(all));
    for (std::size_t i = 0; i < states_.size(); i++) {
      const bool is_other =
          states_[i].problem.ok() && !looks_[i].id.empty() && looks_[i].id != looks_[hub_].id;
      if (is_other) {
        states_[i].problem =
            Status(Code::kForeign, "\"" + states_[hub_].label + "\" and \"" + states_[i].label +
                                       "\" are two repositories, not replicas of one");
      }
    }
    return Status::Ok();
  }

  Status ChooseHub(const std::string& all) {
    bool is_found = false;
    const auto goes_before = [this](std::size_t a, std::size_t b) {
      const auto rank = [this](std::size_t i) {
        return std::pair(!states_[i].is_required, states_[i].place);
      };
      return rank(a) < rank(b);
    };
    for (std::size_t i = 0; i < states_.size(); i++) {
      if (states_[i].is_filled && (!is_found || goes_before(i, hub_))) {
        hub_ = i;
        is_found = true;
      }
    }
    if (is_found) {
      return Status::Ok();
    }
    for (const ReplicaState& state : states_) {
      PITR_RETURN_IF_ERROR(state.problem);
    }
    return Status(Code::kNotReady, "there is no repository in \"" + all + "\"");
  }

  bool IsDeleted(const std::string& id) {
    if (!deleted_) {
      deleted_ = [](const std::string&) { return false; };
      if (options_.deleted) {
        auto asked = options_.deleted(replicas_[hub_].address);
        // Not known: then nothing is given up.
        deleted_ = asked.ok() ? *std::move(asked) : deleted_;
      }
    }
    return deleted_(id);
  }

  bool IsNamed(const std::string& pack) {
    if (!named_) {
      // Not known: then nothing is given up.
      named_ = [](const std::string&) { return true; };
      if (options_.named) {
        auto asked = options_.named(replicas_[hub_].address);
        named_ = asked.ok() ? *std::move(asked) : named_;
      }
    }
    return named_(pack);
  }

  bool IsWalRemoved(const std::string& name) {
    if (!wal_removed_) {
      // Not known: then nothing is given up.
      wal_removed_ = [](const std::string&) { return false; };
      if (options_.wal_removed) {
        auto asked = options_.wal_removed(replicas_[hub_].address);
        wal_removed_ = asked.ok() ? *std::move(asked) : wal_removed_;
      }
    }
    return wal_removed_(name);
  }

  // The member first: what is put meanwhile is at the hub when it is there.
  Result<ReplicaDiff> Compare(std::size_t i) {
    PITR_RETURN_IF_ERROR(CheckCancel());
    PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> member, store(i)->List(""));
    PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> hub, store(hub_)->List(""));
    ReplicaDiff diff =
        CompareReplicas(hub, member, options_.now, is_deleted_, is_named_, is_wal_removed_);
    states_[i].behind_segments = diff.behind_segments;
    states_[i].behind_bytes = diff.behind_bytes;
    for (const std::string& name : diff.conflicts) {
      PITR_RETURN_IF_ERROR(Conflict(i, name));
    }
    for (const std::string& name : NewestCommon(hub, member)) {
      const Result<bool> is_same = IsSameObject(store(hub_), store(i), name, options_.cancel);
      if (is_same.ok() && !*is_same) {
        return WentApart(i, name);
      }
      if (!is_same.ok() && is_same.status().code() != Code::kNotFound) {
        return is_same.status();
      }
    }
    return diff;
  }

  Status WentApart(std::size_t i, const std::string& name) const {
    return Status(Code::kForeign, "object \"" + name + "\" of \"" + states_[i].label +
                                      "\" is not the one of \"" + states_[hub_].label + "\"")
        .WithHint(
            "One of the two was written by itself, or the object is damaged. Nothing in either is "
            "changed; look at both, and remove the object that is wrong or take the repository out "
            "of "
            "pitr.repository.");
  }

  // Different sizes under one name: a leftover that was written anew at the hub, or the end of what the two have in common.
  Status Conflict(std::size_t i, const std::string& name) {
    if (!MayBeReplaced(name)) {
      return WentApart(i, name);
    }
    return looks_[i].kind == ReplicaKind::kRepository ? store(i)->Remove(name) : Status::Ok();
  }

  Status Bring(std::size_t i) {
    if (looks_[i].kind != ReplicaKind::kRepository) {
      return Status::Ok();
    }
    PITR_ASSIGN_OR_RETURN(const ReplicaDiff diff, Compare(i));
    for (const ObjectStat& object : diff.to_bring) {
      const Status status =
          CopyObject(store(i), store(hub_), object.name, options_.cancel, nullptr);
      if (status.code() != Code::kNotFound) {
        PITR_RETURN_IF_ERROR(status);
      }
    }
    return Status::Ok();
  }

  Status Fill(std::size_t i) {
    if (looks_[i].kind == ReplicaKind::kEmpty) {
      PITR_RETURN_IF_ERROR(Mark(i));
    }
    for (int round = 1; round <= kRounds; round++) {
      PITR_ASSIGN_OR_RETURN(const ReplicaDiff diff, Compare(i));
      Report(states_[i]);
      PITR_RETURN_IF_ERROR(CopyAll(i, diff));
      if (diff.to_copy.empty() && diff.to_remove.empty() && states_[i].is_filled) {
        break;
      }
      // Once with a second look at what was written meanwhile; from then on writers see it.
      if (!states_[i].is_filled && (round > 1 || diff.to_copy.empty())) {
        PITR_RETURN_IF_ERROR(Publish(i));
      }
    }
    return Status::Ok();
  }

  Status CopyAll(std::size_t i, const ReplicaDiff& diff) {
    ReplicaState& state = states_[i];
    for (const ObjectStat& object : diff.to_copy) {
      PITR_RETURN_IF_ERROR(CheckCancel());
      PITR_FAULT("replicate.before_copy");
      const Status status =
          CopyObject(store(hub_), store(i), object.name, options_.cancel, &state.copied_bytes);
      // Gone from the hub since it was listed.
      if (status.code() != Code::kNotFound) {
        PITR_RETURN_IF_ERROR(status);
      }
      PITR_RETURN_IF_ERROR(TakeBack(i, object.name));
      state.copied_objects++;
      state.behind_bytes -= std::min(state.behind_bytes, object.size);
      state.behind_segments -= IsWalSegmentObject(object.name) && state.behind_segments > 0 ? 1 : 0;
      if (SystemClock().MonotonicMillis() - reported_ms_ >= kReportMs) {
        Report(state);
      }
    }
    for (const std::string& name : diff.to_remove) {
      PITR_RETURN_IF_ERROR(CheckCancel());
      PITR_FAULT("replicate.before_remove");
      // Not when it came back to the hub meanwhile.
      if (store(hub_)->Stat(name).status().code() == Code::kNotFound) {
        PITR_RETURN_IF_ERROR(store(i)->Remove(name));
        state.removed_objects++;
      }
    }
    return Status::Ok();
  }

  // A removal that went through all replicas while the object was on its way to this one. Only of what is removed as a matter of course:
  // other names that are gone from the hub are compared with care next time.
  Status TakeBack(std::size_t i, const std::string& name) {
    if (!MayBeReplaced(name) && !layout::ParseCatalogName(name)) {
      return Status::Ok();
    }
    const Result<ObjectStat> there = store(hub_)->Stat(name);
    return there.status().code() == Code::kNotFound ? store(i)->Remove(name) : Status::Ok();
  }

  // From here on the place is known as one of ours.
  Status Mark(std::size_t i) {
    Json json;
    json["format"] = layout::kFillingFormat;
    json["version"] = 1;
    json["id"] = looks_[hub_].id;
    const std::string text = DumpJson(json, 2) + "\n";
    PITR_FAULT("replicate.before_mark");
    const Status status = store(i)->Put(std::string(layout::kFillingObject), AsBytes(text));
    if (!status.ok() && status.code() != Code::kAlreadyExists) {
      return status;
    }
    looks_[i] = {ReplicaKind::kFilling, looks_[hub_].id};
    return Status::Ok();
  }

  Status Publish(std::size_t i) {
    const std::string name(layout::kRepositoryObject);
    PITR_FAULT("replicate.before_publish");
    PITR_RETURN_IF_ERROR(CopyObject(store(hub_), store(i), name, options_.cancel));
    PITR_FAULT("replicate.after_publish");
    states_[i].is_filled = true;
    looks_[i].kind = ReplicaKind::kRepository;
    return store(i)->Remove(std::string(layout::kFillingObject));
  }

  std::vector<Replica>& replicas_;
  const ReplicateOptions& options_;
  const std::function<bool(const std::string&)> is_deleted_, is_named_, is_wal_removed_;
  std::vector<ReplicaState> states_;
  std::vector<ReplicaLook> looks_;
  std::size_t hub_ = 0;
  std::function<bool(const std::string&)> deleted_, named_, wal_removed_;
  std::int64_t reported_ms_ = 0;
};

// Ids that the documents "snapshots" and "dumps" of the repository at `hub` call deleted.
Result<std::function<bool(const std::string&)>> DeletedThere(const StoreAddress& hub,
                                                             const KeySource& keys) {
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress({hub.address, keys}, false));
  PITR_ASSIGN_OR_RETURN(Json snapshots, ReadDocument(repo.get(), "snapshots"));
  PITR_ASSIGN_OR_RETURN(Json dumps, ReadDocument(repo.get(), kDumpsDocument));
  return std::function<bool(const std::string&)>(
      [snapshots = std::move(snapshots), dumps = std::move(dumps)](const std::string& id) {
        const Json* const flags = JsonObject(IsDumpId(id) ? dumps : snapshots, id);
        return flags != nullptr && flags->contains("deleted_at");
      });
}

// Packs that the manifests of the repository at `hub` name.
Result<std::function<bool(const std::string&)>> NamedPacks(const StoreAddress& hub,
                                                           const KeySource& keys) {
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress({hub.address, keys}, false));
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> parts,
                        repo->store()->ListParts(layout::SnapshotsPrefix()));
  std::set<SnapshotId> living;
  for (const std::string& part : parts) {
    living.insert(part.substr(0, part.find('/')));
  }
  PITR_ASSIGN_OR_RETURN(const PackSet packs, PackUse().Named(repo.get(), living));
  std::set<std::string> names;
  for (const auto& [id, number] : packs) {
    names.insert(layout::PackObject(id, number));
  }
  return std::function<bool(const std::string&)>(
      [names = std::move(names)](const std::string& pack) { return names.contains(pack); });
}

Result<std::function<bool(const std::string&)>> RemovedWal(const StoreAddress& hub,
                                                           const KeySource& keys) {
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress({hub.address, keys}, false));
  PITR_ASSIGN_OR_RETURN(WalRemovals removals, ReadWalRemovals(repo.get()));
  return std::function<bool(const std::string&)>(
      [removals = std::move(removals)](const std::string& name) {
        return IsRemovedWal(removals, name);
      });
}

}  // namespace

Result<std::vector<ReplicaState>> Replicate(std::vector<Replica>* replicas,
                                            const ReplicateOptions& options) {
  return Run(replicas, options).Go();
}

Result<std::vector<ReplicaState>> ReplicateAddress(
    const RepositoryAccess& access, const CancelToken* cancel,
    const std::function<void(const ReplicaState&)>& report) {
  PITR_ASSIGN_OR_RETURN(const std::vector<StoreAddress> entries,
                        ParseStoreAddresses(access.address));
  std::vector<Replica> replicas;
  for (const StoreAddress& entry : entries) {
    Result<std::unique_ptr<ObjectStore>> store = OpenStore(entry.address);
    const Status problem = store.status();
    replicas.push_back({entry, store.ok() ? *std::move(store) : nullptr, problem});
  }
  ReplicateOptions options;
  options.cancel = cancel;
  options.now = SystemClock().Now();
  options.report = report;
  options.deleted = [&access](const StoreAddress& hub) { return DeletedThere(hub, access.keys); };
  options.named = [&access](const StoreAddress& hub) { return NamedPacks(hub, access.keys); };
  options.wal_removed = [&access](const StoreAddress& hub) { return RemovedWal(hub, access.keys); };
  return Replicate(&replicas, options);
}

}  // namespace pitr

// Writing to several stores. Invariant: OK means that each required member holds these bytes under this name; "already exists" means that
// each required member holds what is there. The judge goes first when an object is made and last when it is removed, so that a name is
// free at the judge only when it is free at all others that answer.
#include <algorithm>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/store/copy_object.h"
#include "core/store/mirrored_store.h"

namespace pitr {

namespace {

// What a best effort member may take for one object: two seconds, and as long as 4 MB/s take.
constexpr std::int64_t kPatienceMs = 2000, kBytesPerMs = 4000;

Status TooSlow(const StoreAddress& address, std::int64_t spent_ms) {
  return Status(Code::kUnavailable, "repository \"" + address.label + "\" is too slow: " +
                                        std::to_string(spent_ms) + " ms for one object");
}

}  // namespace

class MirroredWriter final : public ObjectWriter {
 public:
  MirroredWriter(MirroredStore* store, std::string name) : store_(store), name_(std::move(name)) {}

  Status Open() {
    PITR_ASSIGN_OR_RETURN(judge_, store_->FindJudge());
    parts_.resize(store_->members_.size());
    for (std::size_t i = 0; i < parts_.size(); i++) {
      Part& part = parts_[i];
      part.member = store_->members_[i].get();
      if (!part.member->is_required() && part.member->IsResting()) {
        continue;
      }
      const std::int64_t began = Now();
      const Status status = OpenPart(&part);
      part.spent_ms = Now() - began;
      // A name that is none is told so by all alike.
      if (!status.ok() && (part.member->is_required() || !IsTrouble(status))) {
        return status;
      }
    }
    return parts_[judge_].writer != nullptr
               ? Status::Ok()
               : Status(Code::kUnavailable, "a required repository was lost while it was opened");
  }

  Status Append(ByteView bytes) override {
    size_ += static_cast<std::int64_t>(bytes.size());
    for (Part& part : parts_) {
      const Status status = Run(&part, [&] { return part.writer->Append(bytes); });
      if (part.member->is_required()) {
        PITR_RETURN_IF_ERROR(status);
      }
    }
    return Status::Ok();
  }

  Status Commit() override {
    Part& judge = parts_[judge_];
    const Status decided = judge.writer->Commit();
    judge.member->Tell(decided);
    if (!decided.ok() && decided.code() != Code::kAlreadyExists) {
      return decided;
    }
    PITR_FAULT("mirror.put.after_judge");
    // Best effort ones last: they never have what a required one has refused.
    for (const bool is_required : {true, false}) {
      for (Part& part : parts_) {
        if (&part == &judge || part.member->is_required() != is_required) {
          continue;
        }
        const Status status = decided.ok() ? Publish(&part) : Repair(&part);
        if (is_required && part.takes_part && !status.ok()) {
          return decided.ok() && status.code() == Code::kForeign ? TakeBack(status) : status;
        }
        if (!status.ok()) {
          part.member->Missed(name_, static_cast<std::uint64_t>(size_));
        }
      }
    }
    return decided;
  }

 private:
  struct Part {
    MirrorMember* member = nullptr;
    std::shared_ptr<ObjectStore> store;  // outlives its writer
    std::unique_ptr<ObjectWriter> writer;
    bool takes_part = true;
    std::int64_t spent_ms = 0;
  };

  static std::int64_t Now() { return SystemClock().MonotonicMillis(); }

  // What this writer has just made is not what a required member holds: it does not stay.
  Status TakeBack(Status conflict) {
    const Status removed = parts_[judge_].store->Remove(name_);
    return removed.ok() ? conflict
                        : std::move(conflict).WithDetail(
                              "The object was not taken back: " + removed.message() + ".");
  }

  Status OpenPart(Part* part) {
    PITR_ASSIGN_OR_RETURN(part->store, part->member->Acquire());
    part->takes_part = part->store != nullptr;
    if (!part->takes_part) {
      return Status::Ok();
    }
    Result<std::unique_ptr<ObjectWriter>> writer = part->store->Create(name_);
    part->member->Tell(writer.status());
    PITR_ASSIGN_OR_RETURN(part->writer, std::move(writer));
    return Status::Ok();
  }

  // One step of one member. A best effort one that fails or takes too long is out of this object.
  template <typename Step>
  Status Run(Part* part, Step step) {
    if (part->writer == nullptr) {
      return Status::Ok();
    }
    const std::int64_t began = Now();
    Status status = step();
    part->spent_ms += Now() - began;
    if (status.ok() && !part->member->is_required() &&
        part->spent_ms > kPatienceMs + size_ / kBytesPerMs) {
      status = TooSlow(part->member->address(), part->spent_ms);
    }
    if (IsTrouble(status)) {
      part->member->Tell(status);
      part->writer.reset();
    }
    return status;
  }

  // After the judge took it.
  Status Publish(Part* part) {
    if (part->writer == nullptr) {
      return Status(Code::kUnavailable, "it was left out");
    }
    const Status status = Run(part, [&] { return part->writer->Commit(); });
    part->member->Tell(status);
    return status.code() == Code::kAlreadyExists ? Settle(part, true) : status;
  }

  // The judge has an object of that name already: whoever brought it may have died before the others had it. A best effort one is left
  // to the catch-up.
  Status Repair(Part* part) {
    part->writer.reset();
    if (!part->member->is_required() || !part->takes_part) {
      return part->store == nullptr ? Status(Code::kUnavailable, "it was left out") : Status::Ok();
    }
    return Settle(part, false);
  }

  Status Settle(Part* part, bool compares) {
    return store_->Settle(parts_[judge_].store.get(), part->member, name_, compares);
  }

  MirroredStore* const store_;
  const std::string name_;
  std::vector<Part> parts_;
  std::size_t judge_ = 0;
  std::int64_t size_ = 0;
};

Status MirroredStore::Settle(ObjectStore* from, MirrorMember* member, const std::string& name,
                             bool compares) {
  PITR_ASSIGN_OR_RETURN(const std::shared_ptr<ObjectStore> to, member->Acquire());
  if (to == nullptr) {
    return Status::Ok();  // the catch-up's
  }
  if (!compares && !options_.may_be_replaced(name)) {
    const Result<ObjectStat> there = to->Stat(name);
    const Result<ObjectStat> wanted = from->Stat(name);
    if (there.ok() && wanted.ok() && there->size == wanted->size) {
      return Status::Ok();
    }
  }
  Status status = CopyObject(from, to.get(), name);
  if (status.code() == Code::kForeign && options_.may_be_replaced(name)) {
    PITR_RETURN_IF_ERROR(to->Remove(name));
    status = CopyObject(from, to.get(), name);
  }
  // Removed by somebody meanwhile: then there is nothing to hold.
  return status.code() == Code::kNotFound ? Status::Ok() : status;
}

Result<std::unique_ptr<ObjectWriter>> MirroredStore::Create(const std::string& name) {
  auto writer = std::make_unique<MirroredWriter>(this, name);
  PITR_RETURN_IF_ERROR(writer->Open());
  return std::unique_ptr<ObjectWriter>(std::move(writer));
}

Status MirroredStore::Put(const std::string& name, ByteView bytes) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer, Create(name));
  PITR_RETURN_IF_ERROR(writer->Append(bytes));
  return writer->Commit();
}

Status MirroredStore::Remove(const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const std::size_t judge, FindJudge());
  std::vector<MirrorMember*> order;
  for (std::size_t i = 0; i < members_.size(); i++) {
    if (i != judge) {
      order.push_back(members_[i].get());
    }
  }
  order.push_back(members_[judge].get());
  for (MirrorMember* const member : order) {
    if (!member->is_required() && member->IsResting()) {
      member->Missed(name, 0);
      continue;
    }
    const Result<std::shared_ptr<ObjectStore>> store = member->Acquire();
    if (store.ok() && *store == nullptr) {
      member->Missed(name, 0);
      continue;
    }
    const Status status = store.ok() ? (*store)->Remove(name) : store.status();
    if (store.ok()) {
      member->Tell(status);
    }
    if (!status.ok() && (member->is_required() || !IsTrouble(status))) {
      return status;
    }
    if (!status.ok()) {
      member->Missed(name, 0);
    }
  }
  return Status::Ok();
}

Status MirroredStore::CollectAbandoned(std::int64_t age_seconds) {
  for (const std::unique_ptr<MirrorMember>& member : members_) {
    if (!member->is_required() && member->IsResting()) {
      continue;
    }
    const Result<std::shared_ptr<ObjectStore>> store = member->Acquire();
    const Status status = !store.ok()         ? store.status()
                          : *store == nullptr ? Status::Ok()
                                              : (*store)->CollectAbandoned(age_seconds);
    if (!status.ok() && member->is_required()) {
      return status;
    }
  }
  return Status::Ok();
}

}  // namespace pitr

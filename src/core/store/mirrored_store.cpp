// Reading from several stores, and which of them answers; writing is in mirrored_write.cpp.
#include "core/store/mirrored_store.h"

#include <algorithm>
#include <array>

#include "core/base/cancel.h"
#include "core/base/clock.h"

namespace pitr {

namespace {

// How soon a member that takes no part is looked at again.
constexpr std::int64_t kLookAgainMs = 3000;
// Names of which it is remembered who served them: those that are being read now.
constexpr std::size_t kMaxServed = 1024;

}  // namespace

bool IsTrouble(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
    case Code::kNotFound:
    case Code::kAlreadyExists:
    case Code::kInvalidArgument:
    case Code::kLimit:
    case Code::kCancelled:
      return false;
    default:
      return true;
  }
}

// -- a member ------------------------------------------------------------------------------------

Result<std::shared_ptr<ObjectStore>> MirrorMember::Acquire() {
  Status failed;
  {
    const std::lock_guard lock(mutex_);
    const std::int64_t now = SystemClock().MonotonicMillis();
    const bool is_settled =
        opened_.store != nullptr && (opened_.takes_part || now < looked_at_ms_ + kLookAgainMs);
    if (!is_settled) {
      opened_ = {};
      Result<Opened> opened = open_();
      if (opened.ok()) {
        opened_ = *std::move(opened);
        looked_at_ms_ = now;
        if (!has_conditions_ && opened_.store != nullptr) {
          opened_.store->ForgoConditions();
        }
      } else {
        failed = opened.status();
      }
    }
    if (failed.ok()) {
      return opened_.takes_part ? opened_.store : std::shared_ptr<ObjectStore>();
    }
  }
  Tell(failed);
  return failed;
}

void MirrorMember::ForgoConditions() {
  const std::lock_guard lock(mutex_);
  has_conditions_ = false;
  if (opened_.store != nullptr) {
    opened_.store->ForgoConditions();
  }
}

void MirrorMember::LookAgain() {
  const std::lock_guard lock(mutex_);
  opened_ = {};
}

void MirrorMember::Tell(const Status& status) {
  const std::lock_guard lock(mutex_);
  // A caller with no time left has learned nothing of the store.
  if (IsTrouble(status) && SystemClock().MonotonicMillis() >= WaitLimitEnd()) {
    opened_ = {};
  } else if (IsTrouble(status)) {
    opened_ = {};
    has_failed_ = true;
    ledger_->Failed(address_.place, status);
  } else if (has_failed_ && status.code() != Code::kCancelled) {
    has_failed_ = false;
    ledger_->Answered(address_.place);
  }
}

// -- reading -------------------------------------------------------------------------------------

MirroredStore::MirroredStore(std::vector<std::unique_ptr<MirrorMember>> members, Options options)
    : members_(std::move(members)), options_(std::move(options)) {
  for (std::size_t i = 0; i < members_.size(); i++) {
    if (members_[i]->is_required()) {
      required_.push_back(i);
    }
  }
  std::sort(required_.begin(), required_.end(), [this](std::size_t a, std::size_t b) {
    return members_[a]->address().place < members_[b]->address().place;
  });
}

Result<std::size_t> MirroredStore::FindJudge() const {
  for (const std::size_t i : required_) {
    PITR_ASSIGN_OR_RETURN(const std::shared_ptr<ObjectStore> store, members_[i]->Acquire());
    if (store != nullptr) {
      return i;
    }
  }
  return Status(Code::kNotReady, "no required repository of \"" + Describe() + "\" is filled yet");
}

void MirroredStore::NoteServed(const std::string& name, std::size_t member) {
  const std::lock_guard lock(mutex_);
  if (served_.size() >= kMaxServed) {
    served_.clear();
  }
  served_[{std::this_thread::get_id(), name}] = member;
}

bool MirroredStore::IsDistrusted(const std::string& name, std::size_t member) {
  const std::lock_guard lock(mutex_);
  return distrusted_.contains({name, member});
}

template <typename Read>
auto MirroredStore::ReadNearest(const std::string& name, Read read) -> decltype(read(nullptr)) {
  // Those that failed a moment ago are asked last, and those whose copy is damaged only when nobody else has one.
  std::array<std::vector<std::size_t>, 3> rounds;
  for (std::size_t i = 0; i < members_.size(); i++) {
    rounds[IsDistrusted(name, i) ? 2 : members_[i]->IsResting() ? 1 : 0].push_back(i);
  }
  Status absent, trouble;
  bool is_surely_absent = false;
  for (std::size_t round = 0; round < rounds.size(); round++) {
    if (round == 1 && is_surely_absent) {
      continue;
    }
    for (const std::size_t i : rounds[round]) {
      MirrorMember* const member = members_[i].get();
      const Result<std::shared_ptr<ObjectStore>> store = member->Acquire();
      if (store.ok() && *store == nullptr) {
        continue;
      }
      if (!store.ok()) {
        trouble = trouble.ok() || member->is_required() ? store.status() : trouble;
        continue;
      }
      auto result = read(store->get());
      member->Tell(result.status());
      if (result.ok()) {
        NoteServed(name, i);
        return result;
      }
      if (result.status().code() == Code::kNotFound) {
        absent = result.status();
        is_surely_absent = is_surely_absent || (member->is_required() && !member->IsBehind(false));
      } else if (IsTrouble(result.status())) {
        trouble = trouble.ok() || member->is_required() ? result.status() : trouble;
      } else {
        return result;
      }
    }
  }
  if (!absent.ok() && (is_surely_absent || trouble.ok())) {
    return absent;
  }
  return trouble.ok()
             ? Status(Code::kNotReady, "no repository of \"" + Describe() + "\" is filled yet")
             : trouble;
}

Result<Bytes> MirroredStore::Get(const std::string& name, std::uint64_t max_size) {
  return ReadNearest(name, [&](ObjectStore* store) { return store->Get(name, max_size); });
}

Result<Bytes> MirroredStore::GetRange(const std::string& name, std::uint64_t offset,
                                      std::uint64_t size) {
  return ReadNearest(name, [&](ObjectStore* store) { return store->GetRange(name, offset, size); });
}

Result<Bytes> MirroredStore::GetSuffix(const std::string& name, std::uint64_t size) {
  return ReadNearest(name, [&](ObjectStore* store) { return store->GetSuffix(name, size); });
}

Result<ObjectStat> MirroredStore::Stat(const std::string& name) {
  return ReadNearest(name, [&](ObjectStore* store) { return store->Stat(name); });
}

bool MirroredStore::Distrust(const std::string& name) {
  std::size_t bad = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto served = served_.find({std::this_thread::get_id(), name});
    if (served == served_.end()) {
      return false;
    }
    bad = served->second;
    served_.erase(served);
    distrusted_.insert({name, bad});
  }
  members_[bad]->Damaged(name);
  for (std::size_t i = 0; i < members_.size(); i++) {
    if (IsDistrusted(name, i)) {
      continue;
    }
    const Result<std::shared_ptr<ObjectStore>> store = members_[i]->Acquire();
    if (store.ok() && *store != nullptr && (*store)->Stat(name).ok()) {
      return true;
    }
  }
  return false;
}

// -- listing -------------------------------------------------------------------------------------

// listing(store) of one member that lacks nothing, or of all that answer, joined in the order of `less`.
template <typename Item, typename Listing, typename Less>
Result<std::vector<Item>> MirroredStore::ListWhole(Listing listing, Less less) {
  struct Answer {
    std::vector<Item> items;
    bool counts = false;  // of one that is required, or known to lack nothing
  };
  Status trouble;
  std::vector<Answer> answers;
  // The whole ones first, those among them that failed a moment ago at their end; then, when none answered, the others.
  std::array<std::vector<MirrorMember*>, 3> rounds;
  for (const std::unique_ptr<MirrorMember>& member : members_) {
    const bool is_whole = member->is_required() && !member->IsBehind(false);
    rounds[!is_whole ? 2 : member->IsResting() ? 1 : 0].push_back(member.get());
  }
  for (std::size_t round = 0; round < rounds.size(); round++) {
    for (MirrorMember* const member : rounds[round]) {
      const Result<std::shared_ptr<ObjectStore>> store = member->Acquire();
      if (store.ok() && *store == nullptr) {
        continue;
      }
      Result<std::vector<Item>> items =
          store.ok() ? listing(store->get()) : Result<std::vector<Item>>(store.status());
      if (store.ok()) {
        member->Tell(items.status());
      }
      if (!items.ok() && !IsTrouble(items.status())) {
        return items;
      }
      if (!items.ok()) {
        trouble = trouble.ok() || member->is_required() ? items.status() : trouble;
      } else if (round < 2) {
        return items;
      } else {
        answers.push_back({*std::move(items), member->is_required() || !member->IsBehind(true)});
      }
    }
  }
  std::vector<Item> all;
  bool counts = false;
  for (Answer& answer : answers) {
    counts = counts || answer.counts;
    all.insert(all.end(), answer.items.begin(), answer.items.end());
  }
  if (!counts) {
    return trouble.ok()
               ? Status(Code::kNotReady, "no repository of \"" + Describe() + "\" is filled yet")
               : trouble;
  }
  std::sort(all.begin(), all.end(), less);
  all.erase(std::unique(all.begin(), all.end(),
                        [&](const Item& a, const Item& b) { return !less(a, b) && !less(b, a); }),
            all.end());
  return all;
}

Result<std::vector<ObjectStat>> MirroredStore::List(const std::string& prefix,
                                                    const std::string& after, std::size_t limit) {
  PITR_ASSIGN_OR_RETURN(
      std::vector<ObjectStat> found,
      ListWhole<ObjectStat>(
          [&](ObjectStore* store) { return store->List(prefix, after, limit); },
          [](const ObjectStat& a, const ObjectStat& b) { return a.name < b.name; }));
  if (limit != 0 && found.size() > limit) {
    found.resize(limit);
  }
  return found;
}

Result<std::vector<std::string>> MirroredStore::ListParts(const std::string& prefix) {
  return ListWhole<std::string>([&](ObjectStore* store) { return store->ListParts(prefix); },
                                std::less<>());
}

// -- the rest ------------------------------------------------------------------------------------

std::optional<std::uint64_t> MirroredStore::FreeBytes() {
  std::optional<std::uint64_t> least;
  for (const std::unique_ptr<MirrorMember>& member : members_) {
    const Result<std::shared_ptr<ObjectStore>> store =
        member->is_required() ? member->Acquire() : std::shared_ptr<ObjectStore>();
    const std::optional<std::uint64_t> free =
        store.ok() && *store != nullptr ? (*store)->FreeBytes() : std::nullopt;
    if (free && (!least || *free < *least)) {
      least = free;
    }
  }
  return least;
}

void MirroredStore::ForgoConditions() {
  for (const std::unique_ptr<MirrorMember>& member : members_) {
    member->ForgoConditions();
  }
}

Result<bool> MirroredStore::KeepsWritersApart(const std::string& name) {
  for (const std::unique_ptr<MirrorMember>& member : members_) {
    const Result<std::shared_ptr<ObjectStore>> store = member->Acquire();
    if (store.ok() && *store != nullptr) {
      PITR_ASSIGN_OR_RETURN(const bool keeps_apart, pitr::KeepsWritersApart(store->get(), name));
      if (!keeps_apart) return false;
    }
  }
  return true;
}

std::string MirroredStore::Describe() const {
  std::string text;
  for (const std::unique_ptr<MirrorMember>& member : members_) {
    text.append(text.empty() ? "" : ",").append(member->address().label);
  }
  return text;
}

}  // namespace pitr

#include "pg/replicas.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/replica_ledger.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kFirstRetryMs = 2000, kLastRetryMs = 60'000;
constexpr std::int64_t kCompareMs = 3600'000;
constexpr std::size_t kMaxRecords = 64U << 10;

std::int64_t NowMs() { return SystemClock().MonotonicMillis(); }

std::string RecordsPath() { return JoinPath(JoinPath(DataDirectory(), "pitr"), "replicas.json"); }

template <std::size_t kSize>
void CopyText(const std::string& text, char (&to)[kSize]) noexcept {
  const std::size_t size = std::min(text.size(), kSize - 1);
  std::copy_n(text.data(), size, to);
  to[size] = '\0';
}

}  // namespace

Replicas::Replicas() : retry_(kFirstRetryMs, kLastRetryMs, static_cast<std::uint64_t>(MyProcPid)) {}

// -- what is remembered --------------------------------------------------------------------------

const Replicas::Record* Replicas::FindRecord(const std::string& place) const {
  for (const Record& record : records_) {
    if (record.place == place) return &record;
  }
  return nullptr;
}

// A file that is damaged counts as none: then every place is looked at anew.
void Replicas::ReadRecords() {
  records_.clear();
  const Result<std::string> text = ReadTextFile(RecordsPath(), kMaxRecords);
  if (!text.ok()) return;
  const Result<Json> json = ParseJson(*text, "replicas.json");
  const Json* const places = json.ok() ? JsonArray(*json, "places") : nullptr;
  for (std::size_t i = 0; places != nullptr && i < places->size(); i++) {
    const Json& entry = (*places)[i];
    const Result<std::string> place = JsonText(entry, "place");
    if (place.ok()) records_.push_back({*place, entry.value("required", false)});
  }
}

Status Replicas::WriteRecords() const {
  Json places = Json::array();
  for (const Record& record : records_) {
    Json entry;
    entry["place"] = record.place;
    entry["required"] = record.was_required;
    places.push_back(std::move(entry));
  }
  Json json;
  json["version"] = 1;
  json["places"] = std::move(places);
  (void)::mkdir(JoinPath(DataDirectory(), "pitr").c_str(), 0700);
  return WriteFileDurably(RecordsPath(), AsBytes(DumpJson(json, 2) + "\n"));
}

// A required one is taken for complete at once when it was required before; whoever becomes required may still lack something, and
// until it is compared all others are asked as well.
void Replicas::TakeSettings() {
  const Settings settings = CurrentSettings();
  if (settings.repository == access_ && settings.loaded_at == loaded_at_) return;
  const bool is_same = settings.repository == access_;
  access_ = settings.repository;
  loaded_at_ = settings.loaded_at;
  retry_.Reset();
  // A reload with the same list is how somebody asks for a comparison now.
  is_asked_ = true;
  if (is_same) return;
  child_.reset();
  entries_.clear();
  const Result<std::vector<StoreAddress>> entries = ParseStoreAddresses(access_.address);
  if (access_.address.empty() || !entries.ok()) return;
  ReadRecords();
  // What is out of the list is forgotten: put back later, it may be empty.
  const std::size_t before = records_.size();
  std::erase_if(records_, [&](const Record& record) {
    return std::none_of(entries->begin(), entries->end(),
                        [&](const StoreAddress& entry) { return entry.place == record.place; });
  });
  if (records_.size() != before) {
    const Status written = WriteRecords();
    if (!written.ok()) LogStatus(WARNING, "could not note the repositories", written);
  }
  {
    const LockHolder lock(ReplicasLock());
    for (ReplicaSlot& slot : GetReplicas()->slots)
      slot = {};
  }
  if (entries->size() < 2) return;
  entries_ = *entries;
  outcomes_.assign(entries_.size(), {});
  is_asked_ = true;
  for (const StoreAddress& entry : entries_) {
    const Record* const record = FindRecord(entry.place);
    const bool is_trusted = record != nullptr && record->was_required && entry.is_required;
    const bool was_member = record != nullptr;
    ChangeReplica(entry.place, [&](ReplicaSlot* slot) {
      slot->was_member = was_member;
      slot->wholeness = is_trusted ? Wholeness::kWhole : Wholeness::kBehind;
    });
  }
}

// -- the child -----------------------------------------------------------------------------------

bool Replicas::IsDue(std::int64_t now_ms) {
  if (!retry_.IsDue(now_ms)) return false;
  if (is_asked_ || now_ms - compared_ms_ >= kCompareMs) return true;
  for (const StoreAddress& entry : entries_) {
    const std::optional<ReplicaSlot> slot = FindReplica(entry.place);
    if (slot && slot->wholeness != Wholeness::kWhole && now_ms >= slot->rests_until_ms) return true;
  }
  return false;
}

void Replicas::Start() {
  for (std::size_t i = 0; i < entries_.size(); i++) {
    const std::optional<ReplicaSlot> slot = FindReplica(entries_[i].place);
    outcomes_[i] = {};
    outcomes_[i].missed_before = slot ? slot->missed : 0;
  }
  Json job;
  job["kind"] = "replicate";
  job["nice"] = WorkerNiceSetting();
  PutAccess(access_, &job);
  child_ = std::make_unique<Child>();
  const Status started = child_->Start(job);
  if (!started.ok()) Ended(started);
}

void Replicas::TakeState(const Json& line) {
  const Result<std::string> place = JsonText(line, "place");
  if (!place.ok()) return;
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const StoreAddress& each) { return each.place == *place; });
  if (entry == entries_.end()) return;
  Outcome& outcome = outcomes_[static_cast<std::size_t>(entry - entries_.begin())];
  const Result<std::optional<std::string>> error = JsonOptionalText(line, "error");
  const std::string text = error.ok() ? error->value_or("") : "";
  const bool is_over = line.value("over", false);
  outcome.is_fine = is_over && text.empty() && line.value("filled", false);
  const std::uint64_t segments = line.value("behind_segments", std::uint64_t{0});
  const std::uint64_t bytes = line.value("behind_bytes", std::uint64_t{0});
  const std::uint64_t before = outcome.missed_before;
  ChangeReplica(*place, [&](ReplicaSlot* slot) {
    CopyText(text, slot->catch_up_error);
    if (!text.empty()) return;
    slot->behind_segments = segments;
    slot->behind_bytes = bytes;
    // What was missed before the comparison is in these figures.
    if (slot->missed <= before) slot->missed_segments = slot->missed_bytes = 0;
    slot->failures = 0;
    slot->rests_until_ms = 0;
    slot->last_error[0] = '\0';
  });
}

// One that is required no more was away: what it alone may have nobody could ask.
bool Replicas::MayLackWhatOthersHave() const {
  for (std::size_t i = 0; i < entries_.size(); i++) {
    const Record* const record = FindRecord(entries_[i].place);
    const bool was_complete = record != nullptr && record->was_required && !entries_[i].is_required;
    if (was_complete && !outcomes_[i].is_fine) return true;
  }
  return false;
}

void Replicas::NoteWhole() {
  const bool may_lack = MayLackWhatOthersHave();
  const std::vector<Record> before = records_;
  for (std::size_t i = 0; i < entries_.size(); i++) {
    if (!outcomes_[i].is_fine) continue;
    bool is_whole = false;
    const std::uint64_t seen = outcomes_[i].missed_before;
    ChangeReplica(entries_[i].place, [&](ReplicaSlot* slot) {
      slot->was_member = true;
      slot->missed -= std::min(slot->missed, seen);
      is_whole = slot->missed == 0 && !may_lack;
      slot->wholeness = is_whole ? Wholeness::kWhole : Wholeness::kBehind;
    });
    std::erase_if(records_, [&](const Record& each) { return each.place == entries_[i].place; });
    const bool was_required = std::any_of(before.begin(), before.end(), [&](const Record& each) {
      return each.place == entries_[i].place && each.was_required;
    });
    records_.push_back(
        {entries_[i].place, may_lack ? was_required : is_whole && entries_[i].is_required});
  }
  const auto same = [](const Record& a, const Record& b) {
    return a.place == b.place && a.was_required == b.was_required;
  };
  if (std::equal(before.begin(), before.end(), records_.begin(), records_.end(), same)) return;
  const Status written = WriteRecords();
  if (!written.ok()) LogStatus(WARNING, "could not note the repositories", written);
}

void Replicas::Ended(const Status& status) {
  child_.reset();
  NoteWhole();
  Status told = status;
  for (std::size_t i = 0; i < entries_.size() && told.ok(); i++) {
    const std::optional<ReplicaSlot> slot = FindReplica(entries_[i].place);
    if (!outcomes_[i].is_fine && slot && slot->catch_up_error[0] != '\0')
      told = Status(Code::kUnavailable, slot->catch_up_error);
  }
  log_.Tell(told);
  if (told.ok()) {
    is_asked_ = false;
    compared_ms_ = NowMs();
    retry_.Reset();
  } else {
    retry_.Failed(NowMs());
  }
}

void Replicas::Serve() {
  for (;;) {
    const Result<std::optional<Json>> next = child_->TryNext();
    if (!next.ok()) {
      Ended(next.status());
      return;
    }
    if (!*next) return;
    const Json& line = **next;
    if (const Json* replica = JsonObject(line, "replica")) {
      TakeState(*replica);
    } else if (const Json* error = JsonObject(line, "error")) {
      const Status status = StatusFromJson(*error);
      child_->Finish();
      Ended(status);
      return;
    } else if (line.contains("done")) {
      child_->Finish();
      Ended(Status::Ok());
      return;
    }
  }
}

void Replicas::Tick() {
  TakeSettings();
  if (entries_.empty()) return;
  if (child_ != nullptr) {
    Serve();
  } else if (IsDue(NowMs())) {
    Start();
  }
}

}  // namespace pitr::pg

// The view pitr_repositories, and what other functions say of several repositories.
#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/repo/replica_set.h"
#include "core/repo/repository.h"
#include "core/store/abilities.h"
#include "core/store/open_mirror.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/replica_ledger.h"
#include "pg/repositories.h"
#include "pg/row_builder.h"
#include "pg/shmem.h"
#include "pg/view_cache.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

std::vector<StoreAddress> Entries() {
  const std::string address = CurrentSettings().repository.address;
  if (address.empty()) return {};
  Result<std::vector<StoreAddress>> entries = ParseStoreAddresses(address);
  return entries.ok() ? *std::move(entries) : std::vector<StoreAddress>();
}

void FillFromSlot(const ReplicaSlot& slot, RepositoryView* view) {
  if (slot.failures > 0) view->problem = Status(Code::kUnavailable, slot.last_error);
  if (slot.catch_up_error[0] != '\0')
    view->catch_up_problem = Status(Code::kUnavailable, slot.catch_up_error);
  if (slot.damage[0] != '\0') view->catch_up_problem = Status(Code::kCorrupt, slot.damage);
  view->behind_segments = slot.behind_segments + slot.missed_segments;
  view->behind_bytes = slot.behind_bytes + slot.missed_bytes;
  view->is_behind = slot.wholeness != Wholeness::kWhole;
}

bool HasTime() { return SystemClock().MonotonicMillis() < WaitLimitEnd(); }

// Asks the store itself.
void Probe(const StoreAddress& entry, RepositoryView* view) {
  const Result<std::unique_ptr<ObjectStore>> store = OpenStoreBriefly(entry);
  Result<ReplicaLook> look =
      store.ok() ? LookAtReplica(store->get()) : Result<ReplicaLook>(store.status());
  if (!look.ok()) {
    view->problem = look.status();
    return;
  }
  if (look->kind == ReplicaKind::kEmpty && GetMemberLedger()->WasMember(entry.place)) {
    view->problem = Status(Code::kIo, "it is empty, but was a repository before");
    return;
  }
  view->problem = Status::Ok();
  if (look->kind != ReplicaKind::kRepository) {
    view->is_behind = true;
    view->catch_up_problem =
        view->catch_up_problem.ok()
            ? Status(Code::kNotReady,
                     look->kind == ReplicaKind::kFilling ? "it is being filled" : "it is empty")
            : view->catch_up_problem;
  }
  view->free_bytes = (*store)->FreeBytes();
}

Result<Datum> Repositories(FunctionCallInfo fcinfo) {
  PITR_RETURN_IF_ERROR(RequireShared());
  RowBuilder rows(fcinfo);
  const WaitLimit limit(ViewTimeMs("repositories"));
  const std::vector<RepositoryView> views = LookAtRepositories();
  std::unique_ptr<Repository> repo;
  if (!views.empty()) {
    auto opened = Repository::OpenAddress(CurrentSettings().repository, false);
    if (opened.ok()) repo = *std::move(opened);
  }
  for (const RepositoryView& view : views) {
    const Status& error = view.problem.ok() ? view.catch_up_problem : view.problem;
    rows.Text(view.label).Bool(view.is_required).Bool(view.problem.ok());
    rows.TextOrNull(std::string_view(error.message()));
    rows.Int8(static_cast<std::int64_t>(view.behind_segments))
        .Int8(static_cast<std::int64_t>(view.behind_bytes));
    rows.Int8OrNull(view.free_bytes
                        ? std::optional<std::int64_t>(static_cast<std::int64_t>(*view.free_bytes))
                        : std::nullopt);
    // Of all of them alike: they are replicas of one.
    rows.BoolOrNull(repo != nullptr ? std::optional(repo->conditional_writes()) : std::nullopt);
    rows.BoolOrNull(repo != nullptr ? std::optional(repo->is_encrypted()) : std::nullopt);
    rows.TextOrNull(std::string_view(repo != nullptr ? repo->key_id() : "")).EndRow();
  }
  return rows.Finish();
}

}  // namespace

std::vector<RepositoryView> LookAtRepositories() {
  std::vector<RepositoryView> views;
  const std::vector<StoreAddress> entries = Entries();
  for (const StoreAddress& entry : entries) {
    RepositoryView view;
    view.label = entry.label;
    view.is_required = entry.is_required;
    const std::optional<ReplicaSlot> slot =
        entries.size() > 1 ? FindReplica(entry.place) : std::nullopt;
    if (slot) FillFromSlot(*slot, &view);
    // Without time left nothing new can be learned.
    if (!GetMemberLedger()->IsResting(entry.place) && HasTime()) {
      Probe(entry, &view);
      if (entries.size() > 1 && !view.problem.ok() && HasTime())
        GetMemberLedger()->Failed(entry.place, view.problem);
    }
    views.push_back(std::move(view));
  }
  return views;
}

Status ProblemOfRepositories() {
  const std::vector<StoreAddress> entries = Entries();
  Status behind;
  for (const StoreAddress& entry : entries) {
    const std::optional<ReplicaSlot> slot =
        entries.size() > 1 ? FindReplica(entry.place) : std::nullopt;
    if (!slot) continue;
    RepositoryView view;
    FillFromSlot(*slot, &view);
    const std::string name = "repository \"" + entry.label + "\"";
    if (!view.problem.ok()) {
      return Status(Code::kUnavailable, name + " is down: " + view.problem.message())
          .WithHint(
              "What it misses is brought to it when it is back; pitr_repositories shows how "
              "much.");
    }
    if (behind.ok() && !view.catch_up_problem.ok()) {
      behind = Status(Code::kUnavailable, name + ": " + view.catch_up_problem.message())
                   .WithHint("pitr_repositories shows the state of each.");
    } else if (behind.ok() && view.behind_segments > 0) {
      behind = Status(Code::kNotReady,
                      name + " is " + std::to_string(view.behind_segments) + " WAL files behind")
                   .WithHint("It is being brought up to date.");
    }
  }
  return behind;
}

}  // namespace pitr::pg

PITR_FUNCTION(pitr_internal_repositories) { return pitr::pg::Repositories(fcinfo); }

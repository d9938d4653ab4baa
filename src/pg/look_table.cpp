#include "pg/look_table.h"

#include <algorithm>
#include <csignal>

#include "core/base/fault.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/work/attachment.h"
#include "core/work/living_server.h"
#include "pg/attachment.h"
#include "pg/boundary.h"
#include "pg/branch_directory.h"
#include "pg/branch_room.h"
#include "pg/branch_source.h"
#include "pg/compute.h"
#include "pg/guc_branch.h"
#include "pg/interrupts.h"
#include "pg/operation.h"
#include "pg/operation_slots.h"
#include "pg/restore_arguments.h"
#include "pg/server_facts.h"
#include "pg/ship_file.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kShipMillis = 10000, kEndMillis = 10000, kTableMillis = 60000;
constexpr long kPollMs = 5;
constexpr std::int64_t kLookForCancelMicros = 100'000;
// The launcher takes one that it looks at for a moment only.
constexpr int kUseTries = 100;
// A look may go between the moment that it is found and the one that it is used.
constexpr int kRounds = 10;
// No commit record is written that long after its time.
constexpr std::int64_t kSettledMicros = 10'000'000;
constexpr std::size_t kMostNames = 16;

// Whoever looks for a look or makes one, one after the other.
Result<File> LockTable(const std::string& place) {
  const std::int64_t give_up = SystemClock().MonotonicMillis() + kTableMillis;
  for (;;) {
    PITR_ASSIGN_OR_RETURN(File lock, TryLockLooks(place));
    if (lock.is_open()) return lock;
    if (SystemClock().MonotonicMillis() >= give_up) {
      return Status(Code::kLockTimeout, "other sessions that look at the past take too long");
    }
    NapOnLatch(kPollMs);
    CheckInterrupts();
  }
}

struct Wanted {
  PlanRequest request;
  RestorePlan plan;
  std::string point;                 // in words
  std::string lasting;               // of NameThatLasts, may be empty
  const LookAsker* asker = nullptr;  // nobody: this session
};

// What was committed there until now can be looked at.
Status Ship(const Session& session, const PlanRequest& request) {
  PITR_ASSIGN_OR_RETURN(const BranchId source,
                        FindSource(session.branches, request.self, request.source));
  if (source == session.identity.branch_id) return RequestShip(kShipMillis);
  const Branch* branch = session.branches.FindId(source);
  if (branch == nullptr) return Status::Ok();
  const auto directory = DirectoryOf(*branch, session.identity.branch_id);
  if (!directory) return Status::Ok();
  if (!LivingServer(*directory)) return ShipLeft(session.repo.get(), *branch);
  return AskToShip(*directory, kShipMillis, [] { return ServerCancel().IsCancelled(); });
}

// Words that mean the same record as long as the catalogue of branches is what it is, so that it need not be looked for again: a moment that is over
// for good, an LSN, a transaction. Empty for others, the head of a branch above all.
std::string NameThatLasts(const Session& session, const std::string& point,
                          const PlanRequest& request) {
  const Point& wanted = request.point;
  const bool lasts = wanted.kind == Point::Kind::kLsn || wanted.kind == Point::Kind::kXid ||
                     (wanted.kind == Point::Kind::kTime &&
                      wanted.time.micros < request.now.micros - kSettledMicros);
  if (!lasts || request.bare) return {};
  const std::string branches = DumpJson(EncodeBranches(session.branches));
  return std::to_string(Xxh3(AsBytes(branches))) + " " + point;
}

Status ReadWanted(const Session& session, const std::string& point, Wanted* wanted) {
  wanted->request.self = session.identity.branch_id;
  wanted->request.now = SystemClock().Now();
  // Who is let into a masked branch only must not see more than that by way of it.
  wanted->request.for_new_branch =
      !session.branches.MaskedOrigin(session.identity.branch_id).has_value();
  PITR_RETURN_IF_ERROR(ReadPoint(point, session, &wanted->request));
  wanted->point = point;
  wanted->lasting = NameThatLasts(session, point, wanted->request);
  return Status::Ok();
}

Status TakeWanted(const Session& session, const LookAsker& asker, Wanted* wanted) {
  wanted->request = asker.request;
  wanted->request.now = SystemClock().Now();
  wanted->point = asker.point;
  wanted->lasting = NameThatLasts(session, asker.point, wanted->request);
  wanted->asker = &asker;
  return Status::Ok();
}

Result<Wanted> Resolve(const Session& session, Wanted wanted) {
  PITR_RETURN_IF_ERROR(Ship(session, wanted.request));
  PITR_ASSIGN_OR_RETURN(wanted.plan, PlanRestore(session.repo.get(), session.branches,
                                                 wanted.request, nullptr, nullptr));
  return wanted;
}

bool IsFor(const Look& look, const RestorePlan& plan) {
  return look.IsAt(plan.owner, plan.timeline, plan.record_end);
}

// Not open: it is gone, or goes.
Result<File> Use(const Look& look) {
  for (int i = 0; i < kUseTries; i++) {
    PITR_ASSIGN_OR_RETURN(File use, TryUseLook(look.folder));
    if (use.is_open()) return IsServing(look) ? std::move(use) : File();
    if (!PathExists(look.folder)) return File();
    NapOnLatch(kPollMs);
    CheckInterrupts();
  }
  return File();
}

bool Counts(const Look& look) { return look.is_ready ? IsServing(look) : IsBeingBuilt(look); }

// There is room for one more: an idle one is given up for it, the one that was used the longest time ago.
Status MakeRoom(const std::string& place) {
  std::vector<Look> looks = ListLooks(place);
  std::erase_if(looks, [](const Look& look) { return !Counts(look); });
  std::sort(looks.begin(), looks.end(), [](const Look& a, const Look& b) {
    return LastUseOfLook(a.folder) < LastUseOfLook(b.folder);
  });
  const std::size_t most = static_cast<std::size_t>(TimeTravelMaxSetting());
  std::size_t left = looks.size();
  for (const Look& look : looks) {
    if (left < most) break;
    if (!look.is_ready || IsAttached(look, AttachmentDirectory())) continue;
    PITR_ASSIGN_OR_RETURN(const File taken, TryTakeLook(look.folder));
    if (!taken.is_open()) continue;
    PITR_RETURN_IF_ERROR(EndLook(look, taken));
    left--;
  }
  if (left < most) return Status::Ok();
  return Status(Code::kLimit, "all " + std::to_string(most) + " servers of the past are in use")
      .WithHint(
          "Wait for one of them, end one with pitr_close_at(point) or pitr_detach_schema(schema), "
          "or "
          "raise pitr.time_travel_max.");
}

// An idle one from which the wanted point is reached by replay alone; the nearest. Not open: there is none.
Result<HeldLook> TakeEarlier(const std::string& place, const RestorePlan& plan) {
  std::vector<Look> looks = ListLooks(place);
  std::erase_if(looks, [&](const Look& look) {
    return !look.is_ready || !look.can_go_on || look.line != plan.owner ||
           look.timeline != plan.timeline || look.snapshot != plan.snapshot ||
           look.record_end >= plan.record_end || !IsServing(look) ||
           IsAttached(look, AttachmentDirectory());
  });
  std::sort(looks.begin(), looks.end(),
            [](const Look& a, const Look& b) { return a.record_end > b.record_end; });
  for (const Look& look : looks) {
    PITR_ASSIGN_OR_RETURN(File taken, TryTakeLook(look.folder));
    if (taken.is_open()) return HeldLook{look, std::move(taken)};
  }
  return HeldLook();
}

// Its server ends for it; who knew where that one was finds nobody there.
Result<Look> TakeOver(const HeldLook& earlier) {
  PITR_RETURN_IF_ERROR(StopServer(earlier.look.data(), SIGINT, kEndMillis));
  Look look;
  look.folder = earlier.look.folder;
  look.directory = earlier.look.directory;
  look.snapshot = earlier.look.snapshot;
  look.socket_directory = earlier.look.socket_directory;
  return look;
}

Result<Look> Describe(Look look, const std::string& place, const Wanted& wanted) {
  if (look.folder.empty()) {
    PITR_ASSIGN_OR_RETURN(const std::string name, NewLookName());
    look.folder = JoinPath(place, name);
  }
  PITR_ASSIGN_OR_RETURN(look.operation, NewOperationId(wanted.request.now.micros / 1000000));
  look.line = wanted.plan.owner;
  look.timeline = wanted.plan.timeline;
  look.record_end = wanted.plan.record_end;
  look.point = wanted.point;
  if (!wanted.lasting.empty()) look.asked = {wanted.lasting};
  return look;
}

Status Begin(const Session& session, const Look& look, const Wanted& wanted) {
  PITR_RETURN_IF_ERROR(MakeDirectories(look.folder));
  PITR_RETURN_IF_ERROR(WriteLook(look));
  PITR_FAULT("look.reserved");
  RestoreRequest request;
  request.plan = wanted.request;
  NewOperation operation;
  operation.id = look.operation;
  operation.kind = kLook;
  operation.branch = wanted.plan.line_name;
  operation.branch_id = session.identity.branch_id;
  operation.request = RequestToJson(request);
  operation.request["folder"] = look.folder;
  operation.role_name = wanted.asker == nullptr ? CurrentRole() : wanted.asker->role_name;
  return StartOperation(operation).status();
}

// A worker hears of a cancel by its own operation.
Result<OperationSlot> Await(const std::string& operation, bool is_ours, const LookAsker* asker) {
  if (asker == nullptr) return WaitForOperation(operation, is_ours, false);
  for (;;) {
    PITR_ASSIGN_OR_RETURN(OperationSlot slot,
                          WaitForOperation(operation, false, false, kLookForCancelMicros));
    if (slot.finished_at != 0) return slot;
    if (!asker->is_cancelled()) continue;
    if (is_ours) {
      PITR_RETURN_IF_ERROR(RequestCancel(operation).status());
      ReleaseOperation(operation);
    }
    return Status(Code::kCancelled, "the operation was cancelled");
  }
}

// One that others build is waited for; a cancel of this session ends only what it began itself.
Result<HeldLook> AwaitBuilt(const std::string& operation, const std::string& folder, bool is_ours,
                            const LookAsker* asker) {
  PITR_ASSIGN_OR_RETURN(const OperationSlot slot, Await(operation, is_ours, asker));
  if (is_ours) {
    ReleaseOperation(operation);
    if (slot.state != OperationState::kDone) return StatusOfSlot(slot);
  }
  HeldLook held;
  Result<Look> look = ReadLook(folder);
  if (!look.ok()) return held;
  PITR_ASSIGN_OR_RETURN(held.use, Use(*look));
  held.look = *std::move(look);
  return held;
}

bool HasName(const Look& look, const std::string& name) {
  return look.is_ready && std::find(look.asked.begin(), look.asked.end(), name) != look.asked.end();
}

// The one that was asked for in these words before. Not open: there is none.
Result<HeldLook> FindByName(const std::string& place, const std::string& name) {
  if (name.empty()) return HeldLook();
  for (const Look& look : ListLooks(place)) {
    if (!HasName(look, name)) continue;
    PITR_ASSIGN_OR_RETURN(File use, Use(look));
    if (!use.is_open()) continue;
    // It may have been taken over for another point before it was used.
    PITR_ASSIGN_OR_RETURN(Look now, ReadLook(look.folder));
    if (HasName(now, name)) return HeldLook{std::move(now), std::move(use)};
  }
  return HeldLook();
}

// REQUIRES: the table is locked.
Status NoteName(const Wanted& wanted, Look look) {
  if (wanted.lasting.empty() || look.asked.size() >= kMostNames) return Status::Ok();
  look.asked.push_back(wanted.lasting);
  return WriteLook(look);
}

// `use` is not open when it has to be tried again.
Result<HeldLook> FindOrBuild(const Session& session, const std::string& place, Wanted read) {
  PITR_ASSIGN_OR_RETURN(HeldLook known, FindByName(place, read.lasting));
  if (known.use.is_open()) return known;
  PITR_ASSIGN_OR_RETURN(const Wanted wanted, Resolve(session, std::move(read)));
  PITR_ASSIGN_OR_RETURN(File table, LockTable(place));
  for (const Look& look : ListLooks(place)) {
    if (!IsFor(look, wanted.plan)) continue;
    if (look.is_ready) {
      PITR_ASSIGN_OR_RETURN(File use, Use(look));
      if (use.is_open()) {
        PITR_RETURN_IF_ERROR(NoteName(wanted, look));
        return HeldLook{look, std::move(use)};
      }
    } else if (IsBeingBuilt(look)) {
      table = File();
      Result<HeldLook> held = AwaitBuilt(look.operation, look.folder, false, wanted.asker);
      return held.status().code() == Code::kNotFound ? HeldLook() : std::move(held);
    }
  }
  Look base;
  PITR_ASSIGN_OR_RETURN(HeldLook earlier, TakeEarlier(place, wanted.plan));
  if (earlier.use.is_open()) {
    PITR_ASSIGN_OR_RETURN(base, TakeOver(earlier));
  } else {
    PITR_RETURN_IF_ERROR(MakeRoom(place));
  }
  PITR_RETURN_IF_ERROR(CheckBranchRoom(place));
  PITR_ASSIGN_OR_RETURN(const Look look, Describe(std::move(base), place, wanted));
  const Status begun = Begin(session, look, wanted);
  if (!begun.ok()) {
    if (PathExists(look.folder)) PITR_RETURN_IF_ERROR(GiveUpLook(look.folder).status());
    return begun;
  }
  earlier.use = File();
  table = File();
  return AwaitBuilt(look.operation, look.folder, true, wanted.asker);
}

Status CheckOn() {
  if (TimeTravelMaxSetting() > 0) return Status::Ok();
  return Status(Code::kNotReady, "looking at the past is off")
      .WithHint("Set pitr.time_travel_max to the number of servers that it may have at once.");
}

}  // namespace

bool IsServing(const Look& look) {
  return LivingServer(look.data()).has_value() && ServerWord(look.data()) == "ready";
}

bool IsBeingBuilt(const Look& look) {
  if (look.is_ready) return false;
  const std::optional<OperationSlot> slot = FindOperation(look.operation);
  return slot && slot->finished_at == 0;
}

Status EndLook(const Look& look, const File& taken) {
  if (!taken.is_open()) return Status(Code::kInternal, "a look is ended that is in use");
  PITR_RETURN_IF_ERROR(StopServer(look.data(), SIGQUIT, kEndMillis));
  return GiveUpLook(look.folder).status();
}

template <typename Read>
static Result<HeldLook> Hold(const std::string& point, Read read) {
  PITR_RETURN_IF_ERROR(CheckOn());
  PITR_RETURN_IF_ERROR(WaitForFinishedExchange());
  PITR_ASSIGN_OR_RETURN(const std::string place, BranchDirectory());
  PITR_RETURN_IF_ERROR(ClaimBranchDirectory(place));
  for (int round = 0; round < kRounds; round++) {
    PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
    Wanted wanted;
    PITR_RETURN_IF_ERROR(read(session, &wanted));
    PITR_ASSIGN_OR_RETURN(HeldLook held, FindOrBuild(session, place, std::move(wanted)));
    if (held.use.is_open()) return held;
    CheckInterrupts();
  }
  return Status(Code::kUnavailable, "servers at \"" + point + "\" end as soon as they are made");
}

Result<HeldLook> HoldLook(const std::string& point) {
  return Hold(point, [&](const Session& session, Wanted* wanted) {
    return ReadWanted(session, point, wanted);
  });
}

Result<HeldLook> HoldLookFor(const LookAsker& asker) {
  return Hold(asker.point, [&](const Session& session, Wanted* wanted) {
    return TakeWanted(session, asker, wanted);
  });
}

Result<bool> CloseLook(const std::string& point) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  Wanted read;
  PITR_RETURN_IF_ERROR(ReadWanted(session, point, &read));
  PITR_ASSIGN_OR_RETURN(const Wanted wanted, Resolve(session, std::move(read)));
  PITR_ASSIGN_OR_RETURN(const std::string place, BranchDirectory());
  if (!PathExists(place)) return false;
  PITR_ASSIGN_OR_RETURN(const File table, LockTable(place));
  for (const Look& look : ListLooks(place)) {
    if (!IsFor(look, wanted.plan) || !look.is_ready) continue;
    // Behind that nobody has it, but who comes just now.
    PITR_RETURN_IF_ERROR(StopServer(look.data(), SIGQUIT, kEndMillis));
    for (int i = 0; i < kUseTries && PathExists(look.folder); i++) {
      PITR_ASSIGN_OR_RETURN(const File taken, TryTakeLook(look.folder));
      if (taken.is_open()) {
        PITR_RETURN_IF_ERROR(EndLook(look, taken));
        break;
      }
      NapOnLatch(kPollMs);
      CheckInterrupts();
    }
    return true;
  }
  return false;
}

}  // namespace pitr::pg

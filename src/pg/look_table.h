// Looks of this server (core/work/look.h) as its sessions find, make and give them up. The table is the branch directory: what is there, and who
// uses it, is seen in files and locks, so that no death of a session, worker or launcher leaves a count wrong.
#pragma once

#include <functional>
#include <string>

#include "core/base/file.h"
#include "core/base/result.h"
#include "core/plan/restore_plan.h"
#include "core/work/look.h"
#include "pg/session.h"

namespace pitr::pg {

// It stays as long as `use` is open.
struct HeldLook {
  Look look;
  File use;
};

// The look at a point: the one that is there, or one that is built now, for which an idle one goes if there are too many. A cancel ends the build.
// Errors of points as for restores; kLimit when pitr.time_travel_max are in use. THROWS ErrorInFlight.
Result<HeldLook> HoldLook(const std::string& point);

// Who asks from the worker of an operation: a point that was read where it was asked for, and as whom.
struct LookAsker {
  PlanRequest request;
  std::string point, role_name;
  std::function<bool()> is_cancelled;
};
// The same for it, but kCancelled. THROWS ErrorInFlight.
Result<HeldLook> HoldLookFor(const LookAsker& asker);
// Gives up the look at a point, whoever reads from it. False: there is none. THROWS ErrorInFlight.
Result<bool> CloseLook(const std::string& point);

// Its server ends at once; its folder is left to the launcher (look_keeper.h). `taken` is of TryTakeLook. THROWS ErrorInFlight.
Status EndLook(const Look& look, const File& taken);
// It can be entered, as far as anybody can see; not one that is about to end.
bool IsServing(const Look& look);
// Somebody builds it. REQUIRES: TryLockLooks, or its operation may be about to begin.
bool IsBeingBuilt(const Look& look);

}  // namespace pitr::pg

// Retention in the server (core/work/retention_pass.h): the launcher lets an operation worker's child make a pass now and then. As an operation it is
// alone, so that no restore and no snapshot of this server is at work meanwhile. One that had nothing to do is told of nowhere.
#pragma once

#include "core/plan/retention_view.h"
#include "core/repo/identity.h"
#include "pg/operation_kinds.h"

namespace pitr::pg {

inline constexpr char kRetention[] = "retention";  // the kind of operation

// Launcher, each second: starts a pass some minutes after the server's start, each hour from then on, and when settings for it have changed.
Status KeepRetention(Repository* repo, const Identity& identity);
// When the server has started, or the repository is another one.
void ForgetRetention();

// Operation worker.
Result<Json> RunRetention(const OperationContext& context);
// Whether a pass that has ended well with `result` is worth a row.
bool DidRetentionAct(const Json& result);

// As this server asks it. THROWS ErrorInFlight.
RetentionQuestion OwnRetentionQuestion(const BranchSet& branches, const Identity& identity);

}  // namespace pitr::pg

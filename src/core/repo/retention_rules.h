// What people want to be kept of each branch: document "retention" of the catalogue (doc/repository-format.md 5). What that comes to is found
// by core/plan/retention.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "core/base/json_fwd.h"
#include "core/repo/branches.h"
#include "core/repo/repository.h"
#include "core/types/ids.h"

namespace pitr {

struct RetentionRules {
  // How far back every moment can be restored; 0: only the newest state. nullopt: pitr.restore_window of the branch's server.
  std::optional<std::int64_t> window_seconds;
  // Beside the window, of the branch's own snapshots: so many of the newest scheduled ones, and the newest one of so many days, weeks,
  // months and years that have one.
  std::optional<std::int64_t> keep_count, daily, weekly, monthly, yearly;
  bool HasClasses() const { return keep_count || daily || weekly || monthly || yearly; }
  friend bool operator==(const RetentionRules&, const RetentionRules&) = default;
};

// What the server of a branch has set, for the other servers, whose settings are their own.
struct ServerRetention {
  std::int64_t window_seconds = 0, minimum_snapshots = 1;
  friend bool operator==(const ServerRetention&, const ServerRetention&) = default;
};

struct BranchRetentionEntry {
  std::optional<RetentionRules> rules;  // nullopt: nobody has set any for this line
  std::optional<ServerRetention> server;
};
using RetentionRuleSet = std::map<BranchId, BranchRetentionEntry>;

// Of the document; kCorrupt names the branch.
Result<RetentionRuleSet> DecodeRetentionRules(const Json& document);
// `number` (may be null): of the document.
Result<RetentionRuleSet> ReadRetentionRules(Repository* repo, std::uint64_t* number = nullptr);

// The rules of a branch: those that were set for its line or, when none were, for the line whose name it took over in a restore.
RetentionRules RulesOf(const RetentionRuleSet& set, const BranchSet& branches, const BranchId& id);

// DURABLE. `change` gets RulesOf() the branch, and may be called again.
Status UpdateRetentionRules(Repository* repo, const BranchSet& branches, const BranchId& id,
                            const std::function<Status(RetentionRules*)>& change);
// DURABLE. Writes nothing when it is known already.
Status NoteServerRetention(Repository* repo, const BranchId& id, const ServerRetention& server);

}  // namespace pitr

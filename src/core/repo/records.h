// Entries of the two logs of the catalogue: operations (what ran and how it ended) and audit (who asked for what).
// Both live in the repository, so a restore does not roll them back (rules.md 5).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/repo/repository.h"
#include "core/types/lsn.h"

namespace pitr {

// Written when an operation starts ("running") and when it ends; readers fold entries of one id, the last wins.
struct OperationRecord {
  std::string id, kind, branch, branch_id, state, phase, role_name, error, sqlstate;
  std::uint64_t bytes_done = 0, bytes_total = 0;
  Lsn replay_lsn, target_lsn;
  Timestamp started_at;
  std::optional<Timestamp> finished_at;
  std::string result;  // JSON of the answer row, for waiters that come later
};

Status AppendOperation(Repository* repo, const OperationRecord& record);
// Folded, oldest start first, from the newest `limit` entries.
Result<std::vector<OperationRecord>> ReadOperations(Repository* repo, std::size_t limit);

struct AuditRecord {
  Timestamp at;
  std::string role_name, client_addr, branch, function, arguments, operation_id, outcome, sqlstate;
};

Status AppendAudit(Repository* repo, const AuditRecord& record);
Result<std::vector<AuditRecord>> ReadAudit(Repository* repo, std::size_t limit);

}  // namespace pitr

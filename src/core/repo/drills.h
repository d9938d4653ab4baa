// Restore drills: what came of them. A log of the catalogue, so a restore does not roll it back. Format: doc/repository-format.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/repo/repository.h"
#include "core/types/lsn.h"

namespace pitr {

// What is not set was not found out: the drill did not get that far, or it does not apply.
struct DrillRecord {
  std::string id;  // of the operation
  std::string branch_id;
  Timestamp started_at;
  bool passed = false;
  Lsn point_lsn;
  std::optional<Timestamp> point_time;             // of the last commit in it
  std::optional<std::int64_t> restore_micros;      // until the server was promoted
  std::optional<std::int64_t> first_query_micros;  // until it answered
  std::optional<std::int64_t>
      data_loss_micros;  // how far the repository was behind when the drill began
  std::optional<bool> amcheck_ok, checksums_ok, queries_ok;
  std::optional<std::int64_t> relations, row_count, row_count_expected;
  std::string detail;
};

Status AppendDrill(Repository* repo, const DrillRecord& record);
// The newest `limit`, oldest first.
Result<std::vector<DrillRecord>> ReadDrills(Repository* repo, std::size_t limit);

}  // namespace pitr

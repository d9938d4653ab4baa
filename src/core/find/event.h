// What pitr_find_events looks for and finds.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/types/lsn.h"

namespace pitr::find {

enum class Kind : std::uint8_t {
  kDrop,
  kTruncate,
  kDelete,
  kUpdate,
  kDdl,
  kDropDatabase,
  kRestorePoint,
};
inline constexpr std::array<std::string_view, 7> kKindNames = {
    "drop", "truncate", "delete", "update", "ddl", "drop_database", "restore_point"};

struct FoundEvent {
  std::optional<Timestamp> time;  // of the commit; of PREPARE for what is prepared and not decided
  Kind kind = Kind::kDdl;
  std::string database, object;  // empty: not known, or none
  std::optional<std::int64_t> rows;
  Xid xid = 0;
  Lsn lsn;  // start of the record that makes it true
  bool committed = true;
  Lsn before;  // start of the last record to replay to be just before it
  std::string detail;
};

struct FindRequest {
  std::optional<Timestamp> since, until;
  std::array<bool, kKindNames.size()> kinds = {};
  std::int64_t min_rows = 0;
  std::string relation;  // "name" or "schema.name" as it was called then; empty: all

  bool Wants(Kind kind) const { return kinds[static_cast<std::size_t>(kind)]; }
  bool WantsRows() const { return Wants(Kind::kDelete) || Wants(Kind::kUpdate); }
  bool WantsCatalogs() const {
    return Wants(Kind::kDrop) || Wants(Kind::kTruncate) || Wants(Kind::kDdl) ||
           Wants(Kind::kDropDatabase);
  }
};

}  // namespace pitr::find

// The document "dumps" of the catalogue: dumps that have no manifest (yet), and those that were deleted on purpose. And where else dumps are: the document
// "dump_repositories".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/repo/dumps.h"

namespace pitr {

struct DumpAttempt {
  DumpId id;
  std::optional<std::string> database;
  std::string format;
  Timestamp started_at;
  std::optional<Timestamp> failed_at;  // none: it runs, or whoever made it died
  std::string error, sqlstate;
  std::string repository;  // empty: the one whose document it is
};

Status NoteDumpBegun(Repository* repo, const DumpId& id, const DumpOptions& options, Timestamp now,
                     const std::string& repository = {});
Status NoteDumpFailed(Repository* repo, const DumpId& id, const Status& why, Timestamp now);
// Its manifest says the rest; or nothing shall be known of it any more.
Status ForgetDumpAttempt(Repository* repo, const DumpId& id);
// Oldest first; entries that say something else are passed over.
std::vector<DumpAttempt> DumpAttemptsIn(const Json& document);

inline constexpr char kDumpsDocument[] = "dumps";
// How long failed dumps are known, and deleted ones remembered.
inline constexpr std::int64_t kDumpAttemptMicros = 7LL * 86400 * 1000000;
// DURABLE. Nothing is written when nothing is old.
Status ForgetOldDumpAttempts(Repository* repo, Timestamp now);
// Objects in `repo` of dumps that began before `before` and have no manifest, when none of their operations, which `operations` knows, can be at work any more.
Status CollectAbandonedDumps(Repository* repo, Repository* operations, Timestamp before,
                             Timestamp now);

// Addresses of other repositories to which dumps were brought, in the order in which they came.
Result<std::vector<std::string>> DumpRepositories(Repository* repo);
// IDEMPOTENT. DURABLE.
Status NoteDumpRepository(Repository* repo, const std::string& address);

}  // namespace pitr

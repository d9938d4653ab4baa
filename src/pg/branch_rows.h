// Rows that several functions and views give: branches, snapshots, operations.
#pragma once

#include "core/repo/manifest.h"
#include "pg/branch_sizes.h"
#include "pg/operation.h"
#include "pg/session.h"

namespace pitr::pg {

// The earliest and the latest moment of a branch that can be restored, as far as there is one.
struct BranchWindow {
  std::optional<Timestamp> first, last;
};
// Reads the repository. Fails only when that cannot be reached; damage is for the functions that restore.
Result<BranchWindow> WindowOf(const Session& session, const Branch& branch);

// What a row says of a branch that its catalogue entry does not.
struct BranchMeasures {
  BranchWindow window;
  std::optional<std::int64_t> size_bytes;
};
void WriteBranchRow(RowBuilder* rows, const Session& session, const Branch& branch,
                    const BranchMeasures& measures);
// The only row of a function: the branch as it is now. `id` by value: it may be one of the branches that are read anew.
Result<Datum> BranchRowOf(FunctionCallInfo fcinfo, Session* session, BranchId id);
// Where the columns stand that tell a row's branch and its window.
inline constexpr std::size_t kBranchIdColumn = 1, kWindowColumn = 22;

// What the catalogue knows about a snapshot beyond its manifest.
struct SnapshotFlags {
  bool kept = false, deleted = false;
  std::optional<Timestamp> verified_at;
};
Result<Json> ReadSnapshotFlags(Repository* repo);
SnapshotFlags FlagsOf(const Json& document, const SnapshotId& id);
void WriteSnapshotRow(RowBuilder* rows, const Session& session, const ManifestHead& head,
                      const SnapshotFlags& flags);
// By id or name (the newest of that name); kNotFound lists nothing.
Result<ManifestHead> FindSnapshot(Repository* repo, const std::string& name_or_id);

void WriteOperationRow(RowBuilder* rows, const OperationRecord& record, std::int32_t pid);

}  // namespace pitr::pg

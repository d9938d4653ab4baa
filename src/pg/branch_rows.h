// Rows that several functions and views give: branches, snapshots, operations.
#pragma once

#include "core/repo/manifest.h"
#include "pg/operation.h"
#include "pg/session.h"

namespace pitr::pg {

// With the restore window of each branch when `with_window` (reads the repository).
void WriteBranchRow(RowBuilder* rows, const Session& session, const Branch& branch,
                    bool with_window);

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

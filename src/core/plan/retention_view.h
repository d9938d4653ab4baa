// Everything that retention decides by, read from a repository: branches, rules, snapshots, and what WAL is there. Memory: some 12 bytes for each
// WAL segment, a kilobyte or two for each snapshot.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/plan/retention.h"
#include "core/repo/repository.h"

namespace pitr {

// Who asks.
struct RetentionQuestion {
  BranchId self;  // the branch that this server writes; its root line is looked at
  // Branches that have no other server that minds them (self is one): this server's settings are theirs, unless they had a server that said
  // otherwise, and this server removes what is theirs.
  std::set<BranchId> minded;
  ServerRetention server;  // this server's settings
  Timestamp now;
};

// An object with WAL that is no whole segment: a part of one, a label, a piece of the tail.
struct WalPart {
  std::string object;
  std::uint64_t segment = 0, bytes = 0;
};

struct RetentionView {
  BranchSet branches;
  std::vector<ManifestHead> heads;
  Json flags;            // document "snapshots"
  RetentionInput input;  // refers to `heads`
  std::map<BranchId, std::vector<WalPart>> parts;
  std::uint64_t branches_number = 0, rules_number = 0;  // of the documents
  const Branch& BranchOf(const BranchId& id) const { return *branches.FindId(id); }
};

// Fails when anything cannot be read: then nothing may go. kCorrupt names a snapshot whose manifest is damaged.
Result<std::unique_ptr<RetentionView>> ReadRetentionView(Repository* repo,
                                                         const RetentionQuestion& question,
                                                         const CancelToken* cancel = nullptr);
// Nothing that it was read from has changed since in a way that could make more needed.
Result<bool> IsUnchanged(Repository* repo, const RetentionView& view, Timestamp now);

// Snapshots that somebody keeps or is loading from, by the document "snapshots".
Result<std::set<SnapshotId>> HeldSnapshots(const Json& flags, const BranchSet& branches,
                                           Timestamp now);
// The marks that retention itself has put on snapshots (document "snapshots"), and when; others have marks of their own.
std::map<SnapshotId, Timestamp> RetentionMarks(const Json& flags);

}  // namespace pitr

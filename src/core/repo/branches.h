// The catalogue of branches. A *line* is one branch id's run of history; a *name* moves between lines and its past
// is kept, because a bare time means "what this name showed then" (rules.md 2).
// *Ancestor* is where bytes come from and never changes; *parent* is what the user sees.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/json_fwd.h"
#include "core/repo/repository.h"
#include "core/types/ids.h"
#include "core/types/lsn.h"

namespace pitr {

enum class BranchKind { kRoot, kChild, kUndo, kSchemaOnly };
std::string_view BranchKindName(BranchKind kind);

// The server that runs on a branch's directory beside that of the branch that was made first. `state` "running" or "stopped" is what is
// wanted; whether it runs is seen by the directory.
struct BranchCompute {
  int port = 0;
  // Configuration files outside of its directory, which it shares with the server it was made from; empty: in its directory.
  std::string config_file, hba_file, ident_file;
  friend bool operator==(const BranchCompute&, const BranchCompute&) = default;
};

// What a deleted branch was while it is being brought back, for whoever has to give that up.
struct BranchUndelete {
  Timestamp deleted_at;
  std::string name, state;
  friend bool operator==(const BranchUndelete&, const BranchUndelete&) = default;
};

// What becomes of a directory that a restore with finalize => false has built, once it is finalized.
struct BuiltRestore {
  BranchId target;        // the branch whose place it takes
  std::string undo_name;  // empty: the automatic one
  bool preserve = true, keep_passwords = true, force = false;
  bool below_backup = false;  // parent_after => 'backup'
  friend bool operator==(const BuiltRestore&, const BuiltRestore&) = default;
};

struct Branch {
  BranchId id;
  std::string name;
  BranchKind kind = BranchKind::kRoot;
  RootIdentity root;
  std::optional<BranchId> parent;
  std::optional<BranchId> ancestor;  // history before fork_lsn is the ancestor's
  Lsn fork_lsn;                  // end of the last record taken from the ancestor; 0/0 for a root
  TimelineId fork_timeline = 0;  // timeline of the ancestor at the fork
  std::optional<Timestamp> fork_time;    // commit time of the last commit taken over
  std::optional<std::string> directory;  // where its data directory is or was, when on this machine
  std::optional<std::string> directory_place;     // of undo directories: which server put it where
  std::optional<Timestamp> directory_expires_at;  // they leave after retention
  bool is_default = false, is_protected = false;
  Timestamp created_at, updated_at;
  std::optional<Timestamp> last_reset_at, expires_at, deleted_at;
  std::optional<Timestamp> gone_at;  // of a deleted one: it cannot be brought back from then on
  std::optional<std::int64_t> ttl_seconds;
  std::string state = "running";  // sql-surface.md 4
  // While "creating": the branch whose server builds it, and drops it if that came to nothing; none for `pitr restore`, which leaves the mark
  // of its process instead (base/process.h), so that others can tell when it is gone (unbuilt.h).
  std::optional<BranchId> builder;
  std::optional<std::string> builder_process;
  std::optional<BranchUndelete> undelete;
  std::optional<BranchCompute> compute;
  // A script changed its data before anybody could connect: its history begins behind that, it has no ancestor.
  bool is_masked = false;
  std::optional<BuiltRestore> built;  // it is looked at, and waits to be finalized
  std::string created_by;
  std::string created_with;  // arguments of pitr_create_branch: the same call again succeeds
};

// How long a deleted branch can be brought back.
inline constexpr std::int64_t kUndeleteMicros = 7LL * 86400 * 1000000;
// When that is over. REQUIRES: deleted.
Timestamp GoneAt(const Branch& branch);

struct NameSpan {  // `name` showed branch `id` in [since, until)
  std::string name;
  BranchId id;
  Timestamp since;
  std::optional<Timestamp> until;
};

struct BranchSet {
  std::vector<Branch> branches;      // deleted ones too (deleted_at set)
  std::vector<NameSpan> name_spans;  // in order of `since`

  const Branch* FindId(const BranchId& id) const;
  Branch* FindId(const BranchId& id);
  const Branch* FindName(std::string_view name) const;  // not deleted
  // By exact name first, then by id; kNotFound "branch \"x\" not found" with the existing ones in the detail.
  Result<const Branch*> Find(std::string_view name_or_id) const;
  // A deleted one that can be brought back at `now`: by id, else the newest of that name. kNotFound when none was deleted, kNotReady when it is too
  // late.
  Result<const Branch*> FindDeleted(std::string_view name_or_id, Timestamp now) const;
  bool IsNameTaken(std::string_view name) const;
  std::vector<const Branch*> ChildrenOf(const BranchId& id) const;  // by parent, not deleted
  // Of those who had the name of `branch` before, back to the first that it was not taken over from by a restore (another branch that was once
  // called so is no past of this one), the newest undo branch that is not deleted; nullptr when there is none.
  const Branch* NewestUndoOf(const Branch& branch) const;
  // Directories that wait to take its place, not deleted.
  std::vector<const Branch*> BuiltFor(const BranchId& id) const;
  // kDependents that lists them.
  Status CheckNoChildren(const Branch& branch) const;
  // id, its ancestor, the ancestor's ancestor, … ; kCorrupt on a cycle or a missing one.
  Result<std::vector<const Branch*>> AncestryOf(const BranchId& id) const;
  // The masked line that the bytes of `id` begin with, if they do: whatever else a restore of it took in would not be masked.
  std::optional<BranchId> MaskedOrigin(const BranchId& id) const;
  // All lines that share a root line with `id` (same RootIdentity): what timelines were ever used.
  std::vector<const Branch*> FamilyOf(const BranchId& id) const;
  // Adds, with its name span opened at created_at.
  void Add(Branch branch);
  // Moves names at `now`: closes and opens spans. REQUIRES: the new name is free or given away in the same update.
  void Rename(const BranchId& id, const std::string& new_name, Timestamp now);
  // A branch in state "creating" came to nothing: it leaves, or is deleted as it was before it was to be brought back. Nothing when it is in another
  // state, or not there.
  void GiveUp(const BranchId& id, Timestamp now);
  // After a restore: `incoming` is now what `outgoing` was, name, kind, flags, time to live and server, and `outgoing` becomes an undo branch called
  // `undo_name`. `below_backup`: that is the parent from here on, unless it is a root. States and directories are the caller's. REQUIRES: both are there.
  void HandOver(const BranchId& outgoing, const BranchId& incoming, const std::string& undo_name,
                Timestamp now, bool below_backup = false);
};

// Document kind "branches"; format: doc/repository-format.md. kCorrupt names the branch and the member; kUnsupported
// for a newer version.
Json EncodeBranches(const BranchSet& set);
Result<BranchSet> DecodeBranches(const Json& document);

Result<BranchSet> ReadBranches(Repository* repo);
// As UpdateDocument: `change` may be called again and must start from what it is given.
Status UpdateBranches(Repository* repo, const std::function<Status(BranchSet*)>& change);

}  // namespace pitr

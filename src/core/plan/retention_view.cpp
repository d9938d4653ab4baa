#include "core/plan/retention_view.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <string_view>

#include "core/repo/catalogue.h"
#include "core/repo/layout.h"
#include "core/repo/pins.h"

namespace pitr {

namespace {

constexpr std::size_t kPage = 100'000;  // a folder is read anew for each
constexpr std::int64_t kMicros = 1'000'000;
constexpr std::string_view kStates[] = {"running", "stopped", "creating", "restoring",
                                        "built",   "deleted", "failed"};

// Those of which the document says `name`. Once for all: its members are searched one after the other.
std::set<SnapshotId> WithFlag(const Json& flags, const char* name) {
  std::set<SnapshotId> ids;
  for (const auto& [id, entry] : flags.items()) {
    if (entry.is_object() && entry.contains(name) && entry[name] == true) {
      ids.insert(id);
    }
  }
  return ids;
}

Result<std::set<SnapshotId>> PinnedSnapshots(const Json& flags, const BranchSet& branches,
                                             Timestamp now) {
  std::set<SnapshotId> ids;
  PITR_ASSIGN_OR_RETURN(const std::vector<Pin> pins, PinsIn(flags));
  for (const Pin& pin : pins) {
    PITR_ASSIGN_OR_RETURN(const std::optional<Pin> valid,
                          PinOf(flags, branches, pin.snapshot, now));
    if (valid) {
      ids.insert(pin.snapshot);
    }
  }
  return ids;
}

class Reader {
 public:
  Reader(Repository* repo, const RetentionQuestion& question, const CancelToken* cancel,
         RetentionView* view)
      : repo_(repo), question_(question), cancel_(cancel), view_(*view) {}

  Status Run() {
    // The numbers first: whatever changes meanwhile is noticed before anything is removed.
    PITR_RETURN_IF_ERROR(ReadDocument(repo_, "branches", &view_.branches_number).status());
    PITR_ASSIGN_OR_RETURN(rules_, ReadRetentionRules(repo_, &view_.rules_number));
    PITR_ASSIGN_OR_RETURN(view_.flags, ReadDocument(repo_, "snapshots"));
    PITR_ASSIGN_OR_RETURN(view_.branches, ReadBranches(repo_));
    const Branch* self = view_.branches.FindId(question_.self);
    if (self == nullptr) {
      return Status(Code::kNotFound, "branch \"" + question_.self + "\" is not in the catalogue");
    }
    view_.input.now = question_.now;
    view_.input.root = self->root;
    if (!IsValidSegmentSize(self->root.segment_size)) {
      return Status(Code::kCorrupt, "branch \"" + self->name + "\" has no WAL segment size");
    }
    PITR_RETURN_IF_ERROR(ReadSnapshots());
    for (const Branch& branch : view_.branches.branches) {
      view_.input.known.insert(branch.id);
      if (branch.root == self->root) {
        PITR_RETURN_IF_ERROR(ReadBranch(branch));
      }
    }
    return Status::Ok();
  }

 private:
  Status CheckCancel() const {
    const bool is_cancelled =
        (cancel_ != nullptr && cancel_->IsCancelled()) || IsProcessCancelled();
    return is_cancelled ? Status(Code::kCancelled, "cancelled") : Status::Ok();
  }

  Status ReadSnapshots() {
    std::vector<std::string> damaged;
    PITR_ASSIGN_OR_RETURN(view_.heads, ListSnapshots(repo_, &damaged));
    if (!damaged.empty()) {
      return Status(Code::kCorrupt, "the manifest of snapshot \"" + damaged.front() +
                                        "\" cannot be read: what it needs is not known");
    }
    PITR_ASSIGN_OR_RETURN(const std::set<SnapshotId> pinned,
                          PinnedSnapshots(view_.flags, view_.branches, question_.now));
    const std::set<SnapshotId> kept = WithFlag(view_.flags, "kept");
    const std::set<SnapshotId> bad = WithFlag(view_.flags, "damaged");
    for (const ManifestHead& head : view_.heads) {
      const SnapshotId& id = head.manifest.id;
      view_.input.snapshots.push_back(
          {&head.manifest, kept.contains(id), pinned.contains(id), bad.contains(id)});
    }
    return Status::Ok();
  }

  Status ReadBranch(const Branch& branch) {
    PITR_RETURN_IF_ERROR(CheckCancel());
    if (std::find(std::begin(kStates), std::end(kStates), branch.state) == std::end(kStates)) {
      return Status(Code::kUnsupported, "branch \"" + branch.name + "\" is in state \"" +
                                            branch.state + "\", which is not known here");
    }
    PITR_RETURN_IF_ERROR(ReadWal(branch));
    if (branch.deleted_at && GoneAt(branch) <= question_.now) {
      return Status::Ok();
    }
    RetainedLine line;
    PITR_ASSIGN_OR_RETURN(line.lines, LinesOf(view_.branches, branch.id));
    PITR_ASSIGN_OR_RETURN(line.path, PathOf(repo_, line.lines));
    line.rules = RulesOf(rules_, view_.branches, branch.id);
    line.minimum_snapshots = ServerOf(branch).minimum_snapshots;
    const std::optional<std::int64_t> window = WindowOf(branch);
    if (window) {
      const std::int64_t longest = std::numeric_limits<std::int64_t>::max() / kMicros / 4;
      line.window_start = Timestamp{question_.now.micros - std::min(*window, longest) * kMicros};
    }
    view_.input.lines.push_back(std::move(line));
    return Status::Ok();
  }

  // What the server that minds the branch has set; this one's for those that nobody else minds.
  ServerRetention ServerOf(const Branch& branch) const {
    const auto known = rules_.find(branch.id);
    const bool is_said = known != rules_.end() && known->second.server;
    return is_said && branch.id != question_.self ? *known->second.server : question_.server;
  }

  std::optional<std::int64_t> OwnWindowOf(const Branch& branch) const {
    const RetentionRules rules = RulesOf(rules_, view_.branches, branch.id);
    if (rules.window_seconds) {
      return rules.window_seconds;
    }
    const auto known = rules_.find(branch.id);
    const bool is_said = known != rules_.end() && known->second.server;
    return is_said || question_.minded.contains(branch.id)
               ? std::optional(ServerOf(branch).window_seconds)
               : std::nullopt;
  }

  // What a name showed belongs to the window of whoever has it now, too.
  std::optional<std::int64_t> WindowOf(const Branch& branch) const {
    std::optional<std::int64_t> window = OwnWindowOf(branch);
    if (branch.kind != BranchKind::kUndo) {
      return window;
    }
    for (const NameSpan& span : view_.branches.name_spans) {
      const Branch* holder = span.id == branch.id ? view_.branches.FindName(span.name) : nullptr;
      if (holder == nullptr || holder->id == branch.id || !window) {
        continue;
      }
      const std::optional<std::int64_t> of_holder = OwnWindowOf(*holder);
      window = of_holder ? std::optional(std::max(*window, *of_holder)) : std::nullopt;
    }
    return window;
  }

  // Calls `take` with each object, in name order.
  template <typename Take>
  Status ListAll(const std::string& prefix, Take take) {
    for (std::string after;;) {
      PITR_RETURN_IF_ERROR(CheckCancel());
      PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> page,
                            repo_->store()->List(prefix, after, kPage));
      for (const ObjectStat& object : page) {
        take(object);
      }
      if (page.size() < kPage) {
        return Status::Ok();
      }
      after = page.back().name;
    }
  }

  Status ReadWal(const Branch& branch) {
    const std::uint64_t size = branch.root.segment_size;
    std::vector<WalPart>& parts = view_.parts[branch.id];
    PITR_ASSIGN_OR_RETURN(const std::vector<std::string> folders,
                          repo_->store()->ListParts(layout::WalRootPrefix(branch.id)));
    for (const std::string& folder : folders) {
      const auto timeline = layout::ParseTimelineFolder(folder);
      if (!timeline) {
        continue;
      }
      SegmentList& list = view_.input.segments[{branch.id, *timeline}];
      PITR_RETURN_IF_ERROR(
          ListAll(layout::WalPrefix(branch.id, *timeline), [&](const ObjectStat& object) {
            const auto file = ParseWalFileName(layout::LastPart(object.name), size);
            if (!file || file->kind == WalFileKind::kHistory) {
              return;
            }
            if (file->kind != WalFileKind::kSegment) {
              parts.push_back({object.name, file->segment, object.size});
              return;
            }
            list.numbers.push_back(file->segment);
            constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
            list.bytes.push_back(static_cast<std::uint32_t>(std::min(object.size, kMost)));
          }));
    }
    PITR_ASSIGN_OR_RETURN(const std::vector<std::string> tails,
                          repo_->store()->ListParts(layout::TailRootPrefix(branch.id)));
    for (const std::string& folder : tails) {
      const auto timeline = layout::ParseTimelineFolder(folder);
      if (!timeline) {
        continue;
      }
      PITR_RETURN_IF_ERROR(
          ListAll(layout::TailPrefix(branch.id, *timeline), [&](const ObjectStat& object) {
            if (const auto piece = layout::ParseTailName(layout::LastPart(object.name), size)) {
              parts.push_back({object.name, piece->segment.number, object.size});
            }
          }));
    }
    return Status::Ok();
  }

  Repository* const repo_;
  const RetentionQuestion& question_;
  const CancelToken* const cancel_;
  RetentionView& view_;
  RetentionRuleSet rules_;
};

}  // namespace

Result<std::unique_ptr<RetentionView>> ReadRetentionView(Repository* repo,
                                                         const RetentionQuestion& question,
                                                         const CancelToken* cancel) {
  auto view = std::make_unique<RetentionView>();
  PITR_RETURN_IF_ERROR(Reader(repo, question, cancel, view.get()).Run());
  return view;
}

Result<std::set<SnapshotId>> HeldSnapshots(const Json& flags, const BranchSet& branches,
                                           Timestamp now) {
  PITR_ASSIGN_OR_RETURN(std::set<SnapshotId> held, PinnedSnapshots(flags, branches, now));
  held.merge(WithFlag(flags, "kept"));
  return held;
}

Result<bool> IsUnchanged(Repository* repo, const RetentionView& view, Timestamp now) {
  std::uint64_t branches_number = 0, rules_number = 0;
  PITR_RETURN_IF_ERROR(ReadDocument(repo, "branches", &branches_number).status());
  PITR_RETURN_IF_ERROR(ReadRetentionRules(repo, &rules_number).status());
  if (branches_number != view.branches_number || rules_number != view.rules_number) {
    return false;
  }
  PITR_ASSIGN_OR_RETURN(const Json flags, ReadDocument(repo, "snapshots"));
  PITR_ASSIGN_OR_RETURN(const auto before, HeldSnapshots(view.flags, view.branches, now));
  PITR_ASSIGN_OR_RETURN(const auto after, HeldSnapshots(flags, view.branches, now));
  return std::includes(before.begin(), before.end(), after.begin(), after.end());
}

std::map<SnapshotId, Timestamp> RetentionMarks(const Json& flags) {
  std::map<SnapshotId, Timestamp> marks;
  for (const auto& [id, entry] : flags.items()) {
    if (!entry.is_object()) {
      continue;
    }
    const auto deleted = JsonOptionalInt(entry, "deleted_at");
    const auto marked = JsonOptionalInt(entry, "retention_at");
    if (deleted.ok() && marked.ok() && *deleted && *deleted == *marked) {
      marks[id] = {**deleted};
    }
  }
  return marks;
}

}  // namespace pitr

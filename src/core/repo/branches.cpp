// Queries and changes of a set of branches. Its JSON form is in branches_codec.cpp.
#include "core/repo/branches.h"
#include "core/base/json.h"

#include <algorithm>
#include <utility>

#include "core/repo/catalogue.h"

namespace pitr {

namespace {

constexpr std::string_view kKind = "branches";

bool IsLive(const Branch& branch) { return !branch.deleted_at.has_value(); }

}  // namespace

Timestamp GoneAt(const Branch& branch) {
  return branch.gone_at.value_or(Timestamp{branch.deleted_at->micros + kUndeleteMicros});
}

const Branch* BranchSet::FindId(const BranchId& id) const {
  const auto found = std::find_if(branches.begin(), branches.end(),
                                  [&](const Branch& branch) { return branch.id == id; });
  return found == branches.end() ? nullptr : &*found;
}

Branch* BranchSet::FindId(const BranchId& id) {
  return const_cast<Branch*>(static_cast<const BranchSet*>(this)->FindId(id));
}

const Branch* BranchSet::FindName(std::string_view name) const {
  const auto found = std::find_if(branches.begin(), branches.end(), [&](const Branch& branch) {
    return branch.name == name && IsLive(branch);
  });
  return found == branches.end() ? nullptr : &*found;
}

bool BranchSet::IsNameTaken(std::string_view name) const { return FindName(name) != nullptr; }

Result<const Branch*> BranchSet::Find(std::string_view name_or_id) const {
  const Branch* found = FindName(name_or_id);
  if (found == nullptr) {
    found = FindId(BranchId(name_or_id));
  }
  if (found != nullptr && IsLive(*found)) {
    return found;
  }
  std::vector<std::string_view> names;
  for (const Branch& branch : branches) {
    if (IsLive(branch)) {
      names.push_back(branch.name);
    }
  }
  std::sort(names.begin(), names.end());
  // A message of thousands of names helps nobody.
  constexpr std::size_t kShown = 20;
  std::string detail = names.empty() ? "There are no branches" : "Existing branches: ";
  for (std::size_t i = 0; i < std::min(names.size(), kShown); i++) {
    detail.append(i == 0 ? "\"" : ", \"").append(names[i]).append("\"");
  }
  if (names.size() > kShown) {
    detail.append(" and ").append(std::to_string(names.size() - kShown)).append(" more");
  }
  return Status(Code::kNotFound, "Branch " + std::string(name_or_id) + " not found")
      .WithDetail(detail + ".");
}

const Branch* BranchSet::NewestUndoOf(const Branch& branch) const {
  std::optional<Timestamp> taken_over;
  for (auto span = name_spans.rbegin(); span != name_spans.rend(); ++span) {
    const bool is_now = span->id == branch.id && !span->until;
    if (span->name != branch.name ||
        (!is_now && (!taken_over || !span->until || *span->until < *taken_over))) {
      continue;
    }
    taken_over = span->since;
    const Branch* holder = FindId(span->id);
    if (span->id != branch.id && holder != nullptr && holder->kind == BranchKind::kUndo &&
        IsLive(*holder)) {
      return holder;
    }
  }
  return nullptr;
}

Result<const Branch*> BranchSet::FindDeleted(std::string_view name_or_id, Timestamp now) const {
  const Branch* found = nullptr;
  for (const Branch& branch : branches) {
    if (IsLive(branch)) {
      continue;
    }
    if (branch.id == name_or_id) {
      found = &branch;
      break;
    }
    if (branch.name == name_or_id &&
        (found == nullptr || *found->deleted_at < *branch.deleted_at)) {
      found = &branch;
    }
  }
  if (found == nullptr) {
    return Status(Code::kNotFound, "there is no deleted branch \"" + std::string(name_or_id) + "\"")
        .WithHint("pitr_branches lists deleted branches as well.");
  }
  if (GoneAt(*found) <= now) {
    return Status(Code::kNotReady, "branch \"" + found->name + "\" cannot be brought back any more")
        .WithDetail("It was deleted at " + FormatTime(*found->deleted_at, 0) +
                    (found->gone_at ? " with force." : ", more than 7 days ago."));
  }
  return found;
}

std::vector<const Branch*> BranchSet::ChildrenOf(const BranchId& id) const {
  std::vector<const Branch*> children;
  for (const Branch& branch : branches) {
    if (branch.parent == id && IsLive(branch)) {
      children.push_back(&branch);
    }
  }
  return children;
}

std::vector<const Branch*> BranchSet::BuiltFor(const BranchId& id) const {
  std::vector<const Branch*> built;
  for (const Branch& branch : branches) {
    if (branch.built && branch.built->target == id && IsLive(branch)) {
      built.push_back(&branch);
    }
  }
  return built;
}

Status BranchSet::CheckNoChildren(const Branch& branch) const {
  std::string names;
  for (const Branch* child : ChildrenOf(branch.id)) {
    names += (names.empty() ? "\"" : ", \"") + child->name + "\"";
  }
  return names.empty() ? Status::Ok()
                       : Status(Code::kDependents, "branch \"" + branch.name + "\" has children")
                             .WithDetail("They are " + names + ".");
}

Result<std::vector<const Branch*>> BranchSet::AncestryOf(const BranchId& id) const {
  std::vector<const Branch*> line;
  std::optional<BranchId> next = id;
  while (next.has_value()) {
    const Branch* branch = FindId(*next);
    if (branch == nullptr) {
      return line.empty()
                 ? Status(Code::kNotFound, "branch \"" + *next + "\" not found")
                 : Status(Code::kCorrupt, "branch \"" + line.back()->id + "\" has the ancestor \"" +
                                              *next + "\", which is not in the catalogue");
    }
    if (line.size() == branches.size()) {
      return Status(Code::kCorrupt, "the ancestors of branch \"" + id + "\" form a circle");
    }
    line.push_back(branch);
    next = branch->ancestor;
  }
  return line;
}

std::optional<BranchId> BranchSet::MaskedOrigin(const BranchId& id) const {
  const Result<std::vector<const Branch*>> line = AncestryOf(id);
  return line.ok() && line->back()->is_masked ? std::optional(line->back()->id) : std::nullopt;
}

std::vector<const Branch*> BranchSet::FamilyOf(const BranchId& id) const {
  std::vector<const Branch*> family;
  const Branch* self = FindId(id);
  for (const Branch& branch : branches) {
    if (self != nullptr && branch.root == self->root) {
      family.push_back(&branch);
    }
  }
  return family;
}

namespace {

// Keeps the order of `since`; equal times stay in the order of insertion.
void InsertSpan(std::vector<NameSpan>* spans, NameSpan span) {
  const auto place =
      std::upper_bound(spans->begin(), spans->end(), span,
                       [](const NameSpan& a, const NameSpan& b) { return a.since < b.since; });
  spans->insert(place, std::move(span));
}

}  // namespace

void BranchSet::Add(Branch branch) {
  InsertSpan(&name_spans, {branch.name, branch.id, branch.created_at, std::nullopt});
  branches.push_back(std::move(branch));
}

void BranchSet::Rename(const BranchId& id, const std::string& new_name, Timestamp now) {
  Branch* branch = FindId(id);
  if (branch == nullptr || branch->name == new_name) {
    return;
  }
  for (NameSpan& span : name_spans) {
    if (span.id == id && !span.until.has_value()) {
      // The clock may have gone back since: a span never ends before it began.
      span.until = std::max(span.since, now);
      now = *span.until;
    }
  }
  // A name that was shown for no time at all was never seen.
  std::erase_if(name_spans, [](const NameSpan& span) { return span.until == span.since; });
  InsertSpan(&name_spans, {new_name, id, now, std::nullopt});
  branch->name = new_name;
  branch->updated_at = now;
}

void BranchSet::GiveUp(const BranchId& id, Timestamp now) {
  Branch* branch = FindId(id);
  if (branch == nullptr || branch->state != "creating") {
    return;
  }
  if (!branch->undelete.has_value()) {
    std::erase_if(name_spans, [&](const NameSpan& span) { return span.id == id; });
    std::erase_if(branches, [&](const Branch& each) { return each.id == id; });
    return;
  }
  const BranchUndelete before = *branch->undelete;
  Rename(id, before.name, now);
  branch->undelete.reset();
  branch->builder.reset();
  branch->deleted_at = before.deleted_at;
  branch->state = before.state;
  branch->updated_at = now;
}

void BranchSet::HandOver(const BranchId& outgoing, const BranchId& incoming,
                         const std::string& undo_name, Timestamp now, bool below_backup) {
  Branch* before = FindId(outgoing);
  Branch* after = FindId(incoming);
  const std::string name = before->name;
  Rename(outgoing, undo_name, now);
  Rename(incoming, name, now);
  after->kind = before->kind;
  after->is_default = before->is_default;
  after->is_protected = before->is_protected;
  // The port and the files belong to the server, which goes on.
  after->compute = std::exchange(before->compute, std::nullopt);
  after->created_with = std::exchange(before->created_with, std::string());
  after->built = std::exchange(before->built, std::nullopt);
  after->expires_at = std::exchange(before->expires_at, std::nullopt);
  after->ttl_seconds = std::exchange(before->ttl_seconds, std::nullopt);
  after->builder.reset();
  after->deleted_at.reset();
  // An undo branch that was its parent comes back: nobody is its own grandchild.
  if (before->parent == incoming) {
    before->parent = after->parent;
  }
  if (below_backup && before->kind == BranchKind::kChild) {
    after->parent = outgoing;
  }
  for (Branch& branch : branches) {
    if (branch.built && branch.built->target == outgoing) {
      branch.built->target = incoming;
    }
  }
  after->last_reset_at = after->updated_at = now;
  before->kind = BranchKind::kUndo;
  before->is_default = before->is_protected = false;
  before->updated_at = now;
}

Result<BranchSet> ReadBranches(Repository* repo) {
  PITR_ASSIGN_OR_RETURN(const Json document, ReadDocument(repo, kKind));
  return DecodeBranches(document);
}

Status UpdateBranches(Repository* repo, const std::function<Status(BranchSet*)>& change) {
  return UpdateDocument(repo, kKind, [&](Json* document) -> Status {
    PITR_ASSIGN_OR_RETURN(BranchSet set, DecodeBranches(*document));
    PITR_RETURN_IF_ERROR(change(&set));
    Json changed = EncodeBranches(set);
    // Nobody shall be able to store what nobody can read.
    Result<BranchSet> again = DecodeBranches(changed);
    if (!again.ok()) {
      return Status(Code::kInternal, "changed branches are not valid: " + again.status().message());
    }
    *document = std::move(changed);
    return Status::Ok();
  });
}

}  // namespace pitr

#include "core/plan/branch_tree.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

namespace pitr {

namespace {

class Drawing {
 public:
  Drawing(const BranchSet& set, Timestamp now) : set_(set), now_(now) {
    for (const Branch& branch : set.branches) {
      if (!branch.deleted_at) {
        children_[LivingParent(branch)].push_back(&branch);
      }
    }
    for (auto& [parent, children] : children_) {
      std::stable_sort(children.begin(), children.end(), [](const Branch* a, const Branch* b) {
        return a->created_at < b->created_at;
      });
    }
  }

  std::vector<BranchTreeRow> Draw() {
    for (const Branch* root : children_[BranchId()]) {
      DrawOne(*root, "", "");
    }
    // Only a ring of parents is left; each of its members is as good a root as any.
    for (const Branch& branch : set_.branches) {
      if (!branch.deleted_at && !drawn_.contains(branch.id)) {
        DrawOne(branch, "", "");
      }
    }
    return std::move(rows_);
  }

 private:
  // "": none.
  BranchId LivingParent(const Branch& branch) const {
    std::set<BranchId> seen = {branch.id};
    const Branch* at = &branch;
    while (at->parent && seen.insert(*at->parent).second) {
      at = set_.FindId(*at->parent);
      if (at == nullptr) {
        return BranchId();
      }
      if (!at->deleted_at) {
        return at->id;
      }
    }
    // Its parent, when that is alive, even in a ring: Draw finds those.
    return at->parent ? *at->parent : BranchId();
  }

  void DrawOne(const Branch& branch, const std::string& line, const std::string& below) {
    if (!drawn_.insert(branch.id).second) {
      return;
    }
    std::string text = line + branch.name + "  " + AgeText(now_.micros - branch.created_at.micros);
    if (branch.fork_lsn.valid()) {
      text += ", from " + branch.fork_lsn.ToString();
    }
    rows_.push_back({&branch, std::move(text)});
    const std::vector<const Branch*> children = children_[branch.id];
    for (std::size_t i = 0; i < children.size(); i++) {
      const bool is_last = i + 1 == children.size();
      DrawOne(*children[i], below + (is_last ? "└─ " : "├─ "), below + (is_last ? "   " : "│  "));
    }
  }

  const BranchSet& set_;
  const Timestamp now_;
  std::map<BranchId, std::vector<const Branch*>> children_;
  std::set<BranchId> drawn_;
  std::vector<BranchTreeRow> rows_;
};

}  // namespace

std::string AgeText(std::int64_t micros) {
  constexpr std::array<std::pair<std::int64_t, const char*>, 3> kUnits = {
      {{86400, " d"}, {3600, " h"}, {60, " min"}}};
  const std::int64_t seconds = std::max<std::int64_t>(micros, 0) / 1000000;
  for (const auto& [unit, name] : kUnits) {
    if (seconds >= unit) {
      return std::to_string(seconds / unit) + name;
    }
  }
  return std::to_string(seconds) + " s";
}

std::vector<BranchTreeRow> BranchTree(const BranchSet& set, Timestamp now) {
  return Drawing(set, now).Draw();
}

}  // namespace pitr

#include "core/plan/branch_tree.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
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
    Describe();
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
    rows_.push_back({&branch, line + branch.name});
    const std::vector<const Branch*> children = children_[branch.id];
    for (std::size_t i = 0; i < children.size(); i++) {
      const bool is_last = i + 1 == children.size();
      DrawOne(*children[i], below + (is_last ? "└─ " : "├─ "), below + (is_last ? "   " : "│  "));
    }
  }

  // Ages stand below each other, and a few long names do not push all others apart.
  void Describe() {
    std::size_t width = 0;
    for (const BranchTreeRow& row : rows_) {
      const std::size_t own = CodePoints(row.text);
      width = own <= kWidestAligned ? std::max(width, own) : width;
    }
    for (BranchTreeRow& row : rows_) {
      const std::size_t own = CodePoints(row.text);
      row.text.append(2 + (own < width ? width - own : 0), ' ').append(Facts(*row.branch));
    }
  }

  static std::size_t CodePoints(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  }

  std::string Facts(const Branch& branch) const {
    std::string text = AgeText(now_.micros - branch.created_at.micros);
    if (branch.fork_lsn.valid()) {
      text += ", from " + branch.fork_lsn.ToString();
    }
    if (branch.kind == BranchKind::kSchemaOnly) {
      text += ", schema only";
    }
    text += branch.is_masked ? ", masked" : "";
    text += branch.is_protected ? ", protected" : "";
    if (branch.expires_at) {
      text += ", expires in " + AgeText(branch.expires_at->micros - now_.micros);
    }
    return text;
  }

  static constexpr std::size_t kWidestAligned = 48;

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

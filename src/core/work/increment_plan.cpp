#include "core/work/increment_plan.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "core/work/file_selection.h"

namespace pitr {

namespace {

class Planner {
 public:
  explicit Planner(const IncrementInput& input) : input_(input) {
    for (const ManifestFile& file : input.base->files) {
      if (file.kind == FileKind::kRelation) {
        base_.emplace(file.path, &file);
      }
    }
    for (const BadPage& bad : input.base->bad_pages) {
      bad_[bad.path].push_back({bad.block, std::uint64_t{bad.block} + 1});
    }
  }

  FilePlan Plan(const ManifestFile& file) const {
    FilePlan plan;
    const std::optional<RelationFile> relation = RelationOfPath(file.path);
    const auto base = base_.find(file.path);
    if (file.kind != FileKind::kRelation || !relation || relation->relation.fork != 0 ||
        base == base_.end() || input_.changed->IsRemade(relation->relation)) {
      return plan;
    }
    plan.base = base->second;
    const std::uint64_t pages = file.size / kPageSize;
    const std::uint64_t known = KnownPages(*relation, std::min(file.size, plan.base->size));
    AddChanged(*relation, known, &plan.copy);
    if (known < pages) {
      AddRuns({{known, pages}}, &plan.copy);
    }
    const auto bad = bad_.find(file.path);
    if (bad != bad_.end()) {
      AddBad(bad->second, known, &plan.copy);
    }
    return plan;
  }

 private:
  std::uint64_t FirstBlock(const RelationFile& relation) const {
    return std::uint64_t{relation.segment} * input_.relation_segment_blocks;
  }

  // Pages at the beginning of the file that were there all the time.
  std::uint64_t KnownPages(const RelationFile& relation, std::uint64_t size) const {
    const std::uint64_t pages = size / kPageSize;
    const auto cut = input_.changed->truncated.find(relation.relation);
    if (cut == input_.changed->truncated.end()) {
      return pages;
    }
    const std::uint64_t first = FirstBlock(relation);
    return std::min(pages, std::max<std::uint64_t>(cut->second, first) - first);
  }

  void AddChanged(const RelationFile& relation, std::uint64_t known,
                  std::vector<PageRun>* copy) const {
    const auto blocks = input_.changed->blocks.find(relation.relation);
    if (blocks == input_.changed->blocks.end()) {
      return;
    }
    const std::uint64_t first = FirstBlock(relation);
    blocks->second.Visit(first, first + known, [&](std::uint32_t block) {
      const std::uint64_t page = block - first;
      if (copy->empty() || copy->back().end != page) {
        copy->push_back({page, page});
      }
      copy->back().end = page + 1;
    });
  }

  static void AddBad(std::vector<PageRun> bad, std::uint64_t known, std::vector<PageRun>* copy) {
    std::erase_if(bad, [known](const PageRun& page) { return page.begin >= known; });
    AddRuns(std::move(bad), copy);
  }

  const IncrementInput& input_;
  std::unordered_map<std::string_view, const ManifestFile*> base_;
  std::unordered_map<std::string_view, std::vector<PageRun>> bad_;
};

}  // namespace

void AddRuns(std::vector<PageRun> more, std::vector<PageRun>* runs) {
  runs->insert(runs->end(), more.begin(), more.end());
  std::sort(runs->begin(), runs->end(),
            [](const PageRun& a, const PageRun& b) { return a.begin < b.begin; });
  std::size_t kept = 0;
  for (const PageRun& run : *runs) {
    if (kept > 0 && run.begin <= (*runs)[kept - 1].end) {
      (*runs)[kept - 1].end = std::max((*runs)[kept - 1].end, run.end);
    } else {
      (*runs)[kept++] = run;
    }
  }
  runs->resize(kept);
}

std::vector<Extent> KeptExtents(const FilePlan& plan, std::uint64_t size) {
  std::vector<Extent> kept;
  auto run = plan.copy.begin();
  for (const Extent& extent : plan.base->extents) {
    const std::uint64_t end = std::min(extent.file_offset + extent.length, size);
    for (std::uint64_t at = extent.file_offset; at < end;) {
      while (run != plan.copy.end() && run->end * kPageSize <= at) {
        ++run;
      }
      const bool is_copied = run != plan.copy.end() && run->begin * kPageSize <= at;
      if (is_copied) {
        at = run->end * kPageSize;
        continue;
      }
      const std::uint64_t until =
          run == plan.copy.end() ? end : std::min(end, run->begin * kPageSize);
      const auto moved = static_cast<std::uint32_t>(at - extent.file_offset);
      kept.push_back(
          {at, extent.frame, extent.frame_offset + moved, static_cast<std::uint32_t>(until - at)});
      at = until;
    }
  }
  return kept;
}

IncrementPlan PlanIncrement(const std::vector<ManifestFile>& files, const IncrementInput& input) {
  const Planner planner(input);
  IncrementPlan plan;
  plan.files.reserve(files.size());
  for (const ManifestFile& file : files) {
    plan.files.push_back(planner.Plan(file));
  }
  PlanCompaction(files, input, &plan);
  return plan;
}

}  // namespace pitr

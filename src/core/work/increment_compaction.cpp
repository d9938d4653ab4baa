// Keeps a chain of increments from wearing out. Each increment leaves dead pages behind in frames of older packs: a restore reads them
// along, and a pack stays in the repository for one page that is alive. And a run of pages that changed one by one lies in as many
// frames. So each increment stores some unchanged pages anew, read from the data directory like any other.
//
// The rule for packs: less than half alive, the worst first. A pack of which L bytes are alive then frees more than L dead ones, and an
// increment that may spend as much on this as on what changed frees at least what it makes. So a restore never reads more than
// about twice the size of what it lays out, and no snapshot needs more than about twice that in the repository.
#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "core/work/increment_plan.h"

namespace pitr {

namespace {

constexpr std::size_t kMostPieces = 16;  // of a run of 32 pages

struct Candidate {
  std::size_t rank = 0;  // smaller is worse
  std::uint32_t file = 0;
  PageRun pages;
};

class Compaction {
 public:
  Compaction(const std::vector<ManifestFile>& files, const IncrementInput& input,
             IncrementPlan* plan)
      : files_(files), input_(input), plan_(*plan) {}

  void Run() {
    left_ = std::max(input_.least_compaction, PlannedBytes());
    FindWorn();
    Spend(PiecesInWornPacks());
    Spend(BrokenRuns());
  }

 private:
  std::uint64_t PlannedBytes() const {
    std::uint64_t pages = 0;
    for (const FilePlan& file : plan_.files) {
      for (const PageRun& run : file.copy) {
        pages += run.end - run.begin;
      }
    }
    return pages * kPageSize;
  }

  template <typename Visit>
  void EachKept(const Visit& visit) const {
    for (std::uint32_t i = 0; i < plan_.files.size(); i++) {
      if (plan_.files[i].base != nullptr) {
        for (const Extent& extent : KeptExtents(plan_.files[i], files_[i].size)) {
          visit(i, extent);
        }
      }
    }
  }

  // Stored bytes of each pack that this snapshot would still refer to. What is read whole counts as unchanged: it mostly is.
  std::vector<std::uint64_t> AliveBytes() const {
    std::vector<std::uint64_t> alive(input_.base->packs.size());
    const auto count = [&](const Extent& extent) {
      const Frame& frame = input_.base->frames[extent.frame];
      alive[frame.pack] +=
          std::uint64_t{extent.length} * frame.packed_size / std::max(frame.plain_size, 1U);
    };
    EachKept([&](std::uint32_t, const Extent& extent) { count(extent); });
    std::unordered_map<std::string_view, const ManifestFile*> base;
    for (const ManifestFile& file : input_.base->files) {
      base.emplace(file.path, &file);
    }
    for (std::size_t i = 0; i < files_.size(); i++) {
      const auto found = base.find(files_[i].path);
      if (plan_.files[i].base == nullptr && found != base.end()) {
        for (const Extent& extent : found->second->extents) {
          count(extent);
        }
      }
    }
    return alive;
  }

  void FindWorn() {
    const std::vector<std::uint64_t> alive = AliveBytes();
    std::vector<std::uint64_t> sizes = input_.pack_sizes;
    sizes.resize(alive.size());
    for (const Frame& frame : input_.base->frames) {
      sizes[frame.pack] = std::max(sizes[frame.pack], frame.offset + frame.packed_size);
    }
    plan_.worn.assign(alive.size(), false);
    std::vector<std::uint32_t> order;
    for (std::uint32_t pack = 0; pack < alive.size(); pack++) {
      if (alive[pack] * 2 < sizes[pack] - std::min<std::uint64_t>(sizes[pack], kPackHeadSize)) {
        plan_.worn[pack] = true;
        order.push_back(pack);
      }
    }
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return alive[a] * sizes[b] < alive[b] * sizes[a];  // by the share that is alive
    });
    rank_.assign(alive.size(), 0);
    for (std::size_t i = 0; i < order.size(); i++) {
      rank_[order[i]] = i;
    }
  }

  std::vector<Candidate> PiecesInWornPacks() const {
    std::vector<Candidate> found;
    EachKept([&](std::uint32_t file, const Extent& extent) {
      const std::uint32_t pack = input_.base->frames[extent.frame].pack;
      if (plan_.worn[pack]) {
        found.push_back(
            {rank_[pack],
             file,
             {extent.file_offset / kPageSize, (extent.file_offset + extent.length) / kPageSize}});
      }
    });
    return found;
  }

  // Runs of 32 pages that lie in many places; all of it is stored anew, in one frame.
  std::vector<Candidate> BrokenRuns() const {
    std::vector<Candidate> found;
    std::uint32_t file = 0;
    std::uint64_t run = 0;
    std::size_t pieces = 0;
    const auto end_run = [&] {
      const std::uint64_t pages = pieces == 0 ? 0 : files_[file].size / kPageSize;
      if (pieces >= kMostPieces && run * kFramePages < pages) {
        found.push_back({kFramePages - std::min<std::size_t>(pieces, kFramePages),
                         file,
                         {run * kFramePages, std::min(pages, (run + 1) * kFramePages)}});
      }
      pieces = 0;
    };
    EachKept([&](std::uint32_t at, const Extent& extent) {
      if (at != file || extent.file_offset / kFrameSize != run) {
        end_run();
        file = at;
        run = extent.file_offset / kFrameSize;
      }
      pieces++;
    });
    end_run();
    return found;
  }

  void Spend(std::vector<Candidate> candidates) {
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
      return std::tie(a.rank, a.file, a.pages.begin) < std::tie(b.rank, b.file, b.pages.begin);
    });
    std::unordered_map<std::uint32_t, std::vector<PageRun>> more;
    for (const Candidate& candidate : candidates) {
      const std::uint64_t bytes = (candidate.pages.end - candidate.pages.begin) * kPageSize;
      if (bytes > left_) {
        break;
      }
      left_ -= bytes;
      plan_.compacted_bytes += bytes;
      more[candidate.file].push_back(candidate.pages);
    }
    for (auto& [file, runs] : more) {
      AddRuns(std::move(runs), &plan_.files[file].copy);
    }
  }

  const std::vector<ManifestFile>& files_;
  const IncrementInput& input_;
  IncrementPlan& plan_;
  std::uint64_t left_ = 0;
  std::vector<std::size_t> rank_;  // of worn packs
};

}  // namespace

void PlanCompaction(const std::vector<ManifestFile>& files, const IncrementInput& input,
                    IncrementPlan* plan) {
  Compaction(files, input, plan).Run();
}

}  // namespace pitr

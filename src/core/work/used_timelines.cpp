#include "core/work/used_timelines.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "core/repo/wal_archive.h"
#include "core/work/thread_pool.h"

namespace pitr {

namespace {

constexpr std::size_t kThreads = 4;

}  // namespace

Result<std::vector<TimelineId>> UsedTimelines(Repository* repo,
                                              const std::vector<const Branch*>& family) {
  std::vector<TimelineId> used;
  std::mutex mutex;
  std::atomic<std::size_t> next = 0;
  const auto body = [&](int, const StopSignal& stop) -> Status {
    for (std::size_t i = next++; i < family.size(); i = next++) {
      PITR_RETURN_IF_ERROR(stop.Check());
      PITR_ASSIGN_OR_RETURN(const std::vector<TimelineId> timelines,
                            WalReader(repo, {*family[i]}).Timelines());
      const std::lock_guard<std::mutex> lock(mutex);
      used.insert(used.end(), timelines.begin(), timelines.end());
      if (family[i]->fork_timeline != 0) {
        used.push_back(family[i]->fork_timeline);
      }
    }
    return Status::Ok();
  };
  PITR_RETURN_IF_ERROR(
      RunThreads(static_cast<int>(std::min(kThreads, family.size())), nullptr, body));
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  return used;
}

}  // namespace pitr

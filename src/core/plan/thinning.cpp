#include "core/plan/thinning.h"

namespace pitr {

std::vector<SnapshotId> ThinSnapshots(const std::vector<ThinningItem>& items) {
  std::vector<SnapshotId> gone;
  if (items.empty()) {
    return gone;
  }
  const Lsn newest = items.back().start;
  std::size_t young = 0;
  const ThinningItem* newer = nullptr;  // the nearest that stays
  for (std::size_t i = items.size(); i-- > 0;) {
    const ThinningItem& item = items[i];
    const bool is_young = item.may_go && young < kNewestKept;
    young += item.may_go ? 1 : 0;
    const ThinningItem* const older = i > 0 ? &items[i - 1] : nullptr;
    const bool has_both = newer != nullptr && older != nullptr && item.stretch.has_value() &&
                          older->stretch == item.stretch && newer->stretch == item.stretch &&
                          older->start <= item.start && item.start <= newer->start;
    if (item.may_go && !is_young && has_both &&
        newer->start - older->start <= (newest - newer->start) / 2) {
      gone.push_back(item.id);
    } else {
      newer = &item;
    }
  }
  return gone;
}

}  // namespace pitr

#include "core/work/retained_wal.h"

#include "core/repo/layout.h"

namespace pitr {

Status RetainedWal::Visit(const LsnRanges& ranges,
                          const std::function<Result<bool>(const std::string& object,
                                                           std::uint64_t bytes)>& visit) const {
  for (auto list = view_.input.segments.lower_bound({branch_, 0});
       list != view_.input.segments.end() && list->first.first == branch_; ++list) {
    const TimelineId timeline = list->first.second;
    for (std::size_t i = 0; i < list->second.numbers.size(); i++) {
      const std::uint64_t number = list->second.numbers[i];
      if (!IsIn(ranges, number)) {
        continue;
      }
      const std::string object =
          layout::WalObject(branch_, {WalFileKind::kSegment, timeline, number, 0},
                            SegmentName({timeline, number}, size_));
      PITR_ASSIGN_OR_RETURN(const bool goes_on, visit(object, list->second.bytes[i]));
      if (!goes_on) {
        return Status::Ok();
      }
    }
  }
  const auto parts = view_.parts.find(branch_);
  if (parts == view_.parts.end()) {
    return Status::Ok();
  }
  for (const WalPart& part : parts->second) {
    if (!IsIn(ranges, part.segment)) {
      continue;
    }
    PITR_ASSIGN_OR_RETURN(const bool goes_on, visit(part.object, part.bytes));
    if (!goes_on) {
      return Status::Ok();
    }
  }
  return Status::Ok();
}

bool RetainedWal::HasAny(const LsnRanges& ranges) const {
  bool has_any = false;
  (void)Visit(ranges, [&](const std::string&, std::uint64_t) -> Result<bool> {
    has_any = true;
    return false;
  });
  return has_any;
}

std::uint64_t RetainedWal::CountBytes(const LsnRanges& ranges, std::uint64_t* objects) const {
  std::uint64_t bytes = 0;
  *objects = 0;
  (void)Visit(ranges, [&](const std::string&, std::uint64_t size) -> Result<bool> {
    bytes += size;
    ++*objects;
    return true;
  });
  return bytes;
}

}  // namespace pitr

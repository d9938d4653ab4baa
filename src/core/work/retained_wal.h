// The objects with WAL of one branch that lie in some ranges, whatever their timeline.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/plan/retention_view.h"
#include "core/types/lsn_ranges.h"

namespace pitr {

class RetainedWal {
 public:
  // `view` outlives this.
  RetainedWal(const RetentionView& view, BranchId branch)
      : view_(view), branch_(std::move(branch)), size_(view.input.root.segment_size) {}

  bool HasAny(const LsnRanges& ranges) const;
  std::uint64_t CountBytes(const LsnRanges& ranges, std::uint64_t* objects) const;
  // Oldest first within a timeline, until `visit` answers false.
  Status Visit(const LsnRanges& ranges,
               const std::function<Result<bool>(const std::string& object, std::uint64_t bytes)>&
                   visit) const;

 private:
  bool IsIn(const LsnRanges& ranges, std::uint64_t number) const {
    return Covers(ranges, {SegmentStart(number, size_), SegmentStart(number + 1, size_)});
  }

  const RetentionView& view_;
  const BranchId branch_;
  const std::uint64_t size_;
};

}  // namespace pitr

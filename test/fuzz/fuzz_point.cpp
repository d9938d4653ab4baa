// Points as people write them: what is accepted is written again and must read the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/plan/point.h"

namespace {

constexpr pitr::Timestamp kNow{4102444800000000};  // 2100

bool IsSame(const pitr::Point& a, const pitr::Point& b) {
  return a.kind == b.kind && a.time == b.time && a.lsn == b.lsn && a.xid == b.xid &&
         a.name == b.name;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto is_branch = [](std::string_view name) { return name == "a@b"; };
  const auto parsed = pitr::ParseSourcePoint(text, is_branch, kNow);
  if (parsed.ok()) {
    const std::string point = parsed->point.ToString();
    const std::string again = parsed->point.kind == pitr::Point::Kind::kHead
                                  ? parsed->source
                                  : parsed->source + "@" + point;
    const auto second = pitr::ParseSourcePoint(again, is_branch, kNow);
    // A head keeps its '@' only as the name of a branch.
    if (!second.ok() || second->source != parsed->source || !IsSame(second->point, parsed->point)) {
      std::abort();
    }
  }
  const auto bare = pitr::ParseBareTarget(text);
  if (bare.ok() && bare->has_value()) {
    const auto second = pitr::ParseBareTarget((*bare)->ToString());
    if (!second.ok() || !second->has_value() || !IsSame(**second, **bare)) {
      std::abort();
    }
  }
  return 0;
}

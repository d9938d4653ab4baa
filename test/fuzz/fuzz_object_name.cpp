// Names of objects as a listing gives them: what a parser accepts, the composer gives back byte for byte.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/repo/layout.h"

namespace {

void Check(bool condition) {
  if (!condition) {
    std::abort();
  }
}

void CheckCatalogName(std::string_view name) {
  const std::optional<std::uint64_t> number = pitr::layout::ParseCatalogName(name);
  if (number.has_value()) {
    const std::size_t begin = name.find('/') + 1;
    const std::string_view kind = name.substr(begin, name.find('/', begin) - begin);
    Check(*number > 0 && pitr::layout::CatalogName(kind, *number) == name);
  }
}

void CheckLeaseName(std::string_view name) {
  const std::optional<std::uint64_t> number = pitr::layout::ParseLeaseObject("br-a-b-c", name);
  if (number.has_value()) {
    Check(*number > 0 && pitr::layout::LeaseObject("br-a-b-c", *number) == name);
  }
}

void CheckTailName(std::string_view name, std::uint64_t segment_size) {
  const auto piece = pitr::layout::ParseTailName(name, segment_size);
  if (piece.has_value()) {
    Check(piece->begin < piece->end && piece->end <= segment_size);
    const std::string composed = pitr::layout::TailObject("br-a-b-c", *piece, segment_size);
    Check(pitr::layout::LastPart(composed) == name);
  }
}

void CheckTimelineFolder(std::string_view part) {
  const std::optional<pitr::TimelineId> timeline = pitr::layout::ParseTimelineFolder(part);
  if (timeline.has_value()) {
    Check(pitr::layout::WalPrefix("b", *timeline) ==
          pitr::layout::WalRootPrefix("b") + std::string(part));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckCatalogName(text);
  CheckLeaseName(text);
  for (const std::uint64_t segment_size : {1ULL << 20, 16ULL << 20, 1ULL << 30}) {
    CheckTailName(pitr::layout::LastPart(text), segment_size);
  }
  CheckTimelineFolder(text);
  return 0;
}

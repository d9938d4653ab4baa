// What comes to a port that is held: never more is taken than there is, and a message is the same whatever follows it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/work/client_opening.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty()) {
    const pitr::OpeningStep step = pitr::ReadOpening(rest);
    if (step.what == pitr::Opening::kIncomplete) {
      break;
    }
    if (step.bytes == 0 || step.bytes > rest.size() ||
        pitr::ReadOpening(rest.substr(0, step.bytes)).what != step.what) {
      std::abort();
    }
    rest.remove_prefix(step.bytes);
  }
  return 0;
}

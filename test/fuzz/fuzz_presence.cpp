// The index of an incomplete directory: what is accepted can be looked at without leaving its bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "core/demand/index.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint64_t> memory((size + 7) / 8 + 1);
  std::copy_n(data, size, reinterpret_cast<std::uint8_t*>(memory.data()));
  const auto index =
      pitr::demand::IndexView::Open({reinterpret_cast<const std::uint8_t*>(memory.data()), size});
  if (!index.ok()) {
    return 0;
  }
  std::uint64_t pages = 0;
  for (std::uint32_t number = 0; number < index->files().size(); number++) {
    const pitr::demand::FileEntry& file = index->files()[number];
    if (index->FindFile(index->Text(file.path)) != number) {
      std::abort();
    }
    for (std::uint32_t page = 0; page < file.pages && page < 1000; page++) {
      const pitr::demand::Run* run = index->FindRun(file, page);
      if (run != nullptr && (run->frame >= index->frames().size() || page < run->page)) {
        std::abort();
      }
    }
    pages += file.pages;
  }
  if (pages != index->header().pages) {
    std::abort();
  }
  return 0;
}

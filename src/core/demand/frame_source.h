// Where packed frames come from. The loader asks for one frame at a time, verifies and decodes it, and asks the next place when it
// is damaged. A source for remote or encrypted stores hands the question to a worker and waits with a deadline; whatever it is, it is
// called in sessions, perhaps in a critical section: it neither raises nor throws nor processes interrupts.
#pragma once

#include <cstdint>

#include "core/demand/index.h"

namespace pitr::demand {

// Why a page could not be had, for people; written where nothing may be allocated.
struct FetchFailure {
  char text[768];
};
__attribute__((format(printf, 2, 3))) void Say(FetchFailure* failure, const char* format,
                                               ...) noexcept;

class FrameSource {
 public:
  virtual ~FrameSource() = default;
  // How many places may have a frame; they are asked in turn.
  virtual std::uint32_t places(const IndexView& index) const noexcept = 0;
  // The packed bytes of the frame, all of them, into `packed` (kMaxPackedBytes). False: `failure` names the place and why.
  virtual bool Read(const IndexView& index, std::uint32_t frame, std::uint32_t place,
                    std::uint8_t* packed, FetchFailure* failure) noexcept = 0;
};

// Packs of an unencrypted repository in a folder. No descriptor is kept, so that nobody's idle session keeps a disk mounted.
class LocalPacks final : public FrameSource {
 public:
  std::uint32_t places(const IndexView& index) const noexcept override {
    return static_cast<std::uint32_t>(index.places().size());
  }
  bool Read(const IndexView& index, std::uint32_t frame, std::uint32_t place, std::uint8_t* packed,
            FetchFailure* failure) noexcept override;
};

}  // namespace pitr::demand

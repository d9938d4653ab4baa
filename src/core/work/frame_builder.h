// Gathers bytes of files into frames, compresses them and puts them into packs. One per thread.
#pragma once

#include <vector>

#include "core/repo/manifest.h"
#include "core/work/known_frames.h"
#include "core/work/pack_writer.h"

namespace pitr {

class FrameBuilder {
 public:
  // `known`: frames that need not be stored again; must outlive this.
  FrameBuilder(PackWriter* packs, int level, const KnownFrames* known)
      : packs_(packs), level_(level), known_(known), plain_(kFrameSize) {}

  // Where the next bytes are to be read to, and how many fit.
  std::uint8_t* space() { return plain_.data() + used_; }
  std::size_t room() const { return plain_.size() - used_; }
  // The first `size` bytes of space() are those of file number `file` at `offset`. Pages of zeroes (counted from
  // `offset`) are dropped: bytes in no extent are zero. REQUIRES: size <= room()
  void Take(std::uint32_t file, std::uint64_t offset, std::size_t size);
  // Ends the frame; nothing gathered makes none.
  Status Flush();

  struct FileExtent {
    std::uint32_t file = 0;
    Extent extent;          // extent.frame counts in frames(), or
    bool is_known = false;  // in the base
  };
  // Frame::pack is the number of the pack in its name.
  const std::vector<Frame>& frames() const { return frames_; }
  const std::vector<FileExtent>& extents() const { return extents_; }

 private:
  void AddExtent(std::uint32_t file, std::uint64_t offset, std::size_t size);
  bool TakeKnown(const Frame& frame);

  PackWriter* packs_;
  int level_;
  const KnownFrames* known_;
  Bytes plain_, packed_;
  std::size_t used_ = 0;
  std::vector<Frame> frames_;
  std::vector<FileExtent> extents_;
  std::size_t first_extent_ = 0;  // of the frame that is being filled
};

}  // namespace pitr

// Zero pages are dropped here, so that a sparse or freshly extended file costs nothing in the repository.
#include "core/work/frame_builder.h"

#include <algorithm>
#include <cstring>

#include "core/base/hash.h"
#include "core/codec/compress.h"
#include "core/work/page_check.h"

namespace pitr {

void FrameBuilder::AddExtent(std::uint32_t file, std::uint64_t offset, std::size_t size) {
  const auto frame = static_cast<std::uint32_t>(frames_.size());
  const auto frame_offset = static_cast<std::uint32_t>(used_);
  used_ += size;
  if (extents_.size() > first_extent_) {
    FileExtent& last = extents_.back();
    if (last.file == file && last.extent.file_offset + last.extent.length == offset) {
      last.extent.length += static_cast<std::uint32_t>(size);
      return;
    }
  }
  extents_.push_back(
      {file, {offset, frame, frame_offset, static_cast<std::uint32_t>(size)}, false});
}

// The frame is the base's: nothing is stored.
bool FrameBuilder::TakeKnown(const Frame& frame) {
  const FileExtent& first = extents_[first_extent_];
  const auto found =
      known_->Find(frame.plain_hash, frame.plain_size, first.file, first.extent.file_offset);
  if (!found) {
    return false;
  }
  for (std::size_t i = first_extent_; i < extents_.size(); i++) {
    extents_[i].extent.frame = *found;
    extents_[i].is_known = true;
  }
  return true;
}

void FrameBuilder::Take(std::uint32_t file, std::uint64_t offset, std::size_t size) {
  const std::uint8_t* const bytes = space();
  for (std::size_t at = 0; at < size; at += kPageSize) {
    const std::size_t part = std::min<std::size_t>(kPageSize, size - at);
    if (IsZeroPage(bytes + at, part)) {
      continue;
    }
    if (bytes + at != space()) {  // pages before were dropped: close up
      std::memmove(space(), bytes + at, part);
    }
    AddExtent(file, offset + at, part);
  }
}

Status FrameBuilder::Flush() {
  if (used_ == 0) {
    return Status::Ok();
  }
  const ByteView plain(plain_.data(), used_);
  Frame frame;
  frame.plain_size = static_cast<std::uint32_t>(plain.size());
  frame.plain_hash = Xxh3(plain);
  used_ = 0;
  const bool is_known = TakeKnown(frame);
  first_extent_ = extents_.size();
  if (is_known) {
    return Status::Ok();
  }
  packed_.clear();
  if (level_ != 0) {
    PITR_RETURN_IF_ERROR(CompressBlock(level_, plain, &packed_));
  }
  frame.stored = level_ == 0 || packed_.size() >= plain.size();
  const ByteView stored = frame.stored ? plain : ByteView(packed_);
  frame.packed_size = static_cast<std::uint32_t>(stored.size());
  PITR_ASSIGN_OR_RETURN(const PackWriter::Place place, packs_->Add(stored));
  frame.pack = place.number;
  frame.offset = place.offset;
  frames_.push_back(frame);
  return Status::Ok();
}

}  // namespace pitr

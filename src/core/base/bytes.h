// Byte ranges, and the only place that turns integers into bytes and back. All our formats are
// little-endian; a reader never reads beyond its range and turns sticky-bad instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pitr {

using ByteView = std::span<const std::uint8_t>;
using Bytes = std::vector<std::uint8_t>;

inline ByteView AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view AsText(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Appends to an owned buffer.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes* out) : out_(out) {}
  void U8(std::uint8_t v) { out_->push_back(v); }
  void U16(std::uint16_t v);
  void U32(std::uint32_t v);
  void U64(std::uint64_t v);
  void Varint(std::uint64_t v);  // LEB128, at most 10 bytes
  void Signed(std::int64_t v);   // zigzag + LEB128
  void Raw(ByteView bytes);
  void Text(std::string_view text);  // Varint length + bytes
  std::size_t size() const { return out_->size(); }

 private:
  Bytes* out_;
};

// Reads from a range. After the first read beyond the end, or malformed varint (too big, or not the
// shortest form: each number has one encoding), ok() is false for good and every value read is 0 or
// empty: callers check ok() once at the end of a group of reads and before using any count as a size.
class ByteReader {
 public:
  explicit ByteReader(ByteView in) : in_(in) {}
  std::uint8_t U8();
  std::uint16_t U16();
  std::uint32_t U32();
  std::uint64_t U64();
  std::uint64_t Varint();
  std::int64_t Signed();
  ByteView Raw(std::size_t size);
  std::string Text(std::size_t max_size);  // fails when longer than max_size
  // A count of items that follow, each at least `min_item_size` bytes: refused (not ok) when the
  // rest of the range cannot hold them, so that no outside length reaches an allocator unchecked.
  std::size_t Count(std::size_t min_item_size);
  bool ok() const { return ok_; }
  std::size_t remaining() const { return in_.size() - pos_; }
  std::size_t position() const { return pos_; }
  bool AtEnd() const { return ok_ && remaining() == 0; }

 private:
  ByteView in_;
  std::size_t pos_ = 0;
  bool ok_ = true;
};

}  // namespace pitr

// zstd, streaming and whole. The library appears in compress.cpp only.
#pragma once

#include <cstdint>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace pitr {

// Streaming compressor of one zstd frame. Reusable after Finish(). level 0 = stored as is.
class Compressor {
 public:
  explicit Compressor(int level);
  ~Compressor();
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;
  // Appends what came out to `out`. `pledged_size` (SetSize) writes the content size into the frame.
  void SetSize(std::uint64_t plain_size);
  Status Add(ByteView plain, Bytes* out);
  Status Finish(Bytes* out);

 private:
  int level_;
  void* context_;
};

// Streaming decompressor over one frame (or stored bytes when `stored`). Output never exceeds the
// cap: more is kCorrupt.
class Decompressor {
 public:
  Decompressor(bool stored, std::uint64_t plain_size_cap);
  ~Decompressor();
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  Status Add(ByteView packed, Bytes* out);
  Status Finish();  // kCorrupt unless the frame ended exactly

 private:
  bool stored_;
  bool done_ = false;
  std::uint64_t left_;
  void* context_;
};

// One-shot with contexts kept per thread. level 0 copies.
Status CompressBlock(int level, ByteView plain, Bytes* out);
// kCorrupt unless it decompresses to exactly out_size bytes at out. `stored` = copy.
Status DecompressBlock(ByteView packed, bool stored, std::uint8_t* out, std::size_t out_size);

}  // namespace pitr

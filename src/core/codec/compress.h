// zstd, streaming and whole. The library appears in compress.cpp only.
#pragma once

#include <cstdint>
#include <memory>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace pitr {

// Streaming compressor of one zstd frame. Reusable after Finish() or an error. level 0 = stored as is.
class Compressor {
 public:
  explicit Compressor(int level);
  ~Compressor();
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;
  // Optional, before the first Add: writes the content size into the frame. Finish fails when the sum of
  // what was added is another.
  void SetSize(std::uint64_t plain_size);
  // Both append what came out to `out`.
  Status Add(ByteView plain, Bytes* out);
  Status Finish(Bytes* out);

 private:
  struct State;
  Status Run(ByteView plain, bool is_end, Bytes* out);

  int level_;
  std::unique_ptr<State> state_;  // none for level 0
};

// Streaming decompressor over one frame (or stored bytes when `stored`). Output never exceeds the
// cap: more is kCorrupt, and so is input after the end of the frame. Not to be used after an error.
class Decompressor {
 public:
  Decompressor(bool stored, std::uint64_t plain_size_cap);
  ~Decompressor();
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  Status Add(ByteView packed, Bytes* out);  // appends to `out`
  Status Finish();  // kCorrupt unless the frame ended exactly; stored bytes have no end to check

 private:
  struct State;
  Status Take(ByteView plain, Bytes* out);

  bool stored_;
  bool done_ = false;
  std::uint64_t left_;
  std::unique_ptr<State> state_;  // none when stored
};

// One-shot with contexts kept per thread; appends one frame to `out`. level 0 copies.
Status CompressBlock(int level, ByteView plain, Bytes* out);
// kCorrupt unless it decompresses to exactly out_size bytes at out. `stored` = copy.
Status DecompressBlock(ByteView packed, bool stored, std::uint8_t* out, std::size_t out_size);

}  // namespace pitr

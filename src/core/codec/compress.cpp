// zstd. Bytes go through a scratch buffer of the library's own block size, so that a growing output
// vector is never zero-filled ahead of what really arrives.
#include "core/codec/compress.h"

#include <pthread.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace pitr {

namespace {

// Shortage of memory is not damage: only the rest becomes `code`.
Status ZstdStatus(Code code, std::string_view what, std::size_t result) {
  const bool is_memory = ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation;
  return Status(is_memory ? Code::kOutOfMemory : code,
                std::string(what).append(": ").append(ZSTD_getErrorName(result)));
}

Status NoContext() { return Status(Code::kOutOfMemory, "no memory for a zstd context"); }

void Append(Bytes* out, ByteView bytes) { out->insert(out->end(), bytes.begin(), bytes.end()); }

}  // namespace

struct Compressor::State {
  ZSTD_CCtx* zstd = ZSTD_createCCtx();
  Bytes scratch = Bytes(ZSTD_CStreamOutSize());
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { ZSTD_freeCCtx(zstd); }
};

Compressor::Compressor(int level) : level_(level) {
  if (level_ != 0) {
    state_ = std::make_unique<State>();
    if (state_->zstd != nullptr) {
      ZSTD_CCtx_setParameter(state_->zstd, ZSTD_c_compressionLevel,
                             level_);  // clamped, never refused
    }
  }
}

Compressor::~Compressor() = default;

void Compressor::SetSize(std::uint64_t plain_size) {
  if (state_ != nullptr && state_->zstd != nullptr) {
    ZSTD_CCtx_setPledgedSrcSize(state_->zstd, plain_size);
  }
}

Status Compressor::Run(ByteView plain, bool is_end, Bytes* out) {
  if (state_->zstd == nullptr) {
    return NoContext();
  }
  ZSTD_inBuffer in = {plain.data(), plain.size(), 0};
  for (;;) {
    ZSTD_outBuffer scratch = {state_->scratch.data(), state_->scratch.size(), 0};
    const std::size_t left =
        ZSTD_compressStream2(state_->zstd, &scratch, &in, is_end ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) {
      ZSTD_CCtx_reset(state_->zstd, ZSTD_reset_session_only);
      return ZstdStatus(Code::kInternal, "could not compress", left);
    }
    Append(out, {state_->scratch.data(), scratch.pos});
    if (is_end ? left == 0 : in.pos == in.size) {
      return Status::Ok();
    }
  }
}

Status Compressor::Add(ByteView plain, Bytes* out) {
  if (level_ == 0) {
    Append(out, plain);
    return Status::Ok();
  }
  return plain.empty() ? Status::Ok() : Run(plain, false, out);
}

Status Compressor::Finish(Bytes* out) { return level_ == 0 ? Status::Ok() : Run({}, true, out); }

struct Decompressor::State {
  ZSTD_DCtx* zstd = ZSTD_createDCtx();
  Bytes scratch = Bytes(ZSTD_DStreamOutSize());
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { ZSTD_freeDCtx(zstd); }
};

Decompressor::Decompressor(bool stored, std::uint64_t plain_size_cap)
    : stored_(stored), left_(plain_size_cap) {
  if (!stored_) {
    state_ = std::make_unique<State>();
  }
}

Decompressor::~Decompressor() = default;

Status Decompressor::Take(ByteView plain, Bytes* out) {
  if (plain.size() > left_) {
    return Status(Code::kCorrupt, "decompressed content is larger than announced");
  }
  left_ -= plain.size();
  Append(out, plain);
  return Status::Ok();
}

Status Decompressor::Add(ByteView packed, Bytes* out) {
  if (stored_) {
    return Take(packed, out);
  }
  if (state_->zstd == nullptr) {
    return NoContext();
  }
  ZSTD_inBuffer in = {packed.data(), packed.size(), 0};
  bool is_scratch_full = false;  // then zstd may hold more without any further input
  while (!done_ && (in.pos < in.size || is_scratch_full)) {
    ZSTD_outBuffer scratch = {state_->scratch.data(), state_->scratch.size(), 0};
    const std::size_t hint = ZSTD_decompressStream(state_->zstd, &scratch, &in);
    if (ZSTD_isError(hint)) {
      return ZstdStatus(Code::kCorrupt, "could not decompress", hint);
    }
    PITR_RETURN_IF_ERROR(Take({state_->scratch.data(), scratch.pos}, out));
    done_ = hint == 0;
    is_scratch_full = scratch.pos == scratch.size;
  }
  if (in.pos < in.size) {
    return Status(Code::kCorrupt, "compressed content continues after its end");
  }
  return Status::Ok();
}

Status Decompressor::Finish() {
  if (!stored_ && !done_) {
    return Status(Code::kCorrupt, "compressed content ends too early");
  }
  return Status::Ok();
}

namespace {

// A context per thread: making one costs more than compressing a small block. Plain pointers, freed by
// a pthread key, because an object with a destructor must not be registered in the server process.
struct ThreadContexts {
  ZSTD_CCtx* compress;
  ZSTD_DCtx* decompress;
  // Where a block is compressed to: a vector would be filled with zeroes first.
  std::uint8_t* scratch;
  std::size_t scratch_size;
};

thread_local ThreadContexts thread_contexts = {nullptr, nullptr, nullptr, 0};
pthread_key_t free_key;
pthread_once_t free_key_once = PTHREAD_ONCE_INIT;

extern "C" void FreeThreadContexts(void* pointer) {
  auto* contexts = static_cast<ThreadContexts*>(pointer);
  ZSTD_freeCCtx(contexts->compress);
  ZSTD_freeDCtx(contexts->decompress);
  std::free(contexts->scratch);
  *contexts = {nullptr, nullptr, nullptr, 0};
}

extern "C" void MakeFreeKey() { ::pthread_key_create(&free_key, FreeThreadContexts); }

ThreadContexts* ContextsOfThread() {
  ThreadContexts* contexts = &thread_contexts;
  if (contexts->compress == nullptr && contexts->decompress == nullptr) {
    ::pthread_once(&free_key_once, MakeFreeKey);
    ::pthread_setspecific(free_key, contexts);
  }
  return contexts;
}

Status ReserveScratch(ThreadContexts* contexts, std::size_t size) {
  if (contexts->scratch_size >= size) {
    return Status::Ok();
  }
  std::free(contexts->scratch);
  contexts->scratch = static_cast<std::uint8_t*>(std::malloc(size));
  contexts->scratch_size = contexts->scratch == nullptr ? 0 : size;
  return contexts->scratch == nullptr
             ? Status(Code::kOutOfMemory,
                      "no memory to compress " + std::to_string(size) + " bytes")
             : Status::Ok();
}

}  // namespace

Status CompressBlock(int level, ByteView plain, Bytes* out) {
  if (level == 0) {
    Append(out, plain);
    return Status::Ok();
  }
  ThreadContexts* contexts = ContextsOfThread();
  if (contexts->compress == nullptr) {
    contexts->compress = ZSTD_createCCtx();
  }
  if (contexts->compress == nullptr) {
    return NoContext();
  }
  PITR_RETURN_IF_ERROR(ReserveScratch(contexts, ZSTD_compressBound(plain.size())));
  // Clamped, never refused.
  ZSTD_CCtx_setParameter(contexts->compress, ZSTD_c_compressionLevel, level);
  const std::size_t size = ZSTD_compress2(contexts->compress, contexts->scratch,
                                          contexts->scratch_size, plain.data(), plain.size());
  if (ZSTD_isError(size)) {
    return ZstdStatus(Code::kInternal, "could not compress", size);
  }
  Append(out, {contexts->scratch, size});
  return Status::Ok();
}

Status DecompressBlock(ByteView packed, bool stored, std::uint8_t* out, std::size_t out_size) {
  if (stored) {
    if (packed.size() != out_size) {
      return Status(Code::kCorrupt, "stored block does not have the announced size");
    }
    std::copy(packed.begin(), packed.end(), out);
    return Status::Ok();
  }
  ThreadContexts* contexts = ContextsOfThread();
  if (contexts->decompress == nullptr) {
    contexts->decompress = ZSTD_createDCtx();
  }
  if (contexts->decompress == nullptr) {
    return NoContext();
  }
  const std::size_t size =
      ZSTD_decompressDCtx(contexts->decompress, out, out_size, packed.data(), packed.size());
  if (ZSTD_isError(size)) {
    return ZstdStatus(Code::kCorrupt, "could not decompress", size);
  }
  // No input at all decompresses to nothing without an error; a block is at least one frame.
  if (size != out_size || packed.empty()) {
    return Status(Code::kCorrupt, "decompressed block does not have the announced size");
  }
  return Status::Ok();
}

}  // namespace pitr

// Reads frames back: pack by pack in order, neighbours in one request, every frame verified.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/cancel.h"
#include "core/repo/manifest.h"
#include "core/work/progress.h"

namespace pitr {

// Gets the plain bytes of frame number `frame` of the manifest; called from several threads at once, `worker` being the
// number of the thread.
using FrameSink = std::function<Status(int worker, std::uint32_t frame, ByteView plain)>;

// Reads `frames` (indexes in manifest.frames, any order) with `workers` threads. Counts plain bytes as progress. A
// frame that is not what the manifest says is kCorrupt, naming pack, frame and both checksums, before any byte of it
// reaches the sink; so is a pack that the store does not have.
Status ReadFrames(Repository* repo, const Manifest& manifest, std::vector<std::uint32_t> frames,
                  int workers, Progress* progress, const CancelToken* cancel,
                  const FrameSink& sink);

}  // namespace pitr

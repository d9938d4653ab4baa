#include "core/work/pack_reader.h"

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <deque>
#include <utility>

#include "core/base/hash.h"
#include "core/codec/compress.h"
#include "core/repo/layout.h"
#include "core/store/abilities.h"
#include "core/work/thread_pool.h"

namespace pitr {

namespace {

// Long enough that a store's latency matters little, short enough to share among threads.
constexpr std::uint64_t kReadSize = 4ULL << 20;
// Frames in between that nobody wants (an increment refers to few of an older pack) are read along up to this.
constexpr std::uint64_t kMaxGap = 64ULL << 10;

// Neighbours in one pack: [begin, end) of the sorted list of frames.
struct ReadItem {
  std::size_t begin = 0, end = 0;
  std::uint64_t offset = 0, size = 0;
};

// The items of one pack. A thread takes a whole pack if it can: what lies together in a pack was taken from one
// file, and two threads that write to one file wait for each other in the kernel.
struct PackQueue {
  PackQueue(std::uint32_t number, std::size_t first) : pack(number), next(first) {}
  std::uint32_t pack;
  std::size_t end = 0;
  std::atomic<std::size_t> next;
};

std::vector<ReadItem> PlanReads(const std::vector<Frame>& frames,
                                const std::vector<std::uint32_t>& order) {
  std::vector<ReadItem> items;
  for (std::size_t i = 0; i < order.size(); i++) {
    const Frame& frame = frames[order[i]];
    const std::uint64_t end = frame.offset + frame.packed_size;
    if (!items.empty()) {
      ReadItem& item = items.back();
      const std::uint64_t item_end = item.offset + item.size;
      if (frames[order[item.begin]].pack == frame.pack && frame.offset <= item_end + kMaxGap &&
          end <= item.offset + kReadSize) {
        item.end = i + 1;
        item.size = std::max(item_end, end) - item.offset;
        continue;
      }
    }
    items.push_back({i, i + 1, frame.offset, frame.packed_size});
  }
  return items;
}

std::string Hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, value);
  return text;
}

std::string PackName(const Manifest& manifest, const Frame& frame) {
  const PackRef& pack = manifest.packs[frame.pack];
  return layout::PackObject(pack.snapshot, pack.number);
}

Status Damaged(const Manifest& manifest, std::uint32_t index, std::string detail) {
  const Frame& frame = manifest.frames[index];
  return Status(Code::kCorrupt, "frame " + std::to_string(index) + " at offset " +
                                    std::to_string(frame.offset) + " of pack \"" +
                                    PackName(manifest, frame) + "\" is damaged")
      .WithDetail(std::move(detail));
}

Status Unpack(const Manifest& manifest, std::uint32_t index, ByteView packed, Bytes* plain) {
  const Frame& frame = manifest.frames[index];
  plain->resize(frame.plain_size);
  const Status status = DecompressBlock(packed, frame.stored, plain->data(), plain->size());
  if (!status.ok() && status.code() != Code::kCorrupt) {
    return status;
  }
  const std::uint64_t found = Xxh3(*plain);
  if (!status.ok()) {
    return Damaged(manifest, index,
                   "Expected checksum " + Hex(frame.plain_hash) +
                       ", but it does not decompress: " + status.message() + ".");
  }
  if (found != frame.plain_hash) {
    return Damaged(manifest, index,
                   "Expected checksum " + Hex(frame.plain_hash) + ", found " + Hex(found) + ".");
  }
  return Status::Ok();
}

class Reader {
 public:
  Reader(Repository* repo, const Manifest& manifest, const std::vector<std::uint32_t>& order,
         Progress* progress, const FrameSink& sink)
      : repo_(repo), manifest_(manifest), order_(order), progress_(progress), sink_(sink) {}

  // Where there is another copy of a pack that turns out damaged, it is read on from there.
  Status Read(const ReadItem& item, int worker, const StopSignal& stop, Bytes* plain) const {
    const std::string name = PackName(manifest_, manifest_.frames[order_[item.begin]]);
    for (std::size_t next = item.begin;;) {
      PITR_RETURN_IF_ERROR(stop.Check());
      auto bytes = repo_->store()->GetRange(name, item.offset, item.size);
      if (bytes.status().code() == Code::kNotFound) {
        // A published manifest names it: its absence is damage, not an answer.
        return Damaged(manifest_, order_[item.begin],
                       "The pack is missing in \"" + repo_->Describe() + "\".");
      }
      Status damage = bytes.status();
      while (damage.ok() && next < item.end) {
        damage = UnpackAt(*bytes, item, order_[next], plain);
        if (damage.ok()) {
          PITR_RETURN_IF_ERROR(Pass(worker, stop, order_[next++], *plain));
        }
      }
      if (damage.code() != Code::kCorrupt || !Distrust(repo_->store(), name)) {
        return damage;
      }
    }
  }

 private:
  Status UnpackAt(ByteView bytes, const ReadItem& item, std::uint32_t index, Bytes* plain) const {
    const Frame& frame = manifest_.frames[index];
    const std::uint64_t at = frame.offset - item.offset;
    if (at + frame.packed_size > bytes.size()) {
      return Damaged(manifest_, index, "The pack ends before it.");
    }
    return Unpack(manifest_, index, bytes.subspan(at, frame.packed_size), plain);
  }

  Status Pass(int worker, const StopSignal& stop, std::uint32_t index, ByteView plain) const {
    PITR_RETURN_IF_ERROR(stop.Check());
    PITR_RETURN_IF_ERROR(sink_(worker, index, plain));
    if (progress_ != nullptr) {
      progress_->Done(plain.size());
    }
    return Status::Ok();
  }

  Repository* repo_;
  const Manifest& manifest_;
  const std::vector<std::uint32_t>& order_;
  Progress* progress_;
  const FrameSink& sink_;
};

}  // namespace

Status ReadFrames(Repository* repo, const Manifest& manifest, std::vector<std::uint32_t> frames,
                  int workers, Progress* progress, const CancelToken* cancel,
                  const FrameSink& sink) {
  std::sort(frames.begin(), frames.end(), [&](std::uint32_t a, std::uint32_t b) {
    const Frame& left = manifest.frames[a];
    const Frame& right = manifest.frames[b];
    return std::pair(left.pack, left.offset) < std::pair(right.pack, right.offset);
  });
  const std::vector<ReadItem> items = PlanReads(manifest.frames, frames);
  std::deque<PackQueue> packs;
  for (std::size_t i = 0; i < items.size(); i++) {
    const std::uint32_t pack = manifest.frames[frames[items[i].begin]].pack;
    if (packs.empty() || packs.back().pack != pack) {
      packs.emplace_back(pack, i);
    }
    packs.back().end = i + 1;
  }
  const Reader reader(repo, manifest, frames, progress, sink);
  std::atomic<std::size_t> next_pack = 0;
  const auto work = [&](int worker, const StopSignal& stop) -> Status {
    Bytes plain;
    const auto drain = [&](PackQueue* queue) -> Status {
      for (std::size_t i = queue->next++; i < queue->end; i = queue->next++) {
        PITR_RETURN_IF_ERROR(reader.Read(items[i], worker, stop, &plain));
      }
      return Status::Ok();
    };
    for (std::size_t i = next_pack++; i < packs.size(); i = next_pack++) {
      PITR_RETURN_IF_ERROR(drain(&packs[i]));
    }
    for (PackQueue& queue : packs) {  // nothing of one's own left: help the others
      PITR_RETURN_IF_ERROR(drain(&queue));
    }
    return Status::Ok();
  };
  return RunThreads(workers, cancel, work);
}

}  // namespace pitr

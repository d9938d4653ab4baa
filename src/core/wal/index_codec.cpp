// The encoded form of an index, byte by byte in doc/wal-index-format.md: a head of 128 bytes with its own
// checksum, so that a search needs no more, and the body, compressed with zstd.
#include <limits>

#include "core/base/hash.h"
#include "core/codec/compress.h"
#include "core/wal/index.h"
#include "core/wal/index_body.h"

namespace pitr::wal {

namespace {

constexpr std::uint32_t kMagic = 0x58495750;  // "PWIX"
constexpr std::uint16_t kVersion = 1;
constexpr int kZstdLevel = 3;
constexpr std::size_t kHeadHashAt = kIndexHeadSize - sizeof(std::uint64_t);

constexpr std::uint16_t kFlagPartial = 1, kFlagHead = 2, kFlagTail = 4, kFlagListsCut = 8,
                        kFlagUnexplained = 16, kFlagStored = 32;
constexpr std::uint16_t kAllFlags = 63;

Status Corrupt(std::string_view what) {
  return Status(Code::kCorrupt, "WAL index: " + std::string(what));
}

struct Sizes {
  std::uint16_t flags = 0;
  std::uint32_t plain = 0, packed = 0;
  std::uint64_t body_hash = 0;
};

std::uint16_t FlagsOf(const SegmentIndex& index) {
  return static_cast<std::uint16_t>(
      (index.partial ? kFlagPartial : 0) | (index.head.present ? kFlagHead : 0) |
      (index.tail.present ? kFlagTail : 0) | (index.lists_cut ? kFlagListsCut : 0) |
      (index.unexplained_changes ? kFlagUnexplained : 0));
}

SegmentIndex::Counts CountsOf(const SegmentIndex& index) {
  SegmentIndex::Counts counts;
  counts.events = static_cast<std::uint32_t>(index.events.size());
  for (const Event& e : index.events) {
    counts.commits += e.IsCommit() ? 1 : 0;
    counts.restore_points += e.kind == EventKind::kRestorePoint ? 1 : 0;
  }
  counts.relation_forks = static_cast<std::uint32_t>(index.blocks.size());
  return counts;
}

void WriteHead(const SegmentIndex& index, const Sizes& sizes, Bytes* bytes) {
  ByteWriter out(bytes);
  out.U32(kMagic);
  out.U16(kVersion);
  out.U16(sizes.flags);
  out.U64(index.root.system_identifier);
  out.U16(static_cast<std::uint16_t>(index.root.server_major));
  out.U16(index.page_magic);
  out.U32(index.root.segment_size);
  out.U32(index.segment.timeline);
  out.U64(index.segment.number);
  out.U64(index.first_start.value);
  out.U64(index.last_start.value);
  out.U64(index.last_end.value);
  out.U64(index.head_end.value);
  out.U64(static_cast<std::uint64_t>(index.min_time.micros));
  out.U64(static_cast<std::uint64_t>(index.max_time.micros));
  out.U32(static_cast<std::uint32_t>(index.records));
  const SegmentIndex::Counts counts = CountsOf(index);
  out.U32(counts.events);
  out.U32(counts.commits);
  out.U32(counts.restore_points);
  out.U32(counts.relation_forks);
  out.U32(sizes.plain);
  out.U32(sizes.packed);
  out.U64(sizes.body_hash);
  out.U64(Xxh3(*bytes));
}

Result<SegmentIndex> ReadHead(ByteView bytes, Sizes* sizes) {
  if (bytes.size() < kIndexHeadSize) {
    return Corrupt("too short");
  }
  ByteReader in(bytes.first(kIndexHeadSize));
  if (in.U32() != kMagic) {
    return Corrupt("no magic");
  }
  const std::uint16_t version = in.U16();
  if (version > kVersion) {
    return Status(Code::kUnsupported,
                  "WAL index format " + std::to_string(version) + " is newer than this program");
  }
  SegmentIndex index;
  sizes->flags = in.U16();
  index.root.system_identifier = in.U64();
  index.root.server_major = in.U16();
  index.page_magic = in.U16();
  index.root.segment_size = in.U32();
  index.segment.timeline = in.U32();
  index.segment.number = in.U64();
  index.first_start.value = in.U64();
  index.last_start.value = in.U64();
  index.last_end.value = in.U64();
  index.head_end.value = in.U64();
  index.min_time.micros = static_cast<std::int64_t>(in.U64());
  index.max_time.micros = static_cast<std::int64_t>(in.U64());
  index.records = in.U32();
  index.counts.events = in.U32();
  index.counts.commits = in.U32();
  index.counts.restore_points = in.U32();
  index.counts.relation_forks = in.U32();
  sizes->plain = in.U32();
  sizes->packed = in.U32();
  sizes->body_hash = in.U64();
  if (in.U64() != Xxh3(bytes.first(kHeadHashAt))) {
    return Corrupt("the checksum of the head does not fit");
  }
  const std::uint32_t segment_size = index.root.segment_size;
  if (version == 0 || (sizes->flags & ~kAllFlags) != 0 || !IsValidSegmentSize(segment_size) ||
      index.segment.number > std::numeric_limits<std::uint64_t>::max() / segment_size - 1) {
    return Corrupt("impossible values in the head");
  }
  index.head.present = (sizes->flags & kFlagHead) != 0;
  index.tail.present = (sizes->flags & kFlagTail) != 0;
  index.partial = (sizes->flags & kFlagPartial) != 0;
  index.lists_cut = (sizes->flags & kFlagListsCut) != 0;
  index.unexplained_changes = (sizes->flags & kFlagUnexplained) != 0;
  return index;
}

// A reference to a block takes 8 bytes of WAL and at most 5 of body, an event 34 and 30; fragments come
// on top. Twice the segment is more than a body can be.
std::uint64_t PlainCap(std::uint32_t segment_size) {
  return std::uint64_t{segment_size} * 2 + 2 * kFragmentCap;
}

Status Unpack(ByteView packed, const Sizes& sizes, std::uint32_t segment_size, Bytes* plain) {
  if (packed.size() != sizes.packed || sizes.plain > PlainCap(segment_size)) {
    return Corrupt("the size of the body does not fit");
  }
  if (Xxh3(packed) != sizes.body_hash) {
    return Corrupt("the checksum of the body does not fit");
  }
  // Streaming: memory grows with what comes out, not with what the head says.
  Decompressor decompressor((sizes.flags & kFlagStored) != 0, sizes.plain);
  PITR_RETURN_IF_ERROR(decompressor.Add(packed, plain));
  PITR_RETURN_IF_ERROR(decompressor.Finish());
  return plain->size() == sizes.plain ? Status::Ok() : Corrupt("the body is too short");
}

}  // namespace

Bytes EncodeIndex(const SegmentIndex& index) {
  Bytes plain, packed;
  WriteIndexBody(index, &plain);
  Sizes sizes;
  sizes.flags = FlagsOf(index);
  if (!CompressBlock(kZstdLevel, plain, &packed).ok()) {
    packed = plain;
    sizes.flags |= kFlagStored;
  }
  sizes.plain = static_cast<std::uint32_t>(plain.size());
  sizes.packed = static_cast<std::uint32_t>(packed.size());
  sizes.body_hash = Xxh3(packed);
  Bytes out;
  out.reserve(kIndexHeadSize + packed.size());
  WriteHead(index, sizes, &out);
  out.insert(out.end(), packed.begin(), packed.end());
  return out;
}

Result<SegmentIndex> DecodeIndexHead(ByteView bytes) {
  Sizes sizes;
  return ReadHead(bytes, &sizes);
}

Result<SegmentIndex> DecodeIndex(ByteView bytes) {
  Sizes sizes;
  PITR_ASSIGN_OR_RETURN(SegmentIndex index, ReadHead(bytes, &sizes));
  Bytes plain;
  PITR_RETURN_IF_ERROR(
      Unpack(bytes.subspan(kIndexHeadSize), sizes, index.root.segment_size, &plain));
  const SegmentIndex::Counts stored = index.counts;
  if (!ReadIndexBody(plain, &index)) {
    return Corrupt("the body makes no sense");
  }
  index.counts = CountsOf(index);
  if (!(index.counts == stored)) {
    return Corrupt("the counts in the head do not fit the body");
  }
  return index;
}

}  // namespace pitr::wal

// The body of a manifest: columns of varints, each column one field of all items. Neighbours then differ by
// little and zstd finds it, which matters because a manifest holds a map of every page (some 60 MiB per TiB
// of database). Format: doc/snapshot-format.md, version 1.
#include "core/repo/manifest_body.h"

#include <algorithm>

namespace pitr {

namespace {

constexpr std::size_t kMaxId = 64, kMaxPath = 1024;

// ---- body, writing ----

void EncodePacks(const std::vector<PackRef>& packs, ByteWriter* out) {
  std::vector<std::string_view> snapshots;  // few: this one and those it builds upon
  std::vector<std::size_t> which;
  which.reserve(packs.size());
  for (const PackRef& pack : packs) {
    const auto at = std::find(snapshots.begin(), snapshots.end(), pack.snapshot);
    which.push_back(static_cast<std::size_t>(at - snapshots.begin()));
    if (at == snapshots.end()) {
      snapshots.push_back(pack.snapshot);
    }
  }
  out->Varint(snapshots.size());
  for (const std::string_view snapshot : snapshots) {
    out->Text(snapshot);
  }
  out->Varint(packs.size());
  for (const std::size_t index : which) {
    out->Varint(index);
  }
  for (const PackRef& pack : packs) {
    out->Varint(pack.number);
  }
}

// Where a frame begins if it follows the one before: most do.
std::uint64_t ExpectedOffset(const Frame* before, std::uint32_t pack) {
  return before != nullptr && before->pack == pack ? before->offset + before->packed_size
                                                   : kPackHeadSize;
}

void EncodeFrames(const std::vector<Frame>& frames, ByteWriter* out) {
  out->Varint(frames.size());
  std::uint32_t pack = 0;
  for (const Frame& frame : frames) {
    out->Signed(static_cast<std::int64_t>(frame.pack) - pack);
    pack = frame.pack;
  }
  const Frame* before = nullptr;
  for (const Frame& frame : frames) {
    out->Signed(static_cast<std::int64_t>(frame.offset - ExpectedOffset(before, frame.pack)));
    before = &frame;
  }
  for (const Frame& frame : frames) {
    out->Varint(frame.packed_size);
  }
  for (const Frame& frame : frames) {
    out->Varint(frame.plain_size);
  }
  for (const Frame& frame : frames) {
    out->U8(frame.stored ? 1 : 0);
  }
  for (const Frame& frame : frames) {
    out->U64(frame.plain_hash);
  }
}

std::size_t SharedPrefix(std::string_view a, std::string_view b) {
  const std::size_t most = std::min(a.size(), b.size());
  std::size_t n = 0;
  while (n < most && a[n] == b[n]) {
    n++;
  }
  return n;
}

void EncodeFiles(const std::vector<ManifestFile>& files, ByteWriter* out) {
  out->Varint(files.size());
  for (const ManifestFile& file : files) {
    out->U8(static_cast<std::uint8_t>(file.kind));
  }
  for (const ManifestFile& file : files) {
    out->Varint(file.mode);
  }
  for (const ManifestFile& file : files) {
    out->Varint(file.size);
  }
  std::string_view before;
  for (const ManifestFile& file : files) {
    const std::size_t shared = SharedPrefix(before, file.path);
    out->Varint(shared);
    out->Text(std::string_view(file.path).substr(shared));
    before = file.path;
  }
  for (const ManifestFile& file : files) {
    if (file.kind == FileKind::kSymlink) {
      out->Text(file.link_target);
    }
  }
  for (const ManifestFile& file : files) {
    out->Varint(file.extents.size());
  }
}

void EncodeExtents(const std::vector<ManifestFile>& files, ByteWriter* out) {
  for (const ManifestFile& file : files) {
    std::uint64_t end = 0;
    for (const Extent& extent : file.extents) {
      out->Varint(extent.file_offset - end);
      end = extent.file_offset + extent.length;
    }
  }
  std::uint32_t frame = 0;
  for (const ManifestFile& file : files) {
    for (const Extent& extent : file.extents) {
      out->Signed(static_cast<std::int64_t>(extent.frame) - frame);
      frame = extent.frame;
    }
  }
  for (const ManifestFile& file : files) {
    for (const Extent& extent : file.extents) {
      out->Varint(extent.frame_offset);
    }
  }
  for (const ManifestFile& file : files) {
    for (const Extent& extent : file.extents) {
      out->Varint(extent.length);
    }
  }
}

void EncodeBadPages(const std::vector<BadPage>& bad_pages, ByteWriter* out) {
  out->Varint(bad_pages.size());
  for (const BadPage& bad : bad_pages) {
    out->Text(bad.path);
    out->Varint(bad.block);
  }
}

// ---- body, reading ----

// previous + difference, within 32 bits.
std::uint32_t Step(std::uint32_t previous, std::int64_t difference, bool* good) {
  const std::int64_t limit = std::numeric_limits<std::uint32_t>::max();
  *good = *good && difference >= -limit && difference <= limit && previous + difference >= 0 &&
          previous + difference <= limit;
  return *good ? static_cast<std::uint32_t>(previous + difference) : 0;
}

Status DecodeFrames(ByteReader* in, std::vector<Frame>* frames) {
  frames->resize(in->Count(13));  // five varints and flags of a byte at least, and the hash
  bool good = true;
  std::uint32_t pack = 0;
  for (Frame& frame : *frames) {
    frame.pack = pack = Step(pack, in->Signed(), &good);
  }
  // Offsets are relative to the end of the frame before, whose size is a later column.
  std::vector<std::int64_t> moves(frames->size());
  for (std::int64_t& move : moves) {
    move = in->Signed();
  }
  for (Frame& frame : *frames) {
    frame.packed_size = Narrow<std::uint32_t>(in->Varint(), &good);
  }
  const Frame* before = nullptr;
  for (std::size_t i = 0; i < frames->size(); i++) {
    Frame& frame = (*frames)[i];
    // Unsigned, so that damage wraps around and is refused by CheckManifest.
    frame.offset = ExpectedOffset(before, frame.pack) + static_cast<std::uint64_t>(moves[i]);
    before = &frame;
  }
  for (Frame& frame : *frames) {
    frame.plain_size = Narrow<std::uint32_t>(in->Varint(), &good);
  }
  for (Frame& frame : *frames) {
    frame.stored = Flag(in, &good);
  }
  for (Frame& frame : *frames) {
    frame.plain_hash = in->U64();
  }
  return good && in->ok() ? Status::Ok() : Malformed("frames");
}

Status DecodePaths(ByteReader* in, std::vector<ManifestFile>* files) {
  std::string_view before;
  for (ManifestFile& file : *files) {
    const std::uint64_t shared = in->Varint();
    if (!in->ok() || shared > before.size()) {
      return Malformed("paths");
    }
    file.path = before.substr(0, shared);
    file.path += in->Text(kMaxPath);
    if (file.path.size() > kMaxPath) {
      return Malformed("paths");
    }
    before = file.path;
  }
  return Status::Ok();
}

Status DecodeFiles(ByteReader* in, std::vector<ManifestFile>* files) {
  files->resize(in->Count(6));
  bool good = true;
  for (ManifestFile& file : *files) {
    const std::uint8_t kind = in->U8();
    good = good && kind >= 1 && kind <= 4;
    file.kind = static_cast<FileKind>(kind);
  }
  for (ManifestFile& file : *files) {
    file.mode = Narrow<std::uint32_t>(in->Varint(), &good);
  }
  for (ManifestFile& file : *files) {
    file.size = in->Varint();
  }
  if (!good || !in->ok()) {
    return Malformed("files");
  }
  PITR_RETURN_IF_ERROR(DecodePaths(in, files));
  for (ManifestFile& file : *files) {
    if (file.kind == FileKind::kSymlink) {
      file.link_target = in->Text(kMaxPath);
    }
  }
  std::uint64_t total = 0;
  for (ManifestFile& file : *files) {
    const std::uint64_t count = in->Varint();
    total += count;
    // Four columns of at least a byte each follow for every extent.
    if (!in->ok() || count > in->remaining() || total > in->remaining()) {
      return Malformed("extents");
    }
    file.extents.resize(count);
  }
  return total <= in->remaining() / 4 ? Status::Ok() : Malformed("extents");
}

Status DecodeExtents(ByteReader* in, std::vector<ManifestFile>* files) {
  bool good = true;
  std::vector<std::uint64_t> gaps;
  for (const ManifestFile& file : *files) {
    for (std::size_t i = 0; i < file.extents.size(); i++) {
      gaps.push_back(in->Varint());
    }
  }
  std::uint32_t frame = 0;
  for (ManifestFile& file : *files) {
    for (Extent& extent : file.extents) {
      extent.frame = frame = Step(frame, in->Signed(), &good);
    }
  }
  for (ManifestFile& file : *files) {
    for (Extent& extent : file.extents) {
      extent.frame_offset = Narrow<std::uint32_t>(in->Varint(), &good);
    }
  }
  std::size_t next = 0;
  for (ManifestFile& file : *files) {
    std::uint64_t end = 0;
    for (Extent& extent : file.extents) {
      extent.length = Narrow<std::uint32_t>(in->Varint(), &good);
      extent.file_offset = end + gaps[next++];  // wraps with damage: CheckManifest refuses it
      end = extent.file_offset + extent.length;
    }
  }
  return good && in->ok() ? Status::Ok() : Malformed("extents");
}

Status DecodeBadPages(ByteReader* in, std::vector<BadPage>* bad_pages) {
  bad_pages->resize(in->Count(2));
  bool good = true;
  for (BadPage& bad : *bad_pages) {
    bad.path = in->Text(kMaxPath);
    bad.block = Narrow<std::uint32_t>(in->Varint(), &good);
  }
  return good && in->ok() ? Status::Ok() : Malformed("bad pages");
}

}  // namespace

Status DecodeManifestPacks(ByteReader* in, std::vector<PackRef>* packs) {
  std::vector<std::string> snapshots(in->Count(1));
  for (std::string& snapshot : snapshots) {
    snapshot = in->Text(kMaxId);
  }
  packs->resize(in->Count(2));
  bool good = true;
  for (PackRef& pack : *packs) {
    const std::uint64_t index = in->Varint();
    if (!in->ok() || index >= snapshots.size()) {
      return Malformed("packs");
    }
    pack.snapshot = snapshots[index];
  }
  for (PackRef& pack : *packs) {
    pack.number = Narrow<std::uint32_t>(in->Varint(), &good);
  }
  return good && in->ok() ? Status::Ok() : Malformed("packs");
}

Bytes EncodeManifestBody(const Manifest& manifest) {
  Bytes body;
  ByteWriter out(&body);
  EncodePacks(manifest.packs, &out);
  EncodeFrames(manifest.frames, &out);
  EncodeFiles(manifest.files, &out);
  EncodeExtents(manifest.files, &out);
  EncodeBadPages(manifest.bad_pages, &out);
  return body;
}

Status DecodeManifestBody(ByteView body, Manifest* manifest) {
  ByteReader in(body);
  PITR_RETURN_IF_ERROR(DecodeManifestPacks(&in, &manifest->packs));
  PITR_RETURN_IF_ERROR(DecodeFrames(&in, &manifest->frames));
  PITR_RETURN_IF_ERROR(DecodeFiles(&in, &manifest->files));
  PITR_RETURN_IF_ERROR(DecodeExtents(&in, &manifest->files));
  PITR_RETURN_IF_ERROR(DecodeBadPages(&in, &manifest->bad_pages));
  return in.AtEnd() ? Status::Ok() : Malformed("it continues after its end");
}

}  // namespace pitr

// Manifests as objects: what may be written or believed, and reading, writing and listing them.
//
// The envelope's payload is the whole manifest (its body already compressed), its extra part is the head once
// more: a list of snapshots costs one short suffix read each, whatever the size of the databases.
#include "core/repo/manifest.h"

#include <algorithm>

#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "core/base/fault.h"
#include "core/codec/envelope.h"
#include "core/repo/layout.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxPath = 1024;            // MAXPGPATH, src/include/pg_config_manual.h (15)
constexpr std::uint64_t kMaxOffset = 1ULL << 40;  // of a pack; far beyond kPackTarget
constexpr std::uint64_t kMaxFileSize = 1ULL << 62;
constexpr std::uint64_t kMaxManifestSize = 4ULL << 30;

Status Refuse(std::string_view what, std::string_view name = "") {
  std::string message = "manifest does not fit together: " + std::string(what);
  if (!name.empty()) {
    message += " (\"" + std::string(name) + "\")";
  }
  return Status(Code::kCorrupt, std::move(message));
}

bool IsIdChar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

// It becomes a part of object names.
bool IsSafeId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && id.front() != '-' &&
         std::all_of(id.begin(), id.end(), IsIdChar);
}

// Relative, of plain parts: joined to any directory it stays below it.
bool IsSafePath(std::string_view path) {
  if (path.empty() || path.size() >= kMaxPath || path.find('\0') != std::string_view::npos) {
    return false;
  }
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") {
      return false;
    }
    if (slash == std::string_view::npos) {
      return true;
    }
    path.remove_prefix(slash + 1);
  }
}

// pg_tblspc/<oid>: the only place where the server follows links of ours.
bool IsTablespaceLink(std::string_view path) {
  constexpr std::string_view kFolder = "pg_tblspc/";
  if (!path.starts_with(kFolder) || path.size() == kFolder.size()) {
    return false;
  }
  path.remove_prefix(kFolder.size());
  return std::all_of(path.begin(), path.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Status CheckPacks(const std::vector<PackRef>& packs) {
  std::unordered_set<std::string> seen;
  for (const PackRef& pack : packs) {
    if (!IsSafeId(pack.snapshot) || pack.number > kMaxPackNumber) {
      return Refuse("pack of no snapshot", pack.snapshot);
    }
    if (!seen.insert(pack.snapshot + "/" + std::to_string(pack.number)).second) {
      return Refuse("a pack is named twice", pack.snapshot);
    }
  }
  return Status::Ok();
}

Status CheckFrames(const std::vector<Frame>& frames, std::size_t packs) {
  for (const Frame& frame : frames) {
    if (frame.pack >= packs) {
      return Refuse("frame in no pack");
    }
    if (frame.plain_size == 0 || frame.plain_size > kFrameSize || frame.packed_size == 0 ||
        frame.packed_size > frame.plain_size ||
        (frame.stored && frame.packed_size != frame.plain_size)) {
      return Refuse("size of a frame");
    }
    if (frame.offset < kPackHeadSize || frame.offset > kMaxOffset) {
      return Refuse("offset of a frame");
    }
  }
  return Status::Ok();
}

Status CheckExtents(const ManifestFile& file, const std::vector<Frame>& frames) {
  const bool relation = file.kind == FileKind::kRelation;
  if (file.size > kMaxFileSize || (relation && file.size % kPageSize != 0)) {
    return Refuse("size of a file", file.path);
  }
  std::uint64_t end = 0;
  for (const Extent& extent : file.extents) {
    if (extent.file_offset < end || extent.length == 0 || extent.file_offset > file.size ||
        extent.length > file.size - extent.file_offset) {
      return Refuse("extents of a file", file.path);
    }
    if (extent.frame >= frames.size() || extent.frame_offset > frames[extent.frame].plain_size ||
        extent.length > frames[extent.frame].plain_size - extent.frame_offset) {
      return Refuse("extent beyond its frame", file.path);
    }
    if (relation && (extent.file_offset % kPageSize != 0 || extent.frame_offset % kPageSize != 0 ||
                     extent.length % kPageSize != 0)) {
      return Refuse("extent of no whole pages", file.path);
    }
    end = extent.file_offset + extent.length;
  }
  return Status::Ok();
}

Status CheckFile(const ManifestFile& file, const std::vector<Frame>& frames) {
  if (!IsSafePath(file.path)) {
    return Refuse("path", file.path);
  }
  if (file.mode > 07777) {
    return Refuse("mode of a file", file.path);
  }
  switch (file.kind) {
    case FileKind::kDirectory:
    case FileKind::kSymlink:
      if (file.size != 0 || !file.extents.empty()) {
        return Refuse("a directory or link with content", file.path);
      }
      break;
    case FileKind::kPlain:
    case FileKind::kRelation:
      PITR_RETURN_IF_ERROR(CheckExtents(file, frames));
      break;
  }
  const bool link = file.kind == FileKind::kSymlink;
  if (link && (!IsTablespaceLink(file.path) || file.link_target.empty() ||
               file.link_target.front() != '/' || file.link_target.size() >= kMaxPath ||
               file.link_target.find('\0') != std::string::npos)) {
    return Refuse("link", file.path);
  }
  if (!link && !file.link_target.empty()) {
    return Refuse("target of no link", file.path);
  }
  return Status::Ok();
}

// Each path once, its parent before it and something that can hold it.
Status CheckTree(const std::vector<ManifestFile>& files) {
  std::unordered_map<std::string_view, FileKind> seen;
  seen.reserve(files.size());
  for (const ManifestFile& file : files) {
    const std::string_view path = file.path;
    const std::size_t slash = path.rfind('/');
    if (slash != std::string_view::npos) {
      const auto parent = seen.find(path.substr(0, slash));
      if (parent == seen.end() ||
          (parent->second != FileKind::kDirectory && parent->second != FileKind::kSymlink)) {
        return Refuse("path without its directory", path);
      }
    }
    if (!seen.emplace(path, file.kind).second) {
      return Refuse("a path is listed twice", path);
    }
  }
  return Status::Ok();
}

bool IsDamage(Code code) {
  return code == Code::kCorrupt || code == Code::kUnsupported || code == Code::kForeign ||
         code == Code::kLimit;
}

}  // namespace

Status CheckManifest(const Manifest& manifest) {
  if (!IsSafeId(manifest.id)) {
    return Refuse("id of the snapshot", manifest.id);
  }
  if (manifest.based_on && !IsSafeId(*manifest.based_on)) {
    return Refuse("id of the snapshot it is based on", *manifest.based_on);
  }
  PITR_RETURN_IF_ERROR(CheckPacks(manifest.packs));
  PITR_RETURN_IF_ERROR(CheckFrames(manifest.frames, manifest.packs.size()));
  for (const ManifestFile& file : manifest.files) {
    PITR_RETURN_IF_ERROR(CheckFile(file, manifest.frames));
  }
  PITR_RETURN_IF_ERROR(CheckTree(manifest.files));
  for (const BadPage& bad : manifest.bad_pages) {
    if (!IsSafePath(bad.path)) {
      return Refuse("path of a bad page", bad.path);
    }
  }
  return Status::Ok();
}

Status WriteManifest(Repository* repo, const Manifest& manifest) {
  PITR_FAULT("snapshot.manifest.before_write");
  PITR_RETURN_IF_ERROR(CheckManifest(manifest));
  const Bytes bytes = EncodeManifest(manifest);
  // The head repeats at the end: everything before the body.
  PITR_ASSIGN_OR_RETURN(const ManifestHead head, DecodeManifestHead(bytes));
  const std::size_t head_size = bytes.size() - head.body_bytes;
  const std::string name = layout::ManifestObject(manifest.id);
  PITR_ASSIGN_OR_RETURN(auto writer,
                        EnvelopeWriter::Create(repo->store(), name, ObjectKind::kManifest, 0));
  PITR_RETURN_IF_ERROR(writer->Add(bytes));
  PITR_RETURN_IF_ERROR(writer->Finish(ByteView(bytes).first(head_size)));
  PITR_FAULT("snapshot.manifest.after_write");
  return Status::Ok();
}

Result<Manifest> ReadManifest(Repository* repo, const SnapshotId& id) {
  if (!IsSafeId(id)) {
    return Status(Code::kNotFound, "snapshot \"" + id + "\" does not exist");
  }
  const std::string name = layout::ManifestObject(id);
  auto bytes = ReadEnvelope(repo->store(), name, ObjectKind::kManifest, kMaxManifestSize);
  if (!bytes.ok()) {
    return std::move(bytes).status();
  }
  auto manifest = DecodeManifest(*bytes);
  if (!manifest.ok()) {
    return std::move(manifest).status().Prefix("\"" + name + "\"");
  }
  if (manifest->id != id) {
    return Status(Code::kCorrupt,
                  "\"" + name + "\" is the manifest of snapshot \"" + manifest->id + "\"");
  }
  return manifest;
}

Result<std::vector<ManifestHead>> ListSnapshots(Repository* repo,
                                                std::vector<std::string>* damaged) {
  PITR_ASSIGN_OR_RETURN(const auto parts, repo->store()->ListParts(layout::SnapshotsPrefix()));
  std::vector<ManifestHead> heads;
  for (const std::string& part : parts) {
    if (!part.ends_with("/")) {
      continue;
    }
    const SnapshotId id = part.substr(0, part.size() - 1);
    auto bytes = ReadEnvelopeExtra(repo->store(), layout::ManifestObject(id), ObjectKind::kManifest,
                                   nullptr);
    if (!bytes.ok() && bytes.status().code() == Code::kNotFound) {
      continue;  // being written, or never finished
    }
    if (!bytes.ok() && !IsDamage(bytes.status().code())) {
      return std::move(bytes).status();  // "could not find out" is not "does not exist"
    }
    auto head =
        bytes.ok() ? DecodeManifestHead(*bytes) : Result<ManifestHead>(std::move(bytes).status());
    if (!head.ok() || head->manifest.id != id) {
      if (damaged != nullptr) {
        damaged->push_back(id);
      }
      continue;
    }
    heads.push_back(std::move(*head));
  }
  std::sort(heads.begin(), heads.end(), [](const ManifestHead& a, const ManifestHead& b) {
    return std::tie(a.manifest.started_at, a.manifest.id) <
           std::tie(b.manifest.started_at, b.manifest.id);
  });
  return heads;
}

}  // namespace pitr

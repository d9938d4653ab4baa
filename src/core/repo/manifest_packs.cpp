#include "core/repo/manifest_packs.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "core/codec/compress.h"
#include "core/codec/envelope.h"
#include "core/repo/layout.h"
#include "core/repo/manifest_body.h"

namespace pitr {

namespace {

constexpr std::size_t kPiece = 64U << 10;  // unpacked at once

// Takes a manifest in pieces and keeps its first part up to the end of the list of packs.
class PackList {
 public:
  Status Add(ByteView piece) {
    if (is_done_) {
      return Status::Ok();  // only its checksum matters
    }
    if (!unpack_) {
      start_.insert(start_.end(), piece.begin(), piece.end());
      return Begin();
    }
    return Unpack(piece);
  }

  Result<std::vector<PackRef>> Finish(const std::string& name) {
    if (!is_done_) {
      return Status(Code::kCorrupt, "\"" + name + "\" has no list of packs");
    }
    return std::move(packs_);
  }

 private:
  Status Begin() {
    const auto prelude = DecodeManifestPrelude(start_);
    if (!prelude.ok()) {
      // Too short yet, or no manifest at all: Finish tells.
      return prelude.status().code() == Code::kUnsupported ? prelude.status() : Status::Ok();
    }
    unpack_.emplace((prelude->flags & kManifestBodyStored) != 0, prelude->body_plain);
    const Bytes start = std::move(start_);
    return Unpack(ByteView(start).subspan(kManifestPreludeSize + prelude->head_size));
  }

  Status Unpack(ByteView packed) {
    while (!packed.empty() && !is_done_) {
      const ByteView part = packed.first(std::min(kPiece, packed.size()));
      packed = packed.subspan(part.size());
      PITR_RETURN_IF_ERROR(unpack_->Add(part, &body_));
      ByteReader in(body_);
      is_done_ = DecodeManifestPacks(&in, &packs_).ok();
    }
    return Status::Ok();
  }

  Bytes start_, body_;
  std::optional<Decompressor> unpack_;
  std::vector<PackRef> packs_;
  bool is_done_ = false;
};

}  // namespace

Result<std::vector<PackRef>> ReadManifestPacks(Repository* repo, const SnapshotId& id) {
  const std::string name = layout::ManifestObject(id);
  PackList list;
  PITR_RETURN_IF_ERROR(StreamEnvelope(repo->store(), name, ObjectKind::kManifest,
                                      [&](ByteView piece) { return list.Add(piece); }));
  return list.Finish(name);
}

Result<std::vector<std::uint64_t>> ReadPackSizes(Repository* repo,
                                                 const std::vector<PackRef>& packs) {
  PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> objects,
                        repo->store()->List(layout::AllPacksPrefix()));
  std::unordered_map<std::string_view, std::uint64_t> listed;
  for (const ObjectStat& object : objects) {
    listed.emplace(object.name, object.size);
  }
  std::vector<std::uint64_t> sizes;
  sizes.reserve(packs.size());
  for (const PackRef& pack : packs) {
    const auto found = listed.find(layout::PackObject(pack.snapshot, pack.number));
    sizes.push_back(found == listed.end() ? 0 : found->second);
  }
  return sizes;
}

Result<PackSet> PackUse::Named(Repository* repo, const std::set<SnapshotId>& living) {
  std::erase_if(read_, [&](const auto& known) { return !living.contains(known.first); });
  PackSet named;
  for (const SnapshotId& id : living) {
    auto known = read_.find(id);
    if (known == read_.end()) {
      Result<std::vector<PackRef>> packs = ReadManifestPacks(repo, id);
      if (!packs.ok() && packs.status().code() == Code::kNotFound) {
        continue;  // removed since it was listed, or an empty folder
      }
      PITR_RETURN_IF_ERROR(packs.status());
      known = read_.emplace(id, *std::move(packs)).first;
    }
    for (const PackRef& pack : known->second) {
      named.emplace(pack.snapshot, pack.number);
    }
  }
  return named;
}

}  // namespace pitr

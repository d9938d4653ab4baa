#include "core/work/lay_out_demand.h"

#include <algorithm>
#include <map>

#include "core/demand/folder.h"
#include "core/repo/layout.h"
#include "core/work/file_selection.h"
#include "core/work/lay_out.h"

namespace pitr {

namespace {

static_assert(kPageSize == demand::kPageBytes && kFrameSize == demand::kMaxFrameBytes);

bool IsLoadedLater(const ManifestFile& file) {
  if (file.kind != FileKind::kRelation || file.size % kPageSize != 0 ||
      file.size <= std::uint64_t{kLeastDemandPages} * kPageSize ||
      file.size / kPageSize > 0xFFFFFFFFU ||
      !(file.path.starts_with("base/") || file.path.starts_with("pg_tblspc/"))) {
    return false;
  }
  const auto name =
      ParseRelationFileName(std::string_view(file.path).substr(file.path.rfind('/') + 1));
  const auto is_whole_pages = [](const Extent& extent) {
    return extent.file_offset % kPageSize == 0 && extent.frame_offset % kPageSize == 0 &&
           extent.length % kPageSize == 0;
  };
  return name && name->fork.empty() &&
         std::all_of(file.extents.begin(), file.extents.end(), is_whole_pages);
}

// Numbers of the manifest as the index has them: only what its files need.
class Renumbering {
 public:
  Renumbering(const Manifest& manifest, demand::IndexContent* content)
      : manifest_(manifest), content_(content) {}

  std::uint32_t Frame(std::uint32_t number) {
    const auto [at, is_new] =
        frames_.emplace(number, static_cast<std::uint32_t>(content_->frames.size()));
    if (is_new) {
      const pitr::Frame& frame = manifest_.frames[number];
      content_->frames.push_back({Pack(frame.pack), frame.offset, frame.plain_hash,
                                  frame.packed_size, frame.plain_size, frame.stored});
    }
    return at->second;
  }

 private:
  std::uint32_t Pack(std::uint32_t number) {
    const auto [at, is_new] =
        packs_.emplace(number, static_cast<std::uint32_t>(content_->packs.size()));
    if (is_new) {
      const PackRef& pack = manifest_.packs[number];
      content_->packs.push_back(layout::PackObject(pack.snapshot, pack.number));
    }
    return at->second;
  }

  const Manifest& manifest_;
  demand::IndexContent* content_;
  std::map<std::uint32_t, std::uint32_t> frames_, packs_;
};

}  // namespace

std::vector<bool> FilesToLoadLater(const Manifest& manifest) {
  std::vector<bool> later(manifest.files.size());
  for (std::size_t i = 0; i < later.size(); i++) {
    later[i] = IsLoadedLater(manifest.files[i]);
  }
  return std::find(later.begin(), later.end(), true) == later.end() ? std::vector<bool>() : later;
}

Status NoteMissing(const Manifest& manifest, const std::vector<bool>& later,
                   const std::vector<std::string>& places, const std::string& directory) {
  demand::IndexContent content;
  content.snapshot = manifest.id;
  content.places = places;
  Renumbering numbers(manifest, &content);
  for (std::size_t i = 0; i < later.size(); i++) {
    if (!later[i]) {
      continue;
    }
    demand::IndexFile file;
    file.path = manifest.files[i].path;
    file.pages = static_cast<std::uint32_t>(manifest.files[i].size / kPageSize);
    for (const Extent& extent : manifest.files[i].extents) {
      file.runs.push_back({static_cast<std::uint32_t>(extent.file_offset / kPageSize),
                           extent.length / kPageSize, numbers.Frame(extent.frame),
                           extent.frame_offset / kPageSize});
    }
    content.files.push_back(std::move(file));
  }
  return demand::MakeFolder(directory, std::move(content), manifest.backup_label);
}

}  // namespace pitr

#include "core/demand/index.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/hash.h"
#include "core/demand/index_sections.h"

namespace pitr::demand {

static_assert(std::endian::native == std::endian::little, "the index is read in place");
static_assert(sizeof(IndexHeader) == 168 && sizeof(FrameEntry) == 32 && sizeof(FileEntry) == 56 &&
              sizeof(Run) == 16 && sizeof(TextRef) == 8);

namespace {

Status Damaged(std::string what) {
  return Status(Code::kCorrupt, "the index of an incomplete data directory is damaged")
      .WithDetail(std::move(what));
}

template <typename T>
std::span<const T> Section(ByteView bytes, std::uint64_t offset, std::uint64_t count) {
  return {reinterpret_cast<const T*>(bytes.data() + offset), static_cast<std::size_t>(count)};
}

// Relative, without "." or "..", below base/ or pg_tblspc/.
bool IsRelationPath(std::string_view path) {
  if (!path.starts_with("base/") && !path.starts_with("pg_tblspc/")) {
    return false;
  }
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    if (part.empty() || part == "." || part == "..") {
      return false;
    }
    if (end + 1 == path.size()) {
      return false;  // a slash at the end
    }
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return true;
}

}  // namespace

Sections SectionsOf(const IndexHeader& header) {
  Sections sections;
  std::uint64_t at = sizeof(IndexHeader);
  const auto take = [&at](std::uint64_t count, std::uint64_t size) {
    const std::uint64_t begin = at;
    at = (at + count * size + 7) & ~std::uint64_t{7};
    return begin;
  };
  sections.places = take(header.places, sizeof(TextRef));
  sections.packs = take(header.packs, sizeof(TextRef));
  sections.frames = take(header.frames, sizeof(FrameEntry));
  sections.files = take(header.files, sizeof(FileEntry));
  sections.runs = take(header.runs, sizeof(Run));
  sections.slots = take(header.slots, sizeof(std::uint32_t));
  sections.names = at;
  return sections;
}

Result<IndexView> IndexView::Open(ByteView bytes) {
  IndexView view;
  PITR_RETURN_IF_ERROR(view.CheckHeader(bytes));
  PITR_RETURN_IF_ERROR(view.Take(bytes));
  PITR_RETURN_IF_ERROR(view.CheckTexts());
  PITR_RETURN_IF_ERROR(view.CheckFrames());
  PITR_RETURN_IF_ERROR(view.CheckFiles());
  return view;
}

Status IndexView::CheckHeader(ByteView bytes) const {
  if (bytes.size() < sizeof(IndexHeader)) {
    return Damaged("It ends within its header.");
  }
  const auto& header = *reinterpret_cast<const IndexHeader*>(bytes.data());
  if (std::memcmp(header.magic, kIndexMagic, sizeof header.magic) != 0) {
    return Damaged("It does not begin with the mark of an index.");
  }
  if (header.version != kIndexVersion) {
    return Status(Code::kUnsupported, "the index of an incomplete data directory has format " +
                                          std::to_string(header.version));
  }
  if (Xxh3(bytes.first(offsetof(IndexHeader, header_hash))) != header.header_hash) {
    return Damaged("The checksum of its header is wrong.");
  }
  if (header.header_size != sizeof(IndexHeader) || header.total_size != bytes.size()) {
    return Damaged("It has " + std::to_string(bytes.size()) + " bytes, its header says " +
                   std::to_string(header.total_size) + ".");
  }
  if (Xxh3(bytes.subspan(sizeof(IndexHeader))) != header.body_hash) {
    return Damaged("Its checksum is wrong.");
  }
  return Status::Ok();
}

// The counts are 32 bits and the entries small: no sum of them overflows.
Status IndexView::Take(ByteView bytes) {
  header_ = reinterpret_cast<const IndexHeader*>(bytes.data());
  const Sections at = SectionsOf(*header_);
  if (at.names > bytes.size() || bytes.size() - at.names != header_->names_size) {
    return Damaged("Its sections do not add up.");
  }
  places_ = Section<TextRef>(bytes, at.places, header_->places);
  packs_ = Section<TextRef>(bytes, at.packs, header_->packs);
  frames_ = Section<FrameEntry>(bytes, at.frames, header_->frames);
  files_ = Section<FileEntry>(bytes, at.files, header_->files);
  runs_ = Section<Run>(bytes, at.runs, header_->runs);
  slots_ = Section<std::uint32_t>(bytes, at.slots, header_->slots);
  names_ = AsText(bytes.subspan(at.names));
  return Status::Ok();
}

bool IndexView::IsText(TextRef ref) const noexcept {
  return ref.size > 0 && ref.offset < names_.size() && ref.size < names_.size() - ref.offset &&
         names_[ref.offset + ref.size] == '\0' && Text(ref).find('\0') == std::string_view::npos;
}

Status IndexView::CheckTexts() const {
  for (const TextRef& place : places_) {
    if (!IsText(place) || (Text(place).front() != '/' && !Text(place).starts_with(kFetchPrefix))) {
      return Damaged("A place of packs is neither an absolute path nor one to fetch from.");
    }
  }
  for (const TextRef& pack : packs_) {
    if (!IsText(pack) || Text(pack).front() == '/' ||
        ("/" + std::string(Text(pack)) + "/").find("/../") != std::string::npos) {
      return Damaged("The name of a pack is wrong.");
    }
  }
  if (std::memchr(header_->snapshot, '\0', sizeof header_->snapshot) == nullptr) {
    return Damaged("The name of the snapshot does not end.");
  }
  return Status::Ok();
}

Status IndexView::CheckFrames() const {
  for (const FrameEntry& frame : frames_) {
    if (frame.pack >= packs_.size() || frame.plain_size == 0 || frame.packed_size == 0 ||
        frame.plain_size > kMaxFrameBytes || frame.packed_size > kMaxPackedBytes ||
        frame.is_stored > 1 || frame.offset > (1ULL << 62)) {
      return Damaged("A frame has impossible numbers.");
    }
  }
  return Status::Ok();
}

Status IndexView::CheckRuns(const FileEntry& file) const {
  std::uint64_t next = 0;
  for (const Run& run : RunsOf(file)) {
    if (run.page < next || run.pages == 0 || run.frame >= frames_.size() ||
        std::uint64_t{run.page} + run.pages > file.pages ||
        (std::uint64_t{run.frame_page} + run.pages) * kPageBytes > frames_[run.frame].plain_size) {
      return Damaged("Pages of \"" + std::string(Text(file.path)) + "\" are in no order.");
    }
    next = std::uint64_t{run.page} + run.pages;
  }
  return Status::Ok();
}

Status IndexView::CheckFiles() const {
  std::uint64_t page = 0, word = 0;
  std::uint64_t run = 0;
  if (!std::has_single_bit(header_->slots) || header_->slots <= files_.size()) {
    return Damaged("Its table of files has an impossible size.");
  }
  const auto used =
      std::count_if(slots_.begin(), slots_.end(), [](std::uint32_t slot) { return slot != 0; });
  if (static_cast<std::size_t>(used) != files_.size()) {
    return Damaged("Its table of files is not one of its files.");
  }
  for (std::uint32_t number = 0; number < files_.size(); number++) {
    const FileEntry& file = files_[number];
    if (!IsText(file.path) || !IsRelationPath(Text(file.path))) {
      return Damaged("The name of file " + std::to_string(number) + " is wrong.");
    }
    if (file.first_page != page || file.first_word != word || file.pages == 0 ||
        file.first_run != run || file.run_count > runs_.size() - run) {
      return Damaged("The numbers of \"" + std::string(Text(file.path)) + "\" are wrong.");
    }
    PITR_RETURN_IF_ERROR(CheckRuns(file));
    if (FindFile(Text(file.path)) != number) {
      return Damaged("\"" + std::string(Text(file.path)) + "\" is not found by its name.");
    }
    page += file.pages;
    word += (file.pages + 63) / 64;
    run += file.run_count;
  }
  if (page != header_->pages || word != header_->words || run != runs_.size()) {
    return Damaged("The sums of its files are wrong.");
  }
  return Status::Ok();
}

std::string_view IndexView::snapshot() const noexcept { return header_->snapshot; }

std::optional<std::uint32_t> IndexView::FindFile(std::string_view path) const noexcept {
  const std::size_t mask = slots_.size() - 1;
  // One slot at least is free (CheckFiles), but the number of steps does not rest on it.
  std::size_t at = static_cast<std::size_t>(Xxh3(AsBytes(path))) & mask;
  for (std::size_t step = 0; step <= mask; step++, at = (at + 1) & mask) {
    const std::uint32_t slot = slots_[at];
    if (slot == 0 || slot > files_.size()) {
      return std::nullopt;
    }
    if (IsText(files_[slot - 1].path) && Text(files_[slot - 1].path) == path) {
      return slot - 1;
    }
  }
  return std::nullopt;
}

const Run* IndexView::FindRun(const FileEntry& file, std::uint32_t page) const noexcept {
  const std::span<const Run> runs = RunsOf(file);
  const auto after =
      std::upper_bound(runs.begin(), runs.end(), page,
                       [](std::uint32_t wanted, const Run& run) { return wanted < run.page; });
  if (after == runs.begin()) {
    return nullptr;
  }
  const Run& run = *(after - 1);
  return page - run.page < run.pages ? &run : nullptr;
}

}  // namespace pitr::demand

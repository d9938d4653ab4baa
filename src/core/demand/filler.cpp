#include "core/demand/filler.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <tuple>

namespace pitr::demand {

namespace {

enum FileClass : std::uint8_t { kUnknown, kCatalog, kIndex, kTable };

// FirstNormalObjectId (access/transam.h): what initdb made, unless it was rewritten since.
constexpr std::uint64_t kFirstUserNumber = 16384;
// PageHeaderData (storage/bufpage.h, 15 to 18): pd_special. A page of a table has no special space, one of an index has.
constexpr std::size_t kSpecialOffset = 16;

bool IsCatalog(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  std::uint64_t number = 0;
  const auto end = std::from_chars(name.data(), name.data() + name.size(), number).ptr;
  return end != name.data() && number < kFirstUserNumber;
}

}  // namespace

Filler::Filler(const Directory* directory)
    : directory_(directory), class_(directory->index().files().size(), kUnknown) {
  const IndexView& index = directory_->index();
  for (std::uint32_t file = 0; file < class_.size(); file++) {
    class_[file] = IsCatalog(index.Text(index.files()[file].path)) ? kCatalog : kUnknown;
  }
  Prepare();
}

bool Filler::IsWanted(std::uint32_t file) const {
  switch (pass_) {
    case Pass::kCatalogs:
      return class_[file] == kCatalog;
    case Pass::kFirstPages:
      return class_[file] == kUnknown;
    case Pass::kIndexes:
      return class_[file] == kIndex;
    case Pass::kTables:
      return true;
    case Pass::kDone:
      break;
  }
  return false;
}

bool Filler::IsMissing(const Item& item) const {
  const FileEntry& file = directory_->index().files()[item.file];
  const Run& run = directory_->index().RunsOf(file)[item.run];
  for (std::uint32_t page = run.page; page < run.page + run.pages; page++) {
    if (directory_->presence().State(file, page) != kPresent) return true;
  }
  return false;
}

void Filler::Prepare() {
  const IndexView& index = directory_->index();
  items_.clear();
  next_ = 0;
  for (std::uint32_t file = 0; file < class_.size(); file++) {
    const std::uint32_t runs = pass_ == Pass::kFirstPages
                                   ? std::min(index.files()[file].run_count, 1U)
                                   : index.files()[file].run_count;
    for (std::uint32_t run = 0; IsWanted(file) && run < runs; run++) {
      if (IsMissing({file, run}) || pass_ == Pass::kFirstPages) items_.push_back({file, run});
    }
  }
  const auto place = [&](const Item& item) {
    const Run& run = index.RunsOf(index.files()[item.file])[item.run];
    const FrameEntry& frame = index.frames()[run.frame];
    return std::tuple(frame.pack, frame.offset, item.file, item.run);
  };
  std::sort(items_.begin(), items_.end(),
            [&](const Item& a, const Item& b) { return place(a) < place(b); });
}

// Which of the two a file is, its first page tells; it was loaded just now.
void Filler::LookAtFirstPage(std::uint32_t number) {
  const FileEntry& file = directory_->index().files()[number];
  const int fd =
      ::openat(directory_->fd(), directory_->index().Chars(file.path), O_RDONLY | O_CLOEXEC);
  std::uint16_t special = 0;
  const bool is_read = fd >= 0 && ::pread(fd, &special, sizeof special, kSpecialOffset) ==
                                      static_cast<ssize_t>(sizeof special);
  if (fd >= 0) ::close(fd);
  class_[number] = is_read && special != 0 && special < kPageBytes ? kIndex : kTable;
}

// What comes next is on its way while this one is waited for: in the order of the packs, over files of a single frame too, which the directory's
// own read-ahead, within a file that is read in order, does not see.
void Filler::ReadAhead() const {
  constexpr std::size_t kFrames = 8;
  const IndexView& index = directory_->index();
  for (std::size_t at = next_; at < std::min(next_ + kFrames, items_.size()); at++) {
    if (IsMissing(items_[at])) {
      directory_->ExpectFrame(index.RunsOf(index.files()[items_[at].file])[items_[at].run].frame);
    }
  }
}

bool Filler::Step(int* error, std::uint64_t* bytes) {
  *error = 0;
  *bytes = 0;
  for (;;) {
    while (next_ == items_.size()) {
      if (pass_ == Pass::kDone) return false;
      pass_ = static_cast<Pass>(static_cast<std::uint8_t>(pass_) + 1);
      Prepare();
    }
    const Item item = items_[next_++];
    const FileEntry& file = directory_->index().files()[item.file];
    const Run& run = directory_->index().RunsOf(file)[item.run];
    const bool is_missing = IsMissing(item);
    if (is_missing) {
      ReadAhead();
      const std::uint64_t before = directory_->AbsentBytes();
      *error = directory_->Load(item.file, run.page, run.page + run.pages);
      *bytes = before - std::min(before, directory_->AbsentBytes());
    }
    if (pass_ == Pass::kFirstPages && *error == 0) LookAtFirstPage(item.file);
    if (is_missing) return true;
  }
}

int Filler::SyncFiles() {
  const IndexView& index = directory_->index();
  for (std::uint32_t number = 0; number < class_.size(); number++) {
    if (directory_->presence().IsFull(number)) continue;
    const int fd =
        ::openat(directory_->fd(), index.Chars(index.files()[number].path), O_RDWR | O_CLOEXEC);
    if (fd < 0) continue;  // dropped meanwhile; or not full, and tried again
    const int error = directory_->Sync(number, fd) == 0 ? 0 : (errno != 0 ? errno : EIO);
    ::close(fd);
    if (error != 0) return error;
  }
  return directory_->SyncBits();
}

bool Filler::NextRound() {
  for (std::uint32_t number = 0; number < class_.size(); number++) {
    if (!directory_->presence().IsFull(number)) {
      pass_ = Pass::kCatalogs;
      Prepare();
      return true;
    }
  }
  return false;
}

}  // namespace pitr::demand

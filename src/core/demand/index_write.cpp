#include "core/demand/index.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/hash.h"
#include "core/demand/index_sections.h"

namespace pitr::demand {

namespace {

class Names {
 public:
  TextRef Add(std::string_view text) {
    const TextRef ref = {static_cast<std::uint32_t>(bytes_.size()),
                         static_cast<std::uint32_t>(text.size())};
    bytes_.append(text).push_back('\0');
    return ref;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

template <typename T>
void Put(Bytes* out, std::uint64_t offset, const std::vector<T>& entries) {
  if (!entries.empty()) {
    std::memcpy(out->data() + offset, entries.data(), entries.size() * sizeof(T));
  }
}

std::vector<TextRef> AddAll(Names* names, const std::vector<std::string>& texts) {
  std::vector<TextRef> refs;
  for (const std::string& text : texts) {
    refs.push_back(names->Add(text));
  }
  return refs;
}

std::vector<std::uint32_t> Table(const std::vector<IndexFile>& files) {
  // Half empty, so that a name that is not there is known after a step or two.
  std::vector<std::uint32_t> slots(std::bit_ceil(files.size() * 2 + 2), 0);
  for (std::uint32_t number = 0; number < files.size(); number++) {
    std::size_t at = static_cast<std::size_t>(Xxh3(AsBytes(files[number].path)));
    for (at &= slots.size() - 1; slots[at] != 0; at = (at + 1) & (slots.size() - 1)) {
    }
    slots[at] = number + 1;
  }
  return slots;
}

std::vector<FrameEntry> Frames(const std::vector<IndexFrame>& frames) {
  std::vector<FrameEntry> entries;
  for (const IndexFrame& frame : frames) {
    entries.push_back({frame.offset, frame.hash, frame.pack, frame.packed_size, frame.plain_size,
                       frame.is_stored ? 1U : 0U});
  }
  return entries;
}

}  // namespace

Bytes EncodeIndex(const IndexContent& content) {
  Names names;
  const std::vector<TextRef> places = AddAll(&names, content.places);
  const std::vector<TextRef> packs = AddAll(&names, content.packs);
  const std::vector<FrameEntry> frames = Frames(content.frames);
  const std::vector<std::uint32_t> slots = Table(content.files);
  std::vector<FileEntry> files;
  std::vector<Run> runs;
  IndexHeader header = {};
  for (const IndexFile& file : content.files) {
    files.push_back({names.Add(file.path), file.pages, static_cast<std::uint32_t>(runs.size()),
                     static_cast<std::uint32_t>(file.runs.size()), file.born_nanos, header.pages,
                     header.words, file.inode, file.born_seconds});
    runs.insert(runs.end(), file.runs.begin(), file.runs.end());
    header.pages += file.pages;
    header.words += (file.pages + 63) / 64;
  }
  std::memcpy(header.magic, kIndexMagic, sizeof header.magic);
  header.version = kIndexVersion;
  header.header_size = sizeof header;
  header.id = content.id;
  std::memcpy(header.snapshot, content.snapshot.data(),
              std::min(content.snapshot.size(), sizeof header.snapshot - 1));
  header.places = static_cast<std::uint32_t>(places.size());
  header.packs = static_cast<std::uint32_t>(packs.size());
  header.frames = static_cast<std::uint32_t>(frames.size());
  header.files = static_cast<std::uint32_t>(files.size());
  header.runs = static_cast<std::uint32_t>(runs.size());
  header.slots = static_cast<std::uint32_t>(slots.size());
  header.names_size = names.bytes().size();
  const Sections at = SectionsOf(header);
  header.total_size = at.names + header.names_size;
  Bytes out(static_cast<std::size_t>(header.total_size));
  Put(&out, at.places, places);
  Put(&out, at.packs, packs);
  Put(&out, at.frames, frames);
  Put(&out, at.files, files);
  Put(&out, at.runs, runs);
  Put(&out, at.slots, slots);
  std::memcpy(out.data() + at.names, names.bytes().data(), names.bytes().size());
  header.body_hash = Xxh3(ByteView(out).subspan(sizeof header));
  std::memcpy(out.data(), &header, sizeof header);
  header.header_hash = Xxh3(ByteView(out).first(offsetof(IndexHeader, header_hash)));
  std::memcpy(out.data(), &header, sizeof header);
  return out;
}

}  // namespace pitr::demand

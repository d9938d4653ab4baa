// From a manifest to a data directory: first the tree, then every file at its full size and empty, then the
// frames in the order in which they lie in the packs, each written to all places that refer to it. pg_control
// comes last, so that a directory whose making was interrupted is none that a server would start.
#include "core/work/lay_out.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <numeric>
#include <set>
#include <vector>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/repo/layout.h"
#include "core/work/lay_out_demand.h"
#include "core/work/pack_reader.h"
#include "core/work/pack_writer.h"
#include "core/work/thread_pool.h"

namespace pitr {

namespace {

constexpr std::string_view kControlPath = "global/pg_control";
// So much of a file goes to the disk at a time, while the rest is still unpacked.
constexpr std::uint64_t kWriteBackSize = 4U << 20;
// A hint costs a request to the disk: hundreds of small files are left to the sync.
constexpr std::uint64_t kLeastWriteBack = 1U << 20;

bool HasContent(const ManifestFile& file) {
  return file.kind == FileKind::kPlain || file.kind == FileKind::kRelation;
}

// Made if need be; what is in it already belongs to somebody else.
Status MakeEmptyDirectory(const std::string& path) {
  PITR_ASSIGN_OR_RETURN(const bool is_free, IsFree(path));
  return is_free ? MakeDirectories(path, 0700)
                 : Status(Code::kInUse, "directory \"" + path + "\" is not empty");
}

// pg_tblspc/<oid> -> oid
std::string_view TablespaceOid(std::string_view path) { return path.substr(path.rfind('/') + 1); }

Status MakeFolder(const std::string& path, unsigned mode) {
  // Its owner must be able to fill it, whatever the source said.
  const mode_t wanted = (mode & 0777) | 0700;
  if (::mkdir(path.c_str(), wanted) != 0 && errno != EEXIST) {
    return Status::FromErrno(errno, "create directory \"" + path + "\"");
  }
  return ::chmod(path.c_str(), wanted) == 0
             ? Status::Ok()
             : Status::FromErrno(errno, "set mode of \"" + path + "\"");
}

Status MakeTablespace(const std::string& link, const std::string& target) {
  PITR_RETURN_IF_ERROR(MakeEmptyDirectory(target));
  return ::symlink(target.c_str(), link.c_str()) == 0
             ? Status::Ok()
             : Status::FromErrno(errno, "create link \"" + link + "\"");
}

class LayOut {
 public:
  LayOut(Repository* repo, const Manifest& manifest, const LayOutOptions& options,
         Progress* progress, const CancelToken* cancel)
      : repo_(repo), manifest_(manifest), options_(options), progress_(progress), cancel_(cancel) {}

  Status Run();

 private:
  // One place where bytes of a frame go.
  struct Place {
    std::uint32_t file = 0, extent = 0;
  };
  // The file that a thread wrote to last: consecutive frames mostly belong to one.
  struct OpenFile {
    std::uint32_t file = 0;
    File handle;
    std::uint64_t begin = 0, end = 0;  // was written, its write-back is not begun
  };

  // New target of a tablespace's link; null when none was given.
  const std::string* TargetOf(const ManifestFile& link) const;
  Status CheckTablespaces() const;
  Status MakeTree() const;
  Status MakeFiles() const;
  Status MakeFile(const ManifestFile& file) const;
  bool IsLater(std::size_t file) const { return !later_.empty() && later_[file]; }
  void FindPlaces();
  static void BeginWriteBack(OpenFile* open);
  static void Written(OpenFile* open, const Extent& extent);
  Status WriteFrame(int worker, std::uint32_t frame, ByteView plain);
  Status WriteControlFile() const;
  Status WriteLabels() const;
  Status RestrictModes() const;
  std::string Full(std::string_view path) const { return JoinPath(options_.directory, path); }

  Repository* repo_;
  const Manifest& manifest_;
  const LayOutOptions& options_;
  Progress* progress_;
  const CancelToken* cancel_;
  std::vector<Place> places_;               // grouped by frame
  std::vector<std::uint64_t> first_place_;  // of each frame, and one past the last
  std::vector<OpenFile> open_;              // by worker
  std::vector<bool> later_;                 // by file, for demand loading; empty: none
};

const std::string* LayOut::TargetOf(const ManifestFile& link) const {
  auto found = options_.tablespaces.find(link.path);
  if (found == options_.tablespaces.end()) {
    found = options_.tablespaces.find(std::string(TablespaceOid(link.path)));
  }
  return found == options_.tablespaces.end() ? nullptr : &found->second;
}

Status LayOut::CheckTablespaces() const {
  std::set<std::string_view> targets;
  for (const ManifestFile& file : manifest_.files) {
    if (file.kind != FileKind::kSymlink) {
      continue;
    }
    const std::string* const target = TargetOf(file);
    if (target == nullptr) {
      return Status(Code::kInvalidArgument,
                    "no directory was given for tablespace \"" + file.path + "\"")
          .WithDetail("In the snapshot it is \"" + file.link_target + "\".");
    }
    if (!target->starts_with('/')) {
      return Status(Code::kInvalidArgument,
                    "tablespace directory \"" + *target + "\" is not an absolute path");
    }
    if (!targets.insert(*target).second) {
      return Status(Code::kInvalidArgument,
                    "two tablespaces were given directory \"" + *target + "\"");
    }
  }
  return Status::Ok();
}

Status LayOut::MakeTree() const {
  PITR_RETURN_IF_ERROR(MakeEmptyDirectory(options_.directory));
  if (::chmod(options_.directory.c_str(), 0700) != 0) {
    return Status::FromErrno(errno, "set mode of \"" + options_.directory + "\"");
  }
  for (const ManifestFile& file : manifest_.files) {
    if (file.kind == FileKind::kDirectory) {
      PITR_RETURN_IF_ERROR(MakeFolder(Full(file.path), file.mode));
    } else if (file.kind == FileKind::kSymlink) {
      PITR_RETURN_IF_ERROR(MakeTablespace(Full(file.path), *TargetOf(file)));
    }
  }
  // Always there, whatever the manifest says: a server without them does not start.
  PITR_RETURN_IF_ERROR(MakeFolder(Full("pg_wal"), 0700));
  return MakeFolder(Full("pg_wal/archive_status"), 0700);
}

Status LayOut::MakeFile(const ManifestFile& file) const {
  const std::string path = Full(file.path);
  PITR_ASSIGN_OR_RETURN(const File made, File::Open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  // Writable until it is filled; RestrictModes takes that away again. fchmod, because of the umask.
  if (::fchmod(made.fd(), (file.mode & 0777) | 0600) != 0 ||
      ::ftruncate(made.fd(), static_cast<off_t>(file.size)) != 0) {
    return Status::FromErrno(errno, "make file \"" + path + "\"");
  }
  return Status::Ok();
}

Status LayOut::MakeFiles() const {
  constexpr std::size_t kAtOnce = 64;
  std::atomic<std::size_t> next = 0;
  return RunThreads(options_.workers, cancel_, [&](int, const StopSignal& stop) -> Status {
    for (std::size_t i = next.fetch_add(kAtOnce); i < manifest_.files.size();
         i = next.fetch_add(kAtOnce)) {
      PITR_RETURN_IF_ERROR(stop.Check());
      for (std::size_t f = i; f < std::min(i + kAtOnce, manifest_.files.size()); f++) {
        const ManifestFile& file = manifest_.files[f];
        if (HasContent(file) && file.path != kControlPath) {
          PITR_RETURN_IF_ERROR(MakeFile(file));
        }
      }
    }
    return Status::Ok();
  });
}

// Counting sort of all extents by frame.
void LayOut::FindPlaces() {
  first_place_.assign(manifest_.frames.size() + 1, 0);
  const auto each = [&](const auto& visit) {
    for (std::uint32_t f = 0; f < manifest_.files.size(); f++) {
      const ManifestFile& file = manifest_.files[f];
      const bool is_wanted = file.path != kControlPath && !IsLater(f);
      for (std::uint32_t e = 0; is_wanted && e < file.extents.size(); e++) {
        visit(file.extents[e].frame, Place{f, e});
      }
    }
  };
  each([&](std::uint32_t frame, Place) { first_place_[frame + 1]++; });
  std::partial_sum(first_place_.begin(), first_place_.end(), first_place_.begin());
  places_.resize(first_place_.back());
  std::vector<std::uint64_t> next(first_place_.begin(), first_place_.end() - 1);
  each([&](std::uint32_t frame, Place place) { places_[next[frame]++] = place; });
}

// Unpacking is work for the processors alone: what is left to the end is a sync that takes seconds, and more than the kernel lets be
// dirty stops every writer. Only a hint, its errors are for that sync.
void LayOut::BeginWriteBack(OpenFile* open) {
  if (open->end - open->begin >= kLeastWriteBack) {
    (void)::sync_file_range(open->handle.fd(), static_cast<off_t>(open->begin),
                            static_cast<off_t>(open->end - open->begin), SYNC_FILE_RANGE_WRITE);
  }
  open->begin = open->end;
}

void LayOut::Written(OpenFile* open, const Extent& extent) {
  if (extent.file_offset != open->end) {
    BeginWriteBack(open);
    open->begin = extent.file_offset;
  }
  open->end = extent.file_offset + extent.length;
  if (open->end - open->begin >= kWriteBackSize) {
    BeginWriteBack(open);
  }
}

Status LayOut::WriteFrame(int worker, std::uint32_t frame, ByteView plain) {
  PITR_FAULT("build.lay_out.frame");
  OpenFile& open = open_[static_cast<std::size_t>(worker)];
  for (std::uint64_t i = first_place_[frame]; i < first_place_[frame + 1]; i++) {
    const Place& place = places_[i];
    const ManifestFile& file = manifest_.files[place.file];
    const Extent& extent = file.extents[place.extent];
    if (!open.handle.is_open() || open.file != place.file) {
      BeginWriteBack(&open);
      PITR_ASSIGN_OR_RETURN(open.handle, File::Open(Full(file.path), O_WRONLY));
      open.file = place.file;
      open.begin = open.end = 0;
    }
    Status status =
        open.handle.WriteAt(extent.file_offset, plain.subspan(extent.frame_offset, extent.length));
    if (!status.ok()) {
      return std::move(status).Prefix("\"" + Full(file.path) + "\"");
    }
    Written(&open, extent);
  }
  return Status::Ok();
}

Status LayOut::WriteControlFile() const {
  const auto control =
      std::find_if(manifest_.files.begin(), manifest_.files.end(),
                   [](const ManifestFile& file) { return file.path == kControlPath; });
  if (control == manifest_.files.end()) {
    return Status(Code::kCorrupt, "snapshot \"" + manifest_.id + "\" has no pg_control");
  }
  Bytes bytes(control->size);
  for (const Extent& extent : control->extents) {
    PITR_RETURN_IF_ERROR(
        ReadFrames(repo_, manifest_, {extent.frame}, 1, nullptr, cancel_,
                   [&](int, std::uint32_t, ByteView plain) {
                     const ByteView part = plain.subspan(extent.frame_offset, extent.length);
                     std::copy(part.begin(), part.end(),
                               bytes.begin() + static_cast<std::ptrdiff_t>(extent.file_offset));
                     return Status::Ok();
                   }));
  }
  PITR_RETURN_IF_ERROR(MakeFile(*control));
  PITR_ASSIGN_OR_RETURN(File file, File::Open(Full(kControlPath), O_WRONLY));
  return file.WriteAt(0, bytes);
}

// tablespace_map as do_pg_backup_start (xlog.c, 15) writes it: "<oid> <path>\n", newlines and backslashes escaped. The
// server makes its links from it at the start of recovery, so that it must name the new targets.
Status LayOut::WriteLabels() const {
  if (manifest_.backup_label.empty()) {
    return Status::
        Ok();  // of a stopped server: it needs none, and a map without a label is not looked at
  }
  std::string map;
  for (const ManifestFile& file : manifest_.files) {
    if (file.kind == FileKind::kSymlink) {
      map.append(TablespaceOid(file.path)).append(" ");
      for (const char c : *TargetOf(file)) {
        map.append(c == '\n' || c == '\r' || c == '\\' ? "\\" : "").push_back(c);
      }
      map.push_back('\n');
    }
  }
  const auto write = [&](std::string_view name, std::string_view text) -> Status {
    PITR_ASSIGN_OR_RETURN(File file, File::Open(Full(name), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    return file.WriteAll(AsBytes(text));
  };
  if (!map.empty()) {
    PITR_RETURN_IF_ERROR(write("tablespace_map", map));
  }
  return later_.empty() ? write("backup_label", manifest_.backup_label)
                        : Status::Ok();  // it waits beside what is missing
}

// The few files that their owner could not write (keys, 0400).
Status LayOut::RestrictModes() const {
  for (const ManifestFile& file : manifest_.files) {
    if (HasContent(file) && (file.mode & 0600) != 0600 &&
        ::chmod(Full(file.path).c_str(), file.mode & 0777) != 0) {
      return Status::FromErrno(errno, "set mode of \"" + Full(file.path) + "\"");
    }
  }
  return Status::Ok();
}

Status LayOut::Run() {
  PITR_RETURN_IF_ERROR(CheckTablespaces());
  PITR_RETURN_IF_ERROR(MakeTree());
  if (options_.on_tree) {
    PITR_RETURN_IF_ERROR(options_.on_tree());
  }
  PITR_RETURN_IF_ERROR(MakeFiles());
  if (!options_.demand_places.empty()) {
    later_ = FilesToLoadLater(manifest_);
  }
  FindPlaces();
  std::vector<std::uint32_t> wanted;
  std::uint64_t bytes = 0;
  for (std::uint32_t frame = 0; frame < manifest_.frames.size(); frame++) {
    if (first_place_[frame] != first_place_[frame + 1]) {
      wanted.push_back(frame);
      bytes += manifest_.frames[frame].plain_size;
    }
  }
  if (progress_ != nullptr) {
    progress_->Phase("laying out files");
    progress_->Total(bytes);
  }
  open_.resize(static_cast<std::size_t>(std::max(options_.workers, 1)));
  PITR_RETURN_IF_ERROR(ReadFrames(repo_, manifest_, std::move(wanted), options_.workers, progress_,
                                  cancel_, [this](int worker, std::uint32_t frame, ByteView plain) {
                                    return WriteFrame(worker, frame, plain);
                                  }));
  open_.clear();
  PITR_RETURN_IF_ERROR(WriteLabels());
  PITR_RETURN_IF_ERROR(RestrictModes());
  if (!later_.empty()) {
    PITR_RETURN_IF_ERROR(
        NoteMissing(manifest_, later_, options_.demand_places, options_.directory));
  }
  PITR_RETURN_IF_ERROR(WriteControlFile());
  PITR_FAULT("build.lay_out.done");
  return Status::Ok();
}

}  // namespace

Result<bool> IsFree(const std::string& directory) {
  const auto holds_only = [](const std::string& folder, const char* name) -> Result<bool> {
    const Result<std::vector<std::string>> names = ListDirectory(folder);
    if (!names.ok() && names.status().code() != Code::kNotFound) return names.status();
    return !names.ok() || names->empty() || *names == std::vector<std::string>{name};
  };
  PITR_ASSIGN_OR_RETURN(const bool is_ours, holds_only(directory, kOwnFolder));
  return is_ours ? holds_only(JoinPath(directory, kOwnFolder), kClaimFile) : false;
}

Status LayOutDirectory(Repository* repo, const Manifest& manifest, const LayOutOptions& options,
                       Progress* progress, const CancelToken* cancel) {
  return LayOut(repo, manifest, options, progress, cancel).Run();
}

Status VerifySnapshot(Repository* repo, const Manifest& manifest, int workers, Progress* progress,
                      const CancelToken* cancel) {
  std::uint64_t bytes = 0;
  for (const Frame& frame : manifest.frames) {
    bytes += frame.plain_size;
  }
  if (progress != nullptr) {
    progress->Phase("verifying frames");
    progress->Total(bytes);
  }
  for (const PackRef& pack : manifest.packs) {
    const std::string name = layout::PackObject(pack.snapshot, pack.number);
    auto head = repo->store()->GetRange(name, 0, kPackHeadSize);
    if (!head.ok()) {
      return head.status().code() == Code::kNotFound
                 ? Status(Code::kCorrupt, "pack \"" + name + "\" is missing")
                 : std::move(head).status();
    }
    PITR_RETURN_IF_ERROR(CheckPackHead(*head, pack.snapshot, pack.number));
  }
  std::vector<std::uint32_t> all(manifest.frames.size());
  std::iota(all.begin(), all.end(), 0U);
  return ReadFrames(repo, manifest, std::move(all), workers, progress, cancel,
                    [](int, std::uint32_t, ByteView) { return Status::Ok(); });
}

}  // namespace pitr

// One walk over the data directory with lstat; tablespaces are entered through their links.
#include "core/work/file_selection.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <unordered_set>

#include "core/base/file.h"

namespace pitr {

namespace {

// basebackup.c: excludeDirContents. Emptied, rebuilt or useless at server start; only the folder is kept.
constexpr std::string_view kEmptied[] = {
    "pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots",
    "pg_subtrans",
    // not there: our own state (intent, presence maps), which belongs to this
    // directory and not to a copy of it
    "pitr"};

// basebackup.c: excludeFiles, and leftovers of an earlier recovery.
constexpr std::string_view kExcludedFiles[] = {
    "postgresql.auto.conf.tmp", "current_logfiles.tmp", "backup_label",
    "tablespace_map",           "backup_manifest",      "postmaster.pid",
    "postmaster.opts",          "backup_label.old",     "tablespace_map.old"};

// At the top only. They say how the *source* recovers; whoever starts a copy writes its own.
constexpr std::string_view kSignalFiles[] = {"recovery.signal", "standby.signal"};

constexpr std::size_t kMaxOidDigits = 10;  // OIDCHARS
// DEFAULTTABLESPACE_OID, GLOBALTABLESPACE_OID, pg_tablespace.dat (15)
constexpr std::uint32_t kDefaultTablespace = 1663, kGlobalTablespace = 1664;
constexpr std::string_view kTablespaces = "pg_tblspc/";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNumber(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsDigit);
}

template <typename List>
bool Contains(const List& list, std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

std::string_view LeadingDigits(std::string_view text) {
  return text.substr(0, static_cast<std::size_t>(
                            std::find_if_not(text.begin(), text.end(), IsDigit) - text.begin()));
}

// "", "_fsm", ".1", "_vm.3": what may follow the number of a relation.
bool ParseForkAndSegment(std::string_view rest, RelationFileName* name) {
  if (rest.starts_with('_')) {
    for (const std::string_view fork : {"fsm", "vm", "init"}) {
      if (rest.substr(1).starts_with(fork)) {
        name->fork = fork;
      }
    }
    if (name->fork.empty()) {
      return false;
    }
    rest.remove_prefix(1 + name->fork.size());
  }
  if (rest.starts_with('.')) {
    const std::string_view digits = rest.substr(1);
    const char* end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, name->segment);
    return IsNumber(digits) && parsed.ec == std::errc() && parsed.ptr == end;
  }
  return rest.empty();
}

// base/<db> and pg_tblspc/<oid>/PG_…/<db>: where unlogged and temporary relations are.
bool IsDatabaseDirectory(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || !IsNumber(path.substr(slash + 1))) {
    return false;
  }
  const std::string_view parent = path.substr(0, slash);
  const std::size_t version = parent.rfind('/');
  return parent == "base" ||
         (parent.starts_with("pg_tblspc/") && version > std::string_view("pg_tblspc").size() &&
          version != std::string_view::npos && parent.substr(version + 1).starts_with("PG_"));
}

std::string Child(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

class Walk {
 public:
  Walk(const SelectionOptions& options, FileSelection* out)
      : options_(options),
        version_suffix_("_" + std::to_string(options.catalog_version)),
        out_(out) {}

  Status Run() {
    PITR_RETURN_IF_ERROR(FindTablespacesInside());
    return Directory("", /*must_exist=*/true);
  }

 private:
  Status Directory(const std::string& folder, bool must_exist = false);
  Status Entry(const std::string& path, const std::string& name);
  Status WalFolder(const std::string& path, unsigned mode);
  Status Link(const std::string& path, const struct stat& found);
  Status FindTablespacesInside();
  bool IsLeftOut(const std::string& folder, const std::string& name,
                 const std::unordered_set<std::string_view>& unlogged) const;
  bool IsEmptied(const std::string& path) const {
    return Contains(kEmptied, path) || Contains(options_.excluded_directories, path) ||
           inside_.contains(path);
  }
  std::string Full(const std::string& path) const {
    return JoinPath(options_.data_directory, path);
  }
  void Add(const std::string& path, FileKind kind, unsigned mode, std::uint64_t size = 0,
           std::string target = "") {
    out_->files.push_back({path, kind, mode & 07777, size, std::move(target), {}});
    out_->bytes += size;
  }

  const SelectionOptions& options_;
  const std::string version_suffix_;
  std::unordered_set<std::string>
      inside_;  // tablespaces that lie in the data directory: copied through their link
  FileSelection* out_;
};

bool Walk::IsLeftOut(const std::string& folder, const std::string& name,
                     const std::unordered_set<std::string_view>& unlogged) const {
  if (name.starts_with("pgsql_tmp") || name.starts_with("pg_internal.init") ||
      Contains(kExcludedFiles, name) || (folder.empty() && Contains(kSignalFiles, name))) {
    return true;
  }
  if (!IsDatabaseDirectory(folder)) {
    return false;
  }
  const auto relation = ParseRelationFileName(name);
  return IsTemporaryRelationName(name) ||
         (relation && relation->fork != "init" && unlogged.contains(relation->number));
}

Status Walk::Directory(const std::string& folder, bool must_exist) {
  auto names = ListDirectory(folder.empty() ? options_.data_directory : Full(folder));
  if (!names.ok()) {
    const bool vanished = names.status().code() == Code::kNotFound && !must_exist;
    return vanished ? Status::Ok() : std::move(names).status();
  }
  std::unordered_set<std::string_view> unlogged;
  for (const std::string& name : *names) {
    const auto relation = ParseRelationFileName(name);
    if (relation && relation->fork == "init") {
      unlogged.insert(relation->number);
    }
  }
  const bool in_tablespace = folder.starts_with("pg_tblspc/") &&
                             folder.find('/', sizeof "pg_tblspc/") == std::string::npos;
  for (const std::string& name : *names) {
    // Other clusters, and this one before an upgrade, may share the directory.
    if (in_tablespace && !(name.starts_with("PG_") && name.ends_with(version_suffix_))) {
      continue;
    }
    if (!IsLeftOut(folder, name, unlogged)) {
      PITR_RETURN_IF_ERROR(Entry(Child(folder, name), name));
    }
  }
  return Status::Ok();
}

Status Walk::Entry(const std::string& path, const std::string& name) {
  struct stat found;
  if (::lstat(Full(path).c_str(), &found) != 0) {
    return errno == ENOENT ? Status::Ok() : Status::FromErrno(errno, "stat \"" + Full(path) + "\"");
  }
  if (path == "pg_wal") {
    return WalFolder(path, found.st_mode);
  }
  if (IsEmptied(path) && (S_ISDIR(found.st_mode) || S_ISLNK(found.st_mode))) {
    // A link (to a faster disk, to /var/log) becomes a folder, as in convert_link_to_directory of basebackup.c.
    Add(path, FileKind::kDirectory, S_ISDIR(found.st_mode) ? found.st_mode : 0700);
    return Status::Ok();
  }
  if (S_ISDIR(found.st_mode)) {
    Add(path, FileKind::kDirectory, found.st_mode);
    return Directory(path);
  }
  if (S_ISREG(found.st_mode)) {
    const FileKind kind = KindOfPath(path);
    auto size = static_cast<std::uint64_t>(found.st_size);
    // The server ignores an incomplete page at the end (md.c:_mdnblocks): an extension that is under way.
    size -= kind == FileKind::kRelation ? size % kPageSize : 0;
    Add(path, kind, found.st_mode, size);
    return Status::Ok();
  }
  if (S_ISLNK(found.st_mode) && path == "pg_tblspc/" + name && IsNumber(name)) {
    return Link(path, found);
  }
  out_->skipped.push_back(path);
  return Status::Ok();
}

// Segments come from the archive. The sub-folders are wanted by the server, though it makes them if need be.
Status Walk::WalFolder(const std::string& path, unsigned mode) {
  const unsigned folder_mode = S_ISDIR(mode) ? mode : 0700;
  Add(path, FileKind::kDirectory, folder_mode);
  Add(path + "/archive_status", FileKind::kDirectory, folder_mode);
  if (PathExists(Full(path + "/summaries"))) {  // 17 and later
    Add(path + "/summaries", FileKind::kDirectory, folder_mode);
  }
  return Status::Ok();
}

Status Walk::Link(const std::string& path, const struct stat& found) {
  char target[PATH_MAX];
  const ssize_t size = ::readlink(Full(path).c_str(), target, sizeof target);
  if (size < 0) {
    return errno == ENOENT ? Status::Ok()
                           : Status::FromErrno(errno, "read link \"" + Full(path) + "\"");
  }
  Add(path, FileKind::kSymlink, found.st_mode, 0,
      std::string(target, static_cast<std::size_t>(size)));
  return Directory(path);
}

// A tablespace below the data directory (the server warns of it) would be copied twice.
Status Walk::FindTablespacesInside() {
  char root[PATH_MAX];
  if (::realpath(options_.data_directory.c_str(), root) == nullptr) {
    return Status::FromErrno(errno, "find \"" + options_.data_directory + "\"");
  }
  auto names = ListDirectory(Full("pg_tblspc"));
  if (!names.ok()) {
    return names.status().code() == Code::kNotFound ? Status::Ok() : std::move(names).status();
  }
  const std::string below = std::string(root) + "/";
  for (const std::string& name : *names) {
    char target[PATH_MAX];
    // In-place tablespaces (15+, for tests) are folders of pg_tblspc itself and are walked as such.
    if (::realpath(Full("pg_tblspc/" + name).c_str(), target) != nullptr &&
        std::string_view(target).starts_with(below) &&
        !std::string_view(target).starts_with(below + "pg_tblspc/")) {
      inside_.insert(std::string(target).substr(below.size()));
    }
  }
  return Status::Ok();
}

}  // namespace

std::optional<RelationFileName> ParseRelationFileName(std::string_view name) {
  RelationFileName parsed;
  parsed.number = LeadingDigits(name);
  if (parsed.number.empty() || parsed.number.size() > kMaxOidDigits ||
      !ParseForkAndSegment(name.substr(parsed.number.size()), &parsed)) {
    return std::nullopt;
  }
  return parsed;
}

bool IsTemporaryRelationName(std::string_view name) {
  if (!name.starts_with('t')) {
    return false;
  }
  const std::string_view backend = LeadingDigits(name.substr(1));
  const std::string_view rest = name.substr(1 + backend.size());
  if (backend.empty() || !rest.starts_with('_')) {
    return false;
  }
  const std::string_view number = LeadingDigits(rest.substr(1));
  RelationFileName ignored;
  return !number.empty() && ParseForkAndSegment(rest.substr(1 + number.size()), &ignored);
}

FileKind KindOfPath(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || !ParseRelationFileName(path.substr(slash + 1))) {
    return FileKind::kPlain;
  }
  const std::string_view folder = path.substr(0, slash);
  return folder == "global" || IsDatabaseDirectory(folder) ? FileKind::kRelation : FileKind::kPlain;
}

Result<FileSelection> SelectFiles(const SelectionOptions& options) {
  FileSelection selection;
  PITR_RETURN_IF_ERROR(Walk(options, &selection).Run());
  return selection;
}

std::optional<RelationFile> RelationOfPath(std::string_view path) {
  if (KindOfPath(path) != FileKind::kRelation) {
    return std::nullopt;
  }
  const std::size_t slash = path.rfind('/');
  const std::optional<RelationFileName> name = ParseRelationFileName(path.substr(slash + 1));
  RelationFile file;
  wal::RelFork& relation = file.relation;
  const auto number = [](std::string_view digits, std::uint32_t* value) {
    const char* const end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, *value);
    return parsed.ec == std::errc() && parsed.ptr == end;
  };
  bool good = number(name->number, &relation.relation);
  const std::string_view folder = path.substr(0, slash);
  if (folder == "global") {
    relation.tablespace = kGlobalTablespace;
  } else {
    good = good && number(folder.substr(folder.rfind('/') + 1), &relation.database);
    relation.tablespace = kDefaultTablespace;
    if (folder.starts_with(kTablespaces)) {
      const std::string_view rest = folder.substr(kTablespaces.size());
      good = good && number(rest.substr(0, rest.find('/')), &relation.tablespace);
    }
  }
  constexpr std::string_view kForks[] = {"", "fsm", "vm", "init"};
  relation.fork = static_cast<std::uint8_t>(
      std::find(std::begin(kForks), std::end(kForks), name->fork) - std::begin(kForks));
  file.segment = name->segment;
  return good ? std::optional<RelationFile>(file) : std::nullopt;
}

}  // namespace pitr

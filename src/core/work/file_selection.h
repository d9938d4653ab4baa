// Which files of a data directory a snapshot holds: what the server's own base backup would send
// (src/backend/backup/basebackup.c, 15 to 18), and a little less (doc/snapshot-format.md lists it).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/repo/manifest.h"
#include "core/wal/index.h"

namespace pitr {

struct SelectionOptions {
  std::string data_directory;
  std::uint32_t catalog_version = 0;  // names the folder in a tablespace that is this cluster's
  std::vector<std::string> excluded_directories;  // relative; the folder itself is kept, empty
};

struct FileSelection {
  std::vector<ManifestFile> files;  // without extents; parents before children; names sorted
  std::vector<std::string>
      skipped;  // neither file, directory nor link of a tablespace: sockets, other links
  std::uint64_t bytes = 0;
};

// Files that vanish while it looks are left out. Includes global/pg_control.
Result<FileSelection> SelectFiles(const SelectionOptions& options);

// A file name in a database directory: "16384", "16384_vm.1".
struct RelationFileName {
  std::string_view number;
  std::string_view fork;  // "", "fsm", "vm", "init"
  std::uint32_t segment = 0;
};
std::optional<RelationFileName> ParseRelationFileName(std::string_view name);
bool IsTemporaryRelationName(std::string_view name);  // t<backend>_<number>, any fork and segment

// The relation fork and segment that a relation's file is, as WAL names it.
struct RelationFile {
  wal::RelFork relation;
  std::uint32_t segment = 0;
};
// nullopt when KindOfPath says anything but kRelation.
std::optional<RelationFile> RelationOfPath(std::string_view path);

// kRelation for base/<db>/<n>…, global/<n>… and pg_tblspc/<oid>/<version>/<db>/<n>…, kPlain for every other file.
FileKind KindOfPath(std::string_view path);

}  // namespace pitr

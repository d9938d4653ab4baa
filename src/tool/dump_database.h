// One database into the repository, by pg_dump; and the judge of what was stored: read back, listed to its end, every table's rows counted and compared
// with those of the server at the point, which stands still.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/cancel.h"
#include "core/base/result.h"
#include "core/repo/dumps.h"
#include "core/work/progress.h"
#include "tool/dump_source.h"

namespace pitr::tool {

struct DumpWork {
  Repository* repo = nullptr;
  DumpManifest manifest;
  DumpServer server;
  std::string staging;  // a directory of ours, for dumps that are directories; need not be there
  int level = 1;
  std::uint32_t next_object = 1;
  Progress* progress = nullptr;
  const CancelToken* cancel = nullptr;
};

// Its files, rows and tables. kDiskFull when a directory would not fit, kCorrupt when what was stored is not what there is.
Status DumpOneDatabase(DumpWork* work, const SourceDatabase& source, DumpDatabase* database);
// Roles and tablespaces, by pg_dumpall.
Result<DumpFile> DumpGlobals(DumpWork* work, const std::string& database);

// The checksums of every object of the file are those that the manifest is going to name.
Status ReadBack(DumpWork* work, const DumpFile& file);

}  // namespace pitr::tool

#include "core/work/ship_rest.h"

#include <fcntl.h>
#include <algorithm>

#include "core/base/file.h"
#include "core/repo/tail.h"
#include "core/types/wal_name.h"
#include "core/wal/index.h"
#include "core/work/control_file.h"

namespace pitr {

namespace {

// What waited for the archiver when the server was cut, history files first (internals 28).
Result<std::vector<std::string>> WaitingFiles(const std::string& wal) {
  PITR_ASSIGN_OR_RETURN(std::vector<std::string> names,
                        ListDirectory(JoinPath(wal, "archive_status")));
  std::vector<std::string> waiting;
  for (const std::string& name : names) {
    constexpr std::string_view kReady = ".ready";
    if (name.size() > kReady.size() && name.ends_with(kReady)) {
      waiting.push_back(name.substr(0, name.size() - kReady.size()));
    }
  }
  std::stable_partition(waiting.begin(), waiting.end(),
                        [](const std::string& name) { return name.ends_with(".history"); });
  return waiting;
}

// Length of the valid WAL in an open segment: up to the end of its last whole record.
Result<wal::SegmentIndex> ReadOpenSegment(const std::string& path, const ShipOptions& options,
                                          SegmentId segment) {
  PITR_ASSIGN_OR_RETURN(const File file, File::Open(path, O_RDONLY));
  wal::IndexBuilder builder({options.root, segment});
  Bytes buffer(1U << 20);
  for (std::uint64_t offset = 0; offset < options.root.segment_size;) {
    PITR_ASSIGN_OR_RETURN(const std::size_t size,
                          file.ReadAt(offset, buffer.data(), buffer.size()));
    if (size == 0) break;
    PITR_RETURN_IF_ERROR(builder.Add({buffer.data(), size}));
    offset += size;
  }
  return builder.Finish();
}

}  // namespace

Result<Lsn> ShipRest(Repository* repo, const ShipOptions& options,
                     const std::string& data_directory) {
  const std::string wal = JoinPath(data_directory, "pg_wal");
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> waiting, WaitingFiles(wal));
  for (const std::string& name : waiting) {
    PITR_ASSIGN_OR_RETURN(const ShipResult shipped,
                          ShipWalFile(repo, options, JoinPath(wal, name), name));
    (void)shipped;
  }
  PITR_ASSIGN_OR_RETURN(const ControlFile control, ReadControlFile(data_directory));
  const std::uint64_t size = options.root.segment_size;
  Lsn end;
  for (std::uint64_t number = control.redo.value / size;; number++) {
    const SegmentId segment{control.timeline, number};
    const std::string name = SegmentName(segment, size);
    const std::string path = JoinPath(wal, name);
    if (!PathExists(path)) return end;
    Result<wal::SegmentIndex> index = ReadOpenSegment(path, options, segment);
    // A recycled file that waits for its turn carries the address of another segment: the WAL ended before it.
    if (!index.ok() &&
        (index.status().code() == Code::kForeign || index.status().code() == Code::kCorrupt))
      return end;
    if (!index.ok()) return index.status();
    if (index->last_end.valid()) end = index->last_end;
    if (!index->partial) continue;
    if (index->last_end.valid()) {
      const auto flushed = static_cast<std::uint32_t>(index->last_end.value - number * size);
      PITR_ASSIGN_OR_RETURN(const ShipResult shipped,
                            ShipTail(repo, options, path, segment, flushed));
      (void)shipped;
    }
    return end;
  }
}

}  // namespace pitr

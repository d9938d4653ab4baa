// The table of resource managers is the server's own and open to extensions (custom resource managers write into it); since 15 an
// entry can be replaced from shared_preload_libraries. Recovery runs in the startup process, which inherits it.
#include "pg/tablespace_redo.h"

#include <cstdlib>
#include <string>

#include "core/work/tablespaces.h"
#include "pg/boundary.h"
#include "pg/error_map.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/rmgr.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "commands/tablespace.h"
#include "common/relpath.h"
}

namespace pitr::pg {

namespace {

using Redo = void (*)(XLogReaderState*);
constinit Redo original = nullptr;

const char* BranchOfServer() {
  const char* branch = std::getenv("PITR_TABLESPACES_OF");
  return branch == nullptr ? "" : branch;
}

extern "C" {
static void TablespaceRedo(XLogReaderState* record) {
  const auto* create = reinterpret_cast<const xl_tblspc_create_rec*>(XLogRecGetData(record));
  const std::uint8_t info = XLogRecGetInfo(record) & ~XLR_INFO_MASK;
  // An in-place tablespace has no location.
  if (info != XLOG_TBLSPC_CREATE || create->ts_path[0] == '\0') {
    original(record);
    return;
  }
  Report report;
  const Outcome outcome = Run(
      [create] {
        return ReplayCreateTablespace(DataDirectory(), create->ts_path, BranchOfServer(),
                                      std::to_string(create->ts_id), TABLESPACE_VERSION_DIRECTORY);
      },
      &report);
  if (outcome != Outcome::kOk) Raise(outcome, report);
}
}

}  // namespace

void RedirectTablespaces() {
  if (BranchOfServer()[0] == '\0') return;
  original = RmgrTable[RM_TBLSPC_ID].rm_redo;
  RmgrTable[RM_TBLSPC_ID].rm_redo = TablespaceRedo;
}

}  // namespace pitr::pg

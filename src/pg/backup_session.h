// A non-exclusive backup of this server by its own functions, in a process without a database (internals 30). When the process
// ends before Stop the server forgets the backup by itself.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/types/lsn.h"

namespace pitr::pg {

struct BackupStart {
  Lsn start;
  TimelineId timeline = 0;
};
struct BackupStop {
  Lsn stop;
  std::string label, tablespace_map;
};

class BackupSession {
 public:
  // An immediate checkpoint, then full page writes are forced until Stop. THROWS ErrorInFlight.
  BackupStart Start(const std::string& label);
  // Writes the stop record and switches WAL; does not wait for archiving. THROWS ErrorInFlight.
  BackupStop Stop();

 private:
  void* state_ = nullptr;  // BackupState (16+) or the label text (15); lives as long as the process
  void* tablespace_map_ = nullptr;  // StringInfo
};

}  // namespace pitr::pg

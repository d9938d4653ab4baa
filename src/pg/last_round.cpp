#include "pg/last_round.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "core/base/clock.h"
#include "pg/interrupts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog_internal.h"
#include "catalog/pg_control.h"
}

namespace pitr::pg {

namespace {

constexpr std::int64_t kLastRoundMs = 5000;
constexpr std::int64_t kLookMs = 500;

class ArchiverCancelToken final : public CancelToken {
 public:
  bool IsCancelled() const noexcept override {
    if (ServerCancel().IsCancelled()) {
      return true;
    }
    const std::int64_t now = SystemClock().MonotonicMillis();
    if (began_ms_ == 0 && now >= next_look_ms_) {
      next_look_ms_ = now + kLookMs;
      began_ms_ = IsShutDown() ? now : 0;
    }
    return began_ms_ != 0 && now - began_ms_ >= kLastRoundMs;
  }

 private:
  // Of one thread in one process.
  mutable std::int64_t next_look_ms_ = 0, began_ms_ = 0;
};

}  // namespace

bool IsShutDown() noexcept {
  // Not by the server's function, which raises. One aligned word of a file that is written in one piece.
  const int fd = ::open(XLOG_CONTROL_FILE, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return false;
  }
  DBState state = DB_STARTUP;
  const bool is_read = ::pread(fd, &state, sizeof state, offsetof(ControlFileData, state)) ==
                       static_cast<ssize_t>(sizeof state);
  ::close(fd);
  return is_read && (state == DB_SHUTDOWNED || state == DB_SHUTDOWNED_IN_RECOVERY);
}

const CancelToken& ArchiverCancel() {
  static ArchiverCancelToken token;
  return token;
}

}  // namespace pitr::pg

#include "pg/log.h"

#include <string>

#include "pg/boundary.h"
#include "pg/error_map.h"

namespace pitr::pg {

void LogQuietly(int level, std::string_view message, std::string_view detail,
                std::string_view hint) noexcept {
  // string_views have no final zero.
  Report text;
  CopyText(message, text.message, sizeof text.message);
  CopyText(detail, text.detail, sizeof text.detail);
  CopyText(hint, text.hint, sizeof text.hint);
  QuietLog(level, text.message, text.detail, text.hint);
}

void LogStatus(int level, std::string_view prefix, const Status& status) noexcept {
  char message[sizeof(Report::message)];
  CopyText(prefix, message, sizeof message);
  std::size_t used = std::char_traits<char>::length(message);
  if (used > 0 && used + 3 < sizeof message) {
    message[used++] = ':';
    message[used++] = ' ';
  }
  CopyText(status.message(), message + used, sizeof message - used);
  LogQuietly(level, message, status.detail(), status.hint());
}

void StateLog::Tell(const Status& status) {
  if (status.ok()) {
    if (told_) {
      LogQuietly(LOG, std::string(name_) + " works again after " + std::to_string(failures_) +
                          (failures_ == 1 ? " failure" : " failures"));
    }
    told_.reset();
    failures_ = 0;
    return;
  }
  failures_++;
  if (told_ != status.code()) {
    LogStatus(WARNING, name_, status);
    told_ = status.code();
  }
}

void ServerLogger::Log(LogLevel level, std::string_view message) noexcept {
  switch (level) {
    case LogLevel::kDebug:
      LogQuietly(DEBUG1, message);
      break;
    case LogLevel::kInfo:
      LogQuietly(LOG, message);
      break;
    case LogLevel::kWarning:
      LogQuietly(WARNING, message);
      break;
  }
}

}  // namespace pitr::pg

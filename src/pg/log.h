// Saying something without raising, throwing or processing interrupts.
#pragma once

#include <string_view>

#include "core/base/log.h"
#include "core/base/status.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

// `level` is DEBUG1, LOG, INFO, NOTICE or WARNING; texts are UTF-8 and cut to the sizes of a Report.
void LogQuietly(int level, std::string_view message, std::string_view detail = {},
                std::string_view hint = {}) noexcept;
// `prefix: ` before the message, unless it is empty.
void LogStatus(int level, std::string_view prefix, const Status& status) noexcept;

// What core code says: kInfo is LOG, kWarning WARNING, kDebug DEBUG1.
class ServerLogger final : public Logger {
 public:
  void Log(LogLevel level, std::string_view message) noexcept override;
};

}  // namespace pitr::pg

// Saying something without raising, throwing or processing interrupts.
#pragma once

#include <cstdint>
#include <optional>
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

// One line for each change of state of something that is tried again and again.
class StateLog {
 public:
  explicit StateLog(std::string_view name) : name_(name) {}  // a literal: "pitr launcher"
  void Tell(const Status& status);

 private:
  const std::string_view name_;
  std::optional<Code> told_;
  std::int64_t failures_ = 0;
};

// What core code says: kInfo is LOG, kWarning WARNING, kDebug DEBUG1.
class ServerLogger final : public Logger {
 public:
  void Log(LogLevel level, std::string_view message) noexcept override;
};

}  // namespace pitr::pg

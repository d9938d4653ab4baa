// Where core code says something that is not an error of the call: implementations neither raise nor throw.
#pragma once

#include <string_view>

namespace pitr {

enum class LogLevel { kDebug, kInfo, kWarning };

class Logger {
 public:
  virtual ~Logger() = default;
  virtual void Log(LogLevel level, std::string_view message) noexcept = 0;
};

}  // namespace pitr

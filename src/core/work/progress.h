// How long work says how far it is. Called from worker threads of the program: implementations lock.
#pragma once

#include <cstdint>
#include <string_view>

namespace pitr {

class Progress {
 public:
  virtual ~Progress() = default;
  virtual void Phase(std::string_view name) noexcept = 0;
  virtual void Total(std::uint64_t bytes) noexcept = 0;
  virtual void Done(std::uint64_t more_bytes) noexcept = 0;
};

}  // namespace pitr

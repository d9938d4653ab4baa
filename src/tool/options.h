// Command line arguments: long options with or without a value, and positional ones. Nothing secret is ever an option.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace pitr::tool {

struct OptionSpec {
  std::string_view name;  // without the dashes
  bool takes_value = true;
};

class Options {
 public:
  // "--name value", "--name=value", "--flag", "--" ends options. kInvalidArgument for an unknown or repeated option, a
  // missing value, or more than `max_positional` others.
  static Result<Options> Parse(const std::vector<std::string>& arguments,
                               const std::vector<OptionSpec>& specs, std::size_t max_positional);

  bool Has(std::string_view name) const;
  std::optional<std::string> Text(std::string_view name) const;
  std::string TextOr(std::string_view name, std::string_view fallback) const;
  // kInvalidArgument unless a number in [low, high].
  Result<std::int64_t> NumberOr(std::string_view name, std::int64_t fallback, std::int64_t low,
                                std::int64_t high) const;
  Result<std::string> Required(std::string_view name) const;
  const std::vector<std::string>& positional() const { return positional_; }

 private:
  std::map<std::string, std::string, std::less<>> values_;
  std::vector<std::string> positional_;
};

}  // namespace pitr::tool

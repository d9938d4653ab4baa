// Parsing of arguments. One rule for all commands, so that none of them reads argv itself.
#include "tool/options.h"

#include <charconv>

namespace pitr::tool {

namespace {

const OptionSpec* FindSpec(const std::vector<OptionSpec>& specs, std::string_view name) {
  for (const OptionSpec& spec : specs) {
    if (spec.name == name) {
      return &spec;
    }
  }
  return nullptr;
}

Status Bad(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

}  // namespace

Result<Options> Options::Parse(const std::vector<std::string>& arguments,
                               const std::vector<OptionSpec>& specs, std::size_t max_positional) {
  Options options;
  bool options_ended = false;
  for (std::size_t at = 0; at < arguments.size(); at++) {
    const std::string& argument = arguments[at];
    if (options_ended || argument.size() < 2 || argument[0] != '-') {
      if (options.positional_.size() == max_positional) {
        return Bad("unexpected argument \"" + argument + "\"");
      }
      options.positional_.push_back(argument);
      continue;
    }
    if (argument == "--") {
      options_ended = true;
      continue;
    }
    const std::size_t equals = argument.find('=');
    const std::string shown = argument.substr(0, equals);
    const std::string name = shown.compare(0, 2, "--") == 0 ? shown.substr(2) : "";
    const OptionSpec* spec = FindSpec(specs, name);
    if (spec == nullptr || name.empty()) {
      return Bad("unknown option \"" + shown + "\"");
    }
    std::string value;
    if (spec->takes_value && equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (spec->takes_value) {
      if (at + 1 == arguments.size()) {
        return Bad("option \"" + shown + "\" needs a value");
      }
      value = arguments[++at];
    } else if (equals != std::string::npos) {
      return Bad("option \"" + shown + "\" takes no value");
    }
    if (!options.values_.emplace(name, std::move(value)).second) {
      return Bad("option \"" + shown + "\" is given twice");
    }
  }
  return options;
}

bool Options::Has(std::string_view name) const { return values_.find(name) != values_.end(); }

std::optional<std::string> Options::Text(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::nullopt : std::optional<std::string>(found->second);
}

std::string Options::TextOr(std::string_view name, std::string_view fallback) const {
  return Text(name).value_or(std::string(fallback));
}

Result<std::int64_t> Options::NumberOr(std::string_view name, std::int64_t fallback,
                                       std::int64_t low, std::int64_t high) const {
  const auto found = values_.find(name);
  if (found == values_.end()) {
    return fallback;
  }
  const std::string& text = found->second;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < low || number > high) {
    return Bad("option \"--" + std::string(name) + "\" wants a number from " + std::to_string(low) +
               " to " + std::to_string(high) + ", not \"" + text + "\"");
  }
  return number;
}

Result<std::string> Options::Required(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end() || found->second.empty()) {
    return Bad("option \"--" + std::string(name) + "\" is needed");
  }
  return found->second;
}

}  // namespace pitr::tool

// Where requests go: scheme, host and port in one form, so that what is signed as "host" is what the transport sends.
#include "core/store/s3_address.h"

#include <algorithm>
#include <charconv>

#include "core/base/ascii.h"

namespace pitr {

namespace {

bool IsLabel(std::string_view label) {
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         IsMadeOf(label, {"abcdefghijklmnopqrstuvwxyz0123456789-_"});
}

bool IsHostName(std::string_view host) {
  if (host.size() > 253) {
    return false;
  }
  for (;;) {
    const std::size_t dot = host.find('.');
    if (!IsLabel(host.substr(0, dot))) {
      return false;
    }
    if (dot == std::string_view::npos) {
      return true;
    }
    host.remove_prefix(dot + 1);
  }
}

bool IsPort(std::string_view port) {
  unsigned number = 0;
  const char* const end = port.data() + port.size();
  const std::from_chars_result result = std::from_chars(port.data(), end, number);
  return result.ec == std::errc() && result.ptr == end && number >= 1 && number <= 65535;
}

// Where the host of "host", "host:port" or "[v6]:port" ends; npos when it is none.
std::size_t EndOfHost(std::string_view text) {
  if (!text.starts_with('[')) {
    const std::size_t end = std::min(text.find(':'), text.size());
    return IsHostName(text.substr(0, end)) ? end : std::string_view::npos;
  }
  const std::size_t bracket = text.find(']');
  if (bracket == std::string_view::npos || bracket < 3 ||
      !IsMadeOf(text.substr(1, bracket - 1), {"0123456789abcdef:."})) {
    return std::string_view::npos;
  }
  return bracket + 1;
}

}  // namespace

std::optional<std::string> NormalEndpoint(std::string_view text) {
  std::string endpoint = ToLowerAscii(text);
  if (endpoint.find("://") == std::string::npos) {
    endpoint.insert(0, "https://");
  }
  if (endpoint.ends_with('/')) {
    endpoint.pop_back();
  }
  const bool is_plain = endpoint.starts_with("http://");
  if (!is_plain && !endpoint.starts_with("https://")) {
    return std::nullopt;
  }
  const std::size_t scheme_size = endpoint.find("://") + 3;
  const std::string_view rest = std::string_view(endpoint).substr(scheme_size);
  const std::size_t end = EndOfHost(rest);
  if (end == rest.size()) {
    return endpoint;
  }
  if (end == std::string_view::npos || rest[end] != ':' || !IsPort(rest.substr(end + 1))) {
    return std::nullopt;
  }
  if (rest.substr(end + 1) == (is_plain ? "80" : "443")) {
    endpoint.resize(scheme_size + end);
  }
  return endpoint;
}

}  // namespace pitr

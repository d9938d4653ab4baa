// Requests and answers as text; see the header.
#include "core/store/http_message.h"

#include <algorithm>
#include <charconv>

#include "core/base/ascii.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxText = 300;

bool IsTokenChar(char c) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";  // RFC 9110 5.6.2
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         kMarks.find(c) != std::string_view::npos;
}

bool IsHeaderName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), IsTokenChar);
}

// A line end in a value would begin a header, or a request, of its own.
bool IsHeaderValue(std::string_view value) {
  return std::none_of(value.begin(), value.end(),
                      [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

// What a URL may hold once it is encoded. A fragment would be cut off silently.
bool IsEncoded(std::string_view url) {
  return std::all_of(url.begin(), url.end(),
                     [](char c) { return c > ' ' && c < 0x7f && c != '#'; });
}

}  // namespace

Status CheckHttpRequest(const HttpRequest& request) {
  constexpr std::string_view kMethods[] = {"GET", "HEAD", "PUT", "POST", "DELETE"};
  if (std::find(std::begin(kMethods), std::end(kMethods), request.method) == std::end(kMethods)) {
    return Status(Code::kInvalidArgument,
                  "unknown request method \"" + PrintableText(request.method) + "\"");
  }
  if (request.method == "HEAD" && !request.body.empty()) {
    return Status(Code::kInvalidArgument, "a HEAD request has no body");
  }
  if (!IsEncoded(request.url)) {
    return Status(Code::kInvalidArgument, "address of a request is not encoded");
  }
  for (const auto& [name, value] : request.headers) {
    if (!IsHeaderName(name) || !IsHeaderValue(value)) {
      return Status(Code::kInvalidArgument,
                    "header \"" + PrintableText(name) + "\" cannot be sent as it stands");
    }
    const std::string lower = ToLowerAscii(name);
    if (lower == "transfer-encoding" || lower == "expect" ||
        (lower == "content-length" && value != std::to_string(request.body.size()))) {
      return Status(Code::kInvalidArgument, "header \"" + name + "\" is not the caller's to set");
    }
  }
  return Status::Ok();
}

bool IsRepeatable(const HttpRequest& request) {
  if (request.method == "GET" || request.method == "HEAD") {
    return true;
  }
  if (request.method == "POST") {
    return false;
  }
  return std::none_of(request.headers.begin(), request.headers.end(), [](const auto& header) {
    const std::string name = ToLowerAscii(header.first);
    return name.starts_with("if-") || name.find("-if-") != std::string::npos;
  });
}

std::string TargetOfUrl(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::size_t host = scheme == std::string_view::npos ? 0 : scheme + 3;
  const std::size_t begin = url.find_first_of("/?", host);
  if (begin == std::string_view::npos) {
    return "/";
  }
  return (url[begin] == '?' ? "/" : "") + std::string(url.substr(begin));
}

// libcurl reads "Name:" as: do not send it, and "Name;" as: send it empty.
std::vector<std::string> HeaderLines(const HttpRequest& request) {
  std::vector<std::string> lines = {"Expect:"};
  bool has_accept = false, has_type = false;
  for (const auto& [name, value] : request.headers) {
    const std::string lower = ToLowerAscii(name);
    has_accept = has_accept || lower == "accept";
    has_type = has_type || lower == "content-type";
    if (lower != "content-length") {  // is the body's (CheckHttpRequest), libcurl sends it
      lines.push_back(Trimmed(value).empty() ? name + ";" : name + ": " + value);
    }
  }
  if (!has_accept) {
    lines.emplace_back("Accept:");
  }
  if (!has_type) {
    lines.emplace_back("Content-Type:");
  }
  return lines;
}

void AddHeadLine(std::string_view line, HttpResponse* response) {
  if (line.starts_with("HTTP/")) {
    response->headers.clear();
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) {
    return;
  }
  response->headers.emplace_back(ToLowerAscii(Trimmed(line.substr(0, colon))),
                                 Trimmed(line.substr(colon + 1)));
}

std::uint64_t AnnouncedSize(const HttpResponse& response) {
  const std::string text = response.Header("content-length");
  std::uint64_t size = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, size);
  return error == std::errc() && stop == end ? size : 0;
}

std::string PrintableText(std::string_view text) {
  std::string printable(Trimmed(text.substr(0, kMaxText)));
  std::replace_if(
      printable.begin(), printable.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return printable;
}

std::string HttpResponse::Header(std::string_view name) const {
  const std::string lower = ToLowerAscii(name);
  for (const auto& [key, value] : headers) {
    if (key == lower) {
      return value;
    }
  }
  return {};
}

}  // namespace pitr

// What is judged before anything is connected: options and addresses, by libcurl's own reading of them.
#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <mutex>

#include "core/store/http_connection.h"
#include "core/store/http_message.h"
#include "core/store/http_signals.h"

namespace pitr {

namespace {

constexpr int kMaxConnections = 1024;

// Once per process, and not before somebody wants a client: the postmaster only loads us.
bool StartCurl() {
  static std::once_flag once;
  static CURLcode result = CURLE_FAILED_INIT;
  std::call_once(once, [] {
    const SignalsBlocked blocked;
    result = curl_global_init(CURL_GLOBAL_DEFAULT);
  });
  return result == CURLE_OK;
}

// Whatever curl_url_set takes, without the guesses that it makes for command lines.
struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlDeleter>;

std::string PartOf(const Url& url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) {
    return {};
  }
  const std::unique_ptr<char, decltype(&curl_free)> owner(text, &curl_free);
  return text;
}

Status CheckProxy(const std::string& proxy) {
  constexpr std::string_view kSchemes[] = {"http",    "https",  "socks4",
                                           "socks4a", "socks5", "socks5h"};
  const Url url(curl_url());
  if (url == nullptr) {
    return Status(Code::kOutOfMemory, "out of memory");
  }
  // Its text may hold a password and is not shown.
  if (curl_url_set(url.get(), CURLUPART_URL, proxy.c_str(),
                   CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
    return Status(Code::kInvalidArgument, "address of the proxy is malformed");
  }
  const std::string scheme = PartOf(url, CURLUPART_SCHEME, 0);
  if (std::find(std::begin(kSchemes), std::end(kSchemes), scheme) == std::end(kSchemes)) {
    return Status(Code::kInvalidArgument,
                  "proxies of kind \"" + PrintableText(scheme) + "\" are not supported");
  }
  return Status::Ok();
}

}  // namespace

Status HttpConnection::CheckOptions(const HttpOptions& options) {
  for (const std::int64_t limit :
       {options.connect_timeout_ms, options.idle_timeout_ms, options.request_timeout_ms}) {
    if (limit < 1 || limit > INT_MAX) {
      return Status(Code::kInvalidArgument,
                    "time limit of " + std::to_string(limit) + " ms is out of range");
    }
  }
  if (options.connections < 1 || options.connections > kMaxConnections) {
    return Status(Code::kInvalidArgument,
                  std::to_string(options.connections) + " connections are out of range");
  }
  if (!options.ca_file.empty() && ::access(options.ca_file.c_str(), R_OK) != 0) {
    const Status cause = Status::FromErrno(errno, "read CA file \"" + options.ca_file + "\"");
    return Status(Code::kInvalidArgument, cause.message());
  }
  if (!StartCurl()) {
    return Status(Code::kInternal, "libcurl could not be started");
  }
  return options.proxy.empty() ? Status::Ok() : CheckProxy(options.proxy);
}

Result<std::string> ServerOfUrl(const std::string& text) {
  const Url url(curl_url());
  if (url == nullptr) {
    return Status(Code::kOutOfMemory, "out of memory");
  }
  const CURLUcode code =
      curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_PATH_AS_IS | CURLU_DISALLOW_USER);
  const std::string scheme = PartOf(url, CURLUPART_SCHEME, 0);
  if (code != CURLUE_OK || (scheme != "http" && scheme != "https")) {
    return Status(Code::kInvalidArgument, "address of a request is no http or https URL");
  }
  return PartOf(url, CURLUPART_HOST, 0) + ":" + PartOf(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

}  // namespace pitr

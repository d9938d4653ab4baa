// What libcurl is told of the connection and of the request.
#include "core/store/http_connection.h"

#include <curl/curl.h>

#include <string>
#include <type_traits>

#include "core/store/http_signals.h"
#include "core/store/http_transfer.h"

namespace pitr {

using Handles = HttpConnection::Handles;

namespace {

// The first refusal sticks. Calls the function, not libcurl's macro of that name, whose checks want literals.
class CurlSettings {
 public:
  explicit CurlSettings(CURL* easy) : easy_(easy) {}
  template <typename T>
  void Set(CURLoption option, T value) {
    static_assert(std::is_pointer_v<T> || std::is_same_v<T, long> || std::is_same_v<T, curl_off_t>);
    if (result_ == CURLE_OK) {
      result_ = (curl_easy_setopt)(easy_, option, value);
    }
  }
  void Set(CURLoption option, const std::string& value) { Set(option, value.c_str()); }
  CURLcode result() const { return result_; }

 private:
  CURL* easy_;
  CURLcode result_ = CURLE_OK;
};

constexpr long kBufferSize = 256 * 1024;  // libcurl's, per connection and direction

curl_socket_t OnOpen(void* user, curlsocktype, curl_sockaddr* address) noexcept {
  return static_cast<Handles*>(user)->sockets.Open(address->family, address->socktype,
                                                   address->protocol);
}

int OnClose(void* user, curl_socket_t socket) noexcept {
  return static_cast<Handles*>(user)->sockets.Close(socket);
}

}  // namespace

template <typename Settings>
void HttpTransfer::SetConnectionOptions(Settings* settings) {
  const HttpOptions& options = job_.options;
  settings->Set(CURLOPT_NOSIGNAL, 1L);
  // A lookup that hangs is left to its thread, not waited for: a cancel takes effect at once.
  settings->Set(CURLOPT_QUICK_EXIT, 1L);
  settings->Set(CURLOPT_ERRORBUFFER, error_);
  settings->Set(CURLOPT_PROTOCOLS_STR, "http,https");
  settings->Set(CURLOPT_FOLLOWLOCATION, 0L);
  settings->Set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  settings->Set(CURLOPT_TCP_KEEPALIVE, 1L);
  settings->Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout_ms));
  settings->Set(CURLOPT_BUFFERSIZE, kBufferSize);
  settings->Set(CURLOPT_UPLOAD_BUFFERSIZE, kBufferSize);
  // Empty texts, unlike null, keep libcurl from asking the environment.
  settings->Set(CURLOPT_PROXY, options.proxy);
  settings->Set(CURLOPT_NOPROXY, "");
  settings->Set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  settings->Set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  settings->Set(CURLOPT_SSL_VERIFYPEER, 1L);
  settings->Set(CURLOPT_SSL_VERIFYHOST, 2L);
  if (!options.ca_file.empty()) {
    // Instead of the system's, not besides: the folder of the system's would be searched as well.
    settings->Set(CURLOPT_CAINFO, options.ca_file);
    settings->Set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    settings->Set(CURLOPT_PROXY_CAINFO, options.ca_file);
    settings->Set(CURLOPT_PROXY_CAPATH, static_cast<const char*>(nullptr));
  }
  settings->Set(CURLOPT_OPENSOCKETFUNCTION, &OnOpen);
  settings->Set(CURLOPT_OPENSOCKETDATA, handles_);
  settings->Set(CURLOPT_CLOSESOCKETFUNCTION, &OnClose);
  settings->Set(CURLOPT_CLOSESOCKETDATA, handles_);
  settings->Set(CURLOPT_PREREQFUNCTION, &OnConnected);
  settings->Set(CURLOPT_PREREQDATA, this);
}

template <typename Settings>
void HttpTransfer::SetRequestOptions(Settings* settings) {
  const HttpRequest& request = job_.request;
  settings->Set(CURLOPT_URL, request.url);
  settings->Set(CURLOPT_PATH_AS_IS, 1L);
  // Not as libcurl understood it, except to a proxy, which wants all of the URL.
  if (job_.options.proxy.empty() || request.url.starts_with("https:")) {
    settings->Set(CURLOPT_REQUEST_TARGET, TargetOfUrl(request.url));
  }
  settings->Set(CURLOPT_HTTPHEADER, headers_);
  settings->Set(CURLOPT_HEADERFUNCTION, &OnHead);
  settings->Set(CURLOPT_HEADERDATA, this);
  settings->Set(CURLOPT_WRITEFUNCTION, &OnBody);
  settings->Set(CURLOPT_WRITEDATA, this);
  if (request.method == "HEAD") {
    settings->Set(CURLOPT_NOBODY, 1L);
    return;
  }
  settings->Set(CURLOPT_HTTPGET, 1L);
  if (!request.body.empty() || request.method == "PUT" || request.method == "POST") {
    settings->Set(CURLOPT_UPLOAD, 1L);
    settings->Set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    settings->Set(CURLOPT_READFUNCTION, &OnRead);
    settings->Set(CURLOPT_READDATA, this);
    settings->Set(CURLOPT_SEEKFUNCTION, &OnSeek);
    settings->Set(CURLOPT_SEEKDATA, this);
  }
  settings->Set(CURLOPT_CUSTOMREQUEST, request.method);
}

bool HttpTransfer::AddHeaders() {
  for (const std::string& line : HeaderLines(job_.request)) {
    curl_slist* const longer = curl_slist_append(headers_, line.c_str());
    if (longer == nullptr) {
      return false;
    }
    headers_ = longer;
  }
  return true;
}

Status HttpTransfer::SetOptions() {
  static_assert(kErrorSize == CURL_ERROR_SIZE);
  CurlSettings settings(handles_->easy);
  SetConnectionOptions(&settings);
  if (!AddHeaders()) {
    return HttpOutOfMemory();
  }
  SetRequestOptions(&settings);
  if (settings.result() == CURLE_OK) {
    return Status::Ok();
  }
  return settings.result() == CURLE_OUT_OF_MEMORY
             ? HttpOutOfMemory()
             : Status(Code::kInternal, std::string("libcurl refused an option: ") +
                                           curl_easy_strerror(settings.result()));
}

}  // namespace pitr

// libcurl's multi interface, driven by the thread that asks; see the header.
#include "core/store/http_connection.h"

#include <curl/curl.h>

#include "core/store/http_signals.h"
#include "core/store/http_transfer.h"

namespace pitr {

namespace {

// A look-up that hangs must not hold the end of a request. libcurl 8.22 asks for this here as well as of the easy handle
// (CURLOPT_QUICK_EXIT); headers of before do not name it, and such libraries do not know it and do not need it.
bool LeaveLookups(CURLM* multi) {
  constexpr auto kMultiQuickExit = static_cast<CURLMoption>(CURLOPTTYPE_LONG + 21);
  const CURLMcode code = curl_multi_setopt(multi, kMultiQuickExit, 1L);
  return code == CURLM_OK || code == CURLM_UNKNOWN_OPTION;
}

}  // namespace

HttpConnection::Handles::Handles() : multi(curl_multi_init()), easy(curl_easy_init()) {}
HttpConnection::Handles::~Handles() {
  const SignalsBlocked blocked;
  curl_easy_cleanup(easy);
  curl_multi_cleanup(multi);
}

HttpConnection::HttpConnection(std::unique_ptr<Handles> handles) : handles_(std::move(handles)) {}
HttpConnection::~HttpConnection() = default;

Result<std::unique_ptr<HttpConnection>> HttpConnection::Make() {
  const SignalsBlocked blocked;
  auto handles = std::make_unique<Handles>();
  if (handles->multi == nullptr || handles->easy == nullptr ||
      curl_multi_setopt(handles->multi, CURLMOPT_MAXCONNECTS, 1L) != CURLM_OK ||
      !LeaveLookups(handles->multi)) {
    return HttpOutOfMemory();
  }
  return std::unique_ptr<HttpConnection>(new HttpConnection(std::move(handles)));
}

bool HttpConnection::IsQuiet() const { return handles_->sockets.AreQuiet(); }

Result<HttpResponse> HttpConnection::Exchange(const Job& job, bool* may_repeat) {
  HttpTransfer transfer(handles_.get(), job);
  const Status status = transfer.Run();
  *may_repeat = transfer.may_repeat();
  if (!status.ok()) {
    return status;
  }
  return transfer.TakeResponse();
}

}  // namespace pitr

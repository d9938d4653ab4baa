// libcurl's multi interface, driven by the thread that asks; see the header.
#include "core/store/http_connection.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <type_traits>

#include "core/base/clock.h"
#include "core/store/http_message.h"
#include "core/store/http_signals.h"
#include "core/store/http_sockets.h"

namespace pitr {

// Their own struct, since their types are libcurl's.
struct HttpConnection::Handles {
  Handles() : multi(curl_multi_init()), easy(curl_easy_init()) {}
  ~Handles();
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  CURLM* multi;
  CURL* easy;
  OpenSockets sockets;
};

namespace {

using Handles = HttpConnection::Handles;

constexpr std::int64_t kPollMs = 100;     // one wait; a cancel is seen after it at the latest
constexpr long kBufferSize = 256 * 1024;  // libcurl's, per connection and direction
constexpr std::size_t kMaxHeadBytes = 256 * 1024;  // of all header lines of an answer

// The first refusal sticks. Calls the function, not libcurl's macro of that name, whose checks want literals.
class Settings {
 public:
  explicit Settings(CURL* easy) : easy_(easy) {}
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

Status OutOfMemory() { return Status(Code::kOutOfMemory, "out of memory"); }

curl_socket_t OnOpen(void* user, curlsocktype, curl_sockaddr* address) noexcept {
  return static_cast<Handles*>(user)->sockets.Open(address->family, address->socktype,
                                                   address->protocol);
}

int OnClose(void* user, curl_socket_t socket) noexcept {
  return static_cast<Handles*>(user)->sockets.Close(socket);
}

// One request on its way, and the answer as it comes in. libcurl holds pointers into it: it stays where it is.
class Transfer {
 public:
  Transfer(Handles* handles, const HttpConnection::Job& job)
      : handles_(handles), job_(job), is_repeatable_(IsRepeatable(job.request)) {}
  ~Transfer() {
    const SignalsBlocked blocked;
    if (is_attached_) {
      curl_multi_remove_handle(handles_->multi, handles_->easy);
    }
    curl_easy_reset(handles_->easy);  // forgets the pointers
    curl_slist_free_all(headers_);
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  Status Run() {
    PITR_RETURN_IF_ERROR(Begin());
    for (;;) {
      int running = 0;
      CURLMcode code = CURLM_OK;
      {
        const SignalsBlocked blocked;
        code = curl_multi_perform(handles_->multi, &running);
      }
      if (code == CURLM_OK && running == 0) {
        return Conclude();
      }
      if (is_held_ && code == CURLM_OK) {
        PITR_RETURN_IF_ERROR(LetGo());
        continue;
      }
      PITR_RETURN_IF_ERROR(CheckLimits());
      if (code == CURLM_OK) {
        handles_->sockets.AcknowledgeAtOnce();
        code = curl_multi_poll(handles_->multi, nullptr, 0, static_cast<int>(WaitMs()), nullptr);
      }
      if (code != CURLM_OK) {
        return code == CURLM_OUT_OF_MEMORY ? OutOfMemory()
                                           : Status(Code::kInternal, curl_multi_strerror(code));
      }
    }
  }
  bool may_repeat() const { return may_repeat_; }
  HttpResponse TakeResponse() { return std::move(response_); }

 private:
  enum class Stop { kNone, kNoMemory, kBodyTooLong, kHeadTooLong, kRepeat };

  Status Begin();
  Status LetGo();
  void SetConnectionOptions(Settings* settings);
  void SetRequestOptions(Settings* settings);
  bool AddHeaders();
  Status CheckLimits();
  std::int64_t WaitMs() const;
  Status Conclude();
  Status Explain(CURLcode code) const;
  bool EndedUnanswered(CURLcode code) const;
  // The server cannot have acted on a body that did not reach it whole.
  bool IsHarmlessAgain() const { return is_repeatable_ || furthest_ < job_.request.body.size(); }

  static std::size_t OnHead(char* data, std::size_t, std::size_t size, void* user) noexcept;
  static std::size_t OnBody(char* data, std::size_t, std::size_t size, void* user) noexcept;
  static std::size_t OnRead(char* out, std::size_t, std::size_t size, void* user) noexcept;
  static int OnSeek(void* user, curl_off_t offset, int origin) noexcept;
  static int OnConnected(void* user, char*, char*, int, int) noexcept;

  Handles* const handles_;
  const HttpConnection::Job& job_;
  const bool is_repeatable_;
  curl_slist* headers_ = nullptr;
  bool is_attached_ = false, may_repeat_ = false, is_head_whole_ = false;
  bool is_held_ = false, was_held_ = false;  // the last byte of the body, see before_end
  HttpResponse response_;
  Stop stop_ = Stop::kNone;
  int attempts_ = 0;  // requests sent by libcurl; the second is its own repetition
  std::size_t position_ = 0, furthest_ = 0;  // in the body, in this attempt
  std::uint64_t received_ = 0;               // bytes of the answer
  std::size_t head_bytes_ = 0;
  std::int64_t moved_ = 0, moved_at_ms_ = 0;  // see CheckLimits
  char error_[CURL_ERROR_SIZE] = "";
};

std::size_t Transfer::OnHead(char* data, std::size_t, std::size_t size, void* user) noexcept {
  auto* const self = static_cast<Transfer*>(user);
  self->received_ += size;
  self->head_bytes_ += size;
  if (self->head_bytes_ > kMaxHeadBytes) {
    self->stop_ = Stop::kHeadTooLong;
    return 0;
  }
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {
    self->is_head_whole_ = false;  // another may come after a 100 Continue
  } else if (self->is_head_whole_) {
    return size;  // behind a chunked body: nobody asked for it
  }
  self->is_head_whole_ = line == "\r\n" || line == "\n";
  try {
    AddHeadLine(line, &self->response_);
  } catch (const std::exception&) {
    self->stop_ = Stop::kNoMemory;
    return 0;
  }
  return size;
}

std::size_t Transfer::OnBody(char* data, std::size_t, std::size_t size, void* user) noexcept {
  auto* const self = static_cast<Transfer*>(user);
  const std::uint64_t limit = self->job_.request.max_response;
  Bytes& body = self->response_.body;
  self->received_ += size;
  try {
    const std::uint64_t announced = body.empty() ? AnnouncedSize(self->response_) : 0;
    if (announced > limit || size > limit - body.size()) {
      self->stop_ = Stop::kBodyTooLong;
      return 0;
    }
    if (announced > 0) {
      body.reserve(static_cast<std::size_t>(announced));
    }
    body.insert(body.end(), data, data + size);
  } catch (const std::exception&) {
    self->stop_ = Stop::kNoMemory;
    return 0;
  }
  return size;
}

std::size_t Transfer::OnRead(char* out, std::size_t, std::size_t size, void* user) noexcept {
  auto* const self = static_cast<Transfer*>(user);
  const ByteView body = self->job_.request.body;
  std::size_t take = std::min(size, body.size() - self->position_);
  if (self->job_.request.before_end && !self->was_held_ && take > 0 &&
      self->position_ + take == body.size()) {
    if (--take == 0) {
      self->is_held_ = true;
      return CURL_READFUNC_PAUSE;
    }
  }
  if (take > 0) {
    std::memcpy(out, body.data() + self->position_, take);
  }
  self->position_ += take;
  self->furthest_ = std::max(self->furthest_, self->position_);
  return take;
}

int Transfer::OnSeek(void* user, curl_off_t offset, int origin) noexcept {
  auto* const self = static_cast<Transfer*>(user);
  if (origin != SEEK_SET || offset < 0 ||
      static_cast<std::uint64_t>(offset) > self->job_.request.body.size()) {
    return CURL_SEEKFUNC_FAIL;
  }
  self->position_ = static_cast<std::size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

// The connection stands, the request goes out next: the idle limit begins. libcurl comes here again before it repeats a
// request by itself.
int Transfer::OnConnected(void* user, char*, char*, int, int) noexcept {
  auto* const self = static_cast<Transfer*>(user);
  self->moved_at_ms_ = SystemClock().MonotonicMillis();
  self->attempts_++;
  if (self->attempts_ > 1 && (self->attempts_ > 2 || !self->IsHarmlessAgain())) {
    self->stop_ = Stop::kRepeat;
    return CURL_PREREQFUNC_ABORT;
  }
  self->furthest_ = 0;
  return CURL_PREREQFUNC_OK;
}

Status Transfer::Begin() {
  const SignalsBlocked blocked;
  Settings settings(handles_->easy);
  SetConnectionOptions(&settings);
  if (!AddHeaders()) {
    return OutOfMemory();
  }
  SetRequestOptions(&settings);
  if (settings.result() != CURLE_OK) {
    return settings.result() == CURLE_OUT_OF_MEMORY
               ? OutOfMemory()
               : Status(Code::kInternal, std::string("libcurl refused an option: ") +
                                             curl_easy_strerror(settings.result()));
  }
  if (curl_multi_add_handle(handles_->multi, handles_->easy) != CURLM_OK) {
    return OutOfMemory();
  }
  is_attached_ = true;
  return Status::Ok();
}

// Here, not in a callback: no frame of libcurl lies below what is called.
Status Transfer::LetGo() {
  is_held_ = false;
  was_held_ = true;
  job_.request.before_end();
  moved_at_ms_ = SystemClock().MonotonicMillis();
  const SignalsBlocked blocked;
  return curl_easy_pause(handles_->easy, CURLPAUSE_CONT) == CURLE_OK ? Status::Ok() : OutOfMemory();
}

void Transfer::SetConnectionOptions(Settings* settings) {
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

void Transfer::SetRequestOptions(Settings* settings) {
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

bool Transfer::AddHeaders() {
  for (const std::string& line : HeaderLines(job_.request)) {
    curl_slist* const longer = curl_slist_append(headers_, line.c_str());
    if (longer == nullptr) {
      return false;
    }
    headers_ = longer;
  }
  return true;
}

std::int64_t Transfer::WaitMs() const {
  const std::int64_t left = job_.deadline_ms - SystemClock().MonotonicMillis();
  return std::clamp<std::int64_t>(std::min(left, job_.options.idle_timeout_ms), 1, kPollMs);
}

// What has moved: bytes that came in, and bytes that the other side took. What only reached the system's buffer has not
// left this machine; a big buffer on a slow line empties for longer than the limit, and that is no silence.
Status Transfer::CheckLimits() {
  PITR_RETURN_IF_ERROR(CheckCancelAndDeadline(job_));
  if (attempts_ == 0) {
    return Status::Ok();  // libcurl watches over connecting
  }
  curl_off_t uploaded = 0;
  curl_easy_getinfo(handles_->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
  const std::int64_t moved =
      static_cast<std::int64_t>(received_) + uploaded - handles_->sockets.Unsent();
  const std::int64_t now = SystemClock().MonotonicMillis();
  if (moved != moved_) {
    moved_ = moved;
    moved_at_ms_ = now;
    NoteHttpMoved(now);
  }
  if (now - moved_at_ms_ >= job_.options.idle_timeout_ms) {
    return Status(Code::kUnavailable, "request to \"" + job_.server +
                                          "\" got stuck: nothing was sent or received for " +
                                          std::to_string(job_.options.idle_timeout_ms) + " ms");
  }
  return Status::Ok();
}

Status Transfer::Conclude() {
  CURLcode code = CURLE_GOT_NOTHING;
  int left = 0;
  for (;;) {
    const CURLMsg* const message = curl_multi_info_read(handles_->multi, &left);
    if (message == nullptr) {
      break;
    }
    if (message->msg == CURLMSG_DONE) {
      code = message->data.result;
    }
  }
  if (code != CURLE_OK) {
    may_repeat_ = EndedUnanswered(code) && IsHarmlessAgain();
    return Explain(code);
  }
  if (!is_head_whole_) {  // libcurl takes the end of the connection for the end of the headers
    return Status(Code::kUnavailable, "connection to \"" + job_.server +
                                          "\" was lost: it ended within the headers of an answer");
  }
  long status = 0;
  curl_easy_getinfo(handles_->easy, CURLINFO_RESPONSE_CODE, &status);
  response_.status = static_cast<int>(status);
  return Status::Ok();
}

// libcurl repeats a request on its own where it finds out while reading; the rest, above all a body that breaks off,
// is ours to see.
bool Transfer::EndedUnanswered(CURLcode code) const {
  long connects = 1;  // none made: it was kept from an earlier request
  curl_easy_getinfo(handles_->easy, CURLINFO_NUM_CONNECTS, &connects);
  return connects == 0 && attempts_ == 1 && received_ == 0 && stop_ == Stop::kNone &&
         (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING);
}

Status Transfer::Explain(CURLcode code) const {
  const std::string server = "\"" + job_.server + "\"";
  switch (stop_) {
    case Stop::kNoMemory:
      return OutOfMemory();
    case Stop::kBodyTooLong:
      return Status(Code::kLimit, "answer of " + server + " is longer than " +
                                      std::to_string(job_.request.max_response) + " bytes");
    case Stop::kHeadTooLong:
      return Status(Code::kLimit, "headers of an answer of " + server + " are longer than " +
                                      std::to_string(kMaxHeadBytes) + " bytes");
    case Stop::kRepeat:
      return Status(Code::kUnavailable,
                    "connection to " + server + " was lost: it was closed before an answer came")
          .WithDetail("The request may have been carried out.");
    case Stop::kNone:
      break;
  }
  if (code == CURLE_OUT_OF_MEMORY) {
    return OutOfMemory();
  }
  const std::string text = PrintableText(error_[0] != '\0' ? error_ : curl_easy_strerror(code));
  if (attempts_ > 0) {
    return Status(Code::kUnavailable, "connection to " + server + " was lost: " + text);
  }
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return Status(Code::kUnavailable, "could not reach " + server + ": no connection within " +
                                          std::to_string(job_.options.connect_timeout_ms) + " ms");
  }
  Status status(Code::kUnavailable, "could not reach " + server + ": " + text);
  if (code == CURLE_PEER_FAILED_VERIFICATION) {
    status.WithHint(
        "Its certificate must name this host and be signed by an authority that is trusted here: "
        "the system's, or those of the CA file that is set.");
  }
  return status;
}

// A look-up that hangs must not hold the end of a request. libcurl 8.22 asks for this here as well as of the easy handle
// (CURLOPT_QUICK_EXIT); headers of before do not name it, and such libraries do not know it and do not need it.
bool LeaveLookups(CURLM* multi) {
  constexpr auto kMultiQuickExit = static_cast<CURLMoption>(CURLOPTTYPE_LONG + 21);
  const CURLMcode code = curl_multi_setopt(multi, kMultiQuickExit, 1L);
  return code == CURLM_OK || code == CURLM_UNKNOWN_OPTION;
}

}  // namespace

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
    return OutOfMemory();
  }
  return std::unique_ptr<HttpConnection>(new HttpConnection(std::move(handles)));
}

bool HttpConnection::IsQuiet() const { return handles_->sockets.AreQuiet(); }

Result<HttpResponse> HttpConnection::Exchange(const Job& job, bool* may_repeat) {
  Transfer transfer(handles_.get(), job);
  const Status status = transfer.Run();
  *may_repeat = transfer.may_repeat();
  if (!status.ok()) {
    return status;
  }
  return transfer.TakeResponse();
}

}  // namespace pitr

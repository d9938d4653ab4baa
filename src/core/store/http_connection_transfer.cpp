// The course of one exchange; libcurl calls back into it.
#include "core/store/http_connection.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>

#include "core/base/clock.h"
#include "core/store/http_signals.h"
#include "core/store/http_transfer.h"

namespace pitr {

namespace {

constexpr std::int64_t kPollMs = 100;  // one wait; a cancel is seen after it at the latest
constexpr std::size_t kMaxHeadBytes = 256 * 1024;  // of all header lines of an answer

}  // namespace

HttpTransfer::~HttpTransfer() {
  const SignalsBlocked blocked;
  if (is_attached_) {
    curl_multi_remove_handle(handles_->multi, handles_->easy);
  }
  curl_easy_reset(handles_->easy);  // forgets the pointers
  curl_slist_free_all(headers_);
}

Status HttpTransfer::Run() {
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
      return code == CURLM_OUT_OF_MEMORY ? HttpOutOfMemory()
                                         : Status(Code::kInternal, curl_multi_strerror(code));
    }
  }
}

std::size_t HttpTransfer::OnHead(char* data, std::size_t, std::size_t size, void* user) noexcept {
  auto* const self = static_cast<HttpTransfer*>(user);
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

std::size_t HttpTransfer::OnBody(char* data, std::size_t, std::size_t size, void* user) noexcept {
  auto* const self = static_cast<HttpTransfer*>(user);
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

std::size_t HttpTransfer::OnRead(char* out, std::size_t, std::size_t size, void* user) noexcept {
  auto* const self = static_cast<HttpTransfer*>(user);
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

int HttpTransfer::OnSeek(void* user, std::int64_t offset, int origin) noexcept {
  auto* const self = static_cast<HttpTransfer*>(user);
  if (origin != SEEK_SET || offset < 0 ||
      static_cast<std::uint64_t>(offset) > self->job_.request.body.size()) {
    return CURL_SEEKFUNC_FAIL;
  }
  self->position_ = static_cast<std::size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

// The connection stands, the request goes out next: the idle limit begins. libcurl comes here again before it repeats a
// request by itself.
int HttpTransfer::OnConnected(void* user, char*, char*, int, int) noexcept {
  auto* const self = static_cast<HttpTransfer*>(user);
  self->moved_at_ms_ = SystemClock().MonotonicMillis();
  self->attempts_++;
  if (self->attempts_ > 1 && (self->attempts_ > 2 || !self->IsHarmlessAgain())) {
    self->stop_ = Stop::kRepeat;
    return CURL_PREREQFUNC_ABORT;
  }
  self->furthest_ = 0;
  return CURL_PREREQFUNC_OK;
}

Status HttpTransfer::Begin() {
  const SignalsBlocked blocked;
  PITR_RETURN_IF_ERROR(SetOptions());
  if (curl_multi_add_handle(handles_->multi, handles_->easy) != CURLM_OK) {
    return HttpOutOfMemory();
  }
  is_attached_ = true;
  return Status::Ok();
}

// Here, not in a callback: no frame of libcurl lies below what is called.
Status HttpTransfer::LetGo() {
  is_held_ = false;
  was_held_ = true;
  job_.request.before_end();
  moved_at_ms_ = SystemClock().MonotonicMillis();
  const SignalsBlocked blocked;
  return curl_easy_pause(handles_->easy, CURLPAUSE_CONT) == CURLE_OK ? Status::Ok()
                                                                     : HttpOutOfMemory();
}

std::int64_t HttpTransfer::WaitMs() const {
  const std::int64_t left = job_.deadline_ms - SystemClock().MonotonicMillis();
  return std::clamp<std::int64_t>(std::min(left, job_.options.idle_timeout_ms), 1, kPollMs);
}

// What has moved: bytes that came in, and bytes that the other side took. What only reached the system's buffer has not
// left this machine; a big buffer on a slow line empties for longer than the limit, and that is no silence.
Status HttpTransfer::CheckLimits() {
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

Status HttpTransfer::Conclude() {
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
bool HttpTransfer::EndedUnanswered(int code) const {
  long connects = 1;  // none made: it was kept from an earlier request
  curl_easy_getinfo(handles_->easy, CURLINFO_NUM_CONNECTS, &connects);
  return connects == 0 && attempts_ == 1 && received_ == 0 && stop_ == Stop::kNone &&
         (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING);
}

Status HttpTransfer::Explain(int code) const {
  const std::string server = "\"" + job_.server + "\"";
  switch (stop_) {
    case Stop::kNoMemory:
      return HttpOutOfMemory();
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
    return HttpOutOfMemory();
  }
  const std::string text =
      PrintableText(error_[0] != '\0' ? error_ : curl_easy_strerror(static_cast<CURLcode>(code)));
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

}  // namespace pitr

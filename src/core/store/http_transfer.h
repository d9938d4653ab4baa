// One exchange over a connection; of http_connection.cpp alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "core/store/http_connection.h"
#include "core/store/http_message.h"
#include "core/store/http_sockets.h"

struct curl_slist;

namespace pitr {

// CURLM and CURL: no header of ours names libcurl's types.
struct HttpConnection::Handles {
  Handles();
  ~Handles();
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  void* multi;
  void* easy;
  OpenSockets sockets;
};

inline Status HttpOutOfMemory() { return Status(Code::kOutOfMemory, "out of memory"); }

// One request on its way, and the answer as it comes in. libcurl holds pointers into it: it stays where it is.
class HttpTransfer {
 public:
  HttpTransfer(HttpConnection::Handles* handles, const HttpConnection::Job& job)
      : handles_(handles), job_(job), is_repeatable_(IsRepeatable(job.request)) {}
  ~HttpTransfer();
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;

  Status Run();
  bool may_repeat() const { return may_repeat_; }
  HttpResponse TakeResponse() { return std::move(response_); }

 private:
  static constexpr std::size_t kErrorSize = 256;  // CURL_ERROR_SIZE
  enum class Stop { kNone, kNoMemory, kBodyTooLong, kHeadTooLong, kRepeat };

  Status Begin();
  Status LetGo();
  Status SetOptions();
  template <typename Settings>
  void SetConnectionOptions(Settings* settings);
  template <typename Settings>
  void SetRequestOptions(Settings* settings);
  bool AddHeaders();
  Status CheckLimits();
  std::int64_t WaitMs() const;
  Status Conclude();
  Status Explain(int code) const;
  bool EndedUnanswered(int code) const;
  // The server cannot have acted on a body that did not reach it whole.
  bool IsHarmlessAgain() const { return is_repeatable_ || furthest_ < job_.request.body.size(); }

  static std::size_t OnHead(char* data, std::size_t, std::size_t size, void* user) noexcept;
  static std::size_t OnBody(char* data, std::size_t, std::size_t size, void* user) noexcept;
  static std::size_t OnRead(char* out, std::size_t, std::size_t size, void* user) noexcept;
  static int OnSeek(void* user, std::int64_t offset, int origin) noexcept;
  static int OnConnected(void* user, char*, char*, int, int) noexcept;

  HttpConnection::Handles* const handles_;
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
  char error_[kErrorSize] = "";
};

}  // namespace pitr

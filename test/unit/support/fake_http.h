// An HttpClient that answers from a list and remembers what it was asked; and keys that never change.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/store/http.h"
#include "core/store/s3_request.h"

namespace pitr {

struct AskedRequest {
  std::string method, url;
  HttpHeaders headers;
  std::string body;
};

inline HttpResponse Answer(int status, std::string_view body = "", HttpHeaders headers = {}) {
  return {status, std::move(headers), Bytes(body.begin(), body.end())};
}

inline std::string S3ErrorBody(const std::string& code) {
  return "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>words</Message></Error>";
}

class FakeHttp final : public HttpClient {
 public:
  explicit FakeHttp(std::deque<Result<HttpResponse>>* answers, std::vector<AskedRequest>* asked)
      : answers_(answers), asked_(asked) {}
  Result<HttpResponse> Perform(const HttpRequest& request) override {
    asked_->push_back(
        {request.method, request.url, request.headers, std::string(AsText(request.body))});
    if (request.before_end) request.before_end();
    if (answers_->empty()) {
      return Status(Code::kInternal, "the test has no answer for this request");
    }
    Result<HttpResponse> answer = std::move(answers_->front());
    answers_->pop_front();
    return answer;
  }

 private:
  std::deque<Result<HttpResponse>>* answers_;
  std::vector<AskedRequest>* asked_;
};

class FixedCredentials final : public S3CredentialProvider {
 public:
  explicit FixedCredentials(int* forgotten, std::string token = "")
      : forgotten_(forgotten), token_(std::move(token)) {}
  Result<S3Credentials> Get() override {
    S3Credentials credentials;
    credentials.access_key_id = "key";
    credentials.secret_access_key = "very-secret";
    credentials.session_token = token_;
    return credentials;
  }
  void Forget() override { (*forgotten_)++; }

 private:
  int* forgotten_;
  const std::string token_;
};

// A client of the two, for bucket "b", prefix "p/".
struct FakeS3 {
  std::deque<Result<HttpResponse>> answers;
  std::vector<AskedRequest> asked;
  int forgotten = 0;
  std::string token;

  std::unique_ptr<S3Client> Client(std::int64_t retry_time_ms = 5000) {
    S3Address address;
    address.bucket = "b";
    address.prefix = "p/";
    address.endpoint = "http://host:1";
    address.retry_time_ms = retry_time_ms;
    return std::make_unique<S3Client>(address, std::make_unique<FakeHttp>(&answers, &asked),
                                      std::make_unique<FixedCredentials>(&forgotten, token));
  }
};

}  // namespace pitr

// S3 requests: signed, tried again while that can help, answers turned into Status. What the verbs are made of.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/store/http.h"
#include "core/store/s3_address.h"
#include "core/store/s3_credentials.h"

namespace pitr {

struct S3Request {
  std::string method;
  std::string name;  // of the object, without the store's prefix; used for `key` and for messages
  bool is_bucket = false;  // of the bucket, no object: `name` is ignored
  std::vector<std::pair<std::string, std::string>> query;
  HttpHeaders headers;
  ByteView body;
  std::function<void()>
      before_end;  // as of HttpRequest; called again when the request is tried again
  std::uint64_t max_response = 1U << 20;
  // Statuses that are an answer to the caller and no error, besides 200-299 (404, 412, 416).
  std::vector<int> accepted;
};

struct S3Answer {
  HttpResponse response;
  // An attempt before this one got no answer: the server may have carried it out.
  bool is_ambiguous = false;
};

class S3Client {
 public:
  static Result<std::unique_ptr<S3Client>> Create(const S3Address& address);
  // For tests: another transport, other keys.
  S3Client(S3Address address, std::unique_ptr<HttpClient> http,
           std::unique_ptr<S3CredentialProvider> credentials, HttpHeaders customer_key = {});

  // Thread-safe. Tries again what may pass (no connection, time limits, 429, 500, 502, 503, 504, SlowDown, an expired token) with growing
  // pauses, or as long as the server asks for, until address().retry_time_ms is over: then one message with the number of attempts.
  // kCancelled at once. kNotFound only for an object that is not there (NoSuchKey), kAlreadyExists for a failed If-None-Match,
  // kDiskFull for quotas, kUnsupported for 501, else kIo.
  Result<S3Answer> Perform(const S3Request& request);
  const S3Address& address() const { return address_; }
  // Whether the server is asked to take a name only when it is free (ObjectStore::ForgoConditions).
  bool has_conditions() const { return has_conditions_; }
  void ForgoConditions() { has_conditions_ = false; }
  // "s3://bucket/prefix (https://endpoint)"
  std::string Describe() const;

 private:
  Result<HttpResponse> Attempt(const S3Request& request, const S3Credentials& credentials);

  S3Address address_;
  bool virtual_style_ = false;
  bool has_conditions_ = true;
  std::string scheme_, host_;  // of the endpoint, with the bucket where the style says so
  std::unique_ptr<HttpClient> http_;
  std::unique_ptr<S3CredentialProvider> credentials_;
  HttpHeaders
      customer_key_;  // CustomerKeyHeaders: with each request that writes or reads an object
};

}  // namespace pitr

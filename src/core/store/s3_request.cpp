#include "core/store/s3_request.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "core/base/backoff.h"
#include "core/base/cancel.h"
#include "core/base/hash.h"
#include "core/store/s3_protection.h"
#include "core/store/s3_sign.h"
#include "core/store/s3_xml.h"

namespace pitr {

namespace {

constexpr std::int64_t kFirstPauseMs = 100, kLastPauseMs = 20000;
constexpr std::int64_t kSliceMs = 50;              // of a pause: how soon a cancel is seen
constexpr std::int64_t kLongestRetryAfterS = 300;  // what a server may ask for
constexpr std::uint64_t kMaxErrorText = 64U << 10;

bool Contains(const std::vector<int>& list, int status) {
  return std::find(list.begin(), list.end(), status) != list.end();
}

// Another attempt of the very same request may be answered otherwise.
bool MayPass(const HttpResponse& response, const S3Error& error) {
  switch (response.status) {
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return true;
    case 409:  // a concurrent write of the same key: one of the two goes first
      return error.code == "ConditionalRequestConflict" || error.code == "OperationAborted";
    default:
      return error.code == "SlowDown" || error.code == "RequestTimeout";
  }
}

// Keys that were given for a while may have run out. Ceph says no more of that than "access denied", and a HEAD's answer not even that.
bool MayBeExpired(const HttpResponse& response, const S3Error& error,
                  const S3Credentials& credentials) {
  return error.code == "ExpiredToken" || error.code == "TokenRefreshRequired" ||
         (response.status == 403 && !credentials.session_token.empty());
}

std::int64_t RetryAfterMs(const HttpResponse& response) {
  const std::int64_t seconds = std::atoll(response.Header("retry-after").c_str());
  return std::clamp<std::int64_t>(seconds, 0, kLongestRetryAfterS) * 1000;
}

Status Pause(std::int64_t milliseconds) {
  const std::int64_t until = SystemClock().MonotonicMillis() + milliseconds;
  for (;;) {
    if (IsProcessCancelled()) {
      return Status(Code::kCancelled, "waiting for the repository was cancelled");
    }
    const std::int64_t left = until - SystemClock().MonotonicMillis();
    if (left <= 0) {
      return Status::Ok();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min(left, kSliceMs)));
  }
}

const char* HintOf(const S3Address& address, const S3Error& error, int status) {
  if (error.code == "RequestTimeTooSkewed") {
    return "The clock of this machine and that of the server differ by more than 15 minutes.";
  }
  if (error.code == "NoSuchBucket") {
    return "The bucket is not created by itself: check the name, or create it.";
  }
  if (error.code == "ExpiredToken") {
    return "Put new keys into the file that pitr.s3_credentials_file names; it is read again by "
           "itself.";
  }
  if (error.code == "SignatureDoesNotMatch") {
    return "Check the secret access key.";
  }
  if (error.code == "InvalidAccessKeyId") {
    return "Check the access key id and that the endpoint is the right one.";
  }
  if (error.code == "AuthorizationHeaderMalformed" || status == 301 || status == 307) {
    return "Check the region: pitr.s3_region, or region= in the address.";
  }
  if (address.encryption == S3Encryption::kCustomer && (status == 400 || status == 403)) {
    return "pitr.s3_customer_key_file must hold the key that the repository was written with, and "
           "servers take such a key over https only; or the keys lack the right.";
  }
  if (address.object_lock != S3ObjectLock::kNone && status == 400) {
    return "pitr.s3_object_lock needs a bucket that was made with object lock.";
  }
  if (status == 403) {
    return "The keys need the rights to get, put, list and delete objects below the prefix, and a "
           "session token must not have expired.";
  }
  return "";
}

Code CodeOf(const HttpResponse& response, const S3Error& error) {
  if (response.status == 404) {
    return error.code == "NoSuchKey" ? Code::kNotFound : Code::kIo;
  }
  if (response.status == 412) {
    return Code::kAlreadyExists;
  }
  if (error.code == "QuotaExceeded" || response.status == 507) {
    return Code::kDiskFull;
  }
  if (response.status == 501) {
    return Code::kUnsupported;
  }
  return MayPass(response, error) ? Code::kUnavailable : Code::kIo;
}

// kNotFound only for NoSuchKey, kAlreadyExists for a failed If-None-Match, kDiskFull for quotas, kUnavailable for what may pass,
// kUnsupported for 501, else kIo; with a hint where the cause is known (clock, region, keys, bucket).
Status StatusOf(const S3Address& address, const HttpResponse& response, const S3Error& error,
                const std::string& what) {
  std::string message =
      "could not " + what + ": the server answered " + std::to_string(response.status);
  if (!error.code.empty()) {
    message += " " + error.code;
  }
  Status status(CodeOf(response, error), std::move(message));
  if (!error.message.empty()) {
    status = std::move(status).WithDetail(error.message);
  }
  return std::move(status).WithHint(HintOf(address, error, response.status));
}

}  // namespace

Result<std::unique_ptr<S3Client>> S3Client::Create(const S3Address& address) {
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<HttpClient> http, HttpClient::Create(address.http));
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<S3CredentialProvider> credentials,
                        MakeS3CredentialProvider(address));
  PITR_ASSIGN_OR_RETURN(HttpHeaders customer_key, CustomerKeyHeaders(address));
  return std::make_unique<S3Client>(address, std::move(http), std::move(credentials),
                                    std::move(customer_key));
}

S3Client::S3Client(S3Address address, std::unique_ptr<HttpClient> http,
                   std::unique_ptr<S3CredentialProvider> credentials, HttpHeaders customer_key)
    : address_(std::move(address)),
      http_(std::move(http)),
      credentials_(std::move(credentials)),
      customer_key_(std::move(customer_key)) {
  const std::string& endpoint = address_.endpoint;
  const std::size_t slashes = endpoint.find("://");
  scheme_ = endpoint.substr(0, slashes);
  host_ = endpoint.substr(slashes + 3);
  virtual_style_ = !UsesPathStyle(address_);
  if (virtual_style_) {
    host_ = address_.bucket + "." + host_;
  }
}

std::string S3Client::Describe() const {
  return "s3://" + address_.bucket + "/" + address_.prefix + " (" + address_.endpoint + ")";
}

Result<HttpResponse> S3Client::Attempt(const S3Request& request, const S3Credentials& credentials) {
  S3RequestToSign signing;
  signing.method = request.method;
  signing.host = host_;
  signing.path = virtual_style_ ? "/" : "/" + address_.bucket;
  if (!request.is_bucket) {
    signing.path += (virtual_style_ ? "" : "/") + address_.prefix + request.name;
  } else if (!virtual_style_) {
    signing.path += "/";
  }
  signing.path = UriEncode(signing.path, false);
  signing.query = request.query;
  signing.headers = request.headers;
  if (!request.is_bucket && request.method != "DELETE") {
    signing.headers.insert(signing.headers.end(), customer_key_.begin(), customer_key_.end());
  }
  signing.payload_hash = Sha256Hex(request.body);
  HttpRequest http;
  http.method = request.method;
  http.url = scheme_ + "://" + host_ + signing.path;
  if (!request.query.empty()) {
    http.url += "?" + CanonicalQuery(request.query);
  }
  http.headers = SignS3(signing, credentials, address_.region, SystemClock().Now());
  http.body = request.body;
  http.before_end = request.before_end;
  // An error's text comes in the place of the body that the caller has bounded.
  http.max_response = std::max(request.max_response, kMaxErrorText);
  PITR_ASSIGN_OR_RETURN(HttpResponse response, http_->Perform(http));
  if (response.status < 300 && response.body.size() > request.max_response) {
    return Status(Code::kLimit, "object \"" + request.name + "\" is larger than " +
                                    std::to_string(request.max_response) + " bytes");
  }
  return response;
}

Result<S3Answer> S3Client::Perform(const S3Request& request) {
  const std::string what = request.method +
                           (request.is_bucket ? " of bucket \"" + address_.bucket + "\""
                                              : " object \"" + request.name + "\"") +
                           " in " + Describe();
  const std::int64_t began = SystemClock().MonotonicMillis();
  Backoff backoff(kFirstPauseMs, kLastPauseMs, static_cast<std::uint64_t>(began));
  S3Answer answer;
  bool has_renewed = false;
  for (;;) {
    PITR_ASSIGN_OR_RETURN(const S3Credentials credentials, credentials_->Get());
    Result<HttpResponse> response = Attempt(request, credentials);
    Status status = response.status();
    std::int64_t pause = 0;
    if (response.ok()) {
      const bool is_good = (response->status >= 200 && response->status < 300) ||
                           Contains(request.accepted, response->status);
      if (is_good) {
        answer.response = *std::move(response);
        return answer;
      }
      const S3Error error = ParseS3Error(AsText(response->body));
      status = StatusOf(address_, *response, error, what);
      if (!has_renewed && MayBeExpired(*response, error, credentials)) {
        has_renewed = true;
        credentials_->Forget();
        continue;
      }
      if (!MayPass(*response, error)) {
        return status;
      }
      // What failed inside the server may have happened all the same.
      answer.is_ambiguous = answer.is_ambiguous || response->status >= 500;
      pause = RetryAfterMs(*response);
    } else if (status.code() == Code::kUnavailable) {
      answer.is_ambiguous = true;
      status = std::move(status).Prefix("could not " + what);
    } else {
      return status;
    }
    const std::int64_t now = SystemClock().MonotonicMillis();
    backoff.Failed(now);
    pause = std::max(pause, backoff.WaitMs(now));
    if (now + pause > std::min(began + address_.retry_time_ms, WaitLimitEnd())) {
      return std::move(status).WithDetail("Given up after " + std::to_string(backoff.failures()) +
                                          " attempts in " + std::to_string((now - began) / 1000) +
                                          " s.");
    }
    PITR_RETURN_IF_ERROR(Pause(pause));
  }
}

}  // namespace pitr

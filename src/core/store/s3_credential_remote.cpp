// Keys that are asked for over HTTP and expire: web identity (STS) and the instance's profile (IMDSv2). Of answers only status and
// error code get into messages: everything else in them may hold a secret.
#include "core/store/s3_credential_sources.h"

#include <algorithm>

#include "core/base/ascii.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/store/s3_xml.h"

namespace pitr {

namespace {

// S3 looks at the keys when a request begins; 5 minutes are more than a request may wait for its turn, and AWS offers new keys of
// an instance at least 5 minutes before the old ones expire.
constexpr std::int64_t kRefreshMicros = 5LL * 60 * 1000000;
// The service is not asked more often than this while there are valid keys, be it that it fails or that it still gives the old ones.
constexpr std::int64_t kPauseMillis = 30000;
// Without keys, so that threads which waited for one failed attempt do not each make their own.
constexpr std::int64_t kFailurePauseMillis = 1000;
constexpr std::uint64_t kMaxAnswer = 256U << 10;
constexpr std::size_t kMaxTokenFile = 65536;
constexpr std::size_t kMaxRoleName = 256;

class RefreshingCredentials : public S3CredentialProvider {
 public:
  RefreshingCredentials(std::unique_ptr<HttpClient> http, const Clock* clock)
      : http_(std::move(http)), clock_(clock) {}

  // The lock is held over the request on purpose: whoever else needs keys would only ask the same.
  Result<S3Credentials> Get() final {
    const std::lock_guard lock(mutex_);
    const Timestamp now = clock_->Now();
    const bool is_valid = keys_ && (!keys_->expires_at || now < *keys_->expires_at);
    if (is_valid &&
        (!keys_->expires_at || now.micros < keys_->expires_at->micros - kRefreshMicros)) {
      return *keys_;
    }
    if (clock_->MonotonicMillis() < next_fetch_ms_) {
      if (is_valid) {
        return *keys_;
      }
      if (!failure_.ok()) {
        return failure_;
      }
    }
    Result<S3Credentials> fetched = Fetch();
    if (fetched.ok() && fetched->expires_at && *fetched->expires_at <= clock_->Now()) {
      fetched = Status(Code::kUnavailable, "the keys of S3 that were given have expired already")
                    .WithHint("Check the clock of this machine.");
    }
    if (fetched.ok()) {
      keys_ = *fetched;
      failure_ = Status::Ok();
    } else if (fetched.status().code() == Code::kCancelled) {
      return fetched;  // says nothing about the service
    } else {
      failure_ = fetched.status();
    }
    next_fetch_ms_ =
        clock_->MonotonicMillis() + (fetched.ok() || is_valid ? kPauseMillis : kFailurePauseMillis);
    if (is_valid || fetched.ok()) {
      return *keys_;
    }
    return failure_;
  }

  void Forget() final {
    const std::lock_guard lock(mutex_);
    keys_.reset();
    next_fetch_ms_ = 0;
    failure_ = Status::Ok();
  }

 protected:
  // With the lock held.
  virtual Result<S3Credentials> Fetch() = 0;

  Result<HttpResponse> Perform(const HttpRequest& request, std::string_view who,
                               std::string_view hint) {
    Result<HttpResponse> response = http_->Perform(request);
    if (response.ok() || response.status().code() == Code::kCancelled) {
      return response;
    }
    return Status(Code::kUnavailable,
                  std::string(who) + " gave no keys of S3: " + response.status().message())
        .WithHint(std::string(hint));
  }

 private:
  const std::unique_ptr<HttpClient> http_;
  const Clock* const clock_;
  std::mutex mutex_;  // guards what follows, and Fetch
  std::optional<S3Credentials> keys_;
  Status failure_;  // of the last attempt
  std::int64_t next_fetch_ms_ = 0;
};

class WebIdentityCredentials final : public RefreshingCredentials {
 public:
  WebIdentityCredentials(WebIdentity identity, std::unique_ptr<HttpClient> http, const Clock* clock)
      : RefreshingCredentials(std::move(http), clock), identity_(std::move(identity)) {}

 private:
  Result<S3Credentials> Fetch() override {
    PITR_ASSIGN_OR_RETURN(const std::string token, ReadToken());
    const std::string body = CanonicalQuery({{"Action", "AssumeRoleWithWebIdentity"},
                                             {"Version", "2011-06-15"},
                                             {"RoleArn", identity_.role_arn},
                                             {"RoleSessionName", identity_.session_name},
                                             {"WebIdentityToken", token}});
    HttpRequest request;
    request.method = "POST";
    request.url = identity_.endpoint + "/";
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
    request.body = AsBytes(body);
    request.max_response = kMaxAnswer;
    PITR_ASSIGN_OR_RETURN(
        const HttpResponse response,
        Perform(request, "STS",
                "Check region, proxy and ca_file of the repository, and AWS_ENDPOINT_URL_STS."));
    const std::string_view answer = AsText(response.body);
    if (response.status != 200) {
      return Refusal(response.status, ParseS3Error(answer).code);
    }
    Result<S3Credentials> keys = ParseStsCredentials(answer);
    if (!keys.ok() || !CheckCredentials(*keys, "STS").ok()) {
      return Status(Code::kUnavailable, "STS answered with something else than keys")
          .WithHint("Check AWS_ENDPOINT_URL_STS.");
    }
    return keys;
  }

  Result<std::string> ReadToken() const {
    constexpr std::string_view kHint = "It is named by AWS_WEB_IDENTITY_TOKEN_FILE.";
    const Result<std::string> text = ReadTextFile(identity_.token_file, kMaxTokenFile);
    if (!text.ok()) {
      // Not its code: kNotFound would speak of an object.
      return Status(Code::kInvalidArgument, "web identity token: " + text.status().message())
          .WithHint(std::string(kHint));
    }
    const std::string_view token = Trimmed(*text);
    if (!IsVisibleAscii(token)) {
      return Status(Code::kInvalidArgument,
                    "web identity token file \"" + identity_.token_file + "\" holds no token")
          .WithHint(std::string(kHint));
    }
    return std::string(token);
  }

  static Status Refusal(int status, const std::string& code) {
    // 400 as well, but these two are to be tried again.
    const bool is_passing =
        status >= 500 || status == 429 || code == "IDPCommunicationError" || code == "Throttling";
    return Status(is_passing ? Code::kUnavailable : Code::kInvalidArgument,
                  "STS gave no keys of S3: HTTP status " + std::to_string(status) +
                      (IsWord(code) ? ", " + code : ""))
        .WithHint(
            "Check AWS_ROLE_ARN, the trust policy of that role, and the token in "
            "AWS_WEB_IDENTITY_TOKEN_FILE.");
  }

  // Codes are CamelCase words of up to 40 letters; what is not comes from somebody else.
  static bool IsWord(std::string_view code) {
    return !code.empty() && code.size() <= 40 && std::all_of(code.begin(), code.end(), [](char c) {
      return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    });
  }

  const WebIdentity identity_;
};

class InstanceCredentials final : public RefreshingCredentials {
 public:
  InstanceCredentials(InstanceProfile profile, std::unique_ptr<HttpClient> http, const Clock* clock)
      : RefreshingCredentials(std::move(http), clock), profile_(std::move(profile)) {}

 private:
  static constexpr std::string_view kRoles = "/latest/meta-data/iam/security-credentials/";
  static constexpr std::string_view kService = "the instance's metadata service";
  static constexpr std::string_view kServiceHint =
      "Version 2 of the service (IMDSv2) must be enabled, in containers with a hop limit of 2.";

  Result<S3Credentials> Fetch() override {
    PITR_ASSIGN_OR_RETURN(const std::string token, FetchToken());
    PITR_ASSIGN_OR_RETURN(const std::string role, FetchRole(token));
    PITR_ASSIGN_OR_RETURN(const HttpResponse response,
                          GetPath(std::string(kRoles) + UriEncode(role, true), token));
    if (response.status != 200) {
      return Unexpected(response.status);
    }
    Result<S3Credentials> keys = ParseKeys(AsText(response.body));
    if (!keys.ok()) {
      return Status(Code::kUnavailable,
                    std::string(kService) + " answered with something else than keys of S3")
          .WithHint("The role of the instance may have been changed or removed just now.");
    }
    return keys;
  }

  Result<std::string> FetchToken() {
    HttpRequest request;
    request.method = "PUT";
    request.url = profile_.endpoint + "/latest/api/token";
    request.headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "300"}};
    request.max_response = kMaxAnswer;
    Result<HttpResponse> response = Perform(request, kService, kServiceHint);
    if (!response.ok()) {
      return NoService(std::move(response).status());
    }
    if (response->status != 200) {
      return NoService(Unexpected(response->status));
    }
    std::string token(Trimmed(AsText(response->body)));
    if (!IsVisibleAscii(token)) {
      return NoService(Unexpected(response->status));
    }
    has_answered_ = true;
    return token;
  }

  Result<std::string> FetchRole(const std::string& token) {
    PITR_ASSIGN_OR_RETURN(const HttpResponse response, GetPath(std::string(kRoles), token));
    const std::string_view text = AsText(response.body);
    const std::string role(Trimmed(text.substr(0, text.find('\n'))));
    if (response.status == 404 || (response.status == 200 && role.empty())) {
      return Status(Code::kInvalidArgument, "this instance has no role that gives keys of S3")
          .WithHint("Attach an instance profile, or name a file with keys.");
    }
    if (response.status != 200 || !IsVisibleAscii(role) || role.size() > kMaxRoleName) {
      return Unexpected(response.status);
    }
    return role;
  }

  Result<HttpResponse> GetPath(const std::string& path, const std::string& token) {
    HttpRequest request;
    request.method = "GET";
    request.url = profile_.endpoint + path;
    request.headers = {{"X-aws-ec2-metadata-token", token}};
    request.max_response = kMaxAnswer;
    return Perform(request, kService, kServiceHint);
  }

  static Result<S3Credentials> ParseKeys(std::string_view text) {
    PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(text, "keys", kMaxAnswer));
    PITR_ASSIGN_OR_RETURN(const std::optional<std::string> code, JsonOptionalText(json, "Code"));
    if (code && *code != "Success") {
      return Status(Code::kUnavailable, "no success");
    }
    S3Credentials keys;
    PITR_ASSIGN_OR_RETURN(keys.access_key_id, JsonText(json, "AccessKeyId"));
    PITR_ASSIGN_OR_RETURN(keys.secret_access_key, JsonText(json, "SecretAccessKey"));
    PITR_ASSIGN_OR_RETURN(keys.session_token, JsonText(json, "Token"));
    PITR_ASSIGN_OR_RETURN(const std::string expiration, JsonText(json, "Expiration"));
    PITR_ASSIGN_OR_RETURN(keys.expires_at, ParseRfc3339(expiration));
    PITR_RETURN_IF_ERROR(CheckCredentials(keys, "the instance"));
    return keys;
  }

  static Status Unexpected(int status) {
    return Status(Code::kUnavailable, std::string(kService) + " gave no keys of S3: HTTP status " +
                                          std::to_string(status))
        .WithHint(std::string(kServiceHint));
  }

  Status NoService(Status cause) const {
    if (cause.code() == Code::kCancelled) {
      return cause;
    }
    if (!profile_.is_guess || has_answered_) {
      return cause;
    }
    // Not kUnavailable: nobody should wait for it to come back.
    return Status(Code::kInvalidArgument, "no keys of S3 were found")
        .WithDetail(
            "No file is named, AWS_ACCESS_KEY_ID and AWS_WEB_IDENTITY_TOKEN_FILE are not set, and "
            "nothing else could be asked: " +
            cause.message() + ".")
        .WithHint("Put the keys into a file of mode 0600 and name it in pitr.s3_credentials_file.");
  }

  const InstanceProfile profile_;
  bool has_answered_ = false;  // the service exists
};

}  // namespace

std::unique_ptr<S3CredentialProvider> MakeWebIdentityCredentials(WebIdentity identity,
                                                                 std::unique_ptr<HttpClient> http,
                                                                 const Clock* clock) {
  return std::make_unique<WebIdentityCredentials>(std::move(identity), std::move(http), clock);
}

std::unique_ptr<S3CredentialProvider> MakeInstanceCredentials(InstanceProfile profile,
                                                              std::unique_ptr<HttpClient> http,
                                                              const Clock* clock) {
  return std::make_unique<InstanceCredentials>(std::move(profile), std::move(http), clock);
}

}  // namespace pitr

// Which source of keys an address means, and what the remote ones are connected with.
#include "core/store/s3_credentials.h"

#include <algorithm>

#include "core/store/s3_credential_sources.h"

namespace pitr {

namespace {

constexpr std::int64_t kInstanceTimeoutMs = 2000;  // it is on the same machine
constexpr std::int64_t kStsTimeoutMs = 30000;

S3CredentialSource SourceOf(const S3Address& address) {
  if (address.credentials != S3CredentialSource::kAuto) {
    return address.credentials;
  }
  if (!address.credentials_file.empty()) {
    return S3CredentialSource::kFile;
  }
  if (!EnvironmentText("AWS_ACCESS_KEY_ID").empty()) {
    return S3CredentialSource::kEnvironment;
  }
  if (!EnvironmentText("AWS_WEB_IDENTITY_TOKEN_FILE").empty() &&
      !EnvironmentText("AWS_ROLE_ARN").empty()) {
    return S3CredentialSource::kWebIdentity;
  }
  return S3CredentialSource::kInstance;
}

// The variable's endpoint, or `otherwise` when it is not set.
Result<std::string> EndpointFrom(const char* variable, const std::string& otherwise) {
  const std::string text = EnvironmentText(variable);
  const std::optional<std::string> endpoint = NormalEndpoint(text.empty() ? otherwise : text);
  if (!endpoint) {
    return Status(Code::kInvalidArgument,
                  "environment variable " + std::string(variable) + " is no endpoint")
        .WithHint("An endpoint looks like https://host or http://host:port.");
  }
  return *endpoint;
}

Result<std::unique_ptr<S3CredentialProvider>> MakeWebIdentity(const S3Address& address) {
  WebIdentity identity;
  identity.token_file = EnvironmentText("AWS_WEB_IDENTITY_TOKEN_FILE");
  identity.role_arn = EnvironmentText("AWS_ROLE_ARN");
  identity.session_name = EnvironmentText("AWS_ROLE_SESSION_NAME");
  if (identity.token_file.empty() || identity.role_arn.empty()) {
    return Status(Code::kInvalidArgument, "web identity is not configured in the environment")
        .WithHint("Set AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN for the server's process.");
  }
  if (identity.session_name.empty()) {
    identity.session_name = "pitr";
  }
  PITR_ASSIGN_OR_RETURN(
      identity.endpoint,
      EndpointFrom("AWS_ENDPOINT_URL_STS", "https://sts." + address.region + "." +
                                               std::string(AmazonDomain(address.region))));
  HttpOptions options = address.http;  // with its proxy and its authorities
  options.request_timeout_ms = std::min(options.request_timeout_ms, kStsTimeoutMs);
  options.connections = 1;
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<HttpClient> http, HttpClient::Create(options));
  return MakeWebIdentityCredentials(std::move(identity), std::move(http), &SystemClock());
}

Result<std::unique_ptr<S3CredentialProvider>> MakeInstance(const S3Address& address) {
  InstanceProfile profile;
  profile.is_guess = address.credentials == S3CredentialSource::kAuto;
  if (EnvironmentText("AWS_EC2_METADATA_DISABLED") == "true") {
    return Status(Code::kInvalidArgument, "no keys of S3 were found")
        .WithDetail("AWS_EC2_METADATA_DISABLED forbids to ask the instance's metadata service.")
        .WithHint("Put the keys into a file of mode 0600 and name it in pitr.s3_credentials_file.");
  }
  PITR_ASSIGN_OR_RETURN(profile.endpoint, EndpointFrom("AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                                       "http://169.254.169.254"));
  HttpOptions options;  // no proxy: the service answers this machine only
  options.connect_timeout_ms = kInstanceTimeoutMs;
  options.idle_timeout_ms = kInstanceTimeoutMs;
  options.request_timeout_ms = kInstanceTimeoutMs;
  options.connections = 1;
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<HttpClient> http, HttpClient::Create(options));
  return MakeInstanceCredentials(std::move(profile), std::move(http), &SystemClock());
}

}  // namespace

Result<std::unique_ptr<S3CredentialProvider>> MakeS3CredentialProvider(const S3Address& address) {
  switch (SourceOf(address)) {
    case S3CredentialSource::kFile:
      return MakeFileCredentials(address.credentials_file);
    case S3CredentialSource::kEnvironment:
      return MakeEnvironmentCredentials();
    case S3CredentialSource::kWebIdentity:
      return MakeWebIdentity(address);
    case S3CredentialSource::kInstance:
    case S3CredentialSource::kAuto:  // SourceOf never gives it
      break;
  }
  return MakeInstance(address);
}

}  // namespace pitr

// The sources behind MakeS3CredentialProvider, each with what it depends on given from outside, so that tests decide it. Nothing
// but s3_credentials.cpp and tests includes this.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/store/s3_credentials.h"

namespace pitr {

// Section "default" of AWS's credentials file. kInvalidArgument names `path` and the missing word, never a value.
Result<S3Credentials> ParseCredentialsFile(std::string_view text, const std::string& path);

// Keys become headers: only printable ASCII without blanks, of sensible length. kInvalidArgument names `source` and the part.
Status CheckCredentials(const S3Credentials& credentials, std::string_view source);

// Reads the file again when it has changed. Its mode and owner are looked at on each Get.
std::unique_ptr<S3CredentialProvider> MakeFileCredentials(const std::string& path);

// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
std::unique_ptr<S3CredentialProvider> MakeEnvironmentCredentials();

struct WebIdentity {
  std::string endpoint;  // of STS, as NormalEndpoint gives it
  std::string role_arn, session_name;
  std::string token_file;  // read before each request
};
// `clock` must live as long as the provider.
std::unique_ptr<S3CredentialProvider> MakeWebIdentityCredentials(WebIdentity identity,
                                                                 std::unique_ptr<HttpClient> http,
                                                                 const Clock* clock);

struct InstanceProfile {
  std::string endpoint;  // of the metadata service, as NormalEndpoint gives it
  bool is_guess =
      false;  // nothing else is configured: that there is no such service is then a mistake of configuration
};
std::unique_ptr<S3CredentialProvider> MakeInstanceCredentials(InstanceProfile profile,
                                                              std::unique_ptr<HttpClient> http,
                                                              const Clock* clock);

// "" when the variable is not set.
std::string EnvironmentText(const char* name);

}  // namespace pitr

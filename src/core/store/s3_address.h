// s3://bucket/prefix?name=value&...: everything that opening an S3 repository needs, but no secret.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/result.h"
#include "core/store/http.h"

namespace pitr {

enum class S3UrlStyle { kAuto, kPath, kVirtual };
enum class S3CredentialSource { kAuto, kFile, kEnvironment, kInstance, kWebIdentity };
enum class S3Encryption { kNone, kAes256, kKms };

struct S3Address {
  std::string bucket;
  std::string prefix;  // "" or "a/b/": ends in a slash
  std::string
      endpoint;  // "https://host[:port]"; empty in the text: https://s3.<region>.amazonaws.com
  std::string region = "us-east-1";
  S3UrlStyle url_style = S3UrlStyle::
      kAuto;  // auto: virtual for amazonaws.com, path elsewhere and for bucket names with dots
  S3CredentialSource credentials = S3CredentialSource::kAuto;
  std::string credentials_file;
  std::string storage_class, kms_key_id;
  S3Encryption encryption = S3Encryption::kNone;
  HttpOptions http;
  std::int64_t retry_time_ms = 600000;
};

// Parameters: endpoint region url_style credentials credentials_file ca_file proxy storage_class server_side_encryption kms_key_id
// connect_timeout idle_timeout request_timeout retry_time (milliseconds) connections; mode is let pass (required, best_effort).
// Values are percent-encoded. kInvalidArgument names the part that is wrong, with a hint; a user name or password in the address or the
// endpoint is refused without being repeated.
Result<S3Address> ParseS3Address(const std::string& address);

// With parameters that the address itself does not have added at the end; what it has wins. For the server's settings.
std::string AddS3Defaults(const std::string& address,
                          const std::vector<std::pair<std::string, std::string>>& defaults);

}  // namespace pitr

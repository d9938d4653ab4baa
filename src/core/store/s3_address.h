// s3://bucket/prefix?name=value&...: everything that opening an S3 repository needs, but no secret.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/store/http.h"

namespace pitr {

enum class S3UrlStyle { kAuto, kPath, kVirtual };
enum class S3CredentialSource { kAuto, kFile, kEnvironment, kInstance, kWebIdentity };
// kCustomer: with a key of ours that goes along with each request and that the server forgets (SSE-C).
enum class S3Encryption { kNone, kAes256, kKms, kCustomer };
enum class S3ObjectLock { kNone, kGovernance, kCompliance };

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
  std::string customer_key_file;
  S3Encryption encryption = S3Encryption::kNone;
  S3ObjectLock object_lock = S3ObjectLock::kNone;
  int object_lock_days = 0;
  HttpOptions http;
  std::int64_t retry_time_ms = 600000;
};

// Parameters: endpoint region url_style credentials credentials_file ca_file proxy storage_class server_side_encryption kms_key_id
// customer_key_file object_lock object_lock_days connect_timeout idle_timeout request_timeout retry_time (milliseconds) connections; mode is let pass (required, best_effort).
// The prefix and values are percent-encoded ("+" is no blank); an empty value is the built-in default. kInvalidArgument names the
// part that is wrong, with a hint, and repeats no value: a secret may have got into any of them. A user name or password in the
// address, the endpoint or the proxy is refused.
Result<S3Address> ParseS3Address(const std::string& address);

// "https://host" or "https://host:port" in lower case: what stands before the path of each request and, without the scheme, in its
// "Host" header. https when no scheme is given; the scheme's own port is left out, as the transport leaves it out of that header.
// Nothing when it is no endpoint, or has a path or a user name.
std::optional<std::string> NormalEndpoint(std::string_view text);

// https://host/bucket/key, or https://bucket.host/key.
bool UsesPathStyle(const S3Address& address);

// The part of Amazon's host names behind the region: "amazonaws.com", or China's.
std::string_view AmazonDomain(const std::string& region);

// With parameters that the address itself does not have added at the end; what it has wins, if only an empty value. Defaults
// without value are left out, and so is everything for an address that is not s3://. For the server's settings.
std::string AddS3Defaults(const std::string& address,
                          const std::vector<std::pair<std::string, std::string>>& defaults);

}  // namespace pitr

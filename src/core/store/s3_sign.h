// AWS Signature Version 4 as a pure function of request, credentials and time (the published rules of S3; see
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/store/http.h"

namespace pitr {

// Secrets: never in messages, never logged. ToString does not exist on purpose.
struct S3Credentials {
  std::string access_key_id, secret_access_key;
  std::string session_token;  // empty: none
  std::optional<Timestamp> expires_at;
};

struct S3RequestToSign {
  std::string method;
  std::string host;  // with the port where it is not the scheme's default
  std::string path;  // canonical: UriEncode(..., false), begins with "/"
  std::vector<std::pair<std::string, std::string>> query;  // not encoded
  HttpHeaders headers;       // all are signed: content-type, range, x-amz-*
  std::string payload_hash;  // hex SHA-256 of the body
};

// Every byte but A-Za-z0-9-_.~ as upper-case %XX; "/" too unless it is a path.
std::string UriEncode(std::string_view text, bool encode_slash);
// The reverse, of any escaped byte; nothing for a "%" without two digits behind it. "+" stays as it is.
std::optional<std::string> UriDecode(std::string_view text);
// Sorted, encoded, "name=value" joined by "&": what is signed and what is sent.
std::string CanonicalQuery(std::vector<std::pair<std::string, std::string>> query);
std::string Sha256Hex(ByteView bytes);

// The request's headers with x-amz-date, x-amz-content-sha256, x-amz-security-token (if any) and Authorization added; they
// take the place of headers of these names. "Host" is not among them: the transport sends it.
HttpHeaders SignS3(const S3RequestToSign& request, const S3Credentials& credentials,
                   const std::string& region, Timestamp now);

}  // namespace pitr

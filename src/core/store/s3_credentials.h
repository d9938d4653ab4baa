// Where the keys of S3 come from. A source is asked before each request and answers from memory until shortly before expiry.
#pragma once

#include <memory>
#include <mutex>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/store/http.h"
#include "core/store/s3_address.h"
#include "core/store/s3_sign.h"

namespace pitr {

class S3CredentialProvider {
 public:
  virtual ~S3CredentialProvider() = default;
  // kUnavailable (waiting may help) or kInvalidArgument, with a hint, never with a value; kCancelled while asking over HTTP. Keys that
  // expire are renewed 5 minutes before; while that fails, the old ones are given as long as they are valid. Thread-safe.
  virtual Result<S3Credentials> Get() = 0;
  // After an answer that the keys are no longer valid: the next Get asks anew.
  virtual void Forget() = 0;
};

// `auto`: file when one is named, then AWS_ACCESS_KEY_ID in the environment, then web identity (AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN),
// then the instance's profile (IMDSv2 at 169.254.169.254, or AWS_EC2_METADATA_SERVICE_ENDPOINT).
// The file: AWS's format, section "default" (aws_access_key_id, aws_secret_access_key, aws_session_token); refused unless it is a regular file,
// owned by the server's user, without any right for group and others; read again when it has changed. STS is at
// https://sts.<region>.amazonaws.com or AWS_ENDPOINT_URL_STS and is reached with the address's proxy and ca_file. An `auto` that finds
// nothing is kInvalidArgument, a metadata service that was named or has answered before and does not answer is kUnavailable.
Result<std::unique_ptr<S3CredentialProvider>> MakeS3CredentialProvider(const S3Address& address);

}  // namespace pitr

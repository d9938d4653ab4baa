// The XML answers of S3 (and one of STS) that we read, over pugixml; and the one document that we write. Bounded, no entities,
// hostile input is kCorrupt and never more. Name spaces are not looked at, unknown elements are let pass.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/store/s3_sign.h"
#include "core/store/store.h"

namespace pitr {

// A larger body is kCorrupt. A page of 1000 keys of 1024 bytes, each byte as %XX, is 3 MiB.
inline constexpr std::size_t kMaxS3XmlSize = 16U << 20;

struct S3Error {
  std::string code;     // "NoSuchKey"; empty when the body is no error document of S3 or STS
  std::string message;  // printable ASCII, at most 300 bytes
};
// Also for answers with status 200: CompleteMultipartUpload and CopyObject can begin with it and then fail.
S3Error ParseS3Error(std::string_view body);

struct S3Listing {
  std::vector<ObjectStat>
      objects;  // keys as they are (after url-decoding when the answer says EncodingType url)
  std::vector<std::string> prefixes;  // CommonPrefixes
  std::string next_token;             // empty: that was all
};
// ListObjectsV2. An answer that says neither that it is whole nor how to go on is kCorrupt: objects must not seem absent.
Result<S3Listing> ParseS3Listing(std::string_view body);

Result<std::string> ParseUploadId(std::string_view body);  // CreateMultipartUpload

struct S3Upload {
  std::string key, upload_id;
  std::string initiated;  // as it stands: 2026-11-20T10:00:00.000Z
};
struct S3Uploads {
  std::vector<S3Upload> uploads;
  std::string next_key_marker, next_upload_id_marker;  // empty: that was all
};
Result<S3Uploads> ParseS3Uploads(std::string_view body);  // ListMultipartUploads

Result<S3Credentials> ParseStsCredentials(std::string_view body);  // AssumeRoleWithWebIdentity

// The request body of CompleteMultipartUpload, part numbers from 1.
std::string EncodeParts(const std::vector<std::string>& etags);

}  // namespace pitr

// The XML answers of S3 that we read, over pugixml; and the one document that we write. Bounded, no entities, hostile input is
// kCorrupt and never more.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/store/store.h"

namespace pitr {

struct S3Error {
  std::string code;     // "NoSuchKey"; empty when the body is no S3 error document
  std::string message;  // printable, at most 300 bytes
};
S3Error ParseS3Error(std::string_view body);

struct S3Listing {
  std::vector<ObjectStat> objects;    // keys as they are (after url-decoding when the answer says EncodingType url)
  std::vector<std::string> prefixes;  // CommonPrefixes
  std::string next_token;             // empty: that was all
};
Result<S3Listing> ParseS3Listing(std::string_view body);  // ListObjectsV2

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

// CompleteMultipartUpload can answer 200 and an <Error> in the body: then its code, else empty.
std::string EncodeParts(const std::vector<std::string>& etags);  // the request body, part numbers from 1

}  // namespace pitr

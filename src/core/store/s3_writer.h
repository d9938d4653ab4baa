// One object on its way to S3: in one request while it fits into one part, else as an upload in parts.
#pragma once

#include <memory>
#include <string>

#include "core/store/s3_request.h"
#include "core/store/store.h"

namespace pitr {

// REQUIRES: `client` lives longer than the writer.
std::unique_ptr<ObjectWriter> MakeS3Writer(S3Client* client, const std::string& name);
// See Racing. REQUIRES: `client` may have two connections.
Result<bool> S3KeepsWritersApart(S3Client* client, const std::string& name);

}  // namespace pitr

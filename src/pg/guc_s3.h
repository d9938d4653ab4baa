// Settings of S3 repositories: defaults for what an s3:// address does not say itself.
#pragma once

#include <string>

namespace pitr::pg {

void DefineS3Settings();  // from DefineSettings. RAISES
// The address with the settings as parameters: what the core opens, and what children of the server are given. Holds no secret.
std::string WithS3Settings(const std::string& address);

}  // namespace pitr::pg

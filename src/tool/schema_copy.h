// A new cluster with the schemas of a point and none of its rows: roles, tablespaces, databases and what is in them, by PostgreSQL's own pg_dumpall and
// pg_dump from a server at that point, loaded by psql into what initdb has made: same major, checksums, segment size and locale, a system identifier
// of its own.
#pragma once

#include <string>

#include "tool/build.h"

namespace pitr::tool {

struct SchemaCopy {
  // `directory` is that of the server at the point, which goes; `identity` names the branch that the new one is.
  BuildRequest source;
  std::string directory;
  std::string preload_libraries;  // those of the live server: extensions may want them
};

// DURABLE: the directory, cleanly shut down. Its system identifier. On error what was made of it is the caller's to remove.
Result<std::uint64_t> CopySchema(const SchemaCopy& copy, BuildClient* client,
                                 const CancelToken& cancel);

}  // namespace pitr::tool

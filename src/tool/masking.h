// The script that changes the data of a new branch before anybody can connect to it: on a server that nobody else reaches, as the role that asked for
// the branch. It runs as in psql, command by command, and begins in one database; a line "\connect NAME" goes on in another one.
#pragma once

#include <string>

#include "core/base/cancel.h"
#include "core/base/result.h"
#include "tool/connection.h"

namespace pitr::tool {

struct Masking {
  std::string script, role, database;
};

// `superuser`: place of the server, and who may look at statistics there. Those of a database, which hold values of before, are removed before the script
// comes to it. kInvalidArgument with line and SQLSTATE of the command that fails.
Status RunMasking(const ConnectTo& superuser, const Masking& masking, const CancelToken& cancel);
// Of a directory that was shut down cleanly, the last segment switched behind the script: what is older than its checkpoint, which holds pages of before.
Status RemoveWalOfMasking(const std::string& directory);

}  // namespace pitr::tool

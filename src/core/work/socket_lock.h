// Unix sockets of PostgreSQL as files: ".s.PGSQL.<port>" and the lock file beside it, which says whose it is (CreateSocketLockFile and
// Lock_AF_UNIX, 15 to 18).
#pragma once

#include <string>

#include "core/base/status.h"

namespace pitr {

std::string SocketPath(const std::string& directory, int port);
// An abstract one has neither file.
bool IsAbstractSocket(const std::string& path);

// Makes the lock file, with this process in it: a postmaster that is our child takes over what its parent holds. What a process left there that
// is gone, or that worked for the same data directory, is replaced. kInUse when a living one has it. REQUIRES: no server runs on the
// data directory.
Status LockSocket(const std::string& path, int port, const std::string& data_directory);
// Removes both files if the lock file is this process's.
void UnlockSocket(const std::string& path);
// Removes both files if they were left by a server of the data directory, and nobody listens.
void RemoveDeadSocket(const std::string& path, const std::string& data_directory);

// Somebody accepts connections there, or it is no socket.
bool IsSocketTaken(const std::string& path);

}  // namespace pitr

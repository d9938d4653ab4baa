// Servers of branches that ended because nobody was connected, by their data directory: the file pitr/idle says so from the moment that the server
// asks to be stopped until the next one is ready. While `pitr compute` holds port and sockets for it, the process is in the file.
//
// Who decides what becomes of a directory without a server (a start, a stop, holding) does so under its start lock.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "core/base/file.h"
#include "core/base/result.h"

namespace pitr {

// From the server: when it ends cleanly now, its port is to be held. DURABLE.
Status AskToBeHeld(const std::string& directory);
// It ended as it had asked for.
bool IsToBeHeld(const std::string& directory);
// From this process on: it holds.
Status BecomeHolder(const std::string& directory);
// It is started, or shall not be held any more.
Status ForgetIdle(const std::string& directory);

// The process that holds, or starts the server now because a client wants it.
std::optional<pid_t> LivingHolder(const std::string& directory);
// SIGTERM: lets go, without a server. SIGUSR1: starts it. To the holder of this directory and nobody else; false when there is none.
Result<bool> SignalHolder(const std::string& directory, int signal);

// Taken: the lock, for as long as the file is open. Not open: somebody else has it. kNotFound when there is no such directory.
Result<File> TryLockStart(const std::string& directory);

}  // namespace pitr

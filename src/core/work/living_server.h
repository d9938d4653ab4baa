// Servers by their data directory, for those who did not start them. postmaster.pid alone is never believed: the old directory of an
// exchange names the live server, a crash leaves the file behind, pids are used again, and in a container pid 1 always lives.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "core/base/result.h"

namespace pitr {

// The pid in postmaster.pid if that process is a postgres that works in this directory.
std::optional<pid_t> LivingServer(const std::string& directory);

// Of a process; empty when that cannot be seen.
std::string WorkingDirectoryOf(pid_t pid);

// The word that the postmaster keeps in postmaster.pid: "starting", "ready", "standby", "stopping"; empty before. REQUIRES: it lives.
std::string ServerWord(const std::string& directory);

// To the process that `find` names, and to nobody else whatever ends and begins meanwhile. False when there is none.
Result<bool> SignalWhoIs(const std::function<std::optional<pid_t>()>& find, int signal);
// The same for the postmaster of this directory.
Result<bool> SignalServer(const std::string& directory, int signal);

}  // namespace pitr

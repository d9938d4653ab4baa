// Servers of branches, which run beside the server of the branch that was made first, their *host*: who is host of whom, what such a
// server is started with, whether it runs. Starting and stopping are here as well; what shall run is the catalogue's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json_fwd.h"
#include "core/repo/branches.h"

namespace pitr::pg {

// This server is a branch's, and ends with its host.
bool IsCompute();
// The host's postmaster as a mark (core/base/process.h): this server's own, unless it is a branch's.
Result<std::string> HostMark();
// Where data directories of servers of branches stand: the host's branch directory, from each of them.
Result<std::string> ComputesDirectory();
// The branch has a server with a directory among those, and it is that branch's still.
bool HasComputeHere(const Branch& branch);
// The data directory of the server of a branch on this machine; nothing when none of ours is known.
std::optional<std::string> DirectoryOf(const Branch& branch, const BranchId& self);

// As in the view: "running", "stopped", or what the catalogue says of a branch that is being made.
std::string StateOf(const Branch& branch);
std::vector<std::string> SocketDirectories();
std::string ConnectionText(int port);
std::string ComputeLog(const std::string& directory);

// What no setting of a branch may change: what its server is started with, and what makes it ours.
bool IsFixedSetting(const std::string& name);
// On the command line of a branch's source: for the branch as well.
bool GoesAlong(const std::string& name);
// The job that starts it (src/tool/JOBS.md). `hold`: if nobody was connected when it ended, its port is held until somebody is.
Result<Json> StartJob(const Branch& branch, bool hold);
// To its question whether it shall still be started, now that nobody else can start or stop it.
Json GoAnswer(bool go);
// In this process, as a child; answers interrupts. REQUIRES: HasComputeHere. THROWS ErrorInFlight.
Status StartCompute(const Branch& branch, const std::function<bool()>& cancelled,
                    const std::function<Result<bool>()>& is_wanted);
// Signals the server of the directory and waits until it is gone and its port is held no more; also one that is being started. Nothing runs
// there is success. Who does not want it to be started again says so in the catalogue before. THROWS ErrorInFlight.
Status StopServer(const std::string& directory, int signal, std::int64_t patience_ms);

}  // namespace pitr::pg

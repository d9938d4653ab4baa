// Demand loading in the server: the incomplete data directory that this server runs on, if it does (core/demand).
#pragma once

#include <cstdint>
#include <string>

#include "core/base/status.h"
#include "core/demand/directory.h"

namespace pitr::pg {

// From _PG_init of every preloaded library, staging servers included: redirects calls and chains hooks. RAISES.
void DemandInit();

// nullptr when nothing is missing in this server's directory.
const demand::Directory* IncompleteDirectory() noexcept;
// Something is missing: kNotReady with the call that waits for it.
Status RequireCompleteDirectory(const std::string& what);
// All is loaded and durable and the folder is gone: every process of the server forgets about it.
void DirectoryIsComplete() noexcept;

// Can a replacement be demand-loaded, as far as this server goes? The status says why not.
Status CheckDemandLoading();
// How shared_preload_libraries names this library; empty when it does not.
std::string PreloadName();

}  // namespace pitr::pg

// Check hooks of text settings: what the core says of a value, as the server wants to hear it.
#pragma once

#include <string_view>

#include "core/base/status.h"

namespace pitr::pg {

// The body of a check hook. RAISES for want of memory.
bool CheckTextSetting(const char* value, Status (*check)(std::string_view));

}  // namespace pitr::pg

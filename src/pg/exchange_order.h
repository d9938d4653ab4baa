// The checksum of an order, shared by who writes it (operation worker) and who obeys it (the postmaster's callback).
#pragma once

#include <cstdint>

#include "pg/exchange_state.h"

namespace pitr::pg {

std::uint64_t OrderChecksum(const ExchangeOrder& order);

}  // namespace pitr::pg

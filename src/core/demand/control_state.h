// What pg_control of an incomplete directory says after a clean stop. Programs that work on a stopped directory ask it for "shut down"
// (pg_rewind, pg_checksums, pg_upgrade, pg_resetwal) and would take holes for pages; a server without the library starts from it. So that
// state is written as another number, which all of them refuse; the library's server, and whoever reads by ParseControlFile, sees what it means.
// States of a running server are left as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/result.h"

namespace pitr::demand {

// ControlFileData of a 64-bit little-endian server (core/work/control_file.cpp has the rest of it).
inline constexpr std::size_t kControlVersionOffset = 8, kControlStateOffset = 16;
constexpr std::size_t ControlCrcOffset(std::uint32_t version) {
  return version >= 1800 ? 292 : 288;  // PostgreSQL 18: a byte before it
}

// Added to DB_SHUTDOWNED and DB_SHUTDOWNED_IN_RECOVERY (catalog/pg_control.h, 15 to 18).
inline constexpr std::uint32_t kHiddenState = 0x50490000;
constexpr std::uint32_t ShownState(std::uint32_t state) {
  return state == kHiddenState + 1 || state == kHiddenState + 2 ? state - kHiddenState : state;
}

// The bytes of pg_control from its beginning on, changed in place with their checksum; what is no whole ControlFileData, or damaged, or in
// another state, stays. True: they were changed.
bool HideShutdown(std::uint8_t* bytes, std::size_t size) noexcept;
bool ShowShutdown(std::uint8_t* bytes, std::size_t size) noexcept;

// DURABLE: pg_control on disk says what it means. IDEMPOTENT.
Status ShowShutdownOnDisk(const std::string& directory);

}  // namespace pitr::demand

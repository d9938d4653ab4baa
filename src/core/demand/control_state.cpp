#include "core/demand/control_state.h"

#include <fcntl.h>

#include <cstring>

#include "core/base/file.h"
#include "core/base/hash.h"

namespace pitr::demand {

namespace {

constexpr std::uint32_t kShutDown = 1, kShutDownInRecovery = 2;
constexpr std::size_t kFileSize = 8192;  // PG_CONTROL_FILE_SIZE

std::uint32_t Number(const std::uint8_t* bytes, std::size_t offset) noexcept {
  std::uint32_t number = 0;
  std::memcpy(&number, bytes + offset, sizeof number);
  return number;
}

std::uint32_t Checksum(const std::uint8_t* bytes, std::size_t size) noexcept {
  return Crc32cFin(Crc32cComp(kCrc32cInit, {bytes, size}));
}

bool SetState(std::uint8_t* bytes, std::size_t size, std::uint32_t state) noexcept {
  const std::size_t crc_offset = ControlCrcOffset(Number(bytes, kControlVersionOffset));
  if (size < crc_offset + sizeof(std::uint32_t) ||
      Number(bytes, crc_offset) != Checksum(bytes, crc_offset)) {
    return false;
  }
  std::memcpy(bytes + kControlStateOffset, &state, sizeof state);
  const std::uint32_t crc = Checksum(bytes, crc_offset);
  std::memcpy(bytes + crc_offset, &crc, sizeof crc);
  return true;
}

}  // namespace

bool HideShutdown(std::uint8_t* bytes, std::size_t size) noexcept {
  if (size < ControlCrcOffset(0)) return false;
  const std::uint32_t state = Number(bytes, kControlStateOffset);
  return (state == kShutDown || state == kShutDownInRecovery) &&
         SetState(bytes, size, state + kHiddenState);
}

bool ShowShutdown(std::uint8_t* bytes, std::size_t size) noexcept {
  if (size < ControlCrcOffset(0)) return false;
  const std::uint32_t state = Number(bytes, kControlStateOffset);
  return ShownState(state) != state && SetState(bytes, size, ShownState(state));
}

Status ShowShutdownOnDisk(const std::string& directory) {
  const std::string path = JoinPath(directory, "global/pg_control");
  Result<File> file = File::Open(path, O_RDWR);
  if (file.status().code() == Code::kNotFound) {
    return Status::Ok();
  }
  PITR_RETURN_IF_ERROR(file.status());
  std::uint8_t bytes[kFileSize];
  PITR_ASSIGN_OR_RETURN(const std::size_t got, file->ReadAt(0, bytes, sizeof bytes));
  if (!ShowShutdown(bytes, got)) {
    return Status::Ok();
  }
  PITR_RETURN_IF_ERROR(file->WriteAt(0, {bytes, got}));
  return file->Sync();
}

}  // namespace pitr::demand

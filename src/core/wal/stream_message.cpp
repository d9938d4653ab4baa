// A message comes from a server, so nothing in it is trusted: it is read within its own bounds or refused.
#include "core/wal/stream_message.h"

#include <string>

namespace pitr::wal {

namespace {

constexpr std::size_t kInteger = 8;
constexpr std::size_t kDataHeader = 1 + 3 * kInteger;
constexpr std::size_t kKeepaliveSize = 1 + 2 * kInteger + 1;

std::uint64_t ReadInteger(ByteView bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kInteger; i++) {
    value = value << 8 | bytes[i];
  }
  return value;
}

void AddInteger(std::uint64_t value, Bytes* out) {
  for (std::size_t shift = kInteger * 8; shift > 0; shift -= 8) {
    out->push_back(static_cast<std::uint8_t>(value >> (shift - 8)));
  }
}

}  // namespace

Result<StreamMessage> ParseStreamMessage(ByteView message) {
  StreamMessage parsed;
  const char kind = message.empty() ? '\0' : static_cast<char>(message[0]);
  if (kind == 'w' && message.size() >= kDataHeader) {
    parsed.end = {ReadInteger(message.subspan(1)) + (message.size() - kDataHeader)};
    return parsed;
  }
  if (kind == 'k' && message.size() == kKeepaliveSize) {
    parsed.reply_wanted = message.back() != 0;
    return parsed;
  }
  return Status(Code::kCorrupt, "unexpected message of " + std::to_string(message.size()) +
                                    " bytes in a WAL stream, kind " +
                                    std::to_string(message.empty() ? 0 : message[0]));
}

Bytes StandbyStatus(Lsn durable, Timestamp now) {
  Bytes message;
  message.push_back('r');
  for (int position = 0; position < 3; position++) {
    AddInteger(durable.value, &message);
  }
  AddInteger(static_cast<std::uint64_t>(ToPostgresTime(now)), &message);
  message.push_back(0);
  return message;
}

}  // namespace pitr::wal

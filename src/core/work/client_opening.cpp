#include "core/work/client_opening.h"

#include <cstdint>

namespace pitr {

namespace {

constexpr std::size_t kMostBytes = 10000;  // MAX_STARTUP_PACKET_LENGTH
constexpr std::size_t kHeader = 8;         // length, code
constexpr std::uint32_t kCancelCode = 1234U << 16 | 5678;
constexpr std::uint32_t kTlsCode = 1234U << 16 | 5679;
constexpr std::uint32_t kGssCode = 1234U << 16 | 5680;
constexpr char kTlsHandshake = 0x16;

std::uint32_t NumberAt(std::string_view bytes, std::size_t at) {
  std::uint32_t number = 0;
  for (std::size_t i = at; i < at + 4; i++) {
    number = number << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return number;
}

Opening WhatIs(std::uint32_t code, std::size_t length) {
  if (code == kTlsCode || code == kGssCode) {
    return length == kHeader ? Opening::kEncryption : Opening::kNonsense;
  }
  if (code == kCancelCode) {
    return Opening::kCancel;
  }
  return code >> 16 == 3 ? Opening::kStartup : Opening::kNonsense;
}

}  // namespace

OpeningStep ReadOpening(std::string_view bytes) {
  if (!bytes.empty() && bytes[0] == kTlsHandshake) {
    return {Opening::kTls, bytes.size()};
  }
  // As soon as it is clear: another protocol's client may wait for us to speak.
  for (std::size_t i = 0; i < bytes.size() && i < 2; i++) {
    if (bytes[i] != 0) {
      return {Opening::kNonsense, bytes.size()};
    }
  }
  if (bytes.size() < kHeader) {
    return {};
  }
  const std::size_t length = NumberAt(bytes, 0);
  if (length < kHeader || length > kMostBytes) {
    return {Opening::kNonsense, bytes.size()};
  }
  const Opening what = WhatIs(NumberAt(bytes, 4), length);
  if (what == Opening::kNonsense) {
    return {what, bytes.size()};
  }
  return bytes.size() < length ? OpeningStep() : OpeningStep{what, length};
}

std::string FatalResponse(std::string_view sqlstate, std::string_view message,
                          std::string_view hint) {
  std::string fields;
  const auto add = [&fields](char kind, std::string_view text) {
    fields += kind;
    fields += text;
    fields += '\0';
  };
  add('S', "FATAL");
  add('V', "FATAL");
  add('C', sqlstate);
  add('M', message);
  if (!hint.empty()) {
    add('H', hint);
  }
  fields += '\0';
  const auto length = static_cast<std::uint32_t>(fields.size() + 4);
  std::string response = "E";
  for (const int shift : {24, 16, 8, 0}) {
    response += static_cast<char>(length >> shift & 0xFF);
  }
  return response + fields;
}

}  // namespace pitr

#include "core/work/client_opening.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

std::string Number(std::uint32_t number) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) {
    bytes += static_cast<char>(number >> shift & 0xFF);
  }
  return bytes;
}

std::string Message(std::uint32_t code, const std::string& rest = {}) {
  return Number(static_cast<std::uint32_t>(8 + rest.size())) + Number(code) + rest;
}

const std::string kStartup = Message(3 << 16, std::string("user\0me\0\0", 9));

TEST(ClientOpening, KnowsWhatClientsBeginWith) {
  const std::pair<std::string, Opening> cases[] = {
      {kStartup, Opening::kStartup},
      {Message(3 << 16 | 2, std::string("user\0me\0\0", 9)), Opening::kStartup},
      {Message(80877103), Opening::kEncryption},
      {Message(80877104), Opening::kEncryption},
      {Message(80877102, Number(1) + Number(2)), Opening::kCancel},
      {"\x16\x03\x01", Opening::kTls},
      {Message(2 << 16), Opening::kNonsense},
      {Message(80877103, "more"), Opening::kNonsense},
      {"GET / HTTP/1.1\r\n\r\n", Opening::kNonsense},
      {"G", Opening::kNonsense},
      {Number(7) + Number(3 << 16), Opening::kNonsense},
      {Number(10001) + Number(3 << 16), Opening::kNonsense},
  };
  for (const auto& [bytes, what] : cases) {
    EXPECT_EQ(ReadOpening(bytes).what, what) << bytes;
    EXPECT_LE(ReadOpening(bytes).bytes, bytes.size());
  }
}

TEST(ClientOpening, WaitsForTheWholeMessage) {
  for (std::size_t size = 0; size < kStartup.size(); size++) {
    EXPECT_EQ(ReadOpening(kStartup.substr(0, size)).what, Opening::kIncomplete) << size;
  }
  const OpeningStep step = ReadOpening(Message(80877103) + kStartup);
  EXPECT_EQ(step.what, Opening::kEncryption);
  EXPECT_EQ(step.bytes, 8U) << "what follows is another message";
}

TEST(ClientOpening, SaysWhyASessionIsRefused) {
  const std::string response = FatalResponse("57P03", "branch is starting", "Later.");
  ASSERT_EQ(response[0], 'E');
  EXPECT_EQ(response.substr(1, 4), Number(static_cast<std::uint32_t>(response.size() - 1)));
  EXPECT_EQ(response.substr(5),
            std::string("SFATAL\0VFATAL\0C57P03\0Mbranch is starting\0HLater.\0\0", 50));
}

}  // namespace
}  // namespace pitr

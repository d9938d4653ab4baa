#include "core/work/branch_ports.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/base/file.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

TEST(PortRanges, AreReadWithBlanksAndSinglePorts) {
  const auto ranges = ParsePortRanges(" 6000-6099,7000 , 8000 - 8001 ");
  ASSERT_TRUE(ranges.ok()) << ranges.status().ToString();
  EXPECT_EQ(*ranges, (std::vector<PortRange>{{6000, 6099}, {7000, 7000}, {8000, 8001}}));
}

TEST(PortRanges, SayWhereTheyAreWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "position 1"},      {"x", "position 1"},          {"0", "position 1"},
      {"65536", "position 1"}, {"6000-", "position 6"},      {"6001-6000", "position 6"},
      {"6000,", "position 6"}, {"6000 6001", "position 6"},  {"6000-6001-", "position 10"},
      {"-5", "position 1"},    {"6000,,6001", "position 6"},
  };
  for (const auto& [text, position] : cases) {
    const auto ranges = ParsePortRanges(text);
    EXPECT_EQ(ranges.status().code(), Code::kInvalidArgument) << text;
    EXPECT_TRUE(ranges.status().message().ends_with(position))
        << text << ": " << ranges.status().message();
  }
}

TEST(ChoosePort, TakesTheFirstThatNobodyHas) {
  const std::vector<PortRange> ranges = {{6000, 6002}, {7000, 7000}};
  const auto not_6001 = [](int port) { return port != 6001; };
  EXPECT_EQ(*ChoosePort(ranges, {}, not_6001), 6000);
  EXPECT_EQ(*ChoosePort(ranges, {6000}, not_6001), 6002);
  EXPECT_EQ(*ChoosePort(ranges, {6000, 6002}, not_6001), 7000);
  EXPECT_EQ(ChoosePort(ranges, {6000, 6002, 7000}, not_6001).status().code(), Code::kLimit);
}

TEST(IsPortFree, SeesListenersAndSockets) {
  const File listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(listener.fd(), plain, size), 0);
  ASSERT_EQ(::listen(listener.fd(), 1), 0);
  ASSERT_EQ(::getsockname(listener.fd(), plain, &size), 0);
  const int port = ntohs(address.sin_port);
  EXPECT_FALSE(IsPortFree(port, {})) << "somebody listens on one address";

  int free = 0;
  for (int other = 30000; other < 30100 && free == 0; other++) {
    if (IsPortFree(other, {})) free = other;
  }
  ASSERT_NE(free, 0);
  const TempDir dir;
  EXPECT_TRUE(IsPortFree(free, {dir.path()}));
  ASSERT_TRUE(WriteFileLoosely(dir / (".s.PGSQL." + std::to_string(free)), {}).ok());
  EXPECT_FALSE(IsPortFree(free, {dir.path()}));
}

}  // namespace
}  // namespace pitr

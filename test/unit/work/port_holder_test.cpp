#include "core/work/port_holder.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/work/branch_ports.h"
#include "core/work/socket_lock.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

const std::string kStartup("\0\0\0\x11\0\x03\0\0user\0me\0\0", 17);
const std::string kTls("\0\0\0\x08\x04\xd2\x16\x2f", 8);

class PortHolderTest : public ::testing::Test {
 protected:
  PortHolderTest() {
    place_.data_directory = "/data";
    place_.listen_addresses = "127.0.0.1";
    place_.socket_directories = {dir_.path()};
    place_.socket_mode = 0700;
    for (int port = 30100; port < 30200 && place_.port == 0; port++) {
      if (IsPortFree(port, {})) place_.port = port;
    }
  }
  std::unique_ptr<PortHolder> Take() {
    auto holder = PortHolder::Take(place_);
    EXPECT_TRUE(holder.ok()) << holder.status().ToString();
    return holder.ok() ? *std::move(holder) : nullptr;
  }
  std::string Path() const { return SocketPath(dir_.path(), place_.port); }

  File Connect(bool by_tcp) const {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(static_cast<std::uint16_t>(place_.port));
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_un path{};
    path.sun_family = AF_UNIX;
    std::snprintf(path.sun_path, sizeof path.sun_path, "%s", Path().c_str());
    File socket(::socket(by_tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0));
    const int rc = by_tcp ? ::connect(socket.fd(), reinterpret_cast<sockaddr*>(&four), sizeof four)
                          : ::connect(socket.fd(), reinterpret_cast<sockaddr*>(&path), sizeof path);
    return rc == 0 ? std::move(socket) : File();
  }
  static void Send(const File& socket, const std::string& text) {
    ASSERT_EQ(::send(socket.fd(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // What has arrived; the end of the stream is "$".
  static std::string Receive(const File& socket) {
    std::string all;
    char bytes[512];
    for (;;) {
      const ssize_t count = ::recv(socket.fd(), bytes, sizeof bytes, MSG_DONTWAIT);
      if (count <= 0) return count == 0 ? all + "$" : all;
      all.append(bytes, static_cast<std::size_t>(count));
    }
  }
  // Until the holder has nothing more to do.
  static bool Serve(PortHolder* holder) {
    bool is_wanted = false;
    for (;;) {
      std::vector<pollfd> events;
      holder->Collect(&events);
      if (::poll(events.data(), events.size(), 50) <= 0) return is_wanted;
      is_wanted = holder->Serve() || is_wanted;
    }
  }

  TempDir dir_;
  HeldPlace place_;
};

TEST_F(PortHolderTest, TellsEverybodyThatTheBranchIsStarting) {
  const auto holder = Take();
  for (const bool by_tcp : {false, true}) {
    const File client = Connect(by_tcp);
    ASSERT_TRUE(client.is_open());
    EXPECT_FALSE(Serve(holder.get())) << "nothing was said yet";
    Send(client, kTls);
    EXPECT_FALSE(Serve(holder.get()));
    EXPECT_EQ(Receive(client), "N");
    Send(client, kStartup.substr(0, 5));
    EXPECT_FALSE(Serve(holder.get()));
    Send(client, kStartup.substr(5));
    EXPECT_TRUE(Serve(holder.get()));
    const std::string answer = Receive(client);
    EXPECT_EQ(answer[0], 'E');
    EXPECT_NE(answer.find("C57P03"), std::string::npos);
    EXPECT_NE(answer.find("Mbranch is starting"), std::string::npos);
    EXPECT_EQ(answer.back(), '$');
  }
}

TEST_F(PortHolderTest, AClientThatInsistsOnEncryptionWantsItToo) {
  const auto holder = Take();
  File client = Connect(true);
  Send(client, kTls);
  EXPECT_FALSE(Serve(holder.get()));
  client = File();
  EXPECT_TRUE(Serve(holder.get()));
}

TEST_F(PortHolderTest, NobodyElseStartsIt) {
  const auto holder = Take();
  const std::string cases[] = {"", "GET / HTTP/1.0\r\n\r\n", std::string("\0\0\0\x08\0\x02\0\0", 8),
                               kTls + kTls + kTls,
                               std::string("\0\0\0\x10\x04\xd2\x16\x2e", 8) + "12345678"};
  for (const std::string& text : cases) {
    const File client = Connect(false);
    Send(client, text);
    ::shutdown(client.fd(), text.empty() ? SHUT_RDWR : SHUT_WR);
    EXPECT_FALSE(Serve(holder.get())) << text;
  }
}

TEST_F(PortHolderTest, ManyWhoSayNothingKeepNobodyOut) {
  const auto holder = Take();
  std::vector<File> silent;
  for (int i = 0; i < 300; i++) {
    silent.push_back(Connect(false));
    ASSERT_TRUE(silent.back().is_open()) << i;
    if (i % 50 == 0) Serve(holder.get());
  }
  const File client = Connect(false);
  Send(client, kStartup);
  EXPECT_TRUE(Serve(holder.get()));
  EXPECT_EQ(Receive(client)[0], 'E');
  EXPECT_EQ(Receive(silent.front()), "$") << "the oldest is given up";
  std::vector<pollfd> events;
  EXPECT_LE(holder->Collect(&events), 10000) << "and all of them sooner or later";
  EXPECT_LT(events.size(), 105U);
}

TEST_F(PortHolderTest, OwnsItsSocketAndLeavesNothing) {
  auto holder = Take();
  struct stat info {};
  ASSERT_EQ(::stat(Path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
  const auto lock = ReadTextFile(Path() + ".lock", 1000);
  ASSERT_TRUE(lock.ok());
  EXPECT_TRUE(lock->starts_with(std::to_string(::getpid()) + "\n/data\n")) << *lock;
  EXPECT_FALSE(IsPortFree(place_.port, {dir_.path()}));
  place_.data_directory = "/other";
  EXPECT_EQ(PortHolder::Take(place_).status().code(), Code::kInUse);
  EXPECT_TRUE(PathExists(Path())) << "who failed has taken nothing away";
  holder.reset();
  EXPECT_TRUE(ListDirectory(dir_.path())->empty());
  EXPECT_TRUE(IsPortFree(place_.port, {dir_.path()}));
}

TEST_F(PortHolderTest, MakesRoomForItsServer) {
  auto holder = Take();
  holder->MakeRoom();
  EXPECT_FALSE(Connect(true).is_open()) << "a port can be listened on by one alone";
  EXPECT_TRUE(Connect(false).is_open()) << "a socket file is replaced by who comes";
  holder->GiveAway();
  holder.reset();
  EXPECT_TRUE(PathExists(Path())) << "it is the server's";
}

TEST_F(PortHolderTest, TakesOverWhatAKilledOneLeft) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto holder = PortHolder::Take(place_);
    ::_exit(holder.ok() ? 0 : 1);  // without its destructor, as by kill -9
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(PathExists(Path()));
  EXPECT_TRUE(IsPortFree(place_.port, {dir_.path()})) << "nobody listens";
  RemoveDeadSocket(Path(), "/another");
  EXPECT_TRUE(PathExists(Path())) << "it is somebody else's";
  {
    const auto holder = Take();
    RemoveDeadSocket(Path(), "/data");
    EXPECT_TRUE(PathExists(Path())) << "it is not dead";
  }
  EXPECT_TRUE(ListDirectory(dir_.path())->empty());
}

}  // namespace
}  // namespace pitr

#include "core/repo/identity.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "unit/support/temp_dir.h"

namespace pitr {
namespace {

constexpr RootIdentity kServer = {7312345678901234567, 15, 16U << 20};
constexpr RootIdentity kOtherServer = {7399999999999999999, 17, 16U << 20};
constexpr Timestamp kNow = {1'700'000'000'000'000};

class IdentityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const std::string& path : {data_, repository_}) {
      ASSERT_TRUE(MakeDirectories(path).ok());
    }
  }

  std::unique_ptr<Repository> Open(const std::string& address) {
    Result<std::unique_ptr<Repository>> repo = Repository::OpenAddress({address}, true);
    EXPECT_TRUE(repo.ok()) << repo.status().ToString();
    return repo.ok() ? *std::move(repo) : nullptr;
  }
  std::unique_ptr<Repository> Open() { return Open(repository_); }

  Result<Identity> Establish(const std::string& data, const RootIdentity& server) {
    const std::unique_ptr<Repository> repo = Open();
    return EstablishIdentity(repo.get(), data, server, kNow);
  }

  std::vector<Branch> Branches() {
    const Result<BranchSet> set = ReadBranches(Open().get());
    EXPECT_TRUE(set.ok()) << set.status().ToString();
    return set.ok() ? set->branches : std::vector<Branch>();
  }
  // Nothing but the identity is left in the folder.
  void ExpectClean(const std::string& data) {
    const Result<std::vector<std::string>> names = ListDirectory(data + "/pitr");
    ASSERT_TRUE(names.ok());
    EXPECT_EQ(*names, std::vector<std::string>{"identity.json"});
  }
  void ExpectForeign(const Result<Identity>& identity, const std::string& in_text) {
    ASSERT_FALSE(identity.ok());
    EXPECT_EQ(identity.status().code(), Code::kForeign) << identity.status().ToString();
    EXPECT_NE(identity.status().ToString().find(in_text), std::string::npos)
        << identity.status().ToString();
  }

  const TempDir dir_;
  const std::string data_ = dir_ / "data", repository_ = dir_ / "repository";
};

TEST_F(IdentityTest, TheFirstServerBecomesTheRootBranchMain) {
  const Result<Identity> identity = Establish(data_, kServer);
  ASSERT_TRUE(identity.ok()) << identity.status().ToString();
  EXPECT_TRUE(IsBranchId(identity->branch_id));
  EXPECT_EQ(identity->root, kServer);
  EXPECT_EQ(identity->repository_id, Open()->id());
  const std::vector<Branch> branches = Branches();
  ASSERT_EQ(branches.size(), 1U);
  EXPECT_EQ(branches[0].id, identity->branch_id);
  EXPECT_EQ(branches[0].name, "main");
  EXPECT_EQ(branches[0].kind, BranchKind::kRoot);
  EXPECT_TRUE(branches[0].is_default);
  EXPECT_EQ(branches[0].root, kServer);
  EXPECT_EQ(branches[0].created_at, kNow);
  EXPECT_EQ(branches[0].state, "running");
  ExpectClean(data_);
}

TEST_F(IdentityTest, IsTheSameEachTime) {
  const Result<Identity> first = Establish(data_, kServer);
  const Result<Identity> second = Establish(data_, kServer);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(Branches().size(), 1U);
}

TEST_F(IdentityTest, ARepositoryOfAnotherServerIsForeignAndBothAreNamed) {
  ASSERT_TRUE(Establish(data_, kServer).ok());
  const Result<Identity> other = Establish(dir_ / "other", kOtherServer);
  ExpectForeign(other, std::to_string(kServer.system_identifier));
  ExpectForeign(other, std::to_string(kOtherServer.system_identifier));
  EXPECT_EQ(Branches().size(), 1U);
}

TEST_F(IdentityTest, ACopyWithoutIdentityIsForeignWithAHint) {
  ASSERT_TRUE(Establish(data_, kServer).ok());
  const Result<Identity> copy = Establish(dir_ / "copy", kServer);
  ExpectForeign(copy, "no identity");
  EXPECT_FALSE(copy.status().hint().empty());
  EXPECT_EQ(Branches().size(), 1U);
}

TEST_F(IdentityTest, AnIdentityOfAnotherRepositoryIsForeign) {
  ASSERT_TRUE(Establish(data_, kServer).ok());
  const std::string elsewhere = dir_ / "elsewhere";
  ASSERT_TRUE(MakeDirectories(elsewhere).ok());
  const std::unique_ptr<Repository> repo = Open(elsewhere);
  ExpectForeign(EstablishIdentity(repo.get(), data_, kServer, kNow), repo->id());
}

TEST_F(IdentityTest, AnIdentityOfAnUnknownBranchIsForeign) {
  Result<Identity> identity = Establish(data_, kServer);
  ASSERT_TRUE(identity.ok());
  identity->branch_id = "br-no-such-0badcafe";
  ASSERT_TRUE(StoreIdentity(data_, *identity).ok());
  ExpectForeign(Establish(data_, kServer), "br-no-such-0badcafe");
}

TEST_F(IdentityTest, AnIdentityOfAnotherServerIsForeign) {
  ASSERT_TRUE(Establish(data_, kServer).ok());
  ExpectForeign(Establish(data_, kOtherServer), std::to_string(kOtherServer.system_identifier));
}

TEST_F(IdentityTest, ADirectoryThatTravelsKeepsItsIdentity) {
  const Result<Identity> identity = Establish(data_, kServer);
  ASSERT_TRUE(identity.ok());
  const std::string moved = dir_ / "moved";
  ASSERT_EQ(::rename(data_.c_str(), moved.c_str()), 0);
  const Result<Identity> again = Establish(moved, kServer);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, *identity);
}

TEST_F(IdentityTest, AChoiceForAnotherRepositoryIsMadeAnew) {
  ASSERT_TRUE(MakeDirectories(data_ + "/pitr").ok());
  const Identity stale = {"br-stale-choice-00000000", std::string(32, '0'), kServer};
  ASSERT_TRUE(
      WriteFileDurably(data_ + "/pitr/identity.pending", AsBytes(DumpJson(EncodeIdentity(stale))))
          .ok());
  const Result<Identity> identity = Establish(data_, kServer);
  ASSERT_TRUE(identity.ok()) << identity.status().ToString();
  EXPECT_NE(identity->branch_id, stale.branch_id);
  ExpectClean(data_);
}

TEST_F(IdentityTest, EncodesAndDecodesToTheSame) {
  const Identity identity = {"br-quiet-sea-01234567", std::string(32, 'a'), kServer};
  const Result<Identity> again = DecodeIdentity(EncodeIdentity(identity));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(*again, identity);
}

TEST_F(IdentityTest, RefusesWhatIsNoIdentity) {
  const Identity identity = {"br-quiet-sea-01234567", std::string(32, 'a'), kServer};
  const Json good = EncodeIdentity(identity);
  const auto code_with = [&](const char* member, const Json& value) {
    Json json = good;
    json[member] = value;
    return DecodeIdentity(json).status().code();
  };
  EXPECT_EQ(code_with("format", 2), Code::kForeign);
  EXPECT_EQ(code_with("branch_id", "main"), Code::kCorrupt);
  EXPECT_EQ(code_with("branch_id", 5), Code::kCorrupt);
  EXPECT_EQ(code_with("system_identifier", "12x"), Code::kCorrupt);
  EXPECT_EQ(code_with("system_identifier", "99999999999999999999999"), Code::kCorrupt);
  EXPECT_EQ(code_with("segment_size", 12345), Code::kCorrupt);
  EXPECT_EQ(code_with("server_major", 100000), Code::kCorrupt);
  for (const char* member : {"format", "branch_id", "repository_id", "system_identifier",
                             "server_major", "segment_size"}) {
    Json json = good;
    json.erase(member);
    EXPECT_FALSE(DecodeIdentity(json).ok()) << member;
  }
  ASSERT_TRUE(MakeDirectories(data_ + "/pitr").ok());
  ASSERT_TRUE(WriteFileDurably(IdentityPath(data_), AsBytes("no json")).ok());
  EXPECT_EQ(LoadIdentity(data_).status().code(), Code::kCorrupt);
  EXPECT_EQ(Establish(data_, kServer).status().code(), Code::kCorrupt);
}

// Exit codes of the children: 0 done, 1 not.
int EstablishInChild(const std::string& repository, const std::string& data) {
  Result<std::unique_ptr<Repository>> repo = Repository::OpenAddress({repository}, true);
  return repo.ok() && EstablishIdentity(repo->get(), data, kServer, kNow).ok() ? 0 : 1;
}

TEST_F(IdentityTest, ProcessesThatRaceEndWithOneBranchAndOneIdentity) {
  ASSERT_NE(Open(), nullptr);
  std::vector<pid_t> children;
  for (int i = 0; i < 8; i++) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::_exit(EstablishInChild(repository_, data_));
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = -1;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  const std::vector<Branch> branches = Branches();
  ASSERT_EQ(branches.size(), 1U);
  const Result<Identity> identity = LoadIdentity(data_);
  ASSERT_TRUE(identity.ok());
  EXPECT_EQ(identity->branch_id, branches[0].id);
  ExpectClean(data_);
}

#ifdef PITR_FAULTS
TEST_F(IdentityTest, AKillAtAnyPointIsMadeUpForByTheNextProcess) {
  for (const std::string point : {"identity.after_catalogue", "identity.before_write",
                                  "catalogue.before_put", "catalogue.after_put"}) {
    const std::string data = dir_ / ("data_" + point);
    const std::string repository = dir_ / ("repository_" + point);
    ASSERT_TRUE(MakeDirectories(data).ok() && MakeDirectories(repository).ok());
    ASSERT_TRUE(WriteFileDurably(dir_ / "faults", AsBytes(point + " kill\n")).ok());
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::setenv("PITR_FAULT_FILE", (dir_ / "faults").c_str(), 1);
      ::_exit(EstablishInChild(repository, data));
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status)) << point;
    EXPECT_EQ(LoadIdentity(data).status().code(), Code::kNotFound) << point;

    const std::unique_ptr<Repository> repo = Open(repository);
    const Result<Identity> identity = EstablishIdentity(repo.get(), data, kServer, kNow);
    ASSERT_TRUE(identity.ok()) << point << ": " << identity.status().ToString();
    const Result<BranchSet> branches = ReadBranches(repo.get());
    ASSERT_TRUE(branches.ok());
    ASSERT_EQ(branches->branches.size(), 1U) << point;
    EXPECT_EQ(branches->branches[0].id, identity->branch_id);
    ExpectClean(data);
  }
}
#endif

}  // namespace
}  // namespace pitr

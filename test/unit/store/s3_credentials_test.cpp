// Where keys come from, when they are asked for again, and that they are in no message.
#include "core/store/s3_credentials.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <deque>

#include "core/store/s3_credential_sources.h"
#include "unit/support/temp_dir.h"

namespace pitr {

namespace {

constexpr std::string_view kSecret = "hidden/secret+key";
constexpr std::string_view kToken = "hidden-session-token==";
constexpr std::int64_t kMinute = 60LL * 1000000;

// Refusals have a hint and no secret; their codes never speak of an object.
Status Refused(const Status& status) {
  EXPECT_TRUE(status.code() == Code::kInvalidArgument || status.code() == Code::kUnavailable)
      << status.ToString();
  EXPECT_FALSE(status.hint().empty()) << status.ToString();
  EXPECT_EQ(status.ToString().find("hidden"), std::string::npos) << status.ToString();
  EXPECT_EQ(status.ToString().find("AKIA"), std::string::npos) << status.ToString();
  return status;
}

bool Says(const Status& status, const std::string& what) {
  return status.ToString().find(what) != std::string::npos;
}

// -- files ---------------------------------------------------------------------------------------------------------------

std::string FileText(const std::string& id) {
  return "[default]\naws_access_key_id = " + id +
         "\naws_secret_access_key = " + std::string(kSecret) + "\n";
}

class S3CredentialsFile : public testing::Test {
 protected:
  void Write(const std::string& text, unsigned mode = 0600) {
    ASSERT_TRUE(WriteFileDurably(path_, AsBytes(text), mode).ok());
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
  }

  const TempDir directory_;
  const std::string path_ = directory_ / "keys";
  const std::unique_ptr<S3CredentialProvider> provider_ = MakeFileCredentials(path_);
};

TEST_F(S3CredentialsFile, ReadsTheDefaultSection) {
  Write("\xef\xbb\xbf# keys\r\n[other]\r\naws_access_key_id = AKIAOTHER\r\n\r\n[ default ]\r\n" +
        std::string("; a comment\naws_access_key_id=AKIA1\n\taws_secret_access_key  =  ") +
        std::string(kSecret) + " \r\naws_session_token=" + std::string(kToken) +
        "\nregion = x\nnonsense\n[last]\naws_access_key_id = AKIALAST");
  const Result<S3Credentials> keys = provider_->Get();
  ASSERT_TRUE(keys.ok()) << keys.status().ToString();
  EXPECT_EQ(keys->access_key_id, "AKIA1");
  EXPECT_EQ(keys->secret_access_key, kSecret);
  EXPECT_EQ(keys->session_token, kToken);
  EXPECT_FALSE(keys->expires_at.has_value());
}

TEST_F(S3CredentialsFile, AFileThatOthersMayReadIsRefused) {
  for (const unsigned mode : {0640U, 0604U, 0660U, 0601U, 0610U}) {
    Write(FileText("AKIA1"), mode);
    const Status status = Refused(provider_->Get().status());
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_TRUE(Says(status, path_)) << status.ToString();
    EXPECT_TRUE(Says(status, "chmod 0600")) << status.ToString();
  }
  EXPECT_TRUE(Says(provider_->Get().status(), "mode 0610"));
  Write(FileText("AKIA1"), 0400);
  EXPECT_TRUE(provider_->Get().ok());
  // Also one that was read before.
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  EXPECT_TRUE(Says(Refused(provider_->Get().status()), "mode 0644"));
}

TEST_F(S3CredentialsFile, AFileOfSomebodyElseIsRefused) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root gives files away";
  }
  Write(FileText("AKIA1"));
  ASSERT_EQ(::chown(path_.c_str(), 65534, 0), 0);
  const Status status = Refused(provider_->Get().status());
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_TRUE(Says(status, "belongs to user 65534")) << status.ToString();
}

TEST_F(S3CredentialsFile, WhatIsNoFileIsRefused) {
  EXPECT_TRUE(Says(Refused(provider_->Get().status()), path_));  // absent
  ASSERT_TRUE(MakeDirectories(path_).ok());
  EXPECT_TRUE(Says(Refused(provider_->Get().status()), "no regular file"));
  ASSERT_EQ(::rmdir(path_.c_str()), 0);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_TRUE(Says(Refused(provider_->Get().status()), "no regular file"));
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  Write(FileText("AKIA1") + std::string(65536, '#'));
  EXPECT_TRUE(Says(Refused(provider_->Get().status()), "too large"));
}

TEST_F(S3CredentialsFile, IsReadAgainWhenItHasChanged) {
  Write(FileText("AKIA1"));
  EXPECT_EQ(provider_->Get()->access_key_id, "AKIA1");
  Write(FileText("AKIA2"));  // another inode
  EXPECT_EQ(provider_->Get()->access_key_id, "AKIA2");
  Write(FileText("AKIA2") + "nonsense");
  ASSERT_EQ(::truncate(path_.c_str(), 0), 0);  // the same inode, in the middle of being written
  EXPECT_FALSE(Refused(provider_->Get().status()).ok());
  Write(FileText("AKIA3"));
  EXPECT_EQ(provider_->Get()->access_key_id, "AKIA3");
  provider_->Forget();
  EXPECT_EQ(provider_->Get()->access_key_id, "AKIA3");
  ASSERT_TRUE(RemoveFile(path_).ok());
  EXPECT_FALSE(Refused(provider_->Get().status()).ok());
}

TEST_F(S3CredentialsFile, IncompleteOrOddFilesAreRefusedWithoutTheirValues) {
  const std::string secret = "aws_secret_access_key = " + std::string(kSecret) + "\n";
  for (const std::string& text :
       {std::string(), "aws_access_key_id = AKIA1\n" + secret, "[default]\n" + secret,
        std::string("[default]\naws_access_key_id = AKIA1\n"),
        "[other]\naws_access_key_id = AKIA1\n" + secret,
        "[default]\naws_access_key_id =\n" + secret,
        "[default]\naws_access_key_id = \"AKIA1 x\"\n" + secret,
        std::string("[default]\naws_access_key_id = AKIA1\naws_secret_access_key = h\xc3\xa9\n"),
        FileText("AKIA1") + "aws_session_token = hidden hidden\n",
        FileText(std::string(300, 'A'))}) {
    const Status status = Refused(ParseCredentialsFile(text, "/the/file").status());
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_TRUE(Says(status, "/the/file")) << status.ToString();
  }
}

// -- environment, and which source it is ---------------------------------------------------------------------------------

// Sets variables and puts everything back at the end.
class Environment {
 public:
  Environment() {
    for (const char* name :
         {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN",
          "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME", "AWS_ENDPOINT_URL_STS",
          "AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT"}) {
      const char* const value = ::getenv(name);
      before_.emplace_back(name, value == nullptr ? "" : value);
      ::unsetenv(name);
    }
    Set("AWS_EC2_METADATA_DISABLED", "true");
  }
  ~Environment() {
    for (const auto& [name, value] : before_) {
      value.empty() ? ::unsetenv(name.c_str()) : ::setenv(name.c_str(), value.c_str(), 1);
    }
  }
  void Set(const char* name, std::string_view value) {
    ::setenv(name, std::string(value).c_str(), 1);
  }

 private:
  std::vector<std::pair<std::string, std::string>> before_;
};

Result<S3Credentials> GetFrom(const S3Address& address) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<S3CredentialProvider> provider,
                        MakeS3CredentialProvider(address));
  return provider->Get();
}

TEST(S3Credentials, TheEnvironmentGivesKeys) {
  Environment environment;
  environment.Set("AWS_ACCESS_KEY_ID", "AKIAENV");
  environment.Set("AWS_SECRET_ACCESS_KEY", kSecret);
  environment.Set("AWS_SESSION_TOKEN", kToken);
  const Result<S3Credentials> keys = MakeEnvironmentCredentials()->Get();
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(keys->access_key_id, "AKIAENV");
  EXPECT_EQ(keys->secret_access_key, kSecret);
  EXPECT_EQ(keys->session_token, kToken);
  environment.Set("AWS_SECRET_ACCESS_KEY", "");
  EXPECT_TRUE(Says(Refused(MakeEnvironmentCredentials()->Get().status()), "AWS_SECRET_ACCESS_KEY"));
  environment.Set("AWS_SECRET_ACCESS_KEY", "hidden\nhidden");
  EXPECT_FALSE(Refused(MakeEnvironmentCredentials()->Get().status()).ok());
}

TEST(S3Credentials, AutoTakesFileThenEnvironmentThenWebIdentityThenInstance) {
  Environment environment;
  const TempDir directory;
  const std::string path = directory / "keys";
  ASSERT_TRUE(WriteFileDurably(path, AsBytes(FileText("AKIAFILE"))).ok());
  S3Address address;
  address.credentials_file = path;
  environment.Set("AWS_ACCESS_KEY_ID", "AKIAENV");
  environment.Set("AWS_SECRET_ACCESS_KEY", kSecret);
  environment.Set("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
  environment.Set("AWS_WEB_IDENTITY_TOKEN_FILE", directory / "token");
  EXPECT_EQ(GetFrom(address)->access_key_id, "AKIAFILE");
  address.credentials_file.clear();
  EXPECT_EQ(GetFrom(address)->access_key_id, "AKIAENV");
  ::unsetenv("AWS_ACCESS_KEY_ID");
  EXPECT_TRUE(Says(Refused(GetFrom(address).status()), directory / "token"));
  ::unsetenv("AWS_ROLE_ARN");
  const Status none = Refused(GetFrom(address).status());
  EXPECT_EQ(none.code(), Code::kInvalidArgument);
  EXPECT_TRUE(Says(none, "pitr.s3_credentials_file")) << none.ToString();
}

TEST(S3Credentials, ANamedSourceIsTheOnlyOne) {
  Environment environment;
  environment.Set("AWS_ACCESS_KEY_ID", "AKIAENV");
  environment.Set("AWS_SECRET_ACCESS_KEY", kSecret);
  S3Address address;
  address.credentials_file = "/absent/file";
  address.credentials = S3CredentialSource::kEnvironment;
  EXPECT_EQ(GetFrom(address)->access_key_id, "AKIAENV");
  address.credentials = S3CredentialSource::kFile;
  EXPECT_TRUE(Says(Refused(GetFrom(address).status()), "/absent/file"));
  address.credentials = S3CredentialSource::kWebIdentity;
  EXPECT_TRUE(Says(Refused(GetFrom(address).status()), "AWS_ROLE_ARN"));
  address.credentials = S3CredentialSource::kInstance;
  EXPECT_TRUE(Says(Refused(GetFrom(address).status()), "AWS_EC2_METADATA_DISABLED"));
}

TEST(S3Credentials, EndpointsFromTheEnvironmentAreChecked) {
  Environment environment;
  environment.Set("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
  environment.Set("AWS_WEB_IDENTITY_TOKEN_FILE", "/absent/token");
  environment.Set("AWS_ENDPOINT_URL_STS", "https://user:hidden@host");
  S3Address address;
  EXPECT_TRUE(Says(Refused(GetFrom(address).status()), "AWS_ENDPOINT_URL_STS"));
  environment.Set("AWS_EC2_METADATA_DISABLED", "false");
  environment.Set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://host/path");
  address.credentials = S3CredentialSource::kInstance;
  EXPECT_TRUE(Says(Refused(GetFrom(address).status()), "AWS_EC2_METADATA_SERVICE_ENDPOINT"));
}

// -- remote sources ------------------------------------------------------------------------------------------------------

class FakeClock final : public Clock {
 public:
  Timestamp Now() const noexcept override { return now; }
  std::int64_t MonotonicMillis() const noexcept override { return now.micros / 1000 + 77; }
  Timestamp now{1800000000LL * 1000000};
};

// What was asked, and what is answered next; an answer of status 0 is a lost connection.
struct Exchange {
  struct Answer {
    int status = 0;
    std::string body;
  };
  struct Question {
    std::string method, url, body;
    HttpHeaders headers;
  };
  std::deque<Answer> answers;
  std::vector<Question> questions;
};

class FakeHttp final : public HttpClient {
 public:
  explicit FakeHttp(Exchange* exchange) : exchange_(exchange) {}
  Result<HttpResponse> Perform(const HttpRequest& request) override {
    exchange_->questions.push_back(
        {request.method, request.url, std::string(AsText(request.body)), request.headers});
    if (exchange_->answers.empty()) {
      ADD_FAILURE() << "a request that nobody expected: " << request.url;
      return Status(Code::kInternal, "unexpected");
    }
    const Exchange::Answer answer = exchange_->answers.front();
    exchange_->answers.pop_front();
    if (answer.status <= 0) {
      return Status(answer.status == 0 ? Code::kUnavailable : Code::kCancelled, "no connection");
    }
    HttpResponse response;
    response.status = answer.status;
    response.body.assign(answer.body.begin(), answer.body.end());
    return response;
  }

 private:
  Exchange* exchange_;
};

class S3CredentialsRemote : public testing::Test {
 protected:
  S3CredentialsRemote() { EXPECT_TRUE(WriteToken("hidden.web.token\n")); }

  bool WriteToken(const std::string& text) {
    return WriteFileDurably(directory_ / "token", AsBytes(text), 0644).ok();
  }
  std::unique_ptr<S3CredentialProvider> Sts() {
    return MakeWebIdentityCredentials(
        {"https://sts.example", "arn:aws:iam::1:role/r", "pitr", directory_ / "token"},
        std::make_unique<FakeHttp>(&exchange_), &clock_);
  }
  std::unique_ptr<S3CredentialProvider> Instance(bool is_guess = false) {
    return MakeInstanceCredentials({"http://169.254.169.254", is_guess},
                                   std::make_unique<FakeHttp>(&exchange_), &clock_);
  }

  void Answer(int status, const std::string& body = "") {
    exchange_.answers.push_back({status, body});
  }
  std::string In(std::int64_t micros) const { return FormatTime({clock_.now.micros + micros}, 0); }
  std::string StsKeys(const std::string& id, std::int64_t lifetime = 60 * kMinute) const {
    return "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
           "<AccessKeyId>" +
           id + "</AccessKeyId><SecretAccessKey>" + std::string(kSecret) +
           "</SecretAccessKey><SessionToken>" + std::string(kToken) +
           "</SessionToken><Expiration>" + In(lifetime) +
           "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
           "</AssumeRoleWithWebIdentityResponse>";
  }
  std::string InstanceKeys(const std::string& id, const std::string& code = "Success") const {
    return "{\"Code\": \"" + code + "\", \"Type\": \"AWS-HMAC\", \"AccessKeyId\": \"" + id +
           "\", \"SecretAccessKey\": \"" + std::string(kSecret) + "\", \"Token\": \"" +
           std::string(kToken) + "\", \"Expiration\": \"" + In(60 * kMinute) + "\"}";
  }
  void Pass(std::int64_t micros) { clock_.now.micros += micros; }
  std::size_t Requests() const { return exchange_.questions.size(); }

  const TempDir directory_;
  FakeClock clock_;
  Exchange exchange_;
};

TEST_F(S3CredentialsRemote, WebIdentityIsExchangedForKeys) {
  const std::unique_ptr<S3CredentialProvider> provider = Sts();
  Answer(200, StsKeys("ASIA1"));
  const Result<S3Credentials> keys = provider->Get();
  ASSERT_TRUE(keys.ok()) << keys.status().ToString();
  EXPECT_EQ(keys->access_key_id, "ASIA1");
  EXPECT_EQ(keys->secret_access_key, kSecret);
  EXPECT_EQ(keys->session_token, kToken);
  ASSERT_EQ(Requests(), 1U);
  const Exchange::Question& asked = exchange_.questions[0];
  EXPECT_EQ(asked.method, "POST");
  EXPECT_EQ(asked.url, "https://sts.example/");  // no secret in what logs of proxies show
  EXPECT_EQ(asked.headers, (HttpHeaders{{"Content-Type", "application/x-www-form-urlencoded"}}));
  EXPECT_EQ(asked.body,
            "Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&"
            "RoleSessionName=pitr&Version=2011-06-15&WebIdentityToken=hidden.web.token");
}

TEST_F(S3CredentialsRemote, KeysAreKeptUntilFiveMinutesBeforeTheyExpire) {
  const std::unique_ptr<S3CredentialProvider> provider = Sts();
  Answer(200, StsKeys("ASIA1"));
  EXPECT_EQ(provider->Get()->access_key_id, "ASIA1");
  Pass(55 * kMinute - 1);
  EXPECT_EQ(provider->Get()->access_key_id, "ASIA1");
  EXPECT_EQ(Requests(), 1U);
  Pass(1);
  ASSERT_TRUE(WriteToken("next.token"));
  Answer(200, StsKeys("ASIA2"));
  EXPECT_EQ(provider->Get()->access_key_id, "ASIA2");
  EXPECT_EQ(Requests(), 2U);
  EXPECT_TRUE(exchange_.questions[1].body.ends_with("WebIdentityToken=next.token"));
}

TEST_F(S3CredentialsRemote, ValidKeysServeOnWhileTheRefreshFails) {
  const std::unique_ptr<S3CredentialProvider> provider = Sts();
  Answer(200, StsKeys("ASIA1"));
  EXPECT_TRUE(provider->Get().ok());
  Pass(56 * kMinute);
  Answer(0);
  EXPECT_EQ(provider->Get()->access_key_id, "ASIA1");
  EXPECT_EQ(provider->Get()->access_key_id, "ASIA1");  // not asked for each request
  EXPECT_EQ(Requests(), 2U);
  Pass(kMinute);
  Answer(500);
  EXPECT_EQ(provider->Get()->access_key_id, "ASIA1");
  EXPECT_EQ(Requests(), 3U);
  Pass(3 * kMinute);  // they have expired now
  Answer(503);
  const Status status = Refused(provider->Get().status());
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_TRUE(Says(status, "503")) << status.ToString();
  Pass(kMinute);
  Answer(200, StsKeys("ASIA2"));
  EXPECT_EQ(provider->Get()->access_key_id, "ASIA2");
}

TEST_F(S3CredentialsRemote, OldKeysGivenOnceMoreAreNotAskedForInALoop) {
  const std::unique_ptr<S3CredentialProvider> provider = Sts();
  Answer(200, StsKeys("ASIA1", 2 * kMinute));
  EXPECT_TRUE(provider->Get().ok());
  EXPECT_TRUE(provider->Get().ok());
  EXPECT_EQ(Requests(), 1U);
  Pass(kMinute);
  Answer(200, StsKeys("ASIA1", kMinute));
  EXPECT_TRUE(provider->Get().ok());
  EXPECT_TRUE(provider->Get().ok());
  EXPECT_EQ(Requests(), 2U);
}

TEST_F(S3CredentialsRemote, ForgottenKeysAreAskedForAnew) {
  const std::unique_ptr<S3CredentialProvider> provider = Sts();
  Answer(200, StsKeys("ASIA1"));
  EXPECT_TRUE(provider->Get().ok());
  provider->Forget();
  Answer(200, StsKeys("ASIA2"));
  EXPECT_EQ(provider->Get()->access_key_id, "ASIA2");
  provider->Forget();
  Answer(0);
  EXPECT_EQ(Refused(provider->Get().status()).code(), Code::kUnavailable);
  provider->Forget();
  Answer(200, StsKeys("ASIA3"));
  EXPECT_EQ(provider->Get()->access_key_id, "ASIA3");
}

TEST_F(S3CredentialsRemote, OneFailureAnswersForThoseWhoWaitedForIt) {
  const std::unique_ptr<S3CredentialProvider> provider = Sts();
  Answer(0);
  EXPECT_FALSE(Refused(provider->Get().status()).ok());
  EXPECT_FALSE(Refused(provider->Get().status()).ok());
  EXPECT_EQ(Requests(), 1U);
  Pass(1000000);
  Answer(200, StsKeys("ASIA1"));
  EXPECT_TRUE(provider->Get().ok());
}

TEST_F(S3CredentialsRemote, ACancelledRequestIsCancelled) {
  const std::unique_ptr<S3CredentialProvider> provider = Sts();
  Answer(-1);
  EXPECT_EQ(provider->Get().status().code(), Code::kCancelled);
  Answer(200, StsKeys("ASIA1"));  // and says nothing about the next
  EXPECT_TRUE(provider->Get().ok());
  const std::unique_ptr<S3CredentialProvider> instance = Instance(true);
  Answer(-1);
  EXPECT_EQ(instance->Get().status().code(), Code::kCancelled);
}

TEST_F(S3CredentialsRemote, RefusalsOfStsNameTheirCode) {
  const auto refusal = [](const std::string& code) {
    return "<ErrorResponse><Error><Code>" + code +
           "</Code><Message>token hidden.web.token is bad</Message></Error></ErrorResponse>";
  };
  const std::unique_ptr<S3CredentialProvider> provider = Sts();
  const auto get = [&](int status, const std::string& body) {
    Answer(status, body);
    Pass(kMinute);
    return Refused(provider->Get().status());
  };
  Status status = get(403, refusal("AccessDenied"));
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_TRUE(Says(status, "AccessDenied")) << status.ToString();
  EXPECT_EQ(get(400, refusal("ExpiredTokenException")).code(), Code::kInvalidArgument);
  EXPECT_EQ(get(400, refusal("IDPCommunicationError")).code(), Code::kUnavailable);
  EXPECT_EQ(get(429, "").code(), Code::kUnavailable);
  EXPECT_EQ(get(502, "<html>hidden</html>").code(), Code::kUnavailable);
  EXPECT_EQ(get(403, refusal("hidden.web.token")).code(), Code::kInvalidArgument);
}

TEST_F(S3CredentialsRemote, WhatIsNoKeyOfStsIsRefused) {
  const std::unique_ptr<S3CredentialProvider> provider = Sts();
  for (const std::string& body : {std::string(), std::string("<html>hidden</html>"),
                                  StsKeys("AKIA hidden"), StsKeys("ASIA1").replace(20, 1, "hidden"),
                                  StsKeys("ASIA&#10;hidden"), StsKeys("ASIA1", -kMinute)}) {
    Answer(200, body);
    Pass(kMinute);
    EXPECT_EQ(Refused(provider->Get().status()).code(), Code::kUnavailable) << body;
  }
}

TEST_F(S3CredentialsRemote, ATokenFileWithoutTokenIsNamed) {
  const std::unique_ptr<S3CredentialProvider> provider = Sts();
  for (const std::string text : {"", "\n", "hidden token\n", "hid\nden"}) {
    ASSERT_TRUE(WriteToken(text));
    Pass(kMinute);
    const Status status = Refused(provider->Get().status());
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_TRUE(Says(status, directory_ / "token")) << status.ToString();
  }
  ASSERT_TRUE(RemoveFile(directory_ / "token").ok());
  Pass(kMinute);
  EXPECT_EQ(Refused(provider->Get().status()).code(), Code::kInvalidArgument);
  EXPECT_EQ(Requests(), 0U);
}

TEST_F(S3CredentialsRemote, AnInstanceGivesTheKeysOfItsRole) {
  const std::unique_ptr<S3CredentialProvider> provider = Instance();
  Answer(200, "hidden-imds-token");
  Answer(200, "role+name\n");
  Answer(200, InstanceKeys("ASIA1"));
  const Result<S3Credentials> keys = provider->Get();
  ASSERT_TRUE(keys.ok()) << keys.status().ToString();
  EXPECT_EQ(keys->access_key_id, "ASIA1");
  EXPECT_EQ(keys->secret_access_key, kSecret);
  EXPECT_EQ(keys->session_token, kToken);
  EXPECT_EQ(*keys->expires_at, (Timestamp{clock_.now.micros + 60 * kMinute}));
  ASSERT_EQ(Requests(), 3U);
  EXPECT_EQ(exchange_.questions[0].method, "PUT");
  EXPECT_EQ(exchange_.questions[0].url, "http://169.254.169.254/latest/api/token");
  EXPECT_EQ(exchange_.questions[0].headers,
            (HttpHeaders{{"X-aws-ec2-metadata-token-ttl-seconds", "300"}}));
  const std::string roles = "http://169.254.169.254/latest/meta-data/iam/security-credentials/";
  const HttpHeaders token = {{"X-aws-ec2-metadata-token", "hidden-imds-token"}};
  EXPECT_EQ(exchange_.questions[1].method, "GET");
  EXPECT_EQ(exchange_.questions[1].url, roles);
  EXPECT_EQ(exchange_.questions[1].headers, token);
  EXPECT_EQ(exchange_.questions[2].url, roles + "role%2Bname");
  EXPECT_EQ(exchange_.questions[2].headers, token);
}

TEST_F(S3CredentialsRemote, AnInstanceWithoutRoleOrServiceIsRefused) {
  const std::unique_ptr<S3CredentialProvider> provider = Instance();
  const auto get = [&] {
    Pass(kMinute);
    const Status status = Refused(provider->Get().status());
    EXPECT_TRUE(exchange_.answers.empty());
    return status;
  };
  Answer(0);
  EXPECT_EQ(get().code(), Code::kUnavailable);
  Answer(403);
  EXPECT_EQ(get().code(), Code::kUnavailable);
  Answer(200, "hidden token");
  EXPECT_EQ(get().code(), Code::kUnavailable);
  for (const int status : {404, 200}) {
    Answer(200, "hidden-token");
    Answer(status);
    const Status none = get();
    EXPECT_EQ(none.code(), Code::kInvalidArgument);
    EXPECT_TRUE(Says(none, "no role")) << none.ToString();
  }
  Answer(200, "hidden-token");
  Answer(0);
  EXPECT_EQ(get().code(), Code::kUnavailable);
  Answer(200, "hidden-token");
  Answer(401);
  EXPECT_EQ(get().code(), Code::kUnavailable);
  Answer(200, "hidden-token");
  Answer(200, "role");
  Answer(500);
  EXPECT_EQ(get().code(), Code::kUnavailable);
}

TEST_F(S3CredentialsRemote, WhatIsNoKeyOfAnInstanceIsRefused) {
  const std::unique_ptr<S3CredentialProvider> provider = Instance();
  for (const std::string& body :
       {std::string(), std::string("hidden"), std::string("[]"), std::string("{}"),
        InstanceKeys("ASIA1", "Failed hidden"), InstanceKeys("AKIA hidden"), InstanceKeys(""),
        InstanceKeys("ASIA1").replace(InstanceKeys("ASIA1").find("Token"), 5, "hidden"),
        InstanceKeys("ASIA1").replace(InstanceKeys("ASIA1").find(In(60 * kMinute)), 4, "hidden")}) {
    Answer(200, "hidden-token");
    Answer(200, "role");
    Answer(200, body);
    Pass(kMinute);
    EXPECT_EQ(Refused(provider->Get().status()).code(), Code::kUnavailable) << body;
    EXPECT_TRUE(exchange_.answers.empty());
  }
}

// In vain is waiting for a service that this machine has never had.
TEST_F(S3CredentialsRemote, AServiceThatWasOnlyGuessedIsAMistakeOfConfiguration) {
  const std::unique_ptr<S3CredentialProvider> provider = Instance(true);
  Answer(0);
  const Status status = Refused(provider->Get().status());
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_TRUE(Says(status, "no keys of S3 were found")) << status.ToString();
  Pass(kMinute);
  Answer(200, "hidden-token");
  Answer(200, "role");
  Answer(200, InstanceKeys("ASIA1"));
  EXPECT_TRUE(provider->Get().ok());
  Pass(90 * kMinute);
  Answer(0);  // but it has had it
  EXPECT_EQ(Refused(provider->Get().status()).code(), Code::kUnavailable);
}

}  // namespace

}  // namespace pitr

#include "core/store/s3_request.h"

#include <gtest/gtest.h>

#include "unit/support/fake_http.h"

namespace pitr {

namespace {

S3Request GetOf(const std::string& name) {
  S3Request request;
  request.method = "GET";
  request.name = name;
  return request;
}

std::string HeaderOf(const AskedRequest& request, const std::string& name) {
  for (const auto& [key, value] : request.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST(S3Request, NamesStandBehindBucketAndPrefix) {
  FakeS3 s3;
  s3.answers.push_back(Answer(200, "content"));
  Result<S3Answer> answer = s3.Client()->Perform(GetOf("a/b"));
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  EXPECT_EQ(AsText(answer->response.body), "content");
  EXPECT_FALSE(answer->is_ambiguous);
  ASSERT_EQ(s3.asked.size(), 1U);
  EXPECT_EQ(s3.asked[0].url, "http://host:1/b/p/a/b");
}

TEST(S3Request, ABucketsQueryIsSentCanonically) {
  FakeS3 s3;
  s3.answers.push_back(Answer(200));
  S3Request request = GetOf("");
  request.is_bucket = true;
  request.query = {{"prefix", "p/x+y"}, {"list-type", "2"}};
  ASSERT_TRUE(s3.Client()->Perform(request).ok());
  EXPECT_EQ(s3.asked[0].url, "http://host:1/b/?list-type=2&prefix=p%2Fx%2By");
}

TEST(S3Request, VirtualStyleHasTheBucketInTheHost) {
  FakeS3 s3;
  s3.answers.push_back(Answer(200));
  Result<S3Address> address = ParseS3Address("s3://buck/?region=eu-west-1");
  ASSERT_TRUE(address.ok()) << address.status().ToString();
  S3Client client(*address, std::make_unique<FakeHttp>(&s3.answers, &s3.asked),
                  std::make_unique<FixedCredentials>(&s3.forgotten));
  ASSERT_TRUE(client.Perform(GetOf("x")).ok());
  EXPECT_EQ(s3.asked[0].url, "https://buck.s3.eu-west-1.amazonaws.com/x");
}

TEST(S3Request, WhatMayPassIsTriedAgain) {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    FakeS3 s3;
    s3.answers.push_back(Answer(status, S3ErrorBody("SlowDown")));
    s3.answers.push_back(Status(Code::kUnavailable, "connection lost"));
    s3.answers.push_back(Answer(200, "at last"));
    Result<S3Answer> answer = s3.Client()->Perform(GetOf("x"));
    ASSERT_TRUE(answer.ok()) << answer.status().ToString();
    EXPECT_EQ(AsText(answer->response.body), "at last");
    EXPECT_TRUE(answer->is_ambiguous);
    EXPECT_EQ(s3.asked.size(), 3U);
  }
}

TEST(S3Request, GivesUpWithOneMessageAndTheNumberOfAttempts) {
  FakeS3 s3;
  for (int i = 0; i < 20; i++) {
    s3.answers.push_back(Status(Code::kUnavailable, "could not reach \"host:1\": refused"));
  }
  const Status status = s3.Client(400)->Perform(GetOf("x")).status();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_NE(status.message().find("refused"), std::string::npos);
  EXPECT_NE(status.detail().find("attempts"), std::string::npos);
  EXPECT_GT(s3.asked.size(), 1U);
  EXPECT_LT(s3.asked.size(), 10U);
}

TEST(S3Request, TheServersPauseIsHeeded) {
  FakeS3 s3;
  s3.answers.push_back(Answer(503, S3ErrorBody("SlowDown"), {{"retry-after", "1"}}));
  s3.answers.push_back(Answer(200));
  const std::int64_t began = SystemClock().MonotonicMillis();
  ASSERT_TRUE(s3.Client()->Perform(GetOf("x")).ok());
  EXPECT_GE(SystemClock().MonotonicMillis() - began, 1000);
}

TEST(S3Request, AnExpiredTokenIsAskedForOnceMore) {
  FakeS3 s3;
  s3.answers.push_back(Answer(400, S3ErrorBody("ExpiredToken")));
  s3.answers.push_back(Answer(400, S3ErrorBody("ExpiredToken")));
  const Status status = s3.Client()->Perform(GetOf("x")).status();
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_NE(status.hint().find("new keys"), std::string::npos) << status.ToString();
  EXPECT_EQ(s3.forgotten, 1);
  EXPECT_EQ(s3.asked.size(), 2U);
}

// As Ceph tells of one, and a HEAD's answer in any case.
TEST(S3Request, RefusedKeysThatHaveATokenAreAskedForOnceMore) {
  for (const char* body : {"AccessDenied", ""}) {
    for (const char* token : {"token", ""}) {
      FakeS3 s3;
      s3.token = token;
      s3.answers.push_back(Answer(403, *body == '\0' ? "" : S3ErrorBody(body)));
      s3.answers.push_back(Answer(200));
      EXPECT_EQ(s3.Client()->Perform(GetOf("x")).ok(), *token != '\0') << body;
      EXPECT_EQ(s3.forgotten, *token != '\0' ? 1 : 0) << body;
    }
  }
}

TEST(S3Request, OnlyNoSuchKeyIsNotFound) {
  struct {
    int status;
    const char* error;
    Code expected;
    const char* hint;
  } const cases[] = {
      {404, "NoSuchKey", Code::kNotFound, ""},
      {404, "NoSuchBucket", Code::kIo, "bucket"},
      {404, "", Code::kIo, ""},
      {403, "SignatureDoesNotMatch", Code::kIo, "secret access key"},
      {403, "InvalidAccessKeyId", Code::kIo, "access key id"},
      {403, "RequestTimeTooSkewed", Code::kIo, "clock"},
      {403, "AccessDenied", Code::kIo, "rights"},
      {403, "AccessDenied", Code::kIo, "token must not have expired"},
      {403, "QuotaExceeded", Code::kDiskFull, ""},
      {400, "AuthorizationHeaderMalformed", Code::kIo, "region"},
      {301, "PermanentRedirect", Code::kIo, "region"},
      {412, "PreconditionFailed", Code::kAlreadyExists, ""},
      {501, "NotImplemented", Code::kUnsupported, ""},
  };
  for (const auto& one : cases) {
    FakeS3 s3;
    s3.answers.push_back(Answer(one.status, *one.error == '\0' ? "" : S3ErrorBody(one.error)));
    const Status status = s3.Client()->Perform(GetOf("the/name")).status();
    EXPECT_EQ(status.code(), one.expected) << one.status << one.error;
    EXPECT_NE(status.hint().find(one.hint), std::string::npos) << status.ToString();
    EXPECT_NE(status.message().find("the/name"), std::string::npos) << status.ToString();
    EXPECT_NE(status.message().find(one.error), std::string::npos) << status.ToString();
    EXPECT_EQ(status.ToString().find("very-secret"), std::string::npos);
  }
}

TEST(S3Request, StatusesThatTheCallerAcceptsAreAnswers) {
  FakeS3 s3;
  s3.answers.push_back(Answer(416, S3ErrorBody("InvalidRange")));
  S3Request request = GetOf("x");
  request.accepted = {416};
  Result<S3Answer> answer = s3.Client()->Perform(request);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->response.status, 416);
}

TEST(S3Request, EveryRequestIsSigned) {
  FakeS3 s3;
  s3.answers.push_back(Answer(200));
  ASSERT_TRUE(s3.Client()->Perform(GetOf("x")).ok());
  bool is_signed = false;
  for (const auto& [name, value] : s3.asked[0].headers) {
    is_signed = is_signed || (value.starts_with("AWS4-HMAC-SHA256 Credential=key/"));
    EXPECT_EQ(value.find("very-secret"), std::string::npos) << name;
  }
  EXPECT_TRUE(is_signed);
  EXPECT_NE(HeaderOf(s3.asked[0], "x-amz-content-sha256"), "");
}

}  // namespace

}  // namespace pitr

#include "core/store/s3_writer.h"

#include <gtest/gtest.h>

#include "unit/support/fake_http.h"

namespace pitr {

namespace {

constexpr std::size_t kPart = 16U << 20;

std::string WriterHeader(const AskedRequest& request) {
  for (const auto& [name, value] : request.headers) {
    if (name == "x-amz-meta-pitr-writer") return value;
  }
  return "";
}

std::string Uploads(const std::string& id) {
  return "<InitiateMultipartUploadResult><UploadId>" + id +
         "</UploadId></InitiateMultipartUploadResult>";
}

TEST(S3Writer, ASmallObjectIsOneConditionalRequest) {
  FakeS3 s3;
  s3.answers.push_back(Answer(200));
  const auto client = s3.Client();
  const auto writer = MakeS3Writer(client.get(), "x");
  ASSERT_TRUE(writer->Append(AsBytes("con")).ok());
  ASSERT_TRUE(writer->Append(AsBytes("tent")).ok());
  ASSERT_TRUE(writer->Commit().ok());
  ASSERT_EQ(s3.asked.size(), 1U);
  EXPECT_EQ(s3.asked[0].method, "PUT");
  EXPECT_EQ(s3.asked[0].body, "content");
  bool is_conditional = false;
  for (const auto& [name, value] : s3.asked[0].headers) {
    is_conditional = is_conditional || (name == "if-none-match" && value == "*");
  }
  EXPECT_TRUE(is_conditional);
}

// One object is written while another of the same name is on its way. The answer of the second comes first.
TEST(S3Writer, OfTwoWritersAtTheSameMomentOneMustWin) {
  struct {
    int second, first;
    bool are_apart;
  } const cases[] = {{200, 412, true}, {412, 200, true}, {200, 200, false}, {412, 412, false}};
  for (const auto& one : cases) {
    FakeS3 s3;
    s3.answers.push_back(Answer(one.second));
    s3.answers.push_back(Answer(one.first));
    const Result<bool> are_apart = S3KeepsWritersApart(s3.Client().get(), "x");
    ASSERT_TRUE(are_apart.ok()) << are_apart.status().ToString();
    EXPECT_EQ(*are_apart, one.are_apart) << one.second << " " << one.first;
    EXPECT_EQ(s3.asked.size(), 2U);
  }
  FakeS3 s3;
  s3.answers.push_back(Answer(403, S3ErrorBody("AccessDenied")));
  s3.answers.push_back(Answer(200));
  EXPECT_EQ(S3KeepsWritersApart(s3.Client().get(), "x").status().code(), Code::kIo);
}

TEST(S3Writer, ATakenNameIsSaid) {
  FakeS3 s3;
  s3.answers.push_back(Answer(412, S3ErrorBody("PreconditionFailed")));
  const auto client = s3.Client();
  const auto writer = MakeS3Writer(client.get(), "x");
  EXPECT_EQ(writer->Commit().code(), Code::kAlreadyExists);
  EXPECT_EQ(s3.asked.size(), 1U);  // nothing was lost, so nobody asks whose it is
}

// The first attempt was carried out, its answer lost: the second finds the name taken, by us.
TEST(S3Writer, ItsOwnObjectIsNoOtherWriters) {
  for (const bool is_ours : {true, false}) {
    FakeS3 s3;
    s3.answers.push_back(Status(Code::kUnavailable, "connection lost"));
    s3.answers.push_back(Answer(412, S3ErrorBody("PreconditionFailed")));
    // The nonce is known only once the first request has gone out, so the answer is made when it is asked for.
    class Late final : public HttpClient {
     public:
      Late(FakeS3* s3, bool is_ours) : s3_(s3), fake_(&s3->answers, &s3->asked), ours_(is_ours) {}
      Result<HttpResponse> Perform(const HttpRequest& request) override {
        if (request.method == "HEAD") {
          return Answer(200, "",
                        {{"x-amz-meta-pitr-writer",
                          ours_ ? WriterHeader(s3_->asked[0]) : std::string("another")}});
        }
        return fake_.Perform(request);
      }

     private:
      FakeS3* s3_;
      FakeHttp fake_;
      bool ours_;
    };
    S3Client late(s3.Client()->address(), std::make_unique<Late>(&s3, is_ours),
                  std::make_unique<FixedCredentials>(&s3.forgotten));
    const auto writer = MakeS3Writer(&late, "x");
    ASSERT_TRUE(writer->Append(AsBytes("content")).ok());
    EXPECT_EQ(writer->Commit().code(), is_ours ? Code::kOk : Code::kAlreadyExists);
  }
}

// Without conditions: looked for before, and whose it is afterwards.
TEST(S3Writer, WithoutConditionsANameIsLookedForFirst) {
  FakeS3 s3;
  s3.answers.push_back(Answer(200));
  const auto client = s3.Client();
  client->ForgoConditions();
  EXPECT_EQ(MakeS3Writer(client.get(), "x")->Commit().code(), Code::kAlreadyExists);
  ASSERT_EQ(s3.asked.size(), 1U);
  EXPECT_EQ(s3.asked[0].method, "HEAD");
  s3.answers.push_back(Answer(404));
  s3.answers.push_back(Answer(200));
  s3.answers.push_back(Answer(200, "", {{"x-amz-meta-pitr-writer", "another"}}));
  EXPECT_EQ(MakeS3Writer(client.get(), "x")->Commit().code(), Code::kAlreadyExists);
  ASSERT_EQ(s3.asked.size(), 4U);
  EXPECT_EQ(s3.asked[2].method, "PUT");
  for (const auto& [header, value] : s3.asked[2].headers) {
    EXPECT_NE(header, "if-none-match");
  }
}

TEST(S3Writer, ALargeObjectGoesUpInParts) {
  FakeS3 s3;
  s3.answers.push_back(Answer(200, Uploads("id+1")));
  s3.answers.push_back(Answer(200, "", {{"etag", "\"one\""}}));
  s3.answers.push_back(Answer(200, "", {{"etag", "\"two\""}}));
  s3.answers.push_back(Answer(404));  // nobody has the name
  s3.answers.push_back(Answer(200, "<CompleteMultipartUploadResult/>"));
  const auto client = s3.Client();
  const auto writer = MakeS3Writer(client.get(), "x");
  ASSERT_TRUE(writer->Append(Bytes(kPart + 5, 7)).ok());
  ASSERT_TRUE(writer->Commit().ok());
  ASSERT_EQ(s3.asked.size(), 5U);
  EXPECT_EQ(s3.asked[0].url, "http://host:1/b/p/x?uploads=");
  EXPECT_EQ(s3.asked[1].url, "http://host:1/b/p/x?partNumber=1&uploadId=id%2B1");
  EXPECT_EQ(s3.asked[1].body.size(), kPart);
  EXPECT_EQ(s3.asked[2].body.size(), 5U);
  EXPECT_NE(s3.asked[4].body.find("two"), std::string::npos);
}

TEST(S3Writer, WhatFailsOrIsDroppedLeavesNoUpload) {
  for (const bool fails : {true, false}) {
    FakeS3 s3;
    s3.answers.push_back(Answer(200, Uploads("id")));
    if (fails) {
      s3.answers.push_back(Answer(403, S3ErrorBody("AccessDenied")));
    } else {
      s3.answers.push_back(Answer(200, "", {{"etag", "\"one\""}}));
    }
    s3.answers.push_back(Answer(204));
    const auto client = s3.Client();
    {
      const auto writer = MakeS3Writer(client.get(), "x");
      EXPECT_EQ(writer->Append(Bytes(kPart + 5, 7)).ok(), !fails);
    }
    ASSERT_EQ(s3.asked.size(), 3U);
    EXPECT_EQ(s3.asked[2].method, "DELETE");
    EXPECT_EQ(s3.asked[2].url, "http://host:1/b/p/x?uploadId=id");
  }
}

// S3 may answer a completion with 200 and an error in the body.
TEST(S3Writer, AnErrorBehindASuccessIsNone) {
  FakeS3 s3;
  s3.answers.push_back(Answer(200, Uploads("id")));
  s3.answers.push_back(Answer(200, "", {{"etag", "\"one\""}}));
  s3.answers.push_back(Answer(200, "", {{"etag", "\"two\""}}));
  s3.answers.push_back(Answer(404));
  s3.answers.push_back(Answer(200, S3ErrorBody("InternalError")));
  s3.answers.push_back(Answer(404));  // it is not there
  s3.answers.push_back(Answer(204));  // the upload is aborted
  const auto client = s3.Client();
  auto writer = MakeS3Writer(client.get(), "x");
  ASSERT_TRUE(writer->Append(Bytes(kPart + 5, 7)).ok());
  EXPECT_EQ(writer->Commit().code(), Code::kUnavailable);
  writer.reset();
  EXPECT_EQ(s3.asked.back().method, "DELETE");
}

}  // namespace

}  // namespace pitr

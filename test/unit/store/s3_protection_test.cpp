#include "core/store/s3_protection.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/repo/layout.h"
#include "core/store/s3_request.h"
#include "core/store/s3_store.h"
#include "unit/support/fake_http.h"
#include "unit/support/temp_dir.h"

namespace pitr {

namespace {

constexpr Timestamp kNow{1795000000000000};  // 2026-11-18T11:06:40Z

std::string HeaderOf(const HttpHeaders& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

S3Address Parsed(const std::string& parameters) {
  Result<S3Address> address = ParseS3Address("s3://bucket/p?" + parameters);
  EXPECT_TRUE(address.ok()) << address.status().ToString();
  return *std::move(address);
}

TEST(S3Protection, NothingIsAskedForByDefault) {
  EXPECT_TRUE(ProtectionHeaders(Parsed(""), "x", kNow).empty());
  EXPECT_TRUE(CustomerKeyHeaders(Parsed(""))->empty());
}

TEST(S3Protection, EncryptionAndStorageClassAreTheServersToDo) {
  const auto headers = [](const std::string& parameters) {
    return ProtectionHeaders(Parsed(parameters), "wal/x", kNow);
  };
  const std::string kHeader = "x-amz-server-side-encryption", kKeyId = kHeader + "-aws-kms-key-id";
  EXPECT_EQ(HeaderOf(headers("storage_class=STANDARD_IA"), "x-amz-storage-class"), "STANDARD_IA");
  EXPECT_EQ(HeaderOf(headers("server_side_encryption=aes256"), kHeader), "AES256");
  const HttpHeaders kms = headers("server_side_encryption=kms&kms_key_id=arn:key/1");
  EXPECT_EQ(HeaderOf(kms, kHeader), "aws:kms");
  EXPECT_EQ(HeaderOf(kms, kKeyId), "arn:key/1");
  const HttpHeaders of_the_bucket = headers("server_side_encryption=kms");
  EXPECT_EQ(HeaderOf(of_the_bucket, kHeader), "aws:kms");
  EXPECT_EQ(HeaderOf(of_the_bucket, kKeyId), "");
}

TEST(S3Protection, ALockEndsAfterItsDays) {
  const S3Address address = Parsed("object_lock=compliance&object_lock_days=30");
  const HttpHeaders headers = ProtectionHeaders(address, "branches/a/wal/x", kNow);
  EXPECT_EQ(HeaderOf(headers, "x-amz-object-lock-mode"), "COMPLIANCE");
  EXPECT_EQ(HeaderOf(headers, "x-amz-object-lock-retain-until-date"), "2026-12-18T11:06:40Z");
  EXPECT_EQ(
      HeaderOf(ProtectionHeaders(Parsed("object_lock=governance&object_lock_days=1"), "x", kNow),
               "x-amz-object-lock-mode"),
      "GOVERNANCE");
}

TEST(S3Protection, WhatIsReplacedWithinMinutesIsNotLocked) {
  const BranchId branch = *NewBranchId();
  const S3Address address = Parsed("object_lock=governance&object_lock_days=1");
  const std::string piece = layout::TailObject(branch, {{1, 2}, 0, 100}, 16U << 20);
  EXPECT_TRUE(ProtectionHeaders(address, piece, kNow).empty()) << piece;
  const std::string segment = "000000010000000000000002";
  EXPECT_FALSE(
      IsShortLived(layout::WalObject(branch, *ParseWalFileName(segment, 16U << 20), segment)));
}

TEST(S3Protection, ChecksumsAreThoseOfRfc1864) {
  EXPECT_EQ(ContentMd5({}), "1B2M2Y8AsgTpgAmY7PhCfg==");
}

TEST(S3Protection, TheCustomersKeyGoesWithObjectsOnly) {
  const TempDir directory;
  const std::string file = directory.path() + "/key";
  ASSERT_TRUE(WriteFileDurably(file, AsBytes(std::string(64, '0')), 0600).ok());
  const S3Address address = Parsed("server_side_encryption=customer&customer_key_file=" + file);
  EXPECT_TRUE(ProtectionHeaders(address, "x", kNow).empty());
  const Result<HttpHeaders> key = CustomerKeyHeaders(address);
  ASSERT_TRUE(key.ok()) << key.status().ToString();
  const std::string prefix = "x-amz-server-side-encryption-customer-";
  EXPECT_EQ(HeaderOf(*key, prefix + "algorithm"), "AES256");
  EXPECT_EQ(HeaderOf(*key, prefix + "key"), std::string(43, 'A') + "=");
  EXPECT_EQ(HeaderOf(*key, prefix + "key-md5"), "cLyPS3KoaSFGi/joRB3OUQ==");

  FakeS3 s3;
  s3.answers.assign(3, Answer(200));
  S3Client client(s3.Client()->address(), std::make_unique<FakeHttp>(&s3.answers, &s3.asked),
                  std::make_unique<FixedCredentials>(&s3.forgotten), *key);
  S3Request request;
  for (const std::string method : {"GET", "DELETE", "bucket"}) {
    request.method = method == "bucket" ? "GET" : method;
    request.is_bucket = method == "bucket";
    ASSERT_TRUE(client.Perform(request).ok());
    EXPECT_EQ(HeaderOf(s3.asked.back().headers, prefix + "key").empty(), method != "GET") << method;
  }
}

TEST(S3Protection, AKeyThatOthersMayReadIsRefused) {
  const TempDir directory;
  const std::string file = directory.path() + "/key";
  ASSERT_TRUE(WriteFileDurably(file, AsBytes(std::string(64, '0')), 0644).ok());
  const Result<HttpHeaders> key =
      CustomerKeyHeaders(Parsed("server_side_encryption=customer&customer_key_file=" + file));
  EXPECT_EQ(key.status().code(), Code::kInvalidArgument);
}

TEST(S3Protection, AFileWithoutAKeyIsRefusedAndNotShown) {
  const TempDir directory;
  const std::string file = directory.path() + "/key";
  ASSERT_TRUE(WriteFileDurably(file, AsBytes("hidden" + std::string(58, '0')), 0600).ok());
  const Status status =
      CustomerKeyHeaders(Parsed("server_side_encryption=customer&customer_key_file=" + file))
          .status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.ToString().find("hidden0"), std::string::npos);
  EXPECT_NE(status.message().find(file), std::string::npos);
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

S3Address OnServer(const std::string& bucket, const std::string& parameters) {
  Result<S3Address> address =
      ParseS3Address("s3://" + bucket + "/protection/" + ToHex(*RandomBytes(8)) +
                     "?credentials_file=" + Environment("PITR_TEST_S3_CREDENTIALS") +
                     "&endpoint=" + Environment("PITR_TEST_S3_ENDPOINT") + parameters);
  EXPECT_TRUE(address.ok()) << address.status().ToString();
  return *std::move(address);
}

TEST(S3Protection, AServerKeepsWhatIsLocked) {
  if (Environment("PITR_TEST_S3_ENDPOINT").empty()) GTEST_SKIP() << "no S3 server";
  const S3Address address = OnServer("pitr-locked", "&object_lock=compliance&object_lock_days=1");
  const std::unique_ptr<S3Store> store = *S3Store::Open(address);
  const Bytes large(17U << 20, 'x');  // an upload in parts
  for (const auto& [name, content] :
       {std::pair("small", AsBytes("content")), std::pair("large", ByteView(large))}) {
    ASSERT_TRUE(store->Put(name, content).ok());
    const std::unique_ptr<S3Client> client = *S3Client::Create(address);
    S3Request request;
    request.method = "HEAD";
    request.name = name;
    const Result<S3Answer> head = client->Perform(request);
    ASSERT_TRUE(head.ok()) << head.status().ToString();
    EXPECT_EQ(head->response.Header("x-amz-object-lock-mode"), "COMPLIANCE") << name;
    const std::string version = head->response.Header("x-amz-version-id");
    ASSERT_FALSE(version.empty());
    ASSERT_TRUE(store->Remove(name).ok());  // hides it
    EXPECT_EQ(store->Stat(name).status().code(), Code::kNotFound);
    request.method = "DELETE";
    request.query = {{"versionId", version}};
    EXPECT_NE(client->Perform(request).status().message().find("AccessDenied"), std::string::npos);
    request.method = "GET";
    request.max_response = large.size();
    const Result<S3Answer> kept = client->Perform(request);
    ASSERT_TRUE(kept.ok()) << kept.status().ToString();
    EXPECT_EQ(kept->response.body, Bytes(content.begin(), content.end())) << name;
  }
}

// test/rgw gives it one key of this name.
TEST(S3Protection, AServerEncryptsWithAKeyOfItsOwn) {
  const std::string endpoint = Environment("PITR_TEST_S3_TLS_ENDPOINT");
  if (endpoint.empty()) GTEST_SKIP() << "no S3 server";
  const auto address = [&](const std::string& key) {
    Result<S3Address> parsed =
        ParseS3Address("s3://pitr/protection/" + ToHex(*RandomBytes(8)) +
                       "?credentials_file=" + Environment("PITR_TEST_S3_CREDENTIALS") +
                       "&endpoint=" + endpoint + "&ca_file=" + Environment("PITR_TEST_S3_CA") +
                       "&storage_class=STANDARD&server_side_encryption=kms&kms_key_id=" + key);
    EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
    return *std::move(parsed);
  };
  const S3Address known = address("pitr-test-key");
  const std::unique_ptr<S3Store> store = *S3Store::Open(known);
  const Bytes large(17U << 20, 'x');  // an upload in parts
  for (const auto& [name, content] :
       {std::pair("small", AsBytes("content")), std::pair("large", ByteView(large))}) {
    const Status put = store->Put(name, content);
    ASSERT_TRUE(put.ok()) << put.ToString();
    S3Request request;
    request.method = "HEAD";
    request.name = name;
    const Result<S3Answer> head = (*S3Client::Create(known))->Perform(request);
    ASSERT_TRUE(head.ok()) << head.status().ToString();
    EXPECT_EQ(head->response.Header("x-amz-server-side-encryption"), "aws:kms") << name;
    const Result<Bytes> read = store->Get(name, large.size());
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(*read, Bytes(content.begin(), content.end())) << name;
  }
  const Status unknown = (*S3Store::Open(address("no-such-key")))->Put("x", AsBytes("content"));
  EXPECT_EQ(unknown.code(), Code::kIo) << unknown.ToString();
}

TEST(S3Protection, ABucketWithoutLocksIsNamed) {
  if (Environment("PITR_TEST_S3_ENDPOINT").empty()) GTEST_SKIP() << "no S3 server";
  const std::unique_ptr<S3Store> store =
      *S3Store::Open(OnServer("pitr", "&object_lock=governance&object_lock_days=1"));
  const Status status = store->Put("x", AsBytes("content"));
  EXPECT_EQ(status.code(), Code::kIo) << status.ToString();
  EXPECT_NE(status.hint().find("pitr.s3_object_lock"), std::string::npos) << status.ToString();
}

}  // namespace

}  // namespace pitr

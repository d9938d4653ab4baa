// Addresses as people write them, also those that should not be written.
#include "core/store/s3_address.h"

#include <gtest/gtest.h>

namespace pitr {

namespace {

S3Address Parsed(const std::string& text) {
  Result<S3Address> address = ParseS3Address(text);
  EXPECT_TRUE(address.ok()) << text << ": " << address.status().ToString();
  return address.ok() ? *std::move(address) : S3Address();
}

// kInvalidArgument with a hint; gives the whole text.
std::string Refused(const std::string& text) {
  const Status status = ParseS3Address(text).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
  EXPECT_FALSE(status.hint().empty()) << text << ": " << status.ToString();
  return status.ToString();
}

std::string With(const std::string& parameters) { return "s3://bucket/p?" + parameters; }

TEST(S3Address, ABucketAloneHasDefaults) {
  const S3Address address = Parsed("s3://bucket");
  EXPECT_EQ(address.bucket, "bucket");
  EXPECT_EQ(address.prefix, "");
  EXPECT_EQ(address.endpoint, "https://s3.us-east-1.amazonaws.com");
  EXPECT_EQ(address.region, "us-east-1");
  EXPECT_EQ(address.url_style, S3UrlStyle::kAuto);
  EXPECT_EQ(address.credentials, S3CredentialSource::kAuto);
  EXPECT_EQ(address.encryption, S3Encryption::kNone);
  EXPECT_EQ(address.http.connections, 8);
  EXPECT_EQ(address.http.connect_timeout_ms, 10000);
  EXPECT_EQ(address.retry_time_ms, 600000);
}

TEST(S3Address, ReadsEveryParameter) {
  const S3Address address = Parsed(
      "s3://my.bucket-1/a/b?endpoint=https%3A%2F%2Fs3.example%3A8443&region=eu-west-3&url_style="
      "virtual&credentials=file&credentials_file=/etc/pitr%20keys&ca_file=/etc/ca.pem&proxy=http://"
      "proxy:3128&storage_class=STANDARD_IA&server_side_encryption=kms&kms_key_id=arn:aws:kms:x:1:"
      "key/a-b&connect_timeout=1&idle_timeout=2&request_timeout=3&retry_time=0&connections=64&mode="
      "best_effort&object_lock=compliance&object_lock_days=36500&customer_key_file=/k");
  EXPECT_EQ(address.bucket, "my.bucket-1");
  EXPECT_EQ(address.prefix, "a/b/");
  EXPECT_EQ(address.endpoint, "https://s3.example:8443");
  EXPECT_EQ(address.region, "eu-west-3");
  EXPECT_EQ(address.url_style, S3UrlStyle::kVirtual);
  EXPECT_EQ(address.credentials, S3CredentialSource::kFile);
  EXPECT_EQ(address.credentials_file, "/etc/pitr keys");
  EXPECT_EQ(address.http.ca_file, "/etc/ca.pem");
  EXPECT_EQ(address.http.proxy, "http://proxy:3128");
  EXPECT_EQ(address.storage_class, "STANDARD_IA");
  EXPECT_EQ(address.encryption, S3Encryption::kKms);
  EXPECT_EQ(address.kms_key_id, "arn:aws:kms:x:1:key/a-b");
  EXPECT_EQ(address.object_lock, S3ObjectLock::kCompliance);
  EXPECT_EQ(address.object_lock_days, 36500);
  EXPECT_EQ(address.customer_key_file, "/k");
  EXPECT_EQ(address.http.connect_timeout_ms, 1);
  EXPECT_EQ(address.http.idle_timeout_ms, 2);
  EXPECT_EQ(address.http.request_timeout_ms, 3);
  EXPECT_EQ(address.retry_time_ms, 0);
  EXPECT_EQ(address.http.connections, 64);
}

TEST(S3Address, PrefixesEndInASlash) {
  EXPECT_EQ(Parsed("s3://bucket/").prefix, "");
  EXPECT_EQ(Parsed("s3://bucket/a").prefix, "a/");
  EXPECT_EQ(Parsed("s3://bucket/a/").prefix, "a/");
  EXPECT_EQ(Parsed("s3://bucket/a%20b/c+d?").prefix, "a b/c+d/");
  EXPECT_EQ(Parsed("s3://bucket/\xc3\xa9/..a/.b").prefix, "\xc3\xa9/..a/.b/");
  for (const std::string prefix :
       {"/a", "a//b", "a//", ".", "a/../b", "a/./b", "%2e%2e/a", "a%", "a%0ab", "a%00", "a%zz"}) {
    EXPECT_NE(Refused("s3://bucket/" + prefix).find("prefix"), std::string::npos);
  }
  Refused("s3://bucket/" + std::string(512, 'a'));
}

TEST(S3Address, BucketNamesAreThoseOfS3) {
  for (const std::string bucket : {"abc", "a-b.c", "0ab"}) {
    EXPECT_EQ(Parsed("s3://" + bucket + "/p").bucket, bucket);
  }
  Parsed("s3://" + std::string(63, 'a'));
  for (const std::string bucket :
       {"", "ab", "Abc", "a_b", "-abc", "abc-", ".abc", "a..b", "192.168.1.1", "a%62c"}) {
    EXPECT_NE(Refused("s3://" + bucket + "/p").find("bucket"), std::string::npos);
  }
  Refused("s3://" + std::string(64, 'a'));
  for (const std::string other : {"", "bucket", "S3://bucket", "s3:/bucket", "https://bucket"}) {
    Refused(other);
  }
}

TEST(S3Address, EndpointsAreBroughtIntoOneForm) {
  const auto endpoint = [](const std::string& text) {
    return Parsed(With("endpoint=" + text)).endpoint;
  };
  EXPECT_EQ(endpoint("http://127.0.0.1:8000"), "http://127.0.0.1:8000");
  EXPECT_EQ(endpoint("HTTPS://S3.Example/"), "https://s3.example");
  EXPECT_EQ(endpoint("https://s3.example:443"), "https://s3.example");
  EXPECT_EQ(endpoint("http://s3.example:80/"), "http://s3.example");
  EXPECT_EQ(endpoint("http://s3.example:443"), "http://s3.example:443");
  EXPECT_EQ(endpoint("s3.example:8443"), "https://s3.example:8443");
  EXPECT_EQ(endpoint("http://[::1]:8000"), "http://[::1]:8000");
  EXPECT_EQ(endpoint("https://[2001:db8::1]"), "https://[2001:db8::1]");
  for (const std::string bad :
       {"ftp://host",      "https://",         "https://host/path",   "https://host//",
        "https://host?x",  "https://host:",    "https://host:0",      "https://host:65536",
        "https://host:+1", "https://host:1:2", "https://ho%20st",     "https://-host",
        "https://a..b",    "https://host.",    "https://[::1",        "https://[]",
        "https://[::1]x",  "https://[g::1]",   "https://host%0d%0aX", "https://%C3%A9"}) {
    EXPECT_NE(Refused(With("endpoint=" + bad)).find("endpoint"), std::string::npos) << bad;
  }
}

TEST(S3Address, TheEndpointOfARegionIsAmazons) {
  EXPECT_EQ(Parsed(With("region=eu-west-3")).endpoint, "https://s3.eu-west-3.amazonaws.com");
  EXPECT_EQ(Parsed(With("region=cn-north-1")).endpoint, "https://s3.cn-north-1.amazonaws.com.cn");
  for (const std::string bad : {"a.b", "a/b", "a%20b", "a:b"}) {
    EXPECT_NE(Refused(With("region=" + bad)).find("region"), std::string::npos);
  }
}

TEST(S3Address, TheStyleFollowsEndpointAndBucket) {
  EXPECT_FALSE(UsesPathStyle(Parsed("s3://bucket")));
  EXPECT_FALSE(UsesPathStyle(Parsed("s3://bucket?region=cn-north-1")));
  EXPECT_TRUE(UsesPathStyle(Parsed("s3://buc.ket")));
  EXPECT_TRUE(UsesPathStyle(Parsed("s3://bucket?endpoint=http://s3.example")));
  EXPECT_TRUE(UsesPathStyle(Parsed("s3://bucket?endpoint=http://notamazonaws.com")));
  EXPECT_TRUE(UsesPathStyle(Parsed("s3://bucket?endpoint=http://s3.amazonaws.com.example")));
  EXPECT_TRUE(UsesPathStyle(Parsed("s3://bucket?url_style=path")));
  EXPECT_FALSE(UsesPathStyle(Parsed("s3://buc.ket?endpoint=http://x&url_style=virtual")));
}

TEST(S3Address, ValuesOutOfRangeAreNamed) {
  for (const std::string name :
       {"connect_timeout", "idle_timeout", "request_timeout", "retry_time", "connections"}) {
    for (const std::string value : {"-1", "1s", "x", "86400001", "99999999999999999999", "%201"}) {
      EXPECT_NE(Refused(With(name + "=" + value)).find("\"" + name + "\""), std::string::npos);
    }
  }
  Refused(With("connections=0"));
  Refused(With("connections=65"));
  Refused(With("connect_timeout=0"));
  for (const std::string parameter :
       {"url_style=host", "credentials=none", "server_side_encryption=AES256", "mode=x",
        "credentials_file=keys", "ca_file=./ca", "proxy=http://a%0ab", "storage_class=A%0aB",
        "kms_key_id=a%20b", "kms_key_id=a%0d%0aX:y", "object_lock=on", "object_lock_days=36501",
        "object_lock_days=-1", "customer_key_file=key"}) {
    const std::string name = parameter.substr(0, parameter.find('='));
    EXPECT_NE(Refused(With(parameter)).find("\"" + name + "\""), std::string::npos) << parameter;
  }
}

TEST(S3Address, UnknownTwiceAndMalformedParametersAreRefused) {
  EXPECT_NE(Refused(With("regoin=x")).find("\"regoin\""), std::string::npos);
  EXPECT_NE(Refused(With("region=a&region=a")).find("twice"), std::string::npos);
  EXPECT_NE(Refused(With("region")).find("\"region\""), std::string::npos);
  EXPECT_NE(Refused(With("region=%4")).find("\"region\""), std::string::npos);
  Refused(With("=x"));
  Refused("s3://bucket/a b");
  Refused("s3://bucket/a\tb");
  Refused("s3://bucket/p#f");
  EXPECT_EQ(Parsed(With("&region=a&&")).region, "a");
  EXPECT_EQ(Parsed(With("region=&ca_file=")).region, "us-east-1");
}

TEST(S3Address, ParametersMustFitTogether) {
  EXPECT_NE(Refused(With("credentials=file")).find("credentials_file"), std::string::npos);
  EXPECT_NE(Refused(With("kms_key_id=k")).find("server_side_encryption"), std::string::npos);
  EXPECT_EQ(Parsed(With("kms_key_id=k&server_side_encryption=none")).encryption,
            S3Encryption::kNone);
  EXPECT_NE(Refused(With("customer_key_file=/k")).find("server_side_encryption"),
            std::string::npos);
  Refused(With("server_side_encryption=customer"));
  EXPECT_NE(Refused(With("object_lock=governance")).find("object_lock"), std::string::npos);
  Refused(With("object_lock=governance&object_lock_days=0"));
}

TEST(S3Address, SecretsAreNotRepeated) {
  for (const std::string address :
       {"s3://AKIA1:hidden@bucket/p", "s3://hidden@bucket", "s3://AKIA1:hidden/more@bucket/p",
        "s3://AKIA1:hidden", "s3://HIDDEN/p", "s3://bucket/p?secret_access_key=hidden",
        "s3://bucket/p?hidden%2F", "s3://bucket/p?Hidden=x", "s3://bucket/p?region=a&hidden/x",
        "s3://bucket/p?endpoint=https://AKIA1:hidden@host", "s3://bucket/p?proxy=http://u:hidden@h",
        "s3://bucket/p?endpoint=https://hidden/x", "s3://bucket/p?region=hidden/x",
        "s3://bucket/p?credentials=hidden", "s3://bucket/p?credentials_file=hidden",
        "s3://bucket/p?kms_key_id=hid%20den", "s3://bucket/hidden//x"}) {
    std::string text = Refused(address);
    for (char& c : text) {
      c = static_cast<char>(::tolower(c));
    }
    EXPECT_EQ(text.find("hidden"), std::string::npos) << text;
    EXPECT_EQ(text.find("akia1"), std::string::npos) << text;
  }
}

TEST(S3Address, DefaultsAreAddedAtTheEnd) {
  EXPECT_EQ(AddS3Defaults("s3://b/p", {{"region", "r"}, {"ca_file", "/a b,c&d"}}),
            "s3://b/p?region=r&ca_file=%2Fa%20b%2Cc%26d");
  EXPECT_EQ(AddS3Defaults("s3://b/p?", {{"region", "r"}}), "s3://b/p?region=r");
  EXPECT_EQ(AddS3Defaults("s3://b/p?x=1", {{"region", "r"}}), "s3://b/p?x=1&region=r");
  EXPECT_EQ(AddS3Defaults("s3://b/p?x=1&", {{"region", "r"}}), "s3://b/p?x=1&region=r");
}

TEST(S3Address, WhatAnAddressHasWinsOverDefaults) {
  const std::vector<std::pair<std::string, std::string>> defaults = {
      {"region", "r"}, {"ca_file", "/ca"}, {"proxy", ""}};
  EXPECT_EQ(AddS3Defaults("s3://b/p?ca_file=&region=x", defaults), "s3://b/p?ca_file=&region=x");
  EXPECT_EQ(AddS3Defaults("s3://b/region=x", defaults), "s3://b/region=x?region=r&ca_file=%2Fca");
  EXPECT_EQ(AddS3Defaults("s3://b?region_x=1", defaults),
            "s3://b?region_x=1&region=r&ca_file=%2Fca");
  EXPECT_EQ(AddS3Defaults("/a/folder", defaults), "/a/folder");
  const S3Address address = Parsed(AddS3Defaults("s3://bucket/p?ca_file=", defaults));
  EXPECT_EQ(address.http.ca_file, "");
  EXPECT_EQ(address.region, "r");
}

}  // namespace

}  // namespace pitr

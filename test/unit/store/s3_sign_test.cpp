// The signatures of AWS's own examples ("Authenticating Requests: Using the Authorization Header", S3 API reference), and the rules
// that real servers and libcurl's own signing were found to differ in.
#include "core/store/s3_sign.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace pitr {

namespace {

const S3Credentials& ExampleKeys() {
  static const auto* const keys =
      new S3Credentials{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", {}};
  return *keys;
}

constexpr Timestamp kExampleTime{1369353600LL * 1000000};  // 2013-05-24T00:00:00Z

S3RequestToSign Example() {
  S3RequestToSign request;
  request.method = "GET";
  request.host = "examplebucket.s3.amazonaws.com";
  request.path = "/";
  request.payload_hash = Sha256Hex({});
  return request;
}

std::string HeaderOf(const HttpHeaders& headers, const std::string& name) {
  std::string found;
  for (const auto& [other, value] : headers) {
    if (other == name) {
      EXPECT_TRUE(found.empty()) << name << " is there twice";
      found = value;
    }
  }
  return found;
}

std::string AuthorizationOf(const S3RequestToSign& request,
                            const S3Credentials& keys = ExampleKeys()) {
  return HeaderOf(SignS3(request, keys, "us-east-1", kExampleTime), "Authorization");
}

std::string After(const std::string& text, const std::string& what) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << text;
  return at == std::string::npos
             ? ""
             : text.substr(at + what.size(), text.find(',', at + what.size()) - at - what.size());
}

std::string SignatureOf(const S3RequestToSign& request, const S3Credentials& keys = ExampleKeys()) {
  return After(AuthorizationOf(request, keys), "Signature=");
}

std::string SignedHeadersOf(const S3RequestToSign& request,
                            const S3Credentials& keys = ExampleKeys()) {
  return After(AuthorizationOf(request, keys), "SignedHeaders=");
}

TEST(S3Sign, GetOfARangeAsPublished) {
  S3RequestToSign request = Example();
  request.path = "/test.txt";
  request.headers = {{"Range", "bytes=0-9"}};
  EXPECT_EQ(AuthorizationOf(request),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(S3Sign, PutWithAStorageClassAsPublished) {
  S3RequestToSign request = Example();
  request.method = "PUT";
  request.path = UriEncode("/test$file.text", false);
  request.headers = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                     {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
  request.payload_hash = Sha256Hex(AsBytes("Welcome to Amazon S3."));
  EXPECT_EQ(request.path, "/test%24file.text");
  EXPECT_EQ(request.payload_hash,
            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
  EXPECT_EQ(SignedHeadersOf(request),
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class");
  EXPECT_EQ(SignatureOf(request),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(S3Sign, GetOfALifecycleAsPublished) {
  S3RequestToSign request = Example();
  request.query = {{"lifecycle", ""}};
  EXPECT_EQ(SignatureOf(request),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(S3Sign, ListOfObjectsAsPublished) {
  S3RequestToSign request = Example();
  request.query = {{"prefix", "J"}, {"max-keys", "2"}};
  EXPECT_EQ(SignatureOf(request),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(S3Sign, EncodesEveryByteButTheUnreservedOnes) {
  EXPECT_EQ(UriEncode("AZaz09-_.~", true), "AZaz09-_.~");
  EXPECT_EQ(UriEncode("+=:@'()*! ", true), "%2B%3D%3A%40%27%28%29%2A%21%20");
  EXPECT_EQ(UriEncode("$&,;?#[]%\"<>\\^`{|}\x7f", true),
            "%24%26%2C%3B%3F%23%5B%5D%25%22%3C%3E%5C%5E%60%7B%7C%7D%7F");
  EXPECT_EQ(UriEncode("\xc3\xa9", true), "%C3%A9");
  EXPECT_EQ(UriEncode(std::string_view("\0\n", 2), true), "%00%0A");
  EXPECT_EQ(UriEncode("/a/b c", false), "/a/b%20c");
  EXPECT_EQ(UriEncode("/a/b", true), "%2Fa%2Fb");
  EXPECT_EQ(UriEncode("a/../b/./c", false), "a/../b/./c");
}

TEST(S3Sign, DecodesWhatItEncodes) {
  std::string all;
  for (int byte = 0; byte < 256; byte++) {
    all.push_back(static_cast<char>(byte));
  }
  EXPECT_EQ(UriDecode(UriEncode(all, true)), all);
  EXPECT_EQ(UriDecode("a+b%2f%C3%a9"), "a+b/\xc3\xa9");
  for (const std::string bad : {"%", "%4", "%4g", "%g4", "a%", "%%41", "%-1", "%+1"}) {
    EXPECT_FALSE(UriDecode(bad).has_value()) << bad;
  }
}

TEST(S3Sign, QueriesAreSortedAfterEncodingAndKeepEmptyValues) {
  EXPECT_EQ(CanonicalQuery({}), "");
  EXPECT_EQ(CanonicalQuery({{"uploads", ""}}), "uploads=");
  EXPECT_EQ(CanonicalQuery({{"prefix", "a/b c"}, {"continuation-token", "x+y/z=="}}),
            "continuation-token=x%2By%2Fz%3D%3D&prefix=a%2Fb%20c");
  // "a!" is greater than "a-" only as long as it is not encoded.
  EXPECT_EQ(CanonicalQuery({{"a-", "1"}, {"a\x7f", "2"}, {"a", "3"}}), "a=3&a%7F=2&a-=1");
  EXPECT_EQ(CanonicalQuery({{"n", "b"}, {"n", "a"}}), "n=a&n=b");
}

TEST(S3Sign, TheOrderOfTheQueryDoesNotMatter) {
  S3RequestToSign request = Example();
  request.query = {{"list-type", "2"}, {"prefix", "p/"}, {"delimiter", "/"}};
  const std::string signature = SignatureOf(request);
  std::reverse(request.query.begin(), request.query.end());
  EXPECT_EQ(SignatureOf(request), signature);
}

// "x-amz-meta-a:1" as a whole is greater than "x-amz-meta-a-b:1".
TEST(S3Sign, HeadersAreSortedByTheirNamesAlone) {
  S3RequestToSign request = Example();
  request.headers = {{"X-Amz-Meta-A-B", "1"}, {"content-type", "x/y"}, {"x-amz-meta-a", "2"}};
  EXPECT_EQ(SignedHeadersOf(request),
            "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-meta-a-b");
  const std::string signature = SignatureOf(request);
  std::reverse(request.headers.begin(), request.headers.end());
  EXPECT_EQ(SignatureOf(request), signature);
  // Made with an independent implementation.
  EXPECT_EQ(signature, "cf7bae8c1aa002259144824d24672bfb9be3056cff26e0ee08464850373cb1b8");
}

TEST(S3Sign, ValuesAreTrimmedAndInnerBlanksAreOne) {
  S3RequestToSign plain = Example(), loose = Example();
  plain.headers = {{"x-amz-meta-a", "one two"}, {"x-amz-meta-e", ""}};
  loose.headers = {{"x-amz-meta-a", "  one \t  two "}, {"x-amz-meta-e", "  "}};
  EXPECT_EQ(SignatureOf(loose), SignatureOf(plain));
  plain.headers[0].second = "onetwo";
  EXPECT_NE(SignatureOf(loose), SignatureOf(plain));
}

TEST(S3Sign, ValuesOfOneNameAreOneLine) {
  S3RequestToSign two = Example(), one = Example();
  two.headers = {{"x-amz-meta-a", "1"}, {"X-Amz-Meta-A", "2"}};
  one.headers = {{"x-amz-meta-a", "1,2"}};
  EXPECT_EQ(SignatureOf(two), SignatureOf(one));
  EXPECT_EQ(SignedHeadersOf(two), SignedHeadersOf(one));
}

TEST(S3Sign, TheSessionTokenIsSentAndSigned) {
  S3Credentials keys = ExampleKeys();
  keys.session_token = "token/with+signs==";
  const S3RequestToSign request = Example();
  const HttpHeaders headers = SignS3(request, keys, "us-east-1", kExampleTime);
  EXPECT_EQ(HeaderOf(headers, "x-amz-security-token"), keys.session_token);
  EXPECT_EQ(SignedHeadersOf(request, keys),
            "host;x-amz-content-sha256;x-amz-date;x-amz-security-token");
  EXPECT_EQ(SignatureOf(request, keys),
            "616228f96e4c360f72fd70c1f459e642f88b4a4bbfc146d204ddfbc243bada6d");
}

TEST(S3Sign, ThePortIsPartOfTheHost) {
  S3RequestToSign request = Example();
  request.host = "127.0.0.1:8000";
  const std::string with_port = SignatureOf(request);
  request.host = "127.0.0.1";
  EXPECT_NE(SignatureOf(request), with_port);
}

TEST(S3Sign, KeysOfManyBytesAreSignedAsTheyAreSent) {
  S3RequestToSign request = Example();
  request.host = "127.0.0.1:8000";
  request.path = UriEncode("/bucket/a+b=c:d@e'f(g)*h! i/\xc3\xa9", false);
  request.query = {{"uploads", ""}};
  request.method = "POST";
  request.headers = {{"Content-Type", "application/octet-stream"}};
  EXPECT_EQ(request.path, "/bucket/a%2Bb%3Dc%3Ad%40e%27f%28g%29%2Ah%21%20i/%C3%A9");
  EXPECT_EQ(SignedHeadersOf(request), "content-type;host;x-amz-content-sha256;x-amz-date");
  EXPECT_EQ(SignatureOf(request),
            "0de2fce45a07671186637efa380ad2d27d29522a8beab4cf3d3663fceacb6002");
}

TEST(S3Sign, SendsWhatItSignsAndNothingTwice) {
  S3RequestToSign request = Example();
  request.headers = {{"x-amz-meta-a", "1"},
                     {"X-Amz-Date", "20000101T000000Z"},
                     {"Host", "elsewhere"},
                     {"authorization", "none"},
                     {"x-amz-security-token", "t"}};
  const HttpHeaders headers =
      SignS3(request, ExampleKeys(), "eu-west-3", Timestamp{kExampleTime.micros + 86399999999LL});
  ASSERT_EQ(headers.size(), 4U);
  EXPECT_EQ(HeaderOf(headers, "x-amz-meta-a"), "1");
  EXPECT_EQ(HeaderOf(headers, "x-amz-date"), "20130524T235959Z");
  EXPECT_EQ(HeaderOf(headers, "x-amz-content-sha256"), request.payload_hash);
  const std::string authorization = HeaderOf(headers, "Authorization");
  EXPECT_NE(authorization.find("/20130524/eu-west-3/s3/aws4_request,"), std::string::npos);
  EXPECT_EQ(authorization.find(ExampleKeys().secret_access_key), std::string::npos);
}

TEST(S3Sign, EveryPartOfTheRequestCounts) {
  const S3RequestToSign request = Example();
  const std::string signature = SignatureOf(request);
  S3RequestToSign other = request;
  other.method = "HEAD";
  EXPECT_NE(SignatureOf(other), signature);
  other = request;
  other.path = "/a";
  EXPECT_NE(SignatureOf(other), signature);
  other = request;
  other.query = {{"a", ""}};
  EXPECT_NE(SignatureOf(other), signature);
  other = request;
  other.payload_hash = "UNSIGNED-PAYLOAD";
  EXPECT_NE(SignatureOf(other), signature);
  S3Credentials keys = ExampleKeys();
  keys.secret_access_key += "x";
  EXPECT_NE(SignatureOf(request, keys), signature);
}

}  // namespace

}  // namespace pitr

// Answers as AWS, Ceph's RGW and Swift write them, and answers that nobody should write.
#include "core/store/s3_xml.h"

#include <gtest/gtest.h>

namespace pitr {

namespace {

constexpr std::string_view kDeclaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

std::string Listing(const std::string& inner, const std::string& truncated = "false") {
  return std::string(kDeclaration) +
         "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>" +
         "<IsTruncated>" + truncated + "</IsTruncated>" + inner + "</ListBucketResult>";
}

std::string Contents(const std::string& key, const std::string& size) {
  return "<Contents><Key>" + key + "</Key><LastModified>2026-11-20T10:00:00.000Z</LastModified>" +
         "<ETag>&quot;0a&quot;</ETag><Size>" + size +
         "</Size><StorageClass>STANDARD</StorageClass>" +
         "<Owner><ID>x</ID><DisplayName>y</DisplayName></Owner></Contents>";
}

void ExpectCorrupt(const std::string& body) {
  const Status status = ParseS3Listing(body).status();
  EXPECT_EQ(status.code(), Code::kCorrupt) << body.substr(0, 300);
  EXPECT_FALSE(status.detail().empty());
}

std::string Repeat(const std::string& text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; i++) {
    all += text;
  }
  return all;
}

TEST(S3Xml, ReadsAListing) {
  const Result<S3Listing> listing =
      ParseS3Listing(Listing("<Prefix>p/</Prefix><KeyCount>3</KeyCount><MaxKeys>1000</MaxKeys>" +
                             Contents("p/a", "0") + Contents("p/b", "5368709120") +
                             "<CommonPrefixes><Prefix>p/c/</Prefix></CommonPrefixes>"
                             "<CommonPrefixes><Prefix>p/d/</Prefix></CommonPrefixes>"));
  ASSERT_TRUE(listing.ok()) << listing.status().ToString();
  ASSERT_EQ(listing->objects.size(), 2U);
  EXPECT_EQ(listing->objects[0].name, "p/a");
  EXPECT_EQ(listing->objects[0].size, 0U);
  EXPECT_EQ(listing->objects[1].name, "p/b");
  EXPECT_EQ(listing->objects[1].size, 5368709120U);
  EXPECT_EQ(listing->prefixes, (std::vector<std::string>{"p/c/", "p/d/"}));
  EXPECT_EQ(listing->next_token, "");
}

TEST(S3Xml, AnEmptyListingIsEmpty) {
  const Result<S3Listing> listing = ParseS3Listing(Listing("<Prefix/><KeyCount>0</KeyCount>"));
  ASSERT_TRUE(listing.ok()) << listing.status().ToString();
  EXPECT_TRUE(listing->objects.empty());
  EXPECT_TRUE(listing->prefixes.empty());
}

TEST(S3Xml, GoesOnWithTheTokenOfATruncatedListing) {
  const std::string token = "<NextContinuationToken> a+b/c== </NextContinuationToken>";
  EXPECT_EQ(ParseS3Listing(Listing(token, "true"))->next_token, "a+b/c==");
  // One that says it is whole is whole.
  EXPECT_EQ(ParseS3Listing(Listing(token, "false"))->next_token, "");
}

TEST(S3Xml, AListingThatDoesNotSayHowItEndsIsCorrupt) {
  ExpectCorrupt(Listing(Contents("a", "1"), "true"));
  ExpectCorrupt(Listing(Contents("a", "1"), ""));
  ExpectCorrupt(Listing(Contents("a", "1"), "maybe"));
  ExpectCorrupt("<ListBucketResult>" + Contents("a", "1") + "</ListBucketResult>");
}

TEST(S3Xml, DecodesKeysWhenTheAnswerSaysSo) {
  const std::string inner = Contents("a%2Fb+c%2b%C3%A9", "1") +
                            "<CommonPrefixes><Prefix>x%20y/</Prefix></CommonPrefixes>";
  const Result<S3Listing> encoded =
      ParseS3Listing(Listing("<EncodingType>url</EncodingType>" + inner));
  ASSERT_TRUE(encoded.ok());
  EXPECT_EQ(encoded->objects[0].name, "a/b c+\xc3\xa9");
  EXPECT_EQ(encoded->prefixes[0], "x y/");
  const Result<S3Listing> plain = ParseS3Listing(Listing(inner));
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->objects[0].name, "a%2Fb+c%2b%C3%A9");
  for (const std::string bad : {"%", "%4", "%zz", "a%4"}) {
    ExpectCorrupt(Listing("<EncodingType>url</EncodingType>" + Contents(bad, "1")));
  }
  ExpectCorrupt(Listing("<EncodingType>base64</EncodingType>" + Contents("a", "1")));
}

TEST(S3Xml, KeysKeepTheirBlanksAndCharacterReferences) {
  EXPECT_EQ(ParseS3Listing(Listing(Contents(" a&amp;b&lt;&#x43; ", "1")))->objects[0].name,
            " a&b<C ");
  EXPECT_EQ(ParseS3Listing(Listing(Contents(" ", "1")))->objects[0].name, " ");
  EXPECT_EQ(ParseS3Listing(Listing(Contents("a<!-- x --><![CDATA[<b>]]>c", "1")))->objects[0].name,
            "a<b>c");
}

TEST(S3Xml, NameSpacesDoNotMatter) {
  const Result<S3Listing> listing = ParseS3Listing(
      "<s3:ListBucketResult xmlns:s3=\"x\"><s3:IsTruncated>false</s3:IsTruncated><s3:Contents>"
      "<s3:Key>k</s3:Key><s3:Size> 7 </s3:Size></s3:Contents></s3:ListBucketResult>");
  ASSERT_TRUE(listing.ok()) << listing.status().ToString();
  EXPECT_EQ(listing->objects[0].name, "k");
  EXPECT_EQ(listing->objects[0].size, 7U);
}

TEST(S3Xml, NumbersAreNumbers) {
  for (const std::string size : {"", "-1", "+1", "1.0", "1e3", "0x10", "1 2", "one",
                                 "9223372036854775808", "99999999999999999999999"}) {
    ExpectCorrupt(Listing(Contents("a", size)));
  }
  EXPECT_EQ(ParseS3Listing(Listing(Contents("a", "9223372036854775807")))->objects[0].size,
            9223372036854775807U);
}

TEST(S3Xml, EntriesWithoutKeyAreCorrupt) {
  ExpectCorrupt(Listing("<Contents><Size>1</Size></Contents>"));
  ExpectCorrupt(Listing("<Contents><Key>a</Key></Contents>"));
  ExpectCorrupt(Listing("<CommonPrefixes/>"));
  ExpectCorrupt(Listing(Contents("", "1")));
  ExpectCorrupt(Listing(Contents(std::string(5000, 'k'), "1")));
}

TEST(S3Xml, WhatIsNoSuchDocumentIsCorrupt) {
  for (const std::string body :
       {"", " ", "x", "<", "<ListBucketResult>", "<ListBucketResult/><ListBucketResult>", "<a/>",
        "{\"a\": 1}", "<html><body>502 Bad Gateway</body></html>",
        "<Error><Code>X</Code></Error>"}) {
    ExpectCorrupt(body);
  }
  ExpectCorrupt(Listing(std::string("\0", 1)));
  const std::string whole = Listing(Contents("a", "1"));
  for (std::size_t size = 0; size < whole.size(); size++) {
    ExpectCorrupt(whole.substr(0, size));
  }
}

TEST(S3Xml, EntitiesAndDocumentTypesAreRefused) {
  ExpectCorrupt("<!DOCTYPE x [<!ENTITY e \"eeee\">]>" + Listing(""));
  ExpectCorrupt("<!doctype html>" + Listing(""));
  // Not declared, not known: stays as it is and is never looked up.
  EXPECT_EQ(ParseS3Listing(Listing(Contents("&e;", "1")))->objects[0].name, "&e;");
}

TEST(S3Xml, WhatWouldFillTheMemoryIsRefusedBeforeItIsParsed) {
  ExpectCorrupt(Listing(Repeat("<a/>", 200001)));
  ExpectCorrupt(Listing(Repeat("<!---->", 200001)));
  ExpectCorrupt(Listing(Repeat("<a>", 40) + Repeat("</a>", 40)));
  ExpectCorrupt(Repeat("<a>", 100000));
  ExpectCorrupt(Listing("<a" + Repeat(" b=''", 20001) + "/>"));
  // A ">" in a value hides nothing.
  ExpectCorrupt(Listing("<a x='>'" + Repeat(" b=\"\"", 20001) + "/>"));
  // Nor does a comment that only seems to have ended.
  ExpectCorrupt(Listing("<!--><a b=\"-->" + Repeat("<a/>", 200001)));
  ExpectCorrupt(Listing("<?a?><![CDATA[]]]><a b=\"]]>" + Repeat("<a/>", 200001)));
  ExpectCorrupt(std::string(kMaxS3XmlSize + 1, ' '));
  EXPECT_TRUE(ParseS3Listing(Listing(Repeat("<a/>", 1000))).ok());
  // UTF-16 is not guessed.
  ExpectCorrupt(std::string("<\0a\0/\0>\0", 8));
}

TEST(S3Xml, ReadsAPageOfAThousandLongKeys) {
  std::string inner = "<EncodingType>url</EncodingType>";
  for (int i = 0; i < 1000; i++) {
    inner += Contents(Repeat("%C3", 1020) + std::to_string(1000 + i), "1");
  }
  const Result<S3Listing> listing = ParseS3Listing(Listing(inner));
  ASSERT_TRUE(listing.ok()) << listing.status().ToString();
  EXPECT_EQ(listing->objects.size(), 1000U);
  EXPECT_EQ(listing->objects[999].name.size(), 1024U);
}

TEST(S3Xml, ReadsErrors) {
  const S3Error error = ParseS3Error(
      std::string(kDeclaration) +
      "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
      "<Key>k</Key><RequestId>1</RequestId></Error>");
  EXPECT_EQ(error.code, "NoSuchKey");
  EXPECT_EQ(error.message, "The specified key does not exist.");
  const S3Error sts = ParseS3Error(
      "<ErrorResponse "
      "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>"
      "<Code>AccessDenied</Code><Message>Not authorized</Message></Error></ErrorResponse>");
  EXPECT_EQ(sts.code, "AccessDenied");
  EXPECT_EQ(sts.message, "Not authorized");
}

TEST(S3Xml, WhatIsNoErrorHasNoCode) {
  for (const std::string body : {"", "x", "<Error>", "<Error/>", "<CompleteMultipartUploadResult/>",
                                 "<html><Error><Code>X</Code></Error></html>",
                                 "<!DOCTYPE a><Error><Code>X</Code></Error>"}) {
    EXPECT_EQ(ParseS3Error(body).code, "") << body;
  }
}

TEST(S3Xml, MessagesArePrintableAndShort) {
  const S3Error error = ParseS3Error("<Error><Code>A&#10;B&#0;" + std::string(100, 'c') +
                                     "</Code><Message>\n one\t\x1b[31m two \xc3\xa9\xff " +
                                     std::string(400, 'm') + "</Message></Error>");
  EXPECT_EQ(error.code.substr(0, 3), "A B");
  EXPECT_LE(error.code.size(), 64U);
  EXPECT_EQ(error.message.substr(0, 15), "one [31m two mm");
  EXPECT_EQ(error.message.size(), 300U);
}

TEST(S3Xml, ReadsTheIdOfAnUpload) {
  const std::string body =
      "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
      "<Bucket>b</Bucket><Key>k</Key><UploadId>2~a.b_c-d</UploadId></"
      "InitiateMultipartUploadResult>";
  EXPECT_EQ(*ParseUploadId(body), "2~a.b_c-d");
  EXPECT_EQ(ParseUploadId("<InitiateMultipartUploadResult/>").status().code(), Code::kCorrupt);
  EXPECT_EQ(ParseUploadId("<Error><UploadId>x</UploadId></Error>").status().code(), Code::kCorrupt);
}

TEST(S3Xml, ReadsUploads) {
  const std::string upload =
      "<Upload><Key>p%2Fa</Key><UploadId>u1</UploadId><Initiator><ID>x</ID></Initiator>"
      "<Initiated>2026-11-20T10:00:00.000Z</Initiated></Upload>";
  const auto answer = [&](const std::string& inner) {
    return ParseS3Uploads(
        "<ListMultipartUploadsResult xmlns=\"x\"><EncodingType>url</EncodingType>" + inner +
        "</ListMultipartUploadsResult>");
  };
  const Result<S3Uploads> whole = answer(upload + "<IsTruncated>false</IsTruncated>");
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  ASSERT_EQ(whole->uploads.size(), 1U);
  EXPECT_EQ(whole->uploads[0].key, "p/a");
  EXPECT_EQ(whole->uploads[0].upload_id, "u1");
  EXPECT_EQ(whole->uploads[0].initiated, "2026-11-20T10:00:00.000Z");
  EXPECT_EQ(whole->next_key_marker, "");
  const Result<S3Uploads> part =
      answer(upload +
             "<IsTruncated>true</IsTruncated><NextKeyMarker>p%2Fa</NextKeyMarker>"
             "<NextUploadIdMarker>u1</NextUploadIdMarker>");
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(part->next_key_marker, "p/a");
  EXPECT_EQ(part->next_upload_id_marker, "u1");
  EXPECT_EQ(answer(upload + "<IsTruncated>true</IsTruncated>").status().code(), Code::kCorrupt);
  EXPECT_EQ(answer(upload).status().code(), Code::kCorrupt);
  EXPECT_EQ(answer("<Upload><Key>a</Key></Upload>").status().code(), Code::kCorrupt);
}

std::string StsAnswer(const std::string& token, const std::string& expiration) {
  return "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
         "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA1</AccessKeyId>"
         "<SecretAccessKey>hidden/secret</SecretAccessKey><SessionToken>" +
         token + "</SessionToken><Expiration>" + expiration +
         "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
         "</AssumeRoleWithWebIdentityResponse>";
}

TEST(S3Xml, ReadsTheKeysOfStsAndRepeatsNoneOfThem) {
  const Result<S3Credentials> keys = ParseStsCredentials(StsAnswer("tok", "2026-11-20T10:00:00Z"));
  ASSERT_TRUE(keys.ok()) << keys.status().ToString();
  EXPECT_EQ(keys->access_key_id, "ASIA1");
  EXPECT_EQ(keys->secret_access_key, "hidden/secret");
  EXPECT_EQ(keys->session_token, "tok");
  EXPECT_EQ(FormatTime(*keys->expires_at, 0), "2026-11-20T10:00:00Z");
  for (const std::string& body :
       {StsAnswer("tok", "hidden"), StsAnswer("", "2026-11-20T10:00:00Z"),
        "<hidden>" + StsAnswer("tok", "x"), std::string("<AssumeRoleWithWebIdentityResponse/>")}) {
    const Status status = ParseStsCredentials(body).status();
    EXPECT_EQ(status.code(), Code::kCorrupt);
    EXPECT_EQ(status.ToString().find("hidden"), std::string::npos) << status.ToString();
  }
}

TEST(S3Xml, WritesParts) {
  EXPECT_EQ(EncodeParts({"\"a1\"", "b<&>"}),
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            "<Part><PartNumber>1</PartNumber><ETag>\"a1\"</ETag></Part>"
            "<Part><PartNumber>2</PartNumber><ETag>b&lt;&amp;&gt;</ETag></Part>"
            "</CompleteMultipartUpload>");
}

}  // namespace

}  // namespace pitr

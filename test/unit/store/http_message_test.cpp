#include "core/store/http_message.h"

#include <gtest/gtest.h>

#include "unit/support/http_call.h"

namespace pitr {

namespace {

TEST(HttpMessage, ARequestThatWouldNotArriveAsItStandsIsRefused) {
  const std::string url = "http://h/x";
  EXPECT_TRUE(CheckHttpRequest(MakeRequest("PUT", url, "x", {{"A-b", "c d"}})).ok());
  EXPECT_TRUE(CheckHttpRequest(MakeRequest("PUT", url, "x", {{"content-length", "1"}})).ok());
  for (const HttpRequest& request : {
           MakeRequest("get", url),
           MakeRequest("GET x HTTP/1.1\r\n", url),
           MakeRequest("HEAD", url, "x"),
           MakeRequest("GET", "http://h/a b"),
           MakeRequest("GET", "http://h/a\r\nB: c"),
           MakeRequest("GET", "http://h/a#b"),
           MakeRequest("GET", "http://h/\xc3\xa4"),
           MakeRequest("GET", url, "", {{"", "x"}}),
           MakeRequest("GET", url, "", {{"A:", "x"}}),
           MakeRequest("GET", url, "", {{"A b", "x"}}),
           MakeRequest("GET", url, "", {{"A", "x\r\nB: y"}}),
           MakeRequest("GET", url, "", {{"A", std::string("x\0y", 3)}}),
           MakeRequest("PUT", url, "x", {{"Transfer-Encoding", "chunked"}}),
           MakeRequest("PUT", url, "x", {{"Expect", "100-continue"}}),
           MakeRequest("PUT", url, "x", {{"Content-Length", "2"}}),
       }) {
    const Status status = CheckHttpRequest(request);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << request.method << " " << request.url;
    EXPECT_EQ(status.message().find_first_of("\r\n"), std::string::npos);
  }
}

TEST(HttpMessage, OnlyWhatSetsAStateWithoutAConditionIsRepeatable) {
  const std::string url = "http://h/x";
  EXPECT_TRUE(IsRepeatable(MakeRequest("GET", url, "", {{"If-None-Match", "x"}})));
  EXPECT_TRUE(IsRepeatable(MakeRequest("HEAD", url)));
  EXPECT_TRUE(IsRepeatable(MakeRequest("PUT", url, "x", {{"Content-Type", "x"}})));
  EXPECT_TRUE(IsRepeatable(MakeRequest("DELETE", url)));
  EXPECT_FALSE(IsRepeatable(MakeRequest("POST", url)));
  EXPECT_FALSE(IsRepeatable(MakeRequest("PUT", url, "x", {{"IF-None-Match", "*"}})));
  EXPECT_FALSE(IsRepeatable(MakeRequest("PUT", url, "x", {{"x-amz-copy-source-if-match", "x"}})));
  EXPECT_FALSE(IsRepeatable(MakeRequest("DELETE", url, "", {{"If-Match", "x"}})));
}

TEST(HttpMessage, TargetIsPathAndQueryAsTheyStand) {
  EXPECT_EQ(TargetOfUrl("http://h:1"), "/");
  EXPECT_EQ(TargetOfUrl("http://h?a=b"), "/?a=b");
  EXPECT_EQ(TargetOfUrl("https://h/a/../b%2f?c=//d"), "/a/../b%2f?c=//d");
}

TEST(HttpMessage, EachStatusLineBeginsAnAnswerAnew) {
  HttpResponse response;
  for (const char* const line :
       {"HTTP/1.1 100 Continue\r\n", "A: 1\r\n", "\r\n", "HTTP/1.1 200 OK\r\n", "B-C:  2 \r\n",
        ": no name\r\n", "no colon\r\n", "b-c:3\n", "Empty:\r\n"}) {
    AddHeadLine(line, &response);
  }
  const HttpHeaders expected = {{"b-c", "2"}, {"b-c", "3"}, {"empty", ""}};
  EXPECT_EQ(response.headers, expected);
  EXPECT_EQ(response.Header("b-c"), "2");
  EXPECT_EQ(response.Header("B-C"), "2");
  EXPECT_EQ(response.Header("a"), "");
}

TEST(HttpMessage, AnAnnouncedSizeThatCannotBeReadIsNone) {
  const auto announced = [](std::string text) {
    HttpResponse response;
    response.headers.emplace_back("content-length", std::move(text));
    return AnnouncedSize(response);
  };
  EXPECT_EQ(announced("17"), 17U);
  EXPECT_EQ(announced("18446744073709551615"), 18446744073709551615U);
  EXPECT_EQ(announced("18446744073709551616"), 0U);
  EXPECT_EQ(announced("-1"), 0U);
  EXPECT_EQ(announced("1 2"), 0U);
  EXPECT_EQ(AnnouncedSize({}), 0U);
}

TEST(HttpMessage, ForeignTextIsMadeFitForALogLine) {
  EXPECT_EQ(PrintableText(" a\nb\x1b[1m\xc3\xa4 \r\n"), "a?b?[1m??");
  EXPECT_LE(PrintableText(std::string(10000, 'x')).size(), 300U);
}

}  // namespace

}  // namespace pitr

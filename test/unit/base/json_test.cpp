#include "core/base/json.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

Json Parsed(std::string_view text) {
  Result<Json> json = ParseJson(text, "test");
  EXPECT_TRUE(json.ok()) << json.status().ToString();
  return json.ok() ? std::move(*json) : Json::object();
}

TEST(JsonTest, KeepsTheOrderOfMembers) {
  EXPECT_EQ(DumpJson(Parsed(R"({"z": 1, "a": [true, null, -2], "m": {"x": "y"}})")),
            R"({"z":1,"a":[true,null,-2],"m":{"x":"y"}})");
  EXPECT_EQ(DumpJson(Parsed(R"({"a":1})"), 2), "{\n  \"a\": 1\n}");
}

TEST(JsonTest, RefusesWhatDoesNotParseNamingTheDocument) {
  for (const char* text : {"", "{", "{]", "{\"a\":}", "{\"a\":1}x", "{\"a\":1e999}", "{'a':1}",
                           "{\"a\":\"\xFF\"}", "{\"a\":1,}", "{/**/}", "nul"}) {
    const Result<Json> json = ParseJson(text, "repository.json");
    ASSERT_FALSE(json.ok()) << text;
    EXPECT_EQ(json.status().code(), Code::kCorrupt);
    EXPECT_EQ(json.status().message(), "repository.json is not valid JSON");
  }
}

TEST(JsonTest, NeedsAnObjectAtTheTop) {
  for (const char* text : {"[]", "1", "\"x\"", "null", "true"}) {
    EXPECT_EQ(ParseJson(text, "x").status().message(), "x is not a JSON object") << text;
  }
}

TEST(JsonTest, HasALimitOfSize) {
  EXPECT_TRUE(ParseJson("{}", "x", 2).ok());
  EXPECT_EQ(ParseJson("{} ", "x", 2).status().code(), Code::kLimit);
}

TEST(JsonTest, RefusesDeepNestingButNotBracketsInTexts) {
  const auto nested = [](std::size_t depth) {
    return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_TRUE(ParseJson(nested(63), "x").ok());
  EXPECT_EQ(ParseJson(nested(64), "x").status().code(), Code::kCorrupt);
  EXPECT_FALSE(ParseJson(nested(1000000), "x").ok());
  EXPECT_TRUE(ParseJson("{\"a\\\"\":\"\\\\" + std::string(1000, '[') + "\"}", "x").ok());
}

TEST(JsonTest, WritesInvalidUtf8WithReplacement) {
  Json json;
  json["a"] = "x\xFFy";
  EXPECT_EQ(DumpJson(json), "{\"a\":\"x\xEF\xBF\xBDy\"}");
}

TEST(JsonTest, ReadsMembersOfEachType) {
  const Json json =
      Parsed(R"({"t":"text","i":-5,"u":18446744073709551615,"b":true,"l":[1],"o":{}})");
  EXPECT_EQ(*JsonText(json, "t"), "text");
  EXPECT_EQ(*JsonInt(json, "i"), -5);
  EXPECT_EQ(*JsonUint(json, "u"), 18446744073709551615U);
  EXPECT_TRUE(*JsonBool(json, "b"));
  ASSERT_NE(JsonArray(json, "l"), nullptr);
  EXPECT_EQ(JsonArray(json, "l")->size(), 1U);
  EXPECT_NE(JsonObject(json, "o"), nullptr);
}

TEST(JsonTest, NamesTheMemberThatIsMissing) {
  const Json json = Json::object();
  for (const Status& status : {JsonText(json, "m").status(), JsonInt(json, "m").status(),
                               JsonUint(json, "m").status(), JsonBool(json, "m").status()}) {
    EXPECT_EQ(status.code(), Code::kCorrupt);
    EXPECT_EQ(status.message(), "member \"m\" is missing");
  }
  EXPECT_EQ(JsonArray(json, "m"), nullptr);
  EXPECT_EQ(JsonObject(json, "m"), nullptr);
  EXPECT_FALSE(JsonText(Json(5), "m").ok());  // not even an object
}

TEST(JsonTest, NamesTheMemberOfAnotherType) {
  const Json json = Parsed(R"({"m":1.5,"s":"1","n":null})");
  EXPECT_EQ(JsonText(json, "m").status().message(), "member \"m\" is not a text");
  EXPECT_EQ(JsonInt(json, "m").status().code(), Code::kCorrupt);
  EXPECT_EQ(JsonUint(json, "s").status().code(), Code::kCorrupt);
  EXPECT_EQ(JsonBool(json, "s").status().code(), Code::kCorrupt);
  EXPECT_EQ(JsonText(json, "n").status().code(), Code::kCorrupt);
  EXPECT_EQ(JsonArray(json, "m"), nullptr);
  EXPECT_EQ(JsonObject(json, "m"), nullptr);
}

TEST(JsonTest, IntegersOutsideTheirRangeAreMistyped) {
  const Json json = Parsed(
      R"({"big":9223372036854775808,"max":9223372036854775807,"huge":18446744073709551616,"neg":-1})");
  EXPECT_FALSE(JsonInt(json, "big").ok());
  EXPECT_EQ(*JsonUint(json, "big"), 9223372036854775808U);
  EXPECT_EQ(*JsonInt(json, "max"), 9223372036854775807);
  EXPECT_FALSE(JsonUint(json, "huge").ok());
  EXPECT_FALSE(JsonUint(json, "neg").ok());
}

TEST(JsonTest, NumbersPutInByProgramsReadAsBothKinds) {
  Json json;
  json["n"] = 5;
  json["u"] = std::uint64_t{6};
  EXPECT_EQ(*JsonUint(json, "n"), 5U);
  EXPECT_EQ(*JsonInt(json, "u"), 6);
}

TEST(JsonTest, OptionalMembersMayBeAbsentOrNullButNotMistyped) {
  const Json json = Parsed(R"({"n":null,"t":"x","i":3})");
  EXPECT_EQ(*JsonOptionalText(json, "absent"), std::nullopt);
  EXPECT_EQ(*JsonOptionalText(json, "n"), std::nullopt);
  EXPECT_EQ(*JsonOptionalText(json, "t"), "x");
  EXPECT_FALSE(JsonOptionalText(json, "i").ok());
  EXPECT_EQ(*JsonOptionalInt(json, "absent"), std::nullopt);
  EXPECT_EQ(*JsonOptionalInt(json, "n"), std::nullopt);
  EXPECT_EQ(*JsonOptionalInt(json, "i"), 3);
  EXPECT_FALSE(JsonOptionalInt(json, "t").ok());
}

}  // namespace
}  // namespace pitr

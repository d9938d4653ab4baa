#include "core/work/sql_script.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

std::vector<std::string> Texts(std::string_view script) {
  const Result<std::vector<ScriptStatement>> statements = SplitScript(script);
  EXPECT_TRUE(statements.ok()) << statements.status().ToString();
  std::vector<std::string> texts;
  if (statements.ok()) {
    for (const ScriptStatement& each : *statements) {
      texts.push_back(std::to_string(each.line) + ": " +
                      (each.database.empty() ? each.text : "-> " + each.database));
    }
  }
  return texts;
}
using Lines = std::vector<std::string>;

TEST(SqlScript, StatementsEndWithSemicolonsAndKnowTheirLines) {
  EXPECT_EQ(Texts("UPDATE a SET b = 1;\n\n  VACUUM a;DELETE FROM c\nWHERE d"),
            (Lines{"1: UPDATE a SET b = 1", "3: VACUUM a", "3: DELETE FROM c\nWHERE d"}));
  EXPECT_EQ(Texts(""), Lines{});
  EXPECT_EQ(Texts(" ;; ;\n-- nothing\n/* nor /* here */ */"), Lines{});
}

TEST(SqlScript, NothingEndsInsideOfQuotesCommentsAndParentheses) {
  EXPECT_EQ(Texts("SELECT 'a;''b;', \"c;\"\"d\";x"),
            (Lines{"1: SELECT 'a;''b;', \"c;\"\"d\"", "1: x"}));
  EXPECT_EQ(Texts("SELECT E'a\\';b', 'a\\';c"), (Lines{"1: SELECT E'a\\';b', 'a\\'", "1: c"}));
  EXPECT_EQ(Texts("-- it's;\nSELECT 1 /* ; /* ; */ ; */ + 2; y"),
            (Lines{"2: SELECT 1 /* ; /* ; */ ; */ + 2", "2: y"}));
  EXPECT_EQ(Texts("CREATE RULE r AS ON x DO (a; b); z"),
            (Lines{"1: CREATE RULE r AS ON x DO (a; b)", "1: z"}));
  EXPECT_EQ(Texts("DO $$ BEGIN a; END $$; DO $t$ $$ ; $t$; PREPARE p AS SELECT $1;z"),
            (Lines{"1: DO $$ BEGIN a; END $$", "1: DO $t$ $$ ; $t$", "1: PREPARE p AS SELECT $1",
                   "1: z"}));
  EXPECT_EQ(Texts("SELECT a$b;c$;d"), (Lines{"1: SELECT a$b", "1: c$", "1: d"}))
      << "a dollar inside of a name";
}

TEST(SqlScript, BodiesOfSqlRoutinesAreWhole) {
  EXPECT_EQ(Texts("CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN "
                  "1 END; END; x"),
            (Lines{"1: CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a "
                   "THEN 1 END; END",
                   "1: x"}));
  EXPECT_EQ(Texts("create procedure p() begin atomic a; b; end; x"),
            (Lines{"1: create procedure p() begin atomic a; b; end", "1: x"}));
  EXPECT_EQ(Texts("BEGIN; a; END; CREATE TABLE begin(x); b"),
            (Lines{"1: BEGIN", "1: a", "1: END", "1: CREATE TABLE begin(x)", "1: b"}));
}

TEST(SqlScript, ConnectIsTheOnlyCommand) {
  EXPECT_EQ(Texts("a;\n\\connect other\nb;\n  \\c \"odd name\"\r\nc"),
            (Lines{"1: a", "2: -> other", "3: b", "4: -> odd name", "5: c"}));
  for (const char* bad : {"\\! rm x", "a;\n\\connect", "\\copy t from 'x'", "\\"}) {
    EXPECT_EQ(SplitScript(bad).status().code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_NE(SplitScript("a;\n\\! x").status().message().find("line 2"), std::string::npos);
}

TEST(SqlScript, WhatDoesNotEndIsToldOf) {
  for (const char* bad : {"\n'a", "\n\"a", "\n$$a", "\n$t$a$$", "\n/* /* */", "\nE'a\\'"}) {
    const Status status = SplitScript(bad).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad;
    EXPECT_NE(status.message().find("line 2"), std::string::npos) << status.message();
  }
}

TEST(SqlScript, PositionsAreCharacters) {
  EXPECT_EQ(LineOfPosition("a\nb\nc", 5, 1), 5);
  EXPECT_EQ(LineOfPosition("a\nb\nc", 5, 3), 6);
  EXPECT_EQ(LineOfPosition("\xc3\xa4\xc3\xa4\nb", 1, 3), 1);
  EXPECT_EQ(LineOfPosition("\xc3\xa4\xc3\xa4\nb", 1, 4), 2);
  EXPECT_EQ(LineOfPosition("a", 3, 99), 3);
}

}  // namespace
}  // namespace pitr

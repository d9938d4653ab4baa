#include "core/repo/branches.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/catalogue.h"
#include "unit/support/memory_store.h"

namespace pitr {

namespace {

constexpr RootIdentity kRoot = {7123456789012345678ULL, 15, 16U << 20};

Timestamp At(std::int64_t seconds) { return {seconds * 1000000}; }
BranchId IdOf(int n) { return "br-test-branch-" + std::to_string(n); }

Branch Make(int n, const std::string& name, std::int64_t created_at = 100) {
  Branch branch;
  branch.id = IdOf(n);
  branch.name = name;
  branch.root = kRoot;
  branch.created_at = branch.updated_at = At(created_at);
  return branch;
}

Branch Child(int n, const std::string& name, int ancestor, Lsn fork,
             std::int64_t created_at = 200) {
  Branch branch = Make(n, name, created_at);
  branch.kind = BranchKind::kChild;
  branch.parent = branch.ancestor = IdOf(ancestor);
  branch.fork_lsn = fork;
  branch.fork_timeline = 1;
  return branch;
}

// main (1) <- dev (2) <- test (3); gone (4) is a deleted child of main; other (5) another root line.
BranchSet Family() {
  BranchSet set;
  set.Add(Make(1, "main"));
  set.Add(Child(2, "dev", 1, Lsn{0x3000000}));
  set.Add(Child(3, "test", 2, Lsn{0x4000000}));
  Branch gone = Child(4, "gone", 1, Lsn{0x3000000});
  gone.deleted_at = At(300);
  set.Add(gone);
  Branch other = Make(5, "other");
  other.root.server_major = 17;
  set.Add(other);
  return set;
}

std::vector<std::string> NamesOf(const std::vector<const Branch*>& branches) {
  std::vector<std::string> names;
  for (const Branch* branch : branches) {
    names.push_back(branch->name);
  }
  return names;
}
using Names = std::vector<std::string>;

TEST(BranchSet, IsSearchedByNameFirstThenById) {
  BranchSet set = Family();
  EXPECT_EQ((*set.Find("dev"))->id, IdOf(2));
  EXPECT_EQ((*set.Find(IdOf(2)))->name, "dev");
  EXPECT_EQ(set.FindId(IdOf(9)), nullptr);
  EXPECT_EQ(set.FindName("Dev"), nullptr);
}

TEST(BranchSet, ADeletedBranchIsFoundByIdOnly) {
  const BranchSet set = Family();
  EXPECT_EQ(set.FindName("gone"), nullptr);
  EXPECT_FALSE(set.IsNameTaken("gone"));
  ASSERT_NE(set.FindId(IdOf(4)), nullptr);
  EXPECT_EQ(set.Find("gone").status().code(), Code::kNotFound);
  EXPECT_EQ(set.Find(IdOf(4)).status().code(), Code::kNotFound);
}

TEST(BranchSet, NotFoundNamesTheExistingOnes) {
  const Status status = Family().Find("nope").status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(status.message(), "Branch nope not found");
  EXPECT_EQ(status.detail(), "Existing branches: \"dev\", \"main\", \"other\", \"test\".");
  EXPECT_EQ(BranchSet().Find("nope").status().detail(), "There are no branches.");
  BranchSet many;
  for (int i = 0; i < 25; i++) {
    many.Add(Make(i, "b" + std::to_string(i)));
  }
  EXPECT_NE(many.Find("nope").status().detail().find(" and 5 more."), std::string::npos);
}

TEST(BranchSet, ChildrenGoByParentAndAreNotDeleted) {
  BranchSet set = Family();
  EXPECT_EQ(NamesOf(set.ChildrenOf(IdOf(1))), Names{"dev"});
  // The parent may change, the ancestor not.
  set.FindId(IdOf(3))->parent = IdOf(1);
  EXPECT_EQ(NamesOf(set.ChildrenOf(IdOf(1))), (Names{"dev", "test"}));
  EXPECT_EQ(NamesOf(*set.AncestryOf(IdOf(3))), (Names{"test", "dev", "main"}));
}

TEST(BranchSet, AncestryGoesUpToTheRootThroughDeletedBranches) {
  BranchSet set = Family();
  set.FindId(IdOf(2))->deleted_at = At(400);
  EXPECT_EQ(NamesOf(*set.AncestryOf(IdOf(3))), (Names{"test", "dev", "main"}));
  EXPECT_EQ(NamesOf(*set.AncestryOf(IdOf(1))), Names{"main"});
  EXPECT_EQ(set.AncestryOf(IdOf(9)).status().code(), Code::kNotFound);
}

TEST(BranchSet, ACircleOrAMissingAncestorIsCorrupt) {
  BranchSet set = Family();
  set.FindId(IdOf(1))->ancestor = IdOf(3);
  EXPECT_EQ(set.AncestryOf(IdOf(2)).status().code(), Code::kCorrupt);
  set.FindId(IdOf(1))->ancestor = IdOf(1);
  EXPECT_EQ(set.AncestryOf(IdOf(1)).status().code(), Code::kCorrupt);
  set.FindId(IdOf(1))->ancestor = IdOf(8);
  const Status status = set.AncestryOf(IdOf(3)).status();
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_NE(status.message().find(IdOf(8)), std::string::npos) << status.message();
}

TEST(BranchSet, AFamilySharesTheRootIdentityDeletedOnesIncluded) {
  const BranchSet set = Family();
  EXPECT_EQ(NamesOf(set.FamilyOf(IdOf(3))), (Names{"main", "dev", "test", "gone"}));
  EXPECT_EQ(NamesOf(set.FamilyOf(IdOf(5))), Names{"other"});
  EXPECT_TRUE(set.FamilyOf(IdOf(9)).empty());
}

// A restore in place: the old line gives its name away, the new one takes it.
TEST(BranchSet, RenamingMovesTheSpansOfNames) {
  BranchSet set;
  set.Add(Make(1, "main", 100));
  set.Add(Child(2, "building", 1, Lsn{0x3000000}, 500));
  set.Rename(IdOf(1), "main_old", At(600));
  set.Rename(IdOf(2), "main", At(600));
  EXPECT_EQ(set.FindName("main")->id, IdOf(2));
  EXPECT_EQ(set.FindName("main_old")->id, IdOf(1));
  EXPECT_EQ(set.FindId(IdOf(1))->updated_at, At(600));
  struct {
    std::string name;
    int id;
    std::int64_t since, until;  // 0 = open
  } const expected[] = {{"main", 1, 100, 600},
                        {"building", 2, 500, 600},
                        {"main_old", 1, 600, 0},
                        {"main", 2, 600, 0}};
  ASSERT_EQ(set.name_spans.size(), std::size(expected));
  for (std::size_t i = 0; i < std::size(expected); i++) {
    const NameSpan& span = set.name_spans[i];
    EXPECT_EQ(span.name, expected[i].name);
    EXPECT_EQ(span.id, IdOf(expected[i].id));
    EXPECT_EQ(span.since, At(expected[i].since));
    EXPECT_EQ(span.until,
              expected[i].until == 0 ? std::nullopt : std::optional(At(expected[i].until)));
  }
}

TEST(BranchSet, ANameShownForNoTimeLeavesNoSpan) {
  BranchSet set;
  set.Add(Make(1, "a", 100));
  set.Rename(IdOf(1), "b", At(100));
  ASSERT_EQ(set.name_spans.size(), 1U);
  EXPECT_EQ(set.name_spans[0].name, "b");
  set.Rename(IdOf(1), "b", At(200));
  ASSERT_EQ(set.name_spans.size(), 1U);
  EXPECT_EQ(set.name_spans[0].since, At(100));
}

TEST(BranchSet, AClockThatWentBackMakesNoSpanThatEndsBeforeItBegins) {
  BranchSet set;
  set.Add(Make(1, "a", 100));
  set.Add(Make(2, "x", 300));
  set.Rename(IdOf(2), "y", At(200));
  set.Rename(IdOf(1), "b", At(250));
  for (const NameSpan& span : set.name_spans) {
    EXPECT_TRUE(!span.until.has_value() || span.since < *span.until);
  }
  EXPECT_TRUE(DecodeBranches(EncodeBranches(set)).ok());
}

// -- JSON ----------------------------------------------------------------------------------------

BranchSet EveryMember() {
  BranchSet set;
  Branch main = Make(1, "main", 1767225600);
  main.directory = "/var/lib/postgresql/15/main";
  main.is_default = main.is_protected = true;
  main.created_by = "postgres";
  set.Add(main);
  Branch undo = Child(2, "main_old_2026-01-02T00:00:00Z", 1, Lsn{0x10003000148}, 1767312000);
  undo.kind = BranchKind::kUndo;
  undo.fork_time = Timestamp{1767311999123456};
  undo.directory_place = "db2 1234567 1767312000.5 /var/lib/postgresql/15/main";
  undo.directory_expires_at = At(1767398400);
  undo.last_reset_at = At(1767312001);
  undo.expires_at = At(1767916800);
  undo.ttl_seconds = 604800;
  undo.deleted_at = At(1767312002);
  undo.gone_at = At(1767312003);
  undo.state = "deleted";
  undo.created_by = "J\xc3\xbcrgen \"the\" \\ DBA";
  set.Add(undo);
  Branch schema = Make(3, "schema only", 1767312003);
  schema.kind = BranchKind::kSchemaOnly;
  schema.root = {1, 18, 1U << 20};
  schema.parent = IdOf(1);
  schema.builder_process = "b1946ac9-2492-4d21-9ee5-2c8f8b9a0f11 pid:[4026531836] 4711 1767";
  set.Add(schema);
  Branch dev = Child(4, "dev", 1, Lsn{0x3000000}, 1767312004);
  dev.builder = IdOf(1);
  dev.compute = {6000, "/etc/postgresql.conf", "/etc/pg_hba.conf", "/etc/pg_ident.conf"};
  dev.created_with = "'dev'";
  set.Add(dev);
  Branch plain = Child(5, "plain", 1, Lsn{0x3000000}, 1767312005);
  plain.compute = {6001, "", "", ""};
  plain.undelete = {At(1767312006), "plain before", "stopped"};
  plain.is_masked = true;
  plain.built = {IdOf(4), "dev before", true, false, true, true};
  set.Add(plain);
  return set;
}

TEST(BranchSet, AfterARestoreTheNewLineIsWhatTheOldOneWas) {
  BranchSet set = Family();
  Branch* dev = set.FindId(IdOf(2));
  dev->is_protected = true;
  dev->compute = {6000, "", "", ""};
  dev->expires_at = At(9000);
  dev->ttl_seconds = 5000;
  dev->created_with = "'dev'";
  Branch line = Child(6, IdOf(6), 2, Lsn{0x3500000}, 400);
  line.parent = IdOf(1);
  line.builder = IdOf(2);
  set.Add(line);
  set.HandOver(IdOf(2), IdOf(6), "dev_old", At(500));
  const Branch& after = *set.FindId(IdOf(6));
  const Branch& before = *set.FindId(IdOf(2));
  EXPECT_EQ(set.FindName("dev"), &after);
  EXPECT_EQ(set.FindName("dev_old"), &before);
  EXPECT_EQ(after.kind, BranchKind::kChild);
  EXPECT_EQ(before.kind, BranchKind::kUndo);
  EXPECT_EQ(after.parent, IdOf(1));
  EXPECT_TRUE(after.is_protected && !before.is_protected);
  EXPECT_TRUE(after.compute && after.compute->port == 6000 && !before.compute);
  EXPECT_TRUE(after.expires_at == At(9000) && !before.expires_at);
  EXPECT_TRUE(after.ttl_seconds == 5000 && !before.ttl_seconds);
  EXPECT_TRUE(after.created_with == "'dev'" && before.created_with.empty());
  EXPECT_FALSE(after.builder.has_value());
  EXPECT_EQ(after.last_reset_at, At(500));
  EXPECT_EQ(NamesOf(set.ChildrenOf(IdOf(2))), Names{"test"}) << "children stay with what they had";
}

TEST(BranchSet, UndoneIsToWhatTheNameWasTakenOverFrom) {
  BranchSet set = Family();
  EXPECT_EQ(set.NewestUndoOf(*set.FindName("dev")), nullptr);
  for (const int n : {6, 7}) {
    set.Add(Child(n, IdOf(n), 2, Lsn{0x3500000}, 400));
    set.HandOver(set.FindName("dev")->id, IdOf(n), "dev_old_" + std::to_string(n), At(100 * n));
  }
  EXPECT_EQ(set.NewestUndoOf(*set.FindName("dev"))->id, IdOf(6));
  set.FindId(IdOf(6))->deleted_at = At(750);
  EXPECT_EQ(set.NewestUndoOf(*set.FindName("dev"))->id, IdOf(2)) << "the one before it";
  set.HandOver(IdOf(7), IdOf(2), "dev_old_8", At(800));
  EXPECT_EQ(set.NewestUndoOf(*set.FindName("dev"))->id, IdOf(7)) << "an undo can be undone";
  // Another branch of the name has nothing to do with it.
  set.Rename(IdOf(2), "was_dev", At(900));
  set.Add(Child(8, "dev", 1, Lsn{0x3000000}, 901));
  EXPECT_EQ(set.NewestUndoOf(*set.FindName("dev")), nullptr);
}

TEST(BranchSet, TheNewestDeletedBranchOfANameIsFoundWhileItCanComeBack) {
  BranchSet set = Family();
  Branch again = Child(6, "gone", 1, Lsn{0x3000000}, 310);
  again.deleted_at = At(400);
  set.Add(again);
  EXPECT_EQ((*set.FindDeleted("gone", At(500)))->id, IdOf(6));
  EXPECT_EQ((*set.FindDeleted(IdOf(4), At(500)))->id, IdOf(4));
  EXPECT_EQ(set.FindDeleted("dev", At(500)).status().code(), Code::kNotFound) << "not deleted";
  EXPECT_EQ(set.FindDeleted(IdOf(2), At(500)).status().code(), Code::kNotFound);
  EXPECT_EQ(GoneAt(*set.FindId(IdOf(6))), (Timestamp{At(400).micros + kUndeleteMicros}));
  const Timestamp late = {At(400).micros + kUndeleteMicros};
  const Status too_late = set.FindDeleted("gone", late).status();
  EXPECT_EQ(too_late.code(), Code::kNotReady);
  EXPECT_NE(too_late.detail().find("7 days"), std::string::npos) << too_late.detail();
  set.FindId(IdOf(6))->gone_at = At(400);
  const Status forced = set.FindDeleted("gone", At(500)).status();
  EXPECT_EQ(forced.code(), Code::kNotReady);
  EXPECT_NE(forced.detail().find("force"), std::string::npos) << forced.detail();
}

TEST(BranchSet, WhatCameToNothingLeavesOrIsDeletedAsBefore) {
  BranchSet set = Family();
  set.GiveUp(IdOf(2), At(500));
  EXPECT_NE(set.FindName("dev"), nullptr) << "one that is not being made stays";
  set.FindId(IdOf(2))->state = "creating";
  set.GiveUp(IdOf(2), At(500));
  EXPECT_EQ(set.FindId(IdOf(2)), nullptr);
  EXPECT_EQ(set.name_spans.size(), 4U);
  Branch* gone = set.FindId(IdOf(4));
  gone->undelete = {*gone->deleted_at, "gone", "stopped"};
  gone->deleted_at.reset();
  gone->state = "creating";
  gone->builder = IdOf(1);
  set.Rename(IdOf(4), "back", At(600));
  set.GiveUp(IdOf(4), At(700));
  EXPECT_EQ(gone->name, "gone");
  EXPECT_EQ(gone->deleted_at, At(300));
  EXPECT_EQ(gone->state, "stopped");
  EXPECT_FALSE(gone->undelete || gone->builder);
  EXPECT_TRUE(DecodeBranches(EncodeBranches(set)).ok());
}

TEST(BranchSet, MaskedIsWhatBeginsWithAMaskedLine) {
  BranchSet set = Family();
  set.FindId(IdOf(2))->is_masked = true;
  EXPECT_FALSE(set.MaskedOrigin(IdOf(3))) << "its bytes begin elsewhere";
  set.FindId(IdOf(2))->ancestor.reset();
  EXPECT_EQ(set.MaskedOrigin(IdOf(3)), IdOf(2));
  EXPECT_EQ(set.MaskedOrigin(IdOf(2)), IdOf(2));
  EXPECT_FALSE(set.MaskedOrigin(IdOf(1)));
  EXPECT_FALSE(set.MaskedOrigin(IdOf(9)));
}

TEST(BranchSet, AfterARestoreTheBackupIsTheParentWhenThatWasWanted) {
  BranchSet set = Family();
  Branch line = Child(6, IdOf(6), 2, Lsn{0x3500000}, 400);
  line.parent = IdOf(1);
  set.Add(line);
  set.HandOver(IdOf(2), IdOf(6), "dev_old", At(500), true);
  EXPECT_EQ(set.FindId(IdOf(6))->parent, IdOf(2));
  EXPECT_EQ(set.FindId(IdOf(2))->parent, IdOf(1));
  // Undone: the backup is the branch again, of the parent that it had, and what it gave way to is beside it.
  set.HandOver(IdOf(6), IdOf(2), "dev_old_2", At(600));
  EXPECT_EQ(set.FindName("dev")->id, IdOf(2));
  EXPECT_EQ(set.FindId(IdOf(2))->parent, IdOf(1));
  EXPECT_EQ(set.FindId(IdOf(6))->parent, IdOf(1));
  Branch root = Make(7, IdOf(7), 700);
  set.Add(root);
  set.HandOver(IdOf(1), IdOf(7), "main_old", At(800), true);
  EXPECT_EQ(set.FindId(IdOf(7))->parent, std::nullopt) << "a root stays one";
}

TEST(BranchSet, WhatIsBuiltForABranchFollowsItsName) {
  BranchSet set = Family();
  Branch built = Child(6, "dev_at_x", 2, Lsn{0x3500000}, 400);
  built.built.emplace().target = IdOf(2);
  set.Add(built);
  Branch line = Child(7, IdOf(7), 2, Lsn{0x3500000}, 450);
  set.Add(line);
  set.HandOver(IdOf(2), IdOf(7), "dev_old", At(500));
  EXPECT_EQ(NamesOf(set.BuiltFor(IdOf(7))), Names{"dev_at_x"});
  EXPECT_TRUE(set.BuiltFor(IdOf(2)).empty());
  set.HandOver(IdOf(7), IdOf(6), "dev_old_2", At(600));
  EXPECT_FALSE(set.FindName("dev")->built.has_value()) << "it is the branch now";
}

TEST(BranchesJson, EveryMemberComesBack) {
  const BranchSet set = EveryMember();
  Result<BranchSet> again = DecodeBranches(EncodeBranches(set));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  ASSERT_EQ(again->branches.size(), set.branches.size());
  const Branch& branch = again->branches[1];
  EXPECT_EQ(branch.id, IdOf(2));
  EXPECT_EQ(branch.name, set.branches[1].name);
  EXPECT_EQ(branch.kind, BranchKind::kUndo);
  EXPECT_EQ(branch.root, kRoot);
  EXPECT_EQ(branch.parent, IdOf(1));
  EXPECT_EQ(branch.ancestor, IdOf(1));
  EXPECT_EQ(branch.fork_lsn, Lsn{0x10003000148});
  EXPECT_EQ(branch.fork_timeline, 1U);
  EXPECT_EQ(branch.fork_time, Timestamp{1767311999123456});
  EXPECT_EQ(branch.directory, std::nullopt);
  EXPECT_EQ(branch.directory_place, set.branches[1].directory_place);
  EXPECT_EQ(branch.directory_expires_at, At(1767398400));
  EXPECT_EQ(branch.last_reset_at, At(1767312001));
  EXPECT_EQ(branch.expires_at, At(1767916800));
  EXPECT_EQ(branch.deleted_at, At(1767312002));
  EXPECT_EQ(branch.gone_at, At(1767312003));
  EXPECT_EQ(branch.ttl_seconds, 604800);
  EXPECT_EQ(branch.state, "deleted");
  EXPECT_EQ(branch.created_by, set.branches[1].created_by);
  EXPECT_TRUE(again->branches[0].is_default);
  EXPECT_TRUE(again->branches[0].is_protected);
  EXPECT_EQ(again->branches[0].directory, "/var/lib/postgresql/15/main");
  EXPECT_EQ(again->branches[2].ancestor, std::nullopt);
  EXPECT_EQ(again->branches[2].builder_process, set.branches[2].builder_process);
  EXPECT_EQ(again->branches[2].compute, std::nullopt);
  EXPECT_EQ(again->branches[3].compute, set.branches[3].compute);
  EXPECT_EQ(again->branches[3].builder, IdOf(1));
  EXPECT_EQ(again->branches[3].created_with, "'dev'");
  EXPECT_EQ(again->branches[4].compute, set.branches[4].compute);
  EXPECT_EQ(again->branches[4].undelete, set.branches[4].undelete);
  EXPECT_TRUE(again->branches[4].is_masked && !again->branches[3].is_masked);
  EXPECT_EQ(again->branches[3].built, std::nullopt);
  EXPECT_EQ(again->branches[4].built, set.branches[4].built);
  EXPECT_EQ(again->name_spans.size(), 5U);
  EXPECT_EQ(EncodeBranches(*again), EncodeBranches(set));
}

TEST(BranchesJson, KindsHaveTheNamesOfTheView) {
  EXPECT_EQ(BranchKindName(BranchKind::kRoot), "root");
  EXPECT_EQ(BranchKindName(BranchKind::kChild), "child");
  EXPECT_EQ(BranchKindName(BranchKind::kUndo), "undo");
  EXPECT_EQ(BranchKindName(BranchKind::kSchemaOnly), "schema_only");
}

// Each change to a good document makes one that is refused.
TEST(BranchesJson, WhatDoesNotFitTogetherIsCorrupt) {
  struct {
    const char* pointer;
    Json value;  // null: removed
  } const changes[] = {
      {"/version", nullptr},
      {"/branches", nullptr},
      {"/branches", "text"},
      {"/name_spans", nullptr},
      {"/branches/0", "text"},
      {"/branches/0/id", "main"},
      {"/branches/0/id", IdOf(2)},
      {"/branches/0/name", nullptr},
      {"/branches/0/name", 5},
      {"/branches/0/name", "schema only"},
      {"/branches/0/kind", "twig"},
      {"/branches/0/system_identifier", 5},
      {"/branches/0/system_identifier", "-5"},
      {"/branches/0/system_identifier", "05"},
      {"/branches/0/system_identifier", "18446744073709551616"},
      {"/branches/0/segment_size", 5},
      {"/branches/0/server_major", 0},
      {"/branches/3/compute", "text"},
      {"/branches/3/compute/port", 0},
      {"/branches/3/compute/port", 65536},
      {"/branches/3/compute/hba_file", 5},
      {"/branches/3/created_with", 5},
      {"/branches/0/created_at", "yesterday"},
      {"/branches/0/created_at", nullptr},
      {"/branches/0/default", "yes"},
      {"/branches/1/parent", "main"},
      {"/branches/1/fork_lsn", "5"},
      {"/branches/1/fork_lsn", nullptr},
      {"/branches/1/fork_timeline", 4294967296},
      {"/branches/1/ttl_seconds", "long"},
      {"/branches/1/gone_at", 5},
      {"/branches/4/masked", "yes"},
      {"/branches/4/undelete", "yes"},
      {"/branches/4/undelete/deleted_at", nullptr},
      {"/branches/4/undelete/name", nullptr},
      {"/branches/4/undelete/state", 5},
      {"/name_spans/0/id", IdOf(7)},
      {"/name_spans/0/since", nullptr},
      {"/name_spans/0/since", "2026-05-01T00:00:00Z"},
      {"/name_spans/0/until", "2025-01-01T00:00:00Z"},
  };
  for (const auto& change : changes) {
    Json json = EncodeBranches(EveryMember());
    const Json::json_pointer pointer(change.pointer);
    if (change.value.is_null()) {
      json[pointer.parent_pointer()].erase(pointer.back());
    } else {
      json[pointer] = change.value;
    }
    Result<BranchSet> set = DecodeBranches(json);
    EXPECT_EQ(set.status().code(), Code::kCorrupt) << change.pointer << " " << change.value;
  }
}

TEST(BranchesJson, ADeletedBranchDoesNotHoldItsName) {
  BranchSet set = EveryMember();
  set.Add(Make(9, set.branches[1].name, 1767312006));
  EXPECT_TRUE(DecodeBranches(EncodeBranches(set)).ok());
}

TEST(BranchesJson, ANewerVersionIsUnsupported) {
  Json json = EncodeBranches(EveryMember());
  json["version"] = 2;
  EXPECT_EQ(DecodeBranches(json).status().code(), Code::kUnsupported);
}

TEST(BranchesJson, GoldenVersionOneIsReadAndWrittenAgainByteForByte) {
  Result<std::string> text =
      ReadTextFile(std::string(PITR_TEST_DIR) + "/golden/branches/v1.json", 1U << 20);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  Result<Json> json = ParseJson(*text, "golden file");
  ASSERT_TRUE(json.ok());
  Result<BranchSet> set = DecodeBranches(*json);
  ASSERT_TRUE(set.ok()) << set.status().ToString();
  EXPECT_EQ(DumpJson(EncodeBranches(*set), 2) + "\n", *text);
  EXPECT_EQ(DumpJson(EncodeBranches(EveryMember()), 2) + "\n", *text);
}

// -- in the catalogue ----------------------------------------------------------------------------

TEST(Branches, AreKeptInTheCatalogue) {
  const std::unique_ptr<Repository> repo = *Repository::Open(std::make_unique<MemoryStore>(), true);
  EXPECT_TRUE(ReadBranches(repo.get())->branches.empty());
  const Status added = UpdateBranches(repo.get(), [](BranchSet* set) {
    set->Add(Make(1, "main"));
    return Status::Ok();
  });
  ASSERT_TRUE(added.ok()) << added.ToString();
  const Status refused = UpdateBranches(repo.get(), [](BranchSet* set) {
    return set->IsNameTaken("main") ? Status(Code::kAlreadyExists, "taken") : Status::Ok();
  });
  EXPECT_EQ(refused.code(), Code::kAlreadyExists);
  EXPECT_EQ(ReadBranches(repo.get())->FindName("main")->id, IdOf(1));
}

TEST(Branches, AChangeThatNobodyCouldReadIsNotStored) {
  const std::unique_ptr<Repository> repo = *Repository::Open(std::make_unique<MemoryStore>(), true);
  const Status status = UpdateBranches(repo.get(), [](BranchSet* set) {
    set->Add(Make(1, "main"));
    set->Add(Make(2, "main"));
    return Status::Ok();
  });
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_TRUE(ReadBranches(repo.get())->branches.empty());
}

}  // namespace

}  // namespace pitr

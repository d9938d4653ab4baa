#include "core/repo/replica_diff.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/repo/layout.h"

namespace pitr {

namespace {

using Names = std::vector<std::string>;

const std::string kBranch = "br-00000000000000000000000000000001";
const std::string kWal = "branches/" + kBranch + "/wal/00000001/";
const std::string kTail = "branches/" + kBranch + "/tail/00000001/";
const std::string kSegment = "000000010000000000000005";

std::vector<ObjectStat> Listing(Names names) {
  std::sort(names.begin(), names.end());
  std::vector<ObjectStat> objects;
  for (const std::string& name : names) {
    objects.push_back({name, 10});
  }
  return objects;
}

ReplicaDiff Compare(const Names& hub, const Names& member, const std::string& deleted = "-",
                    const std::string& named = "-", const Names& wal_removed = {}) {
  return CompareReplicas(
      Listing(hub), Listing(member), *ParseRfc3339("2026-11-20T12:00:00Z"),
      [&](const std::string& id) { return id == deleted; },
      [&](const std::string& pack) { return pack == named; },
      [&](const std::string& name) {
        return std::find(wal_removed.begin(), wal_removed.end(), name) != wal_removed.end();
      });
}

Names NamesOf(const std::vector<ObjectStat>& objects) {
  Names names;
  for (const ObjectStat& object : objects) {
    names.push_back(object.name);
  }
  return names;
}

TEST(ReplicaDiff, DumpsGoWhenTheCatalogueSaysSo) {
  const Names dump = {"dumps/dp-20261120T100000-1/000001", "dumps/dp-20261120T100000-1/manifest"};
  EXPECT_EQ(NamesOf(Compare(dump, {}).to_copy), dump);
  EXPECT_EQ(NamesOf(Compare({}, dump).to_bring), dump);
  const ReplicaDiff diff = Compare({}, dump, "dp-20261120T100000-1");
  EXPECT_EQ(diff.to_remove, dump);
  EXPECT_TRUE(diff.to_bring.empty());
}

TEST(ReplicaDiff, WhatIsMissingIsCopiedDataBeforeWhatNamesIt) {
  const Names hub = {"catalog/branches/00000000000000000001",
                     kWal + kSegment,
                     "keys/00000000000000000001",
                     "packs/sn-20261120T100000-1/000001",
                     "snapshots/sn-20261120T100000-1/manifest",
                     kTail + kSegment + ".00000000-00000100",
                     "probe/ab",
                     "repository.json"};
  const ReplicaDiff diff = Compare(hub, {});
  EXPECT_EQ(
      NamesOf(diff.to_copy),
      (Names{"keys/00000000000000000001", "packs/sn-20261120T100000-1/000001", kWal + kSegment,
             kTail + kSegment + ".00000000-00000100", "snapshots/sn-20261120T100000-1/manifest",
             "catalog/branches/00000000000000000001"}));
  EXPECT_EQ(diff.behind_segments, 1U);
  EXPECT_EQ(diff.behind_bytes, 60U);
}

// It may as well be a loss at the hub.
TEST(ReplicaDiff, WhatOnlyTheOtherHasIsBrought) {
  const Names member = {kWal + kSegment, "snapshots/sn-20261120T100000-1/manifest",
                        "packs/sn-20261120T100000-1/000001", "catalog/audit/00000000000000000007",
                        kTail + kSegment + ".00000000-00000100"};
  const ReplicaDiff diff = Compare({}, member);
  EXPECT_EQ(diff.to_bring.size(), 5U);
  EXPECT_EQ(diff.to_bring.back().name, "catalog/audit/00000000000000000007");
  EXPECT_TRUE(diff.to_remove.empty());
}

TEST(ReplicaDiff, OldNumbersAreRemovedAndLostOnesBrought) {
  const ReplicaDiff diff =
      Compare({"catalog/branches/00000000000000000020", "keys/00000000000000000002"},
              {"catalog/branches/00000000000000000004", "catalog/branches/00000000000000000005",
               "catalog/audit/00000000000000000004", "keys/00000000000000000001"});
  EXPECT_EQ(diff.to_remove,
            (Names{"catalog/branches/00000000000000000004", "keys/00000000000000000001"}));
  EXPECT_EQ(diff.to_bring.size(), 2U);
}

TEST(ReplicaDiff, OldLeasesAreRemovedAndLostOnesBrought) {
  const std::string lease = "branches/" + kBranch + "/lease/000000000000000000";
  const ReplicaDiff diff = Compare({lease + "10"}, {lease + "06", lease + "07", lease + "11"});
  EXPECT_EQ(diff.to_remove, Names{lease + "06"});
  EXPECT_EQ(NamesOf(diff.to_bring), (Names{lease + "07", lease + "11"}));
}

TEST(ReplicaDiff, APieceIsRemovedWhenItsBytesAreHeld) {
  const std::string piece = kTail + kSegment + ".00000100-00000200";
  EXPECT_EQ(Compare({kWal + kSegment}, {piece}).to_remove, Names{piece});
  EXPECT_EQ(Compare({kTail + kSegment + ".00000000-00000300"}, {piece}).to_remove, Names{piece});
  EXPECT_EQ(Compare({kTail + kSegment + ".00000000-000001FF"}, {piece}).to_bring.size(), 1U);
}

TEST(ReplicaDiff, ASnapshotIsRemovedWhenItWasDeleted) {
  const Names member = {"snapshots/sn-20261120T100000-1/manifest",
                        "packs/sn-20261120T100000-1/000001"};
  EXPECT_EQ(Compare({}, member, "sn-20261120T100000-1").to_remove.size(), 2U);
  EXPECT_TRUE(Compare({}, member).to_remove.empty());
}

TEST(ReplicaDiff, PacksWithoutAManifestAreLeftWhileTheyAreYoung) {
  const ReplicaDiff young = Compare({}, {"packs/sn-20261120T113000-1/000001"});
  EXPECT_TRUE(young.to_remove.empty() && young.to_bring.empty());
  EXPECT_EQ(Compare({}, {"packs/sn-20261120T090000-1/000001"}).to_remove.size(), 1U);
}

// The hub may have lost it: an increment still needs it.
TEST(ReplicaDiff, APackOfADeletedSnapshotIsBroughtWhenAManifestNamesIt) {
  const std::string pack = "packs/sn-20261120T090000-1/00000";
  for (const char* deleted : {"sn-20261120T090000-1", "-"}) {
    const ReplicaDiff diff = Compare({}, {pack + "1", pack + "2"}, deleted, pack + "2");
    EXPECT_EQ(diff.to_remove, Names{pack + "1"});
    EXPECT_EQ(NamesOf(diff.to_bring), Names{pack + "2"});
  }
}

TEST(ReplicaDiff, WalIsRemovedOnlyWhenTheCatalogueSaysThatItWas) {
  const Names hub = {kWal + "000000010000000000000009"};
  const std::string piece = kTail + kSegment + ".00000000-00000100";
  const ReplicaDiff lost = Compare(hub, {kWal + kSegment, piece});
  EXPECT_TRUE(lost.to_remove.empty());
  EXPECT_EQ(lost.to_bring.size(), 2U);
  const ReplicaDiff removed =
      Compare(hub, {kWal + kSegment, piece}, "-", "-", {kWal + kSegment, piece});
  EXPECT_EQ(removed.to_remove, (Names{piece, kWal + kSegment}));
  EXPECT_TRUE(removed.to_bring.empty());
}

TEST(ReplicaDiff, DifferentSizesAreConflicts) {
  std::vector<ObjectStat> hub = Listing({"a", "b"}), member = hub;
  member[1].size++;
  const auto never = [](const std::string&) { return false; };
  EXPECT_EQ(CompareReplicas(hub, member, {}, never, never, never).conflicts, Names{"b"});
}

TEST(ReplicaDiff, TheMarkOfFillingIsRemovedWhenItIsFilled) {
  EXPECT_EQ(Compare({"repository.json"}, {"replica.json", "repository.json"}).to_remove,
            Names{"replica.json"});
  EXPECT_TRUE(Compare({"repository.json"}, {"replica.json"}).to_remove.empty());
}

TEST(ReplicaDiff, TheNewestCommonNumberOfEachKind) {
  const auto a =
      Listing({"catalog/audit/00000000000000000001", "catalog/audit/00000000000000000002",
               "catalog/audit/00000000000000000003", "keys/00000000000000000001"});
  const auto b = Listing({"catalog/audit/00000000000000000001",
                          "catalog/audit/00000000000000000002", "keys/00000000000000000001"});
  EXPECT_EQ(NewestCommon(a, b),
            (Names{"catalog/audit/00000000000000000002", "keys/00000000000000000001"}));
}

}  // namespace

}  // namespace pitr

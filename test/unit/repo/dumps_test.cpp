// The manifest of a dump (golden file, what is refused), its objects in a repository, and what is left of one at any step.
#include "core/repo/dumps.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/codec/envelope.h"
#include "core/repo/catalogue.h"
#include "core/repo/dump_attempts.h"
#include "core/repo/layout.h"
#include "core/repo/records.h"
#include "unit/support/memory_store.h"

namespace pitr {
namespace {

const DumpId kId = "dp-20261120T050000-0a1b2c3d";
const DumpId kLater = "dp-20261121T050000-0a1b2c3e";
const Timestamp kNow = {1795240800000000};

DumpDatabase Shop() {
  DumpDatabase shop;
  shop.name = "shop";
  shop.encoding = "UTF8";
  shop.collate = "C";
  shop.ctype = "C";
  shop.provider = "c";
  shop.entries = 7;
  shop.rows = 12;
  shop.large_objects = 1;
  shop.plain_bytes = 300;
  shop.stored_bytes = 140;
  shop.files = {{"", {{2, 200, 90, 0x0123456789ABCDEFULL}, {3, 100, 50, 0xFFFFFFFFFFFFFFFFULL}}}};
  shop.tables = {{"public", "orders", 12}, {"public", "odd \"one\"", 0}};
  return shop;
}

// Every member has a value.
DumpManifest Whole() {
  DumpManifest dump;
  dump.id = kId;
  dump.state = "suspicious";
  dump.detail = "database \"shop\" has 12 rows, 100 in dump dp-20261119T050000-00000001";
  dump.branch = "br-quiet-river-0a1b2c3d";
  dump.branch_name = "main";
  dump.root = {7123456789012345678ULL, 15, 16U << 20};
  dump.point_lsn = {0x3000148};
  dump.point_time = Timestamp{1795150799000000};
  dump.options.database = "shop";
  dump.options.schema_only = false;
  dump.options.no_owner = true;
  dump.started_at = {1795150800000000};
  dump.finished_at = {1795150805000000};
  dump.expires_at = Timestamp{1795755600000000};
  dump.globals = DumpFile{"globals.sql", {{1, 40, 20, 1}}};
  dump.databases = {Shop()};
  dump.stored_bytes = 160;
  return dump;
}

TEST(DumpId, IsThatOfItsOperation) {
  EXPECT_EQ(DumpOfOperation("op-20261120T050000-0a1b2c3d"), kId);
  EXPECT_EQ(OperationOfDump(kId), "op-20261120T050000-0a1b2c3d");
  EXPECT_TRUE(IsDumpId(kId));
  for (const char* other :
       {"", "dp-", "op-20261120T050000-0a1b2c3d", "dp-20261120T050000-0A1B2C3D",
        "dp-20261120T050000-0a1b2c3d/", "dp-../..", "dp-20261120x050000-0a1b2c3d"}) {
    EXPECT_FALSE(IsDumpId(other)) << other;
  }
}

TEST(DumpPlace, NamesADatabaseOfSeveral) {
  EXPECT_EQ(ParseDumpPlace(kId).id, kId);
  EXPECT_FALSE(ParseDumpPlace(kId).database.has_value());
  EXPECT_EQ(ParseDumpPlace(kId + "/a/b").database, "a/b");
  DumpManifest dump = Whole();
  EXPECT_EQ((*DatabaseOf(dump, {kId, std::nullopt}))->name, "shop");
  EXPECT_EQ(DatabaseOf(dump, {kId, "other"}).status().code(), Code::kNotFound);
  DumpDatabase other = Shop();
  other.name = "other";
  dump.databases.push_back(other);
  EXPECT_EQ((*DatabaseOf(dump, {kId, "other"}))->name, "other");
  const Status status = DatabaseOf(dump, {kId, std::nullopt}).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.detail(), "They are \"shop\", \"other\".");
}

TEST(DumpJson, GoldenVersionOneIsReadAndWrittenAgainByteForByte) {
  const Result<std::string> text =
      ReadTextFile(std::string(PITR_TEST_DIR) + "/golden/dump/v1.json", 1U << 20);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  EXPECT_EQ(DumpJson(EncodeDump(Whole(), true), 2) + "\n", *text);
  const Result<Json> json = ParseJson(*text, "golden file");
  ASSERT_TRUE(json.ok());
  const Result<DumpManifest> dump = DecodeDump(*json, true);
  ASSERT_TRUE(dump.ok()) << dump.status().ToString();
  EXPECT_EQ(DumpJson(EncodeDump(*dump, true), 2) + "\n", *text);
}

TEST(DumpJson, AHeadHasAllButFilesAndTables) {
  const Json head = EncodeDump(Whole(), false);
  const Result<DumpManifest> dump = DecodeDump(head, false);
  ASSERT_TRUE(dump.ok()) << dump.status().ToString();
  EXPECT_EQ(dump->Rows(), 12U);
  EXPECT_EQ(dump->Entries(), 7U);
  EXPECT_TRUE(dump->databases[0].files.empty());
  EXPECT_EQ(EncodeDump(*dump, false), head);
  EXPECT_EQ(DecodeDump(head, true).status().code(), Code::kCorrupt);
}

TEST(DumpJson, WhatIsNotKnownIsPassedOver) {
  Json json = EncodeDump(Whole(), true);
  json["later"] = 1;
  json["databases"][0]["later"] = Json::array();
  json["databases"][0]["files"][0]["objects"][0]["later"] = "x";
  json["databases"][0]["tables"][0].push_back("later");
  json["options"]["later"] = true;
  const Result<DumpManifest> dump = DecodeDump(json, true);
  ASSERT_TRUE(dump.ok()) << dump.status().ToString();
  EXPECT_EQ(EncodeDump(*dump, true), EncodeDump(Whole(), true));
  json["version"] = 2;
  EXPECT_EQ(DecodeDump(json, true).status().code(), Code::kUnsupported);
  EXPECT_EQ(DecodeDump(json, false).status().code(), Code::kUnsupported);
}

TEST(DumpJson, WhatDoesNotFitTogetherIsRefused) {
  const auto refused = [](const std::function<void(Json*)>& change) {
    Json json = EncodeDump(Whole(), true);
    change(&json);
    return DecodeDump(json, true).status().code() == Code::kCorrupt;
  };
  EXPECT_TRUE(refused([](Json* json) { (*json)["format"] = "x"; }));
  EXPECT_TRUE(refused([](Json* json) { (*json)["id"] = "../x"; }));
  EXPECT_TRUE(refused([](Json* json) { (*json)["state"] = "failed"; }));
  EXPECT_TRUE(refused([](Json* json) { (*json)["point_lsn"] = "x"; }));
  EXPECT_TRUE(refused([](Json* json) { (*json)["system_identifier"] = "12x"; }));
  EXPECT_TRUE(refused([](Json* json) { (*json)["stored_bytes"] = 161; }));
  EXPECT_TRUE(refused([](Json* json) { (*json)["options"]["format"] = "plain"; }));
  EXPECT_TRUE(refused([](Json* json) { (*json)["databases"] = Json::array(); }));
  EXPECT_TRUE(refused([](Json* json) { (*json)["databases"][0]["rows"] = 13; }));
  EXPECT_TRUE(refused([](Json* json) { (*json)["databases"][0]["files"] = Json::array(); }));
  EXPECT_TRUE(refused([](Json* json) { (*json)["databases"][0]["files"][0]["name"] = "toc.dat"; }));
  EXPECT_TRUE(
      refused([](Json* json) { (*json)["databases"][0]["files"][0]["objects"][0]["number"] = 1; }));
  EXPECT_TRUE(refused(
      [](Json* json) { (*json)["databases"][0]["files"][0]["objects"][0]["hash"] = "xyz"; }));
  EXPECT_TRUE(refused([](Json* json) { (*json)["databases"][0]["tables"][0][2] = -1; }));
  for (const char* name : {"", "..", "a/b", ".hidden", "toc\ndat"}) {
    EXPECT_TRUE(refused([&](Json* json) {
      (*json)["options"]["format"] = "directory";
      (*json)["databases"][0]["files"][0]["name"] = name;
    })) << name;
  }
}

// -- in a repository -----------------------------------------------------------------------------

class DumpsTest : public testing::Test {
 protected:
  void SetUp() override { repo_ = *Repository::Open(std::make_unique<MemoryStore>(), true); }

  // `text` as the one file of its one database, in objects of 10 bytes.
  DumpManifest Make(const DumpId& id, const std::string& text) {
    DumpManifest dump = Whole();
    dump.id = id;
    dump.state = "verified";
    dump.detail.clear();
    dump.globals.reset();
    std::uint32_t next = 1;
    DumpWriter writer(repo_.get(), id, &next, 1, 10);
    EXPECT_TRUE(writer.Add(AsBytes(text)).ok());
    dump.databases[0].files = {*writer.Finish("")};
    const DumpFile& file = dump.databases[0].files[0];
    dump.databases[0].plain_bytes = file.PlainBytes();
    dump.stored_bytes = dump.databases[0].stored_bytes = file.StoredBytes();
    return dump;
  }
  Result<std::string> Text(const DumpManifest& dump) {
    std::string text;
    const Status status =
        StreamDumpFile(repo_.get(), dump.id, dump.databases[0].files[0], [&](ByteView bytes) {
          text += AsText(bytes);
          return Status::Ok();
        });
    return status.ok() ? Result<std::string>(text) : status;
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    const std::vector<ObjectStat> objects = *repo_->store()->List(layout::DumpsPrefix());
    for (const ObjectStat& object : objects)
      names.push_back(object.name);
    return names;
  }
  Status Operation(const OperationId& id, bool is_over) {
    OperationRecord record;
    record.id = id;
    record.kind = "dump";
    record.started_at = {kNow.micros - 1000000};
    if (is_over) record.finished_at = kNow;
    return AppendOperation(repo_.get(), record);
  }

  std::unique_ptr<Repository> repo_;
};

TEST_F(DumpsTest, AreThereWithTheirManifest) {
  const DumpManifest dump = Make(kId, "what pg_dump wrote, in three");
  EXPECT_EQ(dump.databases[0].files[0].objects.size(), 3U);
  EXPECT_TRUE(ListDumps(repo_.get(), nullptr)->empty());
  EXPECT_EQ(ReadDump(repo_.get(), kId).status().code(), Code::kNotFound);
  ASSERT_TRUE(WriteDump(repo_.get(), dump).ok());
  EXPECT_EQ(EncodeDump(*ReadDump(repo_.get(), kId), true), EncodeDump(dump, true));
  EXPECT_EQ(EncodeDump(*ReadDumpHead(repo_.get(), kId), false), EncodeDump(dump, false));
  const Result<std::vector<DumpManifest>> all = ListDumps(repo_.get(), nullptr);
  ASSERT_EQ(all->size(), 1U);
  EXPECT_EQ((*all)[0].id, kId);
  EXPECT_EQ(*Text(dump), "what pg_dump wrote, in three");
  EXPECT_EQ(WriteDump(repo_.get(), dump).code(), Code::kAlreadyExists);
}

TEST_F(DumpsTest, AnEmptyFileIsAnObject) {
  const DumpManifest dump = Make(kId, "");
  EXPECT_EQ(dump.databases[0].files[0].objects.size(), 1U);
  EXPECT_EQ(*Text(dump), "");
}

TEST_F(DumpsTest, AnIdFromOutsideNamesNothingElse) {
  for (const char* id : {"", "..", "dp-x", "../catalog"}) {
    EXPECT_EQ(ReadDump(repo_.get(), id).status().code(), Code::kNotFound) << id;
    EXPECT_EQ(DeleteDump(repo_.get(), id, kNow).status().code(), Code::kNotFound) << id;
  }
}

TEST_F(DumpsTest, DamageIsNamed) {
  const DumpManifest dump = Make(kId, "what pg_dump wrote, in three");
  const std::string second = layout::DumpObject(kId, 2);
  Bytes bytes = *repo_->store()->Get(second, 1U << 20);
  ASSERT_TRUE(repo_->store()->Remove(second).ok());
  Status gone = Text(dump).status();
  EXPECT_EQ(gone.code(), Code::kCorrupt);
  EXPECT_NE(gone.message().find(second), std::string::npos) << gone.message();
  bytes[70] ^= 1;
  ASSERT_TRUE(repo_->store()->Put(second, bytes).ok());
  Status damaged = Text(dump).status();
  EXPECT_EQ(damaged.code(), Code::kCorrupt);
  EXPECT_NE(damaged.message().find(second), std::string::npos) << damaged.message();
  // One that is whole and another one.
  ASSERT_TRUE(repo_->store()->Remove(second).ok());
  ASSERT_TRUE(
      WriteEnvelope(repo_->store(), second, ObjectKind::kDump, 1, AsBytes("0123456789")).ok());
  Status other = Text(dump).status();
  EXPECT_EQ(other.code(), Code::kCorrupt);
  EXPECT_NE(other.message().find("is not the one"), std::string::npos) << other.message();
}

TEST_F(DumpsTest, AManifestThatCannotBeReadIsListedApart) {
  ASSERT_TRUE(WriteDump(repo_.get(), Make(kId, "a")).ok());
  ASSERT_TRUE(
      repo_->store()->Put(layout::DumpManifestObject(kLater), AsBytes(std::string(200, 'x'))).ok());
  std::vector<DumpId> damaged;
  EXPECT_EQ(ListDumps(repo_.get(), &damaged)->size(), 1U);
  EXPECT_EQ(damaged, std::vector<DumpId>{kLater});
}

TEST_F(DumpsTest, DeletedOnesLeaveAMarkForReplicas) {
  ASSERT_TRUE(WriteDump(repo_.get(), Make(kId, "what pg_dump wrote")).ok());
  const Result<std::uint64_t> freed = DeleteDump(repo_.get(), kId, kNow);
  ASSERT_TRUE(freed.ok()) << freed.status().ToString();
  EXPECT_GT(*freed, 0U);
  EXPECT_TRUE(Names().empty());
  EXPECT_EQ((*ReadDocument(repo_.get(), kDumpsDocument))[kId]["deleted_at"], kNow.micros);
  EXPECT_TRUE(DumpAttemptsIn(*ReadDocument(repo_.get(), kDumpsDocument)).empty());
  ASSERT_TRUE(
      ForgetOldDumpAttempts(repo_.get(), {kNow.micros + kDumpAttemptMicros + 1000000}).ok());
  EXPECT_FALSE(ReadDocument(repo_.get(), kDumpsDocument)->contains(kId));
}

TEST_F(DumpsTest, AttemptsAreKnownUntilTheyAreDoneOrOld) {
  DumpOptions options;
  options.database = "shop";
  ASSERT_TRUE(NoteDumpBegun(repo_.get(), kId, options, kNow).ok());
  ASSERT_TRUE(NoteDumpBegun(repo_.get(), kLater, {}, {kNow.micros + 1}).ok());
  const Status why = Status(Code::kIo, "pg_dump failed").WithDetail("its words");
  ASSERT_TRUE(NoteDumpFailed(repo_.get(), kLater, why, {kNow.micros + 5}).ok());
  std::vector<DumpAttempt> attempts = DumpAttemptsIn(*ReadDocument(repo_.get(), kDumpsDocument));
  ASSERT_EQ(attempts.size(), 2U);
  EXPECT_EQ(attempts[0].database, "shop");
  EXPECT_FALSE(attempts[0].failed_at.has_value());
  EXPECT_EQ(attempts[1].id, kLater);
  EXPECT_FALSE(attempts[1].database.has_value());
  EXPECT_EQ(attempts[1].failed_at, (Timestamp{kNow.micros + 5}));
  EXPECT_EQ(attempts[1].error, "pg_dump failed: its words");
  EXPECT_EQ(attempts[1].sqlstate, "58030");
  ASSERT_TRUE(ForgetDumpAttempt(repo_.get(), kId).ok());
  ASSERT_TRUE(ForgetOldDumpAttempts(repo_.get(), {kNow.micros + 1000000}).ok());
  EXPECT_EQ(DumpAttemptsIn(*ReadDocument(repo_.get(), kDumpsDocument)).size(), 1U);
  ASSERT_TRUE(ForgetOldDumpAttempts(repo_.get(), {kNow.micros + kDumpAttemptMicros + 6}).ok());
  EXPECT_TRUE(DumpAttemptsIn(*ReadDocument(repo_.get(), kDumpsDocument)).empty());
}

TEST_F(DumpsTest, OtherPlacesAreRemembered) {
  EXPECT_TRUE(DumpRepositories(repo_.get())->empty());
  for (const char* address : {"/mnt/dumps", "s3://bucket/dumps?region=x", "/mnt/dumps"}) {
    ASSERT_TRUE(NoteDumpRepository(repo_.get(), address).ok());
  }
  EXPECT_EQ(*DumpRepositories(repo_.get()),
            (std::vector<std::string>{"/mnt/dumps", "s3://bucket/dumps?region=x"}));
  ASSERT_TRUE(NoteDumpBegun(repo_.get(), kId, {}, kNow, "/mnt/dumps").ok());
  EXPECT_EQ(DumpAttemptsIn(*ReadDocument(repo_.get(), kDumpsDocument)).at(0).repository,
            "/mnt/dumps");
}

TEST_F(DumpsTest, WhatWasAbandonedIsCollectedAndNothingElse) {
  ASSERT_TRUE(WriteDump(repo_.get(), Make(kId, "a whole one")).ok());
  const DumpId abandoned = "dp-20261120T060000-00000001", at_work = "dp-20261120T060000-00000002",
               young = "dp-20261122T060000-00000003";
  Make(abandoned, "x");
  Make(at_work, "x");
  Make(young, "x");
  ASSERT_TRUE(Operation(OperationOfDump(abandoned), true).ok());
  ASSERT_TRUE(Operation(OperationOfDump(at_work), false).ok());
  const Timestamp before = *ParseRfc3339("2026-11-21T00:00:00Z");
  ASSERT_TRUE(CollectAbandonedDumps(repo_.get(), repo_.get(), before, kNow).ok());
  EXPECT_EQ(Names(), (std::vector<std::string>{
                         layout::DumpObject(kId, 1), layout::DumpObject(kId, 2),
                         layout::DumpManifestObject(kId), layout::DumpObject(at_work, 1),
                         layout::DumpObject(young, 1)}));
}

}  // namespace
}  // namespace pitr

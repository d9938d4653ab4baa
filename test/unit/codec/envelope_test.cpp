#include "core/codec/envelope.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/codec/compress.h"
#include "core/codec/envelope_format.h"
#include "unit/support/memory_store.h"

namespace pitr {

namespace {

constexpr ObjectKind kKind = ObjectKind::kWalPart;
const std::string kName = "some/object";

// Text that compresses by a half or so.
Bytes Content(std::size_t size) {
  Bytes bytes(size);
  std::uint32_t state = 1;
  for (std::uint8_t& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::uint8_t>("0123456789abcdef"[state >> 28]);
  }
  return bytes;
}

Bytes Encode(int level, ByteView plain, ByteView extra = {}) {
  Result<Bytes> object = EncodeEnvelope(kKind, level, plain, extra);
  EXPECT_TRUE(object.ok()) << object.status().ToString();
  return *object;
}

// Collects what StreamEnvelope gives.
struct Sink {
  Bytes all;
  std::size_t largest = 0;
  std::function<Status(ByteView)> function = [this](ByteView bytes) {
    all.insert(all.end(), bytes.begin(), bytes.end());
    largest = std::max(largest, bytes.size());
    return Status::Ok();
  };
};

class EnvelopeLevels : public testing::TestWithParam<int> {};

TEST_P(EnvelopeLevels, WhatWasWrittenIsReadByEveryReader) {
  constexpr std::size_t kFrame = kEnvelopeFrameSize;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1000}, kFrame - 1,
                                 kFrame, kFrame + 1, 2 * kFrame + 77777}) {
    for (const std::size_t extra_size : {0U, 10U, 300U << 10}) {
      MemoryStore store;
      const Bytes plain = Content(size), extra = Content(extra_size);
      auto writer = *EnvelopeWriter::Create(&store, kName, kKind, GetParam());
      // Pieces that are no frames, and frames themselves.
      const std::size_t step = extra_size == 0 ? kFrame : 700001;
      for (std::size_t at = 0; at < plain.size(); at += step) {
        ASSERT_TRUE(writer->Add(ByteView(plain).subspan(at, std::min(step, size - at))).ok());
      }
      ASSERT_TRUE(writer->Finish(extra).ok());
      EXPECT_EQ(store.Stat(kName)->size, writer->footer().object_size());
      EXPECT_EQ(writer->footer().plain_size, size);
      EXPECT_EQ(writer->footer().plain_hash, Xxh3(plain));

      EnvelopeFooter footer;
      Result<Bytes> read = ReadEnvelope(&store, kName, kKind, size, &footer);
      ASSERT_TRUE(read.ok()) << read.status().ToString();
      EXPECT_EQ(*read, plain);
      EXPECT_EQ(footer.payload_hash, writer->footer().payload_hash);

      Sink sink;
      const Status streamed = StreamEnvelope(&store, kName, kKind, sink.function);
      ASSERT_TRUE(streamed.ok()) << streamed.ToString();
      EXPECT_EQ(sink.all, plain);

      Result<Bytes> read_extra = ReadEnvelopeExtra(&store, kName, kKind, &footer);
      ASSERT_TRUE(read_extra.ok()) << read_extra.status().ToString();
      EXPECT_EQ(*read_extra, extra);
      EXPECT_EQ(footer.plain_size, size);
      EXPECT_EQ(ReadEnvelopeFooter(&store, kName, kKind)->extra_size, extra_size);
    }
  }
}

// No reader gives wrong bytes for an object with a bit turned over, at any place.
TEST_P(EnvelopeLevels, EveryChangedByteIsFound) {
  const Bytes plain = Content(300), extra = Content(50);
  const Bytes object = Encode(GetParam(), plain, extra);
  for (std::size_t at = 0; at < object.size(); at++) {
    MemoryStore store;
    Bytes changed = object;
    changed[at] ^= 0x10;
    ASSERT_TRUE(store.Put(kName, changed).ok());
    const Status whole = ReadEnvelope(&store, kName, kKind, 1U << 20).status();
    EXPECT_TRUE(whole.code() == Code::kCorrupt || whole.code() == Code::kUnsupported)
        << at << ": " << whole.ToString();
    EXPECT_NE(whole.message().find(kName), std::string::npos) << whole.message();
    Sink sink;
    EXPECT_FALSE(StreamEnvelope(&store, kName, kKind, sink.function).ok()) << at;
    // The extra is read without the payload: a change there is not its matter.
    Result<Bytes> read_extra = ReadEnvelopeExtra(&store, kName, kKind, nullptr);
    EXPECT_EQ(read_extra.ok(), at < object.size() - kEnvelopeFootSize - extra.size()) << at;
  }
}

TEST_P(EnvelopeLevels, EveryCutAndEveryAdditionIsFound) {
  const Bytes object = Encode(GetParam(), Content(300), Content(50));
  for (std::size_t size = 0; size <= object.size() + 1; size++) {
    if (size == object.size()) {
      continue;
    }
    MemoryStore store;
    Bytes changed = object;
    changed.resize(size, 'x');
    ASSERT_TRUE(store.Put(kName, changed).ok());
    EXPECT_EQ(ReadEnvelope(&store, kName, kKind, 1U << 20).status().code(), Code::kCorrupt) << size;
    Sink sink;
    EXPECT_EQ(StreamEnvelope(&store, kName, kKind, sink.function).code(), Code::kCorrupt) << size;
    EXPECT_EQ(ReadEnvelopeExtra(&store, kName, kKind, nullptr).status().code(), Code::kCorrupt);
    EXPECT_EQ(ReadEnvelopeFooter(&store, kName, kKind).status().code(), Code::kCorrupt);
  }
}

// What stands before or between the parts belongs to none of them, and footers are read from the end.
TEST_P(EnvelopeLevels, BytesThatBelongToNoPartAreFound) {
  const Bytes object = Encode(GetParam(), Content(300), Content(50));
  for (const std::size_t at : {std::size_t{0}, kEnvelopeHeadSize, object.size() - 64 - 50,
                               object.size() - kEnvelopeFootSize}) {
    MemoryStore store;
    Bytes changed = object;
    changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(at), 'x');
    ASSERT_TRUE(store.Put(kName, changed).ok());
    EXPECT_EQ(ReadEnvelope(&store, kName, kKind, 1U << 20).status().code(), Code::kCorrupt) << at;
    Sink sink;
    EXPECT_EQ(StreamEnvelope(&store, kName, kKind, sink.function).code(), Code::kCorrupt) << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, EnvelopeLevels, testing::Values(0, 1, 3));

TEST(Envelope, DamageNamesTheObjectThePartAndBothChecksums) {
  MemoryStore store;
  ASSERT_TRUE(store.Put(kName, Encode(0, Content(300))).ok());
  const std::uint64_t expected = Xxh3(ByteView(store.Tamper(kName)).subspan(64, 300));
  store.Tamper(kName)[100] ^= 1;
  const Status status = ReadEnvelope(&store, kName, kKind, 300).status();
  EXPECT_EQ(status.message(),
            "object \"some/object\" is damaged: the checksum of its stored content differs");
  char hex[32];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(expected));
  EXPECT_NE(status.detail().find(std::string("Expected ") + hex + ", found "), std::string::npos)
      << status.detail();
}

TEST(Envelope, AnotherKindIsCorrupt) {
  MemoryStore store;
  ASSERT_TRUE(store.Put(kName, Encode(0, Content(10))).ok());
  const Status status = ReadEnvelope(&store, kName, ObjectKind::kManifest, 100).status();
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_NE(status.message().find("kind 2, not 4"), std::string::npos) << status.message();
}

TEST(Envelope, TheLimitIsOnThePlainSize) {
  MemoryStore store;
  ASSERT_TRUE(store.Put(kName, Encode(3, Bytes(1000, 'a'))).ok());
  EXPECT_EQ(ReadEnvelope(&store, kName, kKind, 999).status().code(), Code::kLimit);
  EXPECT_TRUE(ReadEnvelope(&store, kName, kKind, 1000).ok());
}

TEST(Envelope, NewerVersionsCodecsAndCiphersAreUnsupported) {
  const Bytes object = Encode(0, Content(10));
  for (const std::size_t field : {5U, 6U, 7U}) {
    Bytes changed = object;
    changed[changed.size() - kEnvelopeFootSize + field] = 9;
    EXPECT_EQ(DecodeEnvelope(changed, kName, kKind, 100).status().code(), Code::kUnsupported);
  }
}

TEST(Envelope, AbsentIsNotFound) {
  MemoryStore store;
  Sink sink;
  EXPECT_EQ(ReadEnvelope(&store, kName, kKind, 1).status().code(), Code::kNotFound);
  EXPECT_EQ(ReadEnvelopeExtra(&store, kName, kKind, nullptr).status().code(), Code::kNotFound);
  EXPECT_EQ(ReadEnvelopeFooter(&store, kName, kKind).status().code(), Code::kNotFound);
  EXPECT_EQ(StreamEnvelope(&store, kName, kKind, sink.function).code(), Code::kNotFound);
}

TEST(Envelope, ATakenNameIsAlreadyExistsAndTheFooterIsKnown) {
  MemoryStore store;
  ASSERT_TRUE(WriteEnvelope(&store, kName, kKind, 0, Content(10)).ok());
  EXPECT_EQ(WriteEnvelope(&store, kName, kKind, 0, Content(20)).code(), Code::kAlreadyExists);
  auto writer = *EnvelopeWriter::Create(&store, kName, kKind, 3);
  ASSERT_TRUE(writer->Add(Content(20)).ok());
  EXPECT_EQ(writer->Finish().code(), Code::kAlreadyExists);
  EXPECT_EQ(writer->footer().plain_hash, Xxh3(Content(20)));
  EXPECT_EQ(ReadEnvelope(&store, kName, kKind, 100)->size(), 10U);
}

TEST(Envelope, NothingIsThereWithoutFinish) {
  MemoryStore store;
  {
    auto writer = *EnvelopeWriter::Create(&store, kName, kKind, 3);
    ASSERT_TRUE(writer->Add(Content(3U << 20)).ok());
  }
  EXPECT_TRUE(store.List("", "", 0)->empty());
}

TEST(Envelope, TheSinkEndsTheStream) {
  MemoryStore store;
  ASSERT_TRUE(WriteEnvelope(&store, kName, kKind, 0, Content(3U << 20)).ok());
  int calls = 0;
  const Status status = StreamEnvelope(&store, kName, kKind, [&](ByteView) {
    calls++;
    return Status(Code::kCancelled, "enough");
  });
  EXPECT_EQ(status.code(), Code::kCancelled);
  EXPECT_EQ(calls, 1);
}

// A .partial of a big segment is zeroes for the most part: some bytes of zstd become megabytes.
TEST(Envelope, StreamingZeroesTakesLittleMemory) {
  MemoryStore store;
  ASSERT_TRUE(WriteEnvelope(&store, kName, kKind, 3, Bytes(128U << 20)).ok());
  EXPECT_LT(store.Stat(kName)->size, 32U << 10);
  std::size_t total = 0, largest = 0;
  const Status status = StreamEnvelope(&store, kName, kKind, [&](ByteView bytes) {
    total += bytes.size();
    largest = std::max(largest, bytes.size());
    return Status::Ok();
  });
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(total, 128U << 20);
  EXPECT_LE(largest, kEnvelopeFrameSize);
}

// -- the table of frames -------------------------------------------------------------------------

TEST(EnvelopeFrames, EachHoldsTwoMegabytesAndTheLastTheRest) {
  const Bytes plain = Content(2 * kEnvelopeFrameSize + 5);
  const Bytes object = Encode(1, plain);
  const EnvelopeFooter footer =
      *envelope::DecodeFoot(ByteView(object).last(kEnvelopeFootSize), kName, kKind);
  const auto table_size = static_cast<std::size_t>(envelope::FrameTableSize(footer));
  EXPECT_EQ(table_size, 8U + 3 * 8 + 9);
  const ByteView table = ByteView(object).first(object.size() - kEnvelopeFootSize).last(table_size);
  const std::vector<envelope::Frame> frames = *envelope::DecodeFrameTable(table, footer, kName);
  ASSERT_EQ(frames.size(), 3U);
  EXPECT_EQ(frames[0].plain_size, kEnvelopeFrameSize);
  EXPECT_EQ(frames[1].plain_size, kEnvelopeFrameSize);
  EXPECT_EQ(frames[2].plain_size, 5U);
  // Each by itself: a reader of one place of a segment needs one frame.
  Bytes middle(kEnvelopeFrameSize);
  const Status status = DecompressBlock(
      ByteView(object).subspan(kEnvelopeHeadSize + frames[0].packed_size, frames[1].packed_size),
      false, middle.data(), middle.size());
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(std::equal(middle.begin(), middle.end(),
                         plain.begin() + static_cast<std::ptrdiff_t>(kEnvelopeFrameSize)));
}

// With checksums that are right, as a writer with a fault would make them.
TEST(EnvelopeFrames, ATableThatDoesNotFitIsCorrupt) {
  const Bytes good = Encode(1, Content(2 * kEnvelopeFrameSize + 5));
  const std::size_t table_size = 8 + 3 * 8 + 9;
  for (std::size_t at = 0; at < table_size; at++) {
    Bytes object = good;
    object[object.size() - kEnvelopeFootSize - table_size + at] ^= 1;
    EnvelopeFooter footer =
        *envelope::DecodeFoot(ByteView(object).last(kEnvelopeFootSize), kName, kKind);
    footer.payload_hash = Xxh3(
        ByteView(object).subspan(kEnvelopeHeadSize, static_cast<std::size_t>(footer.payload_size)));
    const Bytes foot = envelope::EncodeFoot(footer);
    std::copy(foot.begin(), foot.end(), object.end() - static_cast<std::ptrdiff_t>(foot.size()));
    const Status whole = DecodeEnvelope(object, kName, kKind, 64U << 20).status();
    EXPECT_EQ(whole.code(), Code::kCorrupt) << at;
    MemoryStore store;
    ASSERT_TRUE(store.Put(kName, object).ok());
    Sink sink;
    EXPECT_EQ(StreamEnvelope(&store, kName, kKind, sink.function).code(), Code::kCorrupt) << at;
  }
}

TEST(EnvelopeFrames, ImpossibleSizesAreCorruptBeforeAnythingIsAllocated) {
  EnvelopeFooter good;
  good.kind = kKind;
  good.codec = envelope::kCodecZstd;
  good.payload_size = 17;
  EXPECT_TRUE(envelope::DecodeFoot(envelope::EncodeFoot(good), kName, kKind).ok());
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{1} << 49, UINT64_MAX}) {
    EnvelopeFooter footer = good;
    footer.plain_size = size;
    EXPECT_EQ(envelope::DecodeFoot(envelope::EncodeFoot(footer), kName, kKind).status().code(),
              Code::kCorrupt);
    footer = good;
    footer.codec = envelope::kCodecPlain;
    footer.payload_size = size;
    EXPECT_EQ(envelope::DecodeFoot(envelope::EncodeFoot(footer), kName, kKind).status().code(),
              Code::kCorrupt);
  }
}

// -- golden files --------------------------------------------------------------------------------

Bytes Golden(const std::string& name) {
  const std::string path = std::string(PITR_TEST_DIR) + "/golden/envelope/" + name;
  Result<Bytes> bytes = ReadFile(path, 1U << 20);
  EXPECT_TRUE(bytes.ok()) << bytes.status().ToString();
  return bytes.ok() ? *bytes : Bytes();
}

Bytes Text(std::string_view text) { return {text.begin(), text.end()}; }

const Bytes kGoldenPlain = Text("pitr_ext keeps what was.\n");
const Bytes kGoldenExtra = Text("extra");

TEST(EnvelopeGolden, VersionOneIsRead) {
  for (const std::string name : {"v1.bin", "v1_zstd.bin"}) {
    Bytes extra;
    Result<Bytes> plain =
        DecodeEnvelope(Golden(name), name, ObjectKind::kText, 100, nullptr, &extra);
    ASSERT_TRUE(plain.ok()) << plain.status().ToString();
    EXPECT_EQ(*plain, kGoldenPlain);
    EXPECT_EQ(extra, kGoldenExtra);
  }
}

// Uncompressed, because zstd promises no particular bytes.
TEST(EnvelopeGolden, TodaysWriterMakesTheNewestVersion) {
  EXPECT_EQ(*EncodeEnvelope(ObjectKind::kText, 0, kGoldenPlain, kGoldenExtra), Golden("v1.bin"));
}

}  // namespace

}  // namespace pitr

#include "core/wal/stream_message.h"

#include <gtest/gtest.h>

namespace pitr::wal {

namespace {

Bytes Of(std::string_view text) {
  const ByteView view = AsBytes(text);
  return Bytes(view.begin(), view.end());
}

// 'w', start 0x01'0000'0028, end of WAL, clock, then data.
const std::string kHeader("w\0\0\0\1\0\0\0\x28\0\0\0\1\0\0\1\0\0\1\2\3\4\5\6\7", 25);

TEST(StreamMessage, DataEndsBehindItsBytes) {
  const Result<StreamMessage> message = ParseStreamMessage(Of(kHeader + "12345678"));
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->end.ToString(), "1/30");
  EXPECT_FALSE(message->reply_wanted);
}

TEST(StreamMessage, AKeepaliveSaysWhetherAnAnswerIsWanted) {
  for (const char wanted : {'\0', '\1'}) {
    const std::string text = std::string("k\0\0\0\1\0\0\0\x28\0\1\2\3\4\5\6\7", 17) + wanted;
    const Result<StreamMessage> message = ParseStreamMessage(Of(text));
    ASSERT_TRUE(message.ok());
    EXPECT_FALSE(message->end.valid());
    EXPECT_EQ(message->reply_wanted, wanted == '\1');
  }
}

TEST(StreamMessage, WhatIsNeitherIsRefused) {
  const std::string keepalive("k\0\0\0\1\0\0\0\x28\0\1\2\3\4\5\6\7", 17);
  for (const std::string& text : {std::string(), std::string("w"), kHeader.substr(0, 24), keepalive,
                                  keepalive + "\1\1", std::string("x") + kHeader.substr(1)}) {
    EXPECT_EQ(ParseStreamMessage(Of(text)).status().code(), Code::kCorrupt) << text.size();
  }
}

TEST(StreamMessage, TheAnswerNamesOnePositionThreeTimes) {
  const Bytes answer = StandbyStatus({0x1'0000'0030}, {kPostgresEpochMicros + 0x0102});
  const std::string lsn("\0\0\0\1\0\0\0\x30", 8);
  EXPECT_EQ(std::string(AsText(answer)),
            "r" + lsn + lsn + lsn + std::string("\0\0\0\0\0\0\1\2\0", 9));
}

TEST(StreamMessage, NothingDurableIsAnInvalidPosition) {
  const Bytes answer = StandbyStatus(Lsn(), {kPostgresEpochMicros});
  EXPECT_EQ(std::string(AsText(answer)), "r" + std::string(33, '\0'));
}

}  // namespace

}  // namespace pitr::wal

// Walks pages of WAL that arrive in order, in pieces of any size: checks page headers, joins records that
// run over pages (and segments), checks the CRC of each and hands it to a sink. Where the server's reader
// (xlogreader.c, 15) would stop, this stops and remembers why; nothing is read behind that point.
#pragma once

#include <string>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/types/ids.h"
#include "core/types/lsn.h"
#include "core/wal/index.h"
#include "core/wal/layout.h"
#include "core/wal/record.h"

namespace pitr::wal {

struct RawRecord {
  Lsn start, end;  // as Record in reader.h
  RecordHeader header;
  ByteView bytes;  // the whole record, or its first bytes when it is longer than the reader keeps
};

class RecordSink {
 public:
  virtual ~RecordSink() = default;
  // False stops reading; `record` is valid during the call.
  virtual bool OnRecord(const RawRecord& record) = 0;
};

struct PageReaderOptions {
  RootIdentity root;
  Lsn begin;                    // start of a segment, or of a page in it
  TimelineId max_timeline = 0;  // pages of later ones are foreign; 0: any
  // Bytes kept of a record that runs over a page border. Commits and aborts are kept whole.
  std::size_t keep = kFragmentCap;
};

// (8192 - 40) + 8168 for each further page.
std::uint64_t SegmentPayload(std::uint32_t segment_size);
// Bytes of records between `from` and the end of its segment.
std::uint64_t PayloadToSegmentEnd(Lsn from, std::uint32_t segment_size);
// Where `size` bytes of continuation end that begin behind the long header of the segment at
// `segment_start`, 8-aligned. REQUIRES: size <= SegmentPayload.
Lsn ContinuationEnd(Lsn segment_start, std::uint64_t size);
// What a record ends at: `end`, or the end of its segment for a switch record.
Lsn EndOfRecord(const RecordHeader& header, Lsn end, std::uint32_t segment_size);
// CRC of a whole record against its header. REQUIRES: record::kHeader bytes at least.
bool RecordCrcFits(ByteView bytes);

class PageReader {
 public:
  PageReader(const PageReaderOptions& options, RecordSink* sink);

  // kForeign, kUnsupported as IndexBuilder::Add. Bytes behind the end of the WAL are taken and ignored.
  Status Feed(ByteView bytes);
  // Reads a last page that is not full. Nothing may be fed afterwards.
  Status FinishInput();

  Lsn fed() const { return {page_at_.value + page_fill_}; }
  // The WAL ended before what was fed did.
  bool ended() const { return state_ == State::kEnded; }
  const std::string& end_reason() const { return end_reason_; }
  // The continuation at `begin`.
  Fragment& head() { return head_; }
  Lsn head_end() const { return head_end_; }
  // The record that is not yet complete: present when one has begun.
  bool has_open_record() const { return open_ == Open::kRecord; }
  Lsn open_start() const { return open_start_; }
  std::uint32_t open_total() const { return open_total_; }
  ByteView open_bytes() const { return kept_; }

 private:
  enum class State {
    kReading,
    kSwitched,  // nothing follows in this segment
    kZeroRest,  // the same, if the rest really is zero (see LooksLikeSwitchTail)
    kEnded,
  };
  enum class Open { kNone, kHead, kRecord };

  Status OnPage(ByteView page);
  Status CheckHeader(ByteView page, Lsn at, std::size_t* header_size);
  Status CheckLongHeader(ByteView page, Lsn at) const;
  bool ContinueOpen(ByteView page, Lsn at, std::size_t* offset);
  void BeginHead(std::uint32_t remaining);
  bool AppendOpen(ByteView piece);
  bool CloseOpen(Lsn end);
  void ReadRecords(ByteView page, Lsn at, std::size_t offset);
  bool CheckRecordHeader(const RecordHeader& header, Lsn start);
  bool Deliver(const RawRecord& record);
  bool LooksLikeSwitchTail() const;
  void CheckZeroRest(ByteView rest, Lsn at);
  void End(Lsn at, std::string_view why);

  const PageReaderOptions options_;
  RecordSink* const sink_;
  State state_ = State::kReading;
  std::string end_reason_;

  Lsn page_at_;  // of the page that is being collected
  std::size_t page_fill_ = 0;
  Bytes page_buffer_;        // used only for pages that arrive in pieces
  TimelineId timeline_ = 0;  // of the page before
  Lsn previous_;             // start of the record before; invalid at the beginning

  Open open_ = Open::kNone;
  Lsn open_start_;
  std::uint32_t open_total_ = 0, open_got_ = 0;
  std::uint32_t open_crc_ = 0;
  bool open_checked_ = false;  // its header is complete and good
  RecordHeader open_header_;
  Bytes kept_;

  Fragment head_;
  Lsn head_end_;
};

}  // namespace pitr::wal

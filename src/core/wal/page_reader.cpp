#include "core/wal/page_reader.h"

#include <algorithm>
#include <cstdio>

#include "core/base/hash.h"

namespace pitr::wal {

namespace {

// Where the WAL may end without any doubt, said as the server says it.
constexpr std::string_view kZeroLength = "zeroes where a record should begin";

Status Foreign(Lsn at, std::string_view what, const std::string& found,
               const std::string& expected) {
  return Status(Code::kForeign, "WAL page " + at.ToString() + " has " + std::string(what) + " " +
                                    found + ", expected " + expected);
}

std::string Hex4(std::uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%04X", value);
  return text;
}

bool AllZero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}

}  // namespace

std::uint64_t SegmentPayload(std::uint32_t segment_size) {
  return segment_size - page::kLongHeader - (segment_size / kPageSize - 1) * page::kShortHeader;
}

std::uint64_t PayloadToSegmentEnd(Lsn from, std::uint32_t segment_size) {
  const std::uint64_t left = segment_size - from.value % segment_size;
  // The header of the page that `from` lies in is behind us; each later page has a short one.
  const std::uint64_t later_pages = left / kPageSize;
  return left - later_pages * page::kShortHeader;
}

Lsn ContinuationEnd(Lsn segment_start, std::uint64_t size) {
  constexpr std::uint64_t kFirst = kPageSize - page::kLongHeader;
  constexpr std::uint64_t kOther = kPageSize - page::kShortHeader;
  if (size <= kFirst) {
    return segment_start + Align8(page::kLongHeader + size);
  }
  const std::uint64_t rest = size - kFirst;
  const std::uint64_t full_pages = (rest - 1) / kOther;
  const std::uint64_t on_last = rest - full_pages * kOther;
  return segment_start + (1 + full_pages) * kPageSize + Align8(page::kShortHeader + on_last);
}

Lsn EndOfRecord(const RecordHeader& header, Lsn end, std::uint32_t segment_size) {
  if (!header.IsSwitch()) {
    return end;
  }
  return {(end.value + segment_size - 1) / segment_size * segment_size};
}

bool RecordCrcFits(ByteView bytes) {
  std::uint32_t crc = Crc32cComp(kCrc32cInit, bytes.subspan(record::kHeader));
  crc = Crc32cComp(crc, bytes.first(record::kCrc));
  return Crc32cFin(crc) == Load32(bytes.data() + record::kCrc);
}

PageReader::PageReader(const PageReaderOptions& options, RecordSink* sink)
    : options_(options), sink_(sink), page_at_(options.begin) {}

Status PageReader::Feed(ByteView bytes) {
  while (!bytes.empty()) {
    if (page_fill_ == 0 && bytes.size() >= kPageSize) {
      PITR_RETURN_IF_ERROR(OnPage(bytes.first(kPageSize)));
      bytes = bytes.subspan(kPageSize);
      continue;
    }
    page_buffer_.resize(kPageSize);
    const std::size_t take = std::min(kPageSize - page_fill_, bytes.size());
    std::copy_n(bytes.begin(), take,
                page_buffer_.begin() + static_cast<std::ptrdiff_t>(page_fill_));
    page_fill_ += take;
    bytes = bytes.subspan(take);
    if (page_fill_ == kPageSize) {
      page_fill_ = 0;
      PITR_RETURN_IF_ERROR(OnPage(page_buffer_));
    }
  }
  return Status::Ok();
}

Status PageReader::FinishInput() {
  if (page_fill_ == 0) {
    return Status::Ok();
  }
  const std::size_t size = page_fill_;
  page_fill_ = 0;
  return OnPage(ByteView(page_buffer_).first(size));
}

void PageReader::End(Lsn at, std::string_view why) {
  state_ = State::kEnded;
  end_reason_ = std::string(why) + " at " + at.ToString();
}

// `page` is a full page, or the beginning of the last one.
Status PageReader::OnPage(ByteView page) {
  const Lsn at = page_at_;
  page_at_ = at + page.size();
  if (state_ == State::kEnded) {
    return Status::Ok();
  }
  if (state_ != State::kReading) {
    if (at.value % options_.root.segment_size != 0) {
      if (state_ == State::kZeroRest) {
        CheckZeroRest(page, at);
      }
      return Status::Ok();
    }
    state_ = State::kReading;
  }
  std::size_t offset = 0;
  PITR_RETURN_IF_ERROR(CheckHeader(page, at, &offset));
  if (state_ != State::kReading) {
    return Status::Ok();
  }
  const std::uint16_t info = Load16(page.data() + page::kInfo);
  const bool continues = (info & page::kFirstIsContinuation) != 0;
  const std::uint32_t remaining = Load32(page.data() + page::kRemaining);
  if (open_ != Open::kNone && (info & page::kFirstIsOverwrite) != 0) {
    // A crash left the open record without its end; another record was written in its place.
    if (open_ == Open::kHead) {
      head_ = {};
    }
    open_ = Open::kNone;
  }
  if (open_ == Open::kNone && continues) {
    if (at != options_.begin) {
      End(at, "continuation without a record");
      return Status::Ok();
    }
    if (remaining == 0 || remaining > record::kMaxLength) {
      End(at, "continuation of a wrong length");
      return Status::Ok();
    }
    BeginHead(remaining);
  }
  if (open_ != Open::kNone) {
    if (!continues || remaining != open_total_ - open_got_) {
      End(at, "no continuation of the record begun before");
      return Status::Ok();
    }
    if (!ContinueOpen(page, at, &offset)) {
      return Status::Ok();
    }
  }
  if (state_ == State::kReading) {
    ReadRecords(page, at, offset);
  }
  return Status::Ok();
}

// Returns an error for WAL that is not ours, ends the WAL for a page that was never written.
Status PageReader::CheckHeader(ByteView page, Lsn at, std::size_t* header_size) {
  const bool first_of_segment = at.value % options_.root.segment_size == 0;
  *header_size = first_of_segment ? page::kLongHeader : page::kShortHeader;
  if (page.size() < *header_size) {
    End(at, "the input ends in a page header");
    return Status::Ok();
  }
  const std::uint16_t expected_magic = PageMagic(options_.root.server_major);
  if (expected_magic == 0) {
    return Status(Code::kUnsupported, "the WAL format of PostgreSQL " +
                                          std::to_string(options_.root.server_major) +
                                          " is not known");
  }
  const std::uint16_t magic = Load16(page.data() + page::kMagic);
  const std::uint16_t info = Load16(page.data() + page::kInfo);
  const Lsn address{Load64(page.data() + page::kAddress)};
  const TimelineId timeline = Load32(page.data() + page::kTimeline);
  if (magic != expected_magic) {
    // Other bytes than a magic are a page that was never written, or torn.
    const std::uint32_t major = MajorOfPageMagic(magic);
    if (major != 0 && (info & ~page::kAllFlags) == 0) {
      return Foreign(at, "page magic", Hex4(magic) + " (PostgreSQL " + std::to_string(major) + ")",
                     Hex4(expected_magic) + " (PostgreSQL " +
                         std::to_string(options_.root.server_major) + ")");
    }
    End(at, magic == 0 && AllZero(page) ? "zeroes instead of a page" : "no page header");
    return Status::Ok();
  }
  const bool long_header = (info & page::kHasLongHeader) != 0;
  if ((info & ~page::kAllFlags) != 0 || (first_of_segment && !long_header)) {
    End(at, "wrong flags in the page header");
    return Status::Ok();
  }
  if (long_header) {
    *header_size = page::kLongHeader;
    if (page.size() < *header_size) {
      End(at, "the input ends in a page header");
      return Status::Ok();
    }
    PITR_RETURN_IF_ERROR(CheckLongHeader(page, at));
  }
  if (address != at) {
    if (address > at) {
      return Foreign(at, "address", address.ToString(), at.ToString());
    }
    End(at, "old content of a recycled file");
    return Status::Ok();
  }
  if (options_.max_timeline != 0 && timeline > options_.max_timeline) {
    return Foreign(at, "timeline", std::to_string(timeline),
                   std::to_string(options_.max_timeline) + " or less");
  }
  if (timeline < timeline_) {
    End(at, "a page of an older timeline");
    return Status::Ok();
  }
  timeline_ = timeline;
  return Status::Ok();
}

Status PageReader::CheckLongHeader(ByteView page, Lsn at) const {
  const std::uint64_t system_identifier = Load64(page.data() + page::kSystemIdentifier);
  const std::uint32_t segment_size = Load32(page.data() + page::kSegmentSize);
  const std::uint32_t block_size = Load32(page.data() + page::kBlockSize);
  if (system_identifier != options_.root.system_identifier) {
    return Foreign(at, "system identifier", std::to_string(system_identifier),
                   std::to_string(options_.root.system_identifier));
  }
  if (segment_size != options_.root.segment_size) {
    return Foreign(at, "segment size", std::to_string(segment_size),
                   std::to_string(options_.root.segment_size));
  }
  if (block_size != kPageSize) {
    return Status(Code::kUnsupported, "WAL page " + at.ToString() + " has a block size of " +
                                          std::to_string(block_size) + ", only " +
                                          std::to_string(kPageSize) + " is supported");
  }
  return Status::Ok();
}

void PageReader::BeginHead(std::uint32_t remaining) {
  open_ = Open::kHead;
  open_total_ = remaining;
  open_got_ = 0;
  head_.present = true;
  head_.total = remaining;
  head_.bytes.clear();
}

// Takes what this page holds of the open record. False when the page held nothing else.
bool PageReader::ContinueOpen(ByteView page, Lsn at, std::size_t* offset) {
  const std::size_t take = std::min<std::size_t>(open_total_ - open_got_, page.size() - *offset);
  if (!AppendOpen(page.subspan(*offset, take))) {
    return false;
  }
  *offset = Align8(*offset + take);
  if (open_got_ < open_total_) {
    return false;
  }
  return CloseOpen(at + *offset);
}

bool PageReader::AppendOpen(ByteView piece) {
  const bool is_head = open_ == Open::kHead;
  Bytes* kept = is_head ? &head_.bytes : &kept_;
  open_got_ += static_cast<std::uint32_t>(piece.size());
  if (!is_head && !open_checked_) {
    const std::size_t take = std::min(record::kHeader - kept->size(), piece.size());
    kept->insert(kept->end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(take));
    piece = piece.subspan(take);
    if (kept->size() < record::kHeader) {
      return true;
    }
    open_header_ = LoadRecordHeader(kept->data());
    if (!CheckRecordHeader(open_header_, open_start_)) {
      return false;
    }
    open_checked_ = true;
  }
  const std::size_t limit = is_head ? kFragmentCap : options_.keep;
  const std::size_t room = limit > kept->size() ? limit - kept->size() : 0;
  const bool keep_all = !is_head && open_header_.resource_manager == rmgr::kTransaction;
  const ByteView keep = keep_all ? piece : piece.first(std::min(room, piece.size()));
  kept->insert(kept->end(), keep.begin(), keep.end());
  if (!is_head) {
    // The header is last in the CRC although it is first in the record.
    open_crc_ = Crc32cComp(open_crc_, piece);
  }
  return true;
}

// The open record is complete and ends at `end`.
bool PageReader::CloseOpen(Lsn end) {
  const Open kind = open_;
  open_ = Open::kNone;
  if (kind == Open::kHead) {
    head_end_ = end;
    return true;
  }
  const std::uint32_t crc = Crc32cFin(Crc32cComp(open_crc_, ByteView(kept_).first(record::kCrc)));
  if (crc != open_header_.crc) {
    End(open_start_, "a record with a wrong CRC");
    return false;
  }
  return Deliver({open_start_, end, open_header_, kept_});
}

bool PageReader::CheckRecordHeader(const RecordHeader& header, Lsn start) {
  const bool known_previous = previous_.valid();
  if (!IsResourceManager(header.resource_manager)) {
    End(start, "a record of no resource manager");
  } else if (known_previous ? header.previous != previous_ : header.previous >= start) {
    End(start, "a record with a wrong link to the one before");
  }
  return state_ == State::kReading;
}

bool PageReader::Deliver(const RawRecord& raw) {
  RawRecord record = raw;
  record.end = EndOfRecord(raw.header, raw.end, options_.root.segment_size);
  previous_ = record.start;
  if (!sink_->OnRecord(record)) {
    End(record.start, "stopped");
    return false;
  }
  if (record.header.IsSwitch()) {
    state_ = State::kSwitched;
    return false;
  }
  return true;
}

void PageReader::ReadRecords(ByteView page, Lsn at, std::size_t offset) {
  while (offset < kPageSize) {
    const Lsn start = at + offset;
    if (offset + sizeof(std::uint32_t) > page.size()) {
      End(start, "the input ends");
      return;
    }
    const std::uint32_t total = Load32(page.data() + offset);
    if (total == 0 && LooksLikeSwitchTail() && start == head_end_) {
      head_end_ =
          EndOfRecord({0, 0, {}, xlog::kSwitch, rmgr::kXlog, 0}, start, options_.root.segment_size);
      state_ = State::kZeroRest;
      CheckZeroRest(page.subspan(offset), start);
      return;
    }
    if (total < record::kHeader || total > record::kMaxLength) {
      End(start, total == 0 ? kZeroLength : "a record of a wrong length");
      return;
    }
    const ByteView bytes = page.subspan(offset, std::min<std::size_t>(total, page.size() - offset));
    if (bytes.size() < total) {
      open_ = Open::kRecord;
      open_start_ = start;
      open_total_ = total;
      open_got_ = 0;
      open_crc_ = kCrc32cInit;
      open_checked_ = false;
      kept_.clear();
      AppendOpen(bytes);
      return;
    }
    const RecordHeader header = LoadRecordHeader(bytes.data());
    if (!CheckRecordHeader(header, start)) {
      return;
    }
    if (!RecordCrcFits(bytes)) {
      End(start, "a record with a wrong CRC");
      return;
    }
    offset = Align8(offset + total);
    if (!Deliver({start, at + offset, header, bytes})) {
      return;
    }
  }
}

// A switch record that begins in the segment before can end here: then nothing but zeroes follows, and
// this segment alone does not say so. A switch record is a bare header, so its second part holds the last
// 8 or 16 bytes of one.
bool PageReader::LooksLikeSwitchTail() const {
  if (!head_.present || !head_end_.valid() || previous_.valid()) {
    return false;
  }
  const Bytes& tail = head_.bytes;
  if (head_.total != tail.size() || (tail.size() != 8 && tail.size() != 16)) {
    return false;
  }
  const std::uint8_t* p = tail.data() + tail.size() - 8;
  return (p[0] & record::kInfoMask) == xlog::kSwitch && p[1] == rmgr::kXlog && p[2] == 0 &&
         p[3] == 0;
}

void PageReader::CheckZeroRest(ByteView rest, Lsn at) {
  if (!AllZero(rest)) {
    head_end_ = ContinuationEnd(options_.begin, head_.total);
    End(at, kZeroLength);
  }
}

}  // namespace pitr::wal

// Decoding of one record. The checks are those of the server's reader, no more and no fewer: what it
// would refuse ends the WAL for us too, and what it accepts must be in the index.
#include "core/wal/record.h"

#include <algorithm>

namespace pitr::wal {

namespace {

// The header part of a record: fields are taken one after the other until the data begins.
class Cursor {
 public:
  explicit Cursor(ByteView bytes) : p_(bytes.data()), end_(p_ + bytes.size()) {}
  // The next `size` bytes, nullptr when fewer are left.
  const std::uint8_t* Take(std::size_t size) {
    if (static_cast<std::size_t>(end_ - p_) < size) {
      return nullptr;
    }
    const std::uint8_t* at = p_;
    p_ += size;
    return at;
  }
  std::size_t left() const { return static_cast<std::size_t>(end_ - p_); }

 private:
  const std::uint8_t* p_;
  const std::uint8_t* end_;
};

// An image header, after the block header: adds the length of the image to `data_size`.
bool DecodeImage(Cursor* in, std::uint64_t* data_size) {
  const std::uint8_t* p = in->Take(block::kImageHeader);
  if (p == nullptr) {
    return false;
  }
  const std::uint16_t length = Load16(p);
  const std::uint16_t hole_offset = Load16(p + 2);
  const bool has_hole = (p[4] & block::kImageHasHole) != 0;
  const bool compressed = (p[4] & block::kImageCompressed) != 0;
  int hole_length = compressed ? 0 : block::kBlockSize - length;
  if (compressed && has_hole) {
    const std::uint8_t* hole = in->Take(block::kCompressHeader);
    if (hole == nullptr) {
      return false;
    }
    hole_length = Load16(hole);
  }
  *data_size += length;
  if (has_hole && (hole_offset == 0 || hole_length == 0 || length == block::kBlockSize)) {
    return false;
  }
  if (!has_hole && (hole_offset != 0 || hole_length != 0)) {
    return false;
  }
  return !compressed || length != block::kBlockSize;
}

// A block reference whose id is already read. `relation` is the one of the reference before.
bool DecodeBlock(Cursor* in, const std::uint8_t** relation, BlockRef* out,
                 std::uint64_t* data_size) {
  const std::uint8_t* p = in->Take(block::kHeader - 1);
  if (p == nullptr) {
    return false;
  }
  const std::uint8_t flags = p[0];
  const std::uint16_t data_length = Load16(p + 1);
  if (((flags & block::kHasData) != 0) != (data_length > 0)) {
    return false;
  }
  *data_size += data_length;
  out->has_image = (flags & block::kHasImage) != 0;
  if (out->has_image && !DecodeImage(in, data_size)) {
    return false;
  }
  if ((flags & block::kSameRelation) == 0) {
    *relation = in->Take(block::kRelation);
  }
  if (*relation == nullptr) {
    return false;
  }
  const std::uint8_t* number = in->Take(block::kNumber);
  if (number == nullptr) {
    return false;
  }
  out->relation = LoadRelation(*relation, flags & block::kForkMask);
  out->block = Load32(number);
  return true;
}

}  // namespace

bool DecodeBody(ByteView bytes, std::uint32_t total_length, RecordBody* body) {
  body->block_count = 0;
  body->main_data = {};
  body->main_data_cut = false;
  if (bytes.size() < record::kHeader || bytes.size() > total_length) {
    return false;
  }
  Cursor in(bytes.subspan(record::kHeader));
  // What the server calls remaining and datatotal: bytes behind the cursor in the whole record, and how
  // many of them the headers so far have claimed. Headers end where the two meet.
  const std::size_t missing = total_length - bytes.size();
  std::uint64_t data_size = 0;
  std::uint32_t main_size = 0;
  const std::uint8_t* relation = nullptr;
  int last_block_id = -1;
  bool at_main_data = false;
  while (!at_main_data && in.left() + missing > data_size) {
    const std::uint8_t* id = in.Take(1);
    if (id == nullptr) {
      return false;
    }
    const std::uint8_t* p = nullptr;
    if (*id <= record::kMaxBlockId) {
      if (*id <= last_block_id) {
        return false;
      }
      last_block_id = *id;
      if (!DecodeBlock(&in, &relation, &body->blocks[body->block_count], &data_size)) {
        return false;
      }
      body->block_count++;
      continue;
    }
    switch (*id) {
      case record::kIdDataShort:
        p = in.Take(1);
        main_size = p == nullptr ? 0 : *p;
        at_main_data = true;
        break;
      case record::kIdDataLong:
        p = in.Take(4);
        main_size = p == nullptr ? 0 : Load32(p);
        at_main_data = true;
        break;
      case record::kIdOrigin:
        p = in.Take(2);
        break;
      case record::kIdTopLevelXid:
        p = in.Take(4);
        break;
      default:
        return false;
    }
    if (p == nullptr) {
      return false;
    }
  }
  if (in.left() + missing != data_size + main_size) {
    return false;
  }
  // Main data is the last part of a record.
  const std::size_t main_begin = std::min<std::size_t>(total_length - main_size, bytes.size());
  body->main_data = bytes.subspan(main_begin);
  body->main_data_cut = body->main_data.size() < main_size;
  return true;
}

bool DecodeTransactionEnd(const RecordHeader& header, const RecordBody& body,
                          std::uint32_t server_major, TransactionEnd* out) {
  *out = {};
  Cursor in(body.main_data);
  const std::uint8_t* p = in.Take(8);
  if (p == nullptr) {
    return false;
  }
  out->time = LoadTime(p);
  if ((header.info & xact::kHasInfo) == 0) {
    return true;
  }
  // Each part is a fixed size, or a count and that many items; `list` receives the items.
  bool ok = true;
  const auto skip_list = [&](std::size_t item_size, ByteView* list) {
    const std::uint8_t* count = ok ? in.Take(4) : nullptr;
    // A count is an int; what is negative there is larger here than any record.
    const std::uint64_t size = count == nullptr ? 0 : std::uint64_t{Load32(count)} * item_size;
    const std::size_t at_hand = std::min<std::uint64_t>(size, in.left());
    const std::uint8_t* items = count == nullptr ? nullptr : in.Take(at_hand);
    ok = items != nullptr && at_hand == size;
    if (list != nullptr && items != nullptr) {
      *list = ByteView(items, at_hand / item_size * item_size);
    }
  };
  p = in.Take(4);
  ok = p != nullptr;
  const std::uint32_t parts = ok ? Load32(p) : 0;
  const std::uint8_t operation = header.info & xact::kOpMask;
  const bool is_commit = operation == xact::kCommit || operation == xact::kCommitPrepared;
  if (ok && (parts & xact::kHasDatabase) != 0) {
    p = in.Take(xact::kDatabaseSize);
    ok = p != nullptr;
    out->database = ok ? Load32(p) : 0;
  }
  if (ok && (parts & xact::kHasSubxacts) != 0) {
    skip_list(xact::kSubxactSize, &out->subxacts);
  }
  if (ok && (parts & xact::kHasRelations) != 0) {
    skip_list(block::kRelation, &out->relations);
  }
  if (ok && (parts & xact::kHasDroppedStats) != 0) {
    skip_list(xact::StatsItemSize(server_major), nullptr);
  }
  // ParseAbortRecord does not look at this bit.
  if (ok && is_commit && (parts & xact::kHasInvalidations) != 0) {
    skip_list(xact::kInvalidationSize, &out->invalidations);
  }
  if (ok && (parts & xact::kHasTwoPhase) != 0) {
    p = in.Take(4);
    ok = p != nullptr;
    out->prepared_xid = ok ? Load32(p) : 0;
    if (ok && (parts & xact::kHasGid) != 0) {
      const std::string_view rest = AsText(body.main_data.last(in.left()));
      const std::size_t length = rest.substr(0, xact::kGidMax).find('\0');
      ok = length != std::string_view::npos;
      out->gid = rest.substr(0, ok ? length : 0);
    }
  }
  // The origin that may follow is not read.
  out->cut = !ok && body.main_data_cut;
  return ok || out->cut;
}

}  // namespace pitr::wal

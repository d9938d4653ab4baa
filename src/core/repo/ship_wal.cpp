// Ships WAL files: one pass over the file, in which it is checked, indexed, compressed and hashed. README.md 3
// has the order of writes. Invariant: OK means that the repository holds, durably and under this name, exactly
// the bytes that were read, and that they are WAL of this root line at this address.
#include "core/repo/wal_archive.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/codec/envelope.h"
#include "core/repo/layout.h"
#include "core/repo/same_content.h"
#include "core/types/timeline.h"
#include "core/wal/layout.h"

namespace pitr {

namespace {

// What is read is a frame of the envelope, which then needs no copy of it.
constexpr std::size_t kReadSize = kEnvelopeFrameSize;
// A history file has a line per timeline, a backup label file some ten lines.
constexpr std::uint64_t kMaxText = 1U << 20;

// One file on its way to one object.
struct Shipment {
  Repository* repo;
  const ShipOptions& options;
  const std::string& path;
  std::string object;
  ObjectKind kind;
  int compression_level;
  SegmentId segment;       // kinds of WAL
  std::uint64_t size = 0;  // bytes of the file that are shipped
};

std::string WhatOf(const Shipment& shipment) { return "WAL file \"" + shipment.path + "\""; }

// Calls `take` with all bytes of the shipment in order.
template <typename Take>
Status ReadAll(const Shipment& shipment, const File& file, Take take) {
  Bytes buffer(static_cast<std::size_t>(std::min<std::uint64_t>(kReadSize, shipment.size)));
  for (std::uint64_t position = 0; position < shipment.size;) {
    const CancelToken* cancel = shipment.options.cancel;
    if (cancel != nullptr && cancel->IsCancelled()) {
      return Status(Code::kCancelled, "archiving of " + WhatOf(shipment) + " was cancelled");
    }
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), shipment.size - position));
    PITR_ASSIGN_OR_RETURN(const std::size_t got, file.ReadAt(position, buffer.data(), wanted));
    if (got != wanted) {
      return Status(Code::kCorrupt, WhatOf(shipment) + " became shorter while it was read");
    }
    PITR_RETURN_IF_ERROR(take(ByteView(buffer).first(got)));
    position += got;
  }
  return Status::Ok();
}

// Publishes, or finds the same content there. `result` gets what is known of the object.
Status Publish(const Shipment& shipment, const File& file, EnvelopeWriter* writer, ByteView extra,
               ShipResult* result) {
  if (shipment.options.still_ready && !shipment.options.still_ready()) {
    return Status(Code::kNotReady, WhatOf(shipment) + " is not waiting to be archived any more");
  }
  PITR_FAULT("archive.segment.before_publish");
  if (shipment.options.may_publish && !shipment.options.may_publish()) {
    return Status(Code::kNotReady, WhatOf(shipment) + " may not be published now");
  }
  Status status = writer->Finish(extra);
  EnvelopeFooter stored = writer->footer();
  if (status.code() == Code::kAlreadyExists) {
    PITR_ASSIGN_OR_RETURN(stored,
                          CheckSameContent(shipment.repo->store(),
                                           {shipment.object, shipment.kind, shipment.path, file,
                                            writer->footer(), shipment.options.cancel}));
    result->was_there = true;
  } else if (!status.ok()) {
    return status;
  }
  result->raw_bytes = stored.plain_size;
  result->stored_bytes = stored.object_size();
  PITR_FAULT("archive.segment.after_publish");
  return Status::Ok();
}

Result<std::unique_ptr<EnvelopeWriter>> CreateWriter(const Shipment& shipment) {
  return EnvelopeWriter::Create(shipment.repo->store(), shipment.object, shipment.kind,
                                shipment.compression_level);
}

Status EndsEarly(const Shipment& shipment, const wal::SegmentIndex& index) {
  const std::string where = index.last_end.valid()
                                ? "Its last whole record ends at " + index.last_end.ToString()
                                : "No record that begins in it is whole";
  const std::string why = index.end_reason.empty() ? "" : ", then: " + index.end_reason;
  return Status(Code::kCorrupt, WhatOf(shipment) + " ends early").WithDetail(where + why + ".");
}

// kCorrupt when `begin`, the first bytes of the file, is not a page of this place: a recycled file holds the
// WAL of an earlier one, which is no end of WAL but none at all. Fewer bytes than a page header say nothing.
Status CheckBegin(const Shipment& shipment, ByteView begin) {
  const Lsn start = SegmentStart(shipment.segment.number, shipment.options.root.segment_size);
  if (begin.size() < wal::page::kLongHeader) {
    return Status::Ok();
  }
  const Lsn found{ByteReader(begin.subspan(wal::page::kAddress)).U64()};
  if (found == start) {
    return Status::Ok();
  }
  return Status(Code::kCorrupt, WhatOf(shipment) + " does not hold the WAL that its name says")
      .WithDetail("Its first page is that of " + found.ToString() + ", not of " + start.ToString() +
                  ".");
}

// Segments and .partial files.
Result<ShipResult> ShipWal(const Shipment& shipment, const File& file) {
  const bool is_whole = shipment.kind == ObjectKind::kWalSegment;
  wal::IndexBuilder builder({shipment.options.root, shipment.segment});
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<EnvelopeWriter> writer, CreateWriter(shipment));
  bool is_first = true;
  const auto index_and_write = [&](ByteView bytes) -> Status {
    PITR_RETURN_IF_ERROR(builder.Add(bytes));
    if (std::exchange(is_first, false)) {
      PITR_RETURN_IF_ERROR(CheckBegin(shipment, bytes));
    }
    return writer->Add(bytes);
  };
  PITR_RETURN_IF_ERROR(ReadAll(shipment, file, index_and_write));
  PITR_ASSIGN_OR_RETURN(const wal::SegmentIndex index, builder.Finish());
  if (is_whole && index.partial) {
    return EndsEarly(shipment, index);
  }
  ShipResult result;
  result.last_end = index.last_end;
  const Bytes extra = is_whole ? wal::EncodeIndex(index) : Bytes();
  PITR_RETURN_IF_ERROR(Publish(shipment, file, writer.get(), extra, &result));
  return result;
}

// History and backup label files.
Result<ShipResult> ShipText(const Shipment& shipment, const WalFileName& name, const File& file) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<EnvelopeWriter> writer, CreateWriter(shipment));
  std::string text;
  const auto keep_and_write = [&](ByteView bytes) -> Status {
    text.append(AsText(bytes));
    return writer->Add(bytes);
  };
  PITR_RETURN_IF_ERROR(ReadAll(shipment, file, keep_and_write));
  if (name.kind == WalFileKind::kHistory) {
    Result<TimelineHistory> history = TimelineHistory::Parse(name.timeline, text);
    if (!history.ok()) {
      return std::move(history).status().Prefix(WhatOf(shipment));
    }
  }
  ShipResult result;
  PITR_RETURN_IF_ERROR(Publish(shipment, file, writer.get(), {}, &result));
  return result;
}

// kCorrupt unless a file of `size` bytes can be what its name says.
Status CheckSize(const Shipment& shipment, WalFileKind kind) {
  const std::uint64_t segment_size = shipment.options.root.segment_size;
  switch (kind) {
    case WalFileKind::kSegment:
      if (shipment.size == segment_size) {
        return Status::Ok();
      }
      break;
    case WalFileKind::kPartial:
      if (shipment.size > 0 && shipment.size <= segment_size) {
        return Status::Ok();
      }
      break;
    case WalFileKind::kHistory:
    case WalFileKind::kBackupLabel:
      if (shipment.size > 0 && shipment.size <= kMaxText) {
        return Status::Ok();
      }
      break;
  }
  return Status(Code::kCorrupt,
                WhatOf(shipment) + " has " + std::to_string(shipment.size) + " bytes")
      .WithDetail("WAL segments of this server have " + std::to_string(segment_size) + " bytes.");
}

}  // namespace

Result<ShipResult> ShipWalFile(Repository* repo, const ShipOptions& options,
                               const std::string& path, const std::string& name) {
  const std::optional<WalFileName> parsed = ParseWalFileName(name, options.root.segment_size);
  if (!parsed.has_value()) {
    return Status(Code::kInvalidArgument, "\"" + name + "\" is not the name of a WAL file");
  }
  const bool is_text =
      parsed->kind == WalFileKind::kHistory || parsed->kind == WalFileKind::kBackupLabel;
  const bool is_segment = parsed->kind == WalFileKind::kSegment;
  Shipment shipment = {.repo = repo,
                       .options = options,
                       .path = path,
                       .object = layout::WalObject(options.branch, *parsed, name),
                       .kind = ObjectKind::kText,
                       .compression_level = is_text ? 0 : options.compression_level,
                       .segment = {parsed->timeline, parsed->segment}};
  if (!is_text) {
    shipment.kind = is_segment ? ObjectKind::kWalSegment : ObjectKind::kWalPart;
  }
  PITR_FAULT("archive.segment.before_read");
  PITR_ASSIGN_OR_RETURN(const File file, File::Open(path, O_RDONLY));
  PITR_ASSIGN_OR_RETURN(shipment.size, file.Size());
  PITR_RETURN_IF_ERROR(CheckSize(shipment, parsed->kind));
  return is_text ? ShipText(shipment, *parsed, file) : ShipWal(shipment, file);
}

}  // namespace pitr

// A pack's head says whose it is, so that a pack is known without its manifest.
#include "core/work/pack_writer.h"

#include <algorithm>

#include "core/base/fault.h"
#include "core/base/hash.h"
#include "core/repo/layout.h"

namespace pitr {

namespace {

constexpr std::string_view kMagic = "PITRpak1";
constexpr std::size_t kIdSize = 40;

}  // namespace

// magic 8, number 4, cipher 1 (0), unused 3, snapshot id 40 (zero-filled), XXH3 of these 56 bytes 8
Bytes EncodePackHead(const SnapshotId& snapshot, std::uint32_t number) {
  Bytes head;
  ByteWriter out(&head);
  out.Raw(AsBytes(kMagic));
  out.U32(number);
  out.U32(0);
  std::string id = snapshot;
  id.resize(kIdSize);
  out.Raw(AsBytes(id));
  out.U64(Xxh3(head));
  return head;
}

Status CheckPackHead(ByteView head, const SnapshotId& snapshot, std::uint32_t number) {
  const Bytes expected = EncodePackHead(snapshot, number);
  if (head.size() == expected.size() && std::equal(head.begin(), head.end(), expected.begin())) {
    return Status::Ok();
  }
  return Status(Code::kCorrupt,
                "head of pack \"" + layout::PackObject(snapshot, number) + "\" is damaged");
}

Status PackWriter::Open() {
  number_ = next_number_->fetch_add(1);
  if (number_ > kMaxPackNumber) {
    return Status(Code::kLimit,
                  "a snapshot has at most " + std::to_string(kMaxPackNumber) + " packs");
  }
  PITR_ASSIGN_OR_RETURN(writer_, repo_->store()->Create(layout::PackObject(snapshot_, number_)));
  const Bytes head = EncodePackHead(snapshot_, number_);
  PITR_RETURN_IF_ERROR(writer_->Append(head));
  size_ = head.size();
  return Status::Ok();
}

Result<PackWriter::Place> PackWriter::Add(ByteView frame) {
  if (writer_ == nullptr) {
    PITR_RETURN_IF_ERROR(Open());
  }
  const Place place{number_, size_};
  PITR_RETURN_IF_ERROR(writer_->Append(frame));
  size_ += frame.size();
  if (size_ >= target_) {
    PITR_RETURN_IF_ERROR(Close());
  }
  return place;
}

Status PackWriter::Close() {
  if (writer_ == nullptr) {
    return Status::Ok();
  }
  PITR_FAULT("snapshot.copy.before_pack");
  const std::unique_ptr<ObjectWriter> writer = std::move(writer_);
  PITR_RETURN_IF_ERROR(writer->Commit());
  published_.push_back(number_);
  PITR_FAULT("snapshot.copy.after_pack");
  return Status::Ok();
}

}  // namespace pitr

// The bytes of a manifest: prelude, head, body. Format: doc/snapshot-format.md, version 1.
//
// The head is small and readable without the body, since lists of snapshots read nothing else.
#include <limits>

#include "core/codec/compress.h"
#include "core/repo/manifest_body.h"

namespace pitr {

namespace {

constexpr std::string_view kMagic = "PITRmnf1";
constexpr std::uint16_t kVersion = 1;
// 4 GiB are a database of some 60 TiB; a larger figure is damage, not a manifest.
constexpr std::uint64_t kMaxBodySize = 4ULL << 30;
constexpr std::size_t kMaxId = 64, kMaxWord = 64, kMaxName = 4096, kMaxLabel = 1U << 20;

void PutOptional(ByteWriter* out, bool present) { out->U8(present ? 1 : 0); }

void EncodeControl(const ControlSettings& control, ByteWriter* out) {
  out->Signed(control.max_connections);
  out->Signed(control.max_worker_processes);
  out->Signed(control.max_wal_senders);
  out->Signed(control.max_prepared_transactions);
  out->Signed(control.max_locks_per_transaction);
  out->Signed(control.wal_level);
  out->U8(control.wal_log_hints ? 1 : 0);
  out->U8(control.track_commit_timestamp ? 1 : 0);
  out->Varint(control.data_checksum_version);
}

Bytes EncodeHead(const Manifest& m) {
  Bytes bytes;
  ByteWriter out(&bytes);
  out.Text(m.id);
  out.Text(m.name);
  out.Text(m.branch);
  out.U64(m.root.system_identifier);
  out.Varint(m.root.server_major);
  out.Varint(m.root.segment_size);
  out.Text(m.kind);
  out.Text(m.origin);
  PutOptional(&out, m.based_on.has_value());
  if (m.based_on) {
    out.Text(*m.based_on);
  }
  out.Varint(m.timeline);
  out.U64(m.start_lsn.value);
  out.U64(m.stop_lsn.value);
  out.Signed(m.started_at.micros);
  out.Signed(m.finished_at.micros);
  PutOptional(&out, m.expires_at.has_value());
  if (m.expires_at) {
    out.Signed(m.expires_at->micros);
  }
  out.U8(m.from_standby ? 1 : 0);
  out.Text(m.backup_label);
  out.Text(m.tablespace_map);
  EncodeControl(m.control, &out);
  for (const std::uint64_t value : {m.database_bytes, m.new_bytes, m.stored_bytes}) {
    out.Varint(value);
  }
  for (const std::size_t count :
       {m.packs.size(), m.frames.size(), m.files.size(), m.bad_pages.size()}) {
    out.Varint(count);
  }
  return bytes;
}

std::int32_t NarrowSigned(std::int64_t value, bool* good) {
  *good = *good && value >= std::numeric_limits<std::int32_t>::min() &&
          value <= std::numeric_limits<std::int32_t>::max();
  return *good ? static_cast<std::int32_t>(value) : 0;
}

ControlSettings DecodeControl(ByteReader* in, bool* good) {
  ControlSettings control;
  control.max_connections = NarrowSigned(in->Signed(), good);
  control.max_worker_processes = NarrowSigned(in->Signed(), good);
  control.max_wal_senders = NarrowSigned(in->Signed(), good);
  control.max_prepared_transactions = NarrowSigned(in->Signed(), good);
  control.max_locks_per_transaction = NarrowSigned(in->Signed(), good);
  control.wal_level = NarrowSigned(in->Signed(), good);
  control.wal_log_hints = Flag(in, good);
  control.track_commit_timestamp = Flag(in, good);
  control.data_checksum_version = Narrow<std::uint32_t>(in->Varint(), good);
  return control;
}

Result<ManifestHead> DecodeHead(ByteView bytes) {
  ByteReader in(bytes);
  bool good = true;
  ManifestHead head;
  Manifest& m = head.manifest;
  m.id = in.Text(kMaxId);
  m.name = in.Text(kMaxName);
  m.branch = in.Text(kMaxId);
  m.root.system_identifier = in.U64();
  m.root.server_major = Narrow<std::uint32_t>(in.Varint(), &good);
  m.root.segment_size = Narrow<std::uint32_t>(in.Varint(), &good);
  m.kind = in.Text(kMaxWord);
  m.origin = in.Text(kMaxWord);
  if (Flag(&in, &good)) {
    m.based_on = in.Text(kMaxId);
  }
  m.timeline = Narrow<std::uint32_t>(in.Varint(), &good);
  m.start_lsn.value = in.U64();
  m.stop_lsn.value = in.U64();
  m.started_at.micros = in.Signed();
  m.finished_at.micros = in.Signed();
  if (Flag(&in, &good)) {
    m.expires_at = Timestamp{in.Signed()};
  }
  m.from_standby = Flag(&in, &good);
  m.backup_label = in.Text(kMaxLabel);
  m.tablespace_map = in.Text(kMaxLabel);
  m.control = DecodeControl(&in, &good);
  for (std::uint64_t* value : {&m.database_bytes, &m.new_bytes, &m.stored_bytes, &head.pack_count,
                               &head.frame_count, &head.file_count, &head.bad_page_count}) {
    *value = in.Varint();
  }
  if (!good || !in.AtEnd()) {
    return Malformed("head");
  }
  return head;
}

}  // namespace

Result<ManifestPrelude> DecodeManifestPrelude(ByteView bytes) {
  ByteReader in(bytes);
  if (AsText(in.Raw(kMagic.size())) != kMagic) {
    return Malformed("it does not begin with its magic");
  }
  const std::uint16_t version = in.U16();
  if (in.ok() && version != kVersion) {
    return Status(Code::kUnsupported,
                  "manifest format version " + std::to_string(version) + " is not supported")
        .WithHint("It was written by a newer version of pitr_ext.");
  }
  ManifestPrelude prelude;
  prelude.flags = in.U16();
  prelude.head_size = in.U32();
  prelude.body_plain = in.U64();
  prelude.body_packed = in.U64();
  if (!in.ok() || (prelude.flags & ~kManifestBodyStored) != 0 ||
      prelude.head_size > in.remaining() || prelude.body_plain > kMaxBodySize ||
      prelude.body_packed > kMaxBodySize) {
    return Malformed("prelude");
  }
  return prelude;
}

namespace {

Result<Bytes> UnpackBody(const ManifestPrelude& prelude, ByteView packed) {
  const bool stored = (prelude.flags & kManifestBodyStored) != 0;
  // Streaming: memory grows with what the frame really holds, not with what the prelude says.
  Decompressor decompressor(stored, prelude.body_plain);
  Bytes plain;
  PITR_RETURN_IF_ERROR(decompressor.Add(packed, &plain));
  PITR_RETURN_IF_ERROR(decompressor.Finish());
  if (plain.size() != prelude.body_plain) {
    return Malformed("size of the body");
  }
  return plain;
}

}  // namespace

Bytes EncodeManifest(const Manifest& manifest, int level) {
  const Bytes body = EncodeManifestBody(manifest);
  Bytes packed;
  const bool stored =
      level == 0 || !CompressBlock(level, body, &packed).ok() || packed.size() >= body.size();
  const ByteView stored_body = stored ? ByteView(body) : ByteView(packed);

  const Bytes head = EncodeHead(manifest);
  Bytes bytes;
  bytes.reserve(kManifestPreludeSize + head.size() + stored_body.size());
  ByteWriter all(&bytes);
  all.Raw(AsBytes(kMagic));
  all.U16(kVersion);
  all.U16(stored ? kManifestBodyStored : std::uint16_t{0});
  all.U32(static_cast<std::uint32_t>(head.size()));
  all.U64(body.size());
  all.U64(stored_body.size());
  all.Raw(head);
  all.Raw(stored_body);
  return bytes;
}

Result<ManifestHead> DecodeManifestHead(ByteView bytes) {
  PITR_ASSIGN_OR_RETURN(const ManifestPrelude prelude, DecodeManifestPrelude(bytes));
  PITR_ASSIGN_OR_RETURN(ManifestHead head,
                        DecodeHead(bytes.subspan(kManifestPreludeSize, prelude.head_size)));
  head.manifest_bytes = kManifestPreludeSize + prelude.head_size + prelude.body_packed;
  head.body_bytes = prelude.body_packed;
  return head;
}

Result<Manifest> DecodeManifest(ByteView bytes) {
  PITR_ASSIGN_OR_RETURN(const ManifestPrelude prelude, DecodeManifestPrelude(bytes));
  PITR_ASSIGN_OR_RETURN(ManifestHead head, DecodeManifestHead(bytes));
  if (head.manifest_bytes != bytes.size()) {
    return Malformed("size");
  }
  PITR_ASSIGN_OR_RETURN(const Bytes body, UnpackBody(prelude, bytes.subspan(kManifestPreludeSize +
                                                                            prelude.head_size)));
  Manifest manifest = std::move(head.manifest);
  PITR_RETURN_IF_ERROR(DecodeManifestBody(body, &manifest));
  if (manifest.packs.size() != head.pack_count || manifest.frames.size() != head.frame_count ||
      manifest.files.size() != head.file_count ||
      manifest.bad_pages.size() != head.bad_page_count) {
    return Malformed("counts");
  }
  PITR_RETURN_IF_ERROR(CheckManifest(manifest));
  return manifest;
}

}  // namespace pitr

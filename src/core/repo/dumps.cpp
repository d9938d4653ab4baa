// Order of writing: objects, then the manifest. Order of removing: the mark in the catalogue, the manifest, then the objects.
#include "core/repo/dumps.h"

#include <algorithm>
#include <tuple>

#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/codec/envelope.h"
#include "core/repo/catalogue.h"
#include "core/repo/dump_attempts.h"
#include "core/repo/layout.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxManifest = 256U << 20;
constexpr int kManifestLevel = 3;

bool IsDamage(Code code) { return code == Code::kCorrupt || code == Code::kUnsupported; }

// Of an id that came from outside: nothing else may become the name of an object.
Status CheckId(const DumpId& id) {
  return IsDumpId(id) ? Status::Ok()
                      : Status(Code::kNotFound, "dump \"" + id + "\" does not exist");
}

Status Missing(const DumpId& id, const Status& status) {
  return status.code() == Code::kNotFound
             ? Status(Code::kNotFound, "dump \"" + id + "\" does not exist")
                   .WithHint("SELECT * FROM pitr_dumps, or pitr dump-list, shows those that do.")
             : status;
}

Result<DumpManifest> Decode(const DumpId& id, ByteView bytes, bool whole) {
  PITR_ASSIGN_OR_RETURN(const Json json,
                        ParseJson(AsText(bytes), layout::DumpManifestObject(id), kMaxManifest));
  PITR_ASSIGN_OR_RETURN(DumpManifest manifest, DecodeDump(json, whole));
  if (manifest.id == id) return manifest;
  return Status(Code::kCorrupt, "object \"" + layout::DumpManifestObject(id) +
                                    "\" is the manifest of dump \"" + manifest.id + "\"");
}

}  // namespace

bool IsDumpId(std::string_view text) {
  constexpr std::string_view kShape = "dp-99999999T999999-xxxxxxxx";
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return text.size() == kShape.size() &&
         std::equal(text.begin(), text.end(), kShape.begin(), [&](char c, char shape) {
           return shape == '9'   ? is_digit(c)
                  : shape == 'x' ? is_digit(c) || (c >= 'a' && c <= 'f')
                                 : c == shape;
         });
}

DumpId DumpOfOperation(const OperationId& operation) {
  return "dp-" + operation.substr(std::min<std::size_t>(3, operation.size()));
}

OperationId OperationOfDump(const DumpId& dump) {
  return "op-" + dump.substr(std::min<std::size_t>(3, dump.size()));
}

std::uint64_t DumpFile::PlainBytes() const {
  std::uint64_t sum = 0;
  for (const DumpObject& object : objects)
    sum += object.plain_bytes;
  return sum;
}

std::uint64_t DumpFile::StoredBytes() const {
  std::uint64_t sum = 0;
  for (const DumpObject& object : objects)
    sum += object.stored_bytes;
  return sum;
}

std::uint64_t DumpManifest::Rows() const {
  std::uint64_t sum = 0;
  for (const DumpDatabase& database : databases)
    sum += database.rows;
  return sum;
}

std::uint64_t DumpManifest::Entries() const {
  std::uint64_t sum = 0;
  for (const DumpDatabase& database : databases)
    sum += database.entries;
  return sum;
}

Status WriteDump(Repository* repo, const DumpManifest& manifest) {
  PITR_RETURN_IF_ERROR(CheckDump(manifest));
  const std::string head = DumpJson(EncodeDump(manifest, false));
  const std::string body = DumpJson(EncodeDump(manifest, true));
  PITR_FAULT("dump.before_manifest");
  PITR_ASSIGN_OR_RETURN(
      const auto writer,
      EnvelopeWriter::Create(repo->store(), layout::DumpManifestObject(manifest.id),
                             ObjectKind::kDump, kManifestLevel));
  PITR_RETURN_IF_ERROR(writer->Add(AsBytes(body)));
  PITR_RETURN_IF_ERROR(writer->Finish(AsBytes(head)));
  PITR_FAULT("dump.after_manifest");
  return Status::Ok();
}

Result<DumpManifest> ReadDump(Repository* repo, const DumpId& id) {
  PITR_RETURN_IF_ERROR(CheckId(id));
  const Result<Bytes> bytes =
      ReadEnvelope(repo->store(), layout::DumpManifestObject(id), ObjectKind::kDump, kMaxManifest);
  if (!bytes.ok()) return Missing(id, bytes.status());
  return Decode(id, *bytes, true);
}

Result<DumpManifest> ReadDumpHead(Repository* repo, const DumpId& id) {
  PITR_RETURN_IF_ERROR(CheckId(id));
  const Result<Bytes> bytes =
      ReadEnvelopeExtra(repo->store(), layout::DumpManifestObject(id), ObjectKind::kDump, nullptr);
  if (!bytes.ok()) return Missing(id, bytes.status());
  return Decode(id, *bytes, false);
}

Result<std::vector<DumpManifest>> ListDumps(Repository* repo, std::vector<DumpId>* damaged) {
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> parts,
                        repo->store()->ListParts(layout::DumpsPrefix()));
  std::vector<DumpManifest> heads;
  for (const std::string& part : parts) {
    const DumpId id = part.substr(0, part.find('/'));
    if (!part.ends_with('/') || !IsDumpId(id)) continue;
    Result<DumpManifest> head = ReadDumpHead(repo, id);
    if (head.ok()) {
      heads.push_back(*std::move(head));
    } else if (IsDamage(head.status().code())) {
      if (damaged != nullptr) damaged->push_back(id);
    } else if (head.status().code() != Code::kNotFound) {
      return std::move(head).status();
    }
  }
  std::sort(heads.begin(), heads.end(), [](const DumpManifest& a, const DumpManifest& b) {
    return std::tie(a.started_at, a.id) < std::tie(b.started_at, b.id);
  });
  return heads;
}

DumpPlace ParseDumpPlace(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {DumpId(text), std::nullopt};
  return {DumpId(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

Result<const DumpDatabase*> DatabaseOf(const DumpManifest& manifest, const DumpPlace& place) {
  std::string names;
  for (const DumpDatabase& database : manifest.databases) {
    if (place.database ? *place.database == database.name : manifest.databases.size() == 1) {
      return &database;
    }
    names += (names.empty() ? "\"" : ", \"") + database.name + "\"";
  }
  if (place.database) {
    return Status(Code::kNotFound,
                  "dump \"" + manifest.id + "\" has no database \"" + *place.database + "\"")
        .WithDetail("It has " + names + ".");
  }
  return Status(Code::kInvalidArgument, "dump \"" + manifest.id + "\" has several databases")
      .WithDetail("They are " + names + ".")
      .WithHint("Name one: \"" + manifest.id + "/" + manifest.databases.front().name + "\".");
}

namespace {

Status StreamObject(ObjectStore* store, const std::string& name, const DumpObject& object,
                    const std::function<Status(ByteView)>& sink) {
  const Result<EnvelopeFooter> footer = ReadEnvelopeFooter(store, name, ObjectKind::kDump);
  if (footer.status().code() == Code::kNotFound) {
    return Status(Code::kCorrupt, "object \"" + name + "\" is gone");
  }
  PITR_RETURN_IF_ERROR(footer.status());
  if (footer->plain_hash != object.hash || footer->plain_size != object.plain_bytes) {
    return Status(Code::kCorrupt, "object \"" + name + "\" is not the one that its manifest names");
  }
  return StreamEnvelope(store, name, ObjectKind::kDump, sink);
}

}  // namespace

Status StreamDumpFile(Repository* repo, const DumpId& id, const DumpFile& file,
                      const std::function<Status(ByteView)>& sink) {
  for (const DumpObject& object : file.objects) {
    PITR_RETURN_IF_ERROR(
        StreamObject(repo->store(), layout::DumpObject(id, object.number), object, sink));
  }
  return Status::Ok();
}

DumpWriter::DumpWriter(Repository* repo, DumpId id, std::uint32_t* next, int level,
                       std::uint64_t object_size)
    : repo_(repo), id_(std::move(id)), next_(next), level_(level), object_size_(object_size) {}

DumpWriter::~DumpWriter() = default;

Status DumpWriter::Begin() {
  PITR_FAULT("dump.before_object");
  PITR_ASSIGN_OR_RETURN(object_,
                        EnvelopeWriter::Create(repo_->store(), layout::DumpObject(id_, *next_),
                                               ObjectKind::kDump, level_));
  in_object_ = 0;
  return Status::Ok();
}

Status DumpWriter::End() {
  PITR_RETURN_IF_ERROR(object_->Finish());
  const EnvelopeFooter& footer = object_->footer();
  file_.objects.push_back({*next_, footer.plain_size, footer.object_size(), footer.plain_hash});
  ++*next_;
  object_.reset();
  PITR_FAULT("dump.after_object");
  return Status::Ok();
}

Status DumpWriter::Add(ByteView plain) {
  while (!plain.empty()) {
    if (object_ == nullptr) PITR_RETURN_IF_ERROR(Begin());
    const auto take =
        static_cast<std::size_t>(std::min<std::uint64_t>(plain.size(), object_size_ - in_object_));
    PITR_RETURN_IF_ERROR(object_->Add(plain.first(take)));
    in_object_ += take;
    plain = plain.subspan(take);
    if (in_object_ == object_size_) PITR_RETURN_IF_ERROR(End());
  }
  return Status::Ok();
}

Result<DumpFile> DumpWriter::Finish(std::string name) {
  if (object_ == nullptr && file_.objects.empty()) PITR_RETURN_IF_ERROR(Begin());
  if (object_ != nullptr) PITR_RETURN_IF_ERROR(End());
  file_.name = std::move(name);
  return std::move(file_);
}

Result<std::uint64_t> RemoveDumpObjects(Repository* repo, const DumpId& id) {
  PITR_RETURN_IF_ERROR(CheckId(id));
  ObjectStore* const store = repo->store();
  PITR_ASSIGN_OR_RETURN(const std::vector<ObjectStat> objects, store->List(layout::DumpPrefix(id)));
  PITR_RETURN_IF_ERROR(store->Remove(layout::DumpManifestObject(id)));
  std::uint64_t freed = 0;
  for (const ObjectStat& object : objects) {
    PITR_FAULT("dump.before_remove");
    PITR_RETURN_IF_ERROR(store->Remove(object.name));
    freed += object.size;
  }
  return freed;
}

Result<std::uint64_t> DeleteDump(Repository* repo, const DumpId& id, Timestamp now) {
  PITR_RETURN_IF_ERROR(CheckId(id));
  PITR_RETURN_IF_ERROR(UpdateDocument(repo, kDumpsDocument, [&](Json* document) {
    Json entry;
    entry["deleted_at"] = now.micros;
    (*document)[id] = std::move(entry);
    return Status::Ok();
  }));
  return RemoveDumpObjects(repo, id);
}

}  // namespace pitr

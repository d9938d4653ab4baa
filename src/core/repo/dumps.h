// Logical dumps in the repository: what pg_dump said of databases at one point. doc/dump-format.md.
//
//   dumps/<dump id>/<6-digit number>   what pg_dump wrote, piece by piece, each an envelope of kind 5
//   dumps/<dump id>/manifest           written last, when all of it was read back and agreed with the databases: without it there is no dump
//
// Beside the manifests stands the document "dumps" of the catalogue, by id: dumps that are being made or failed, and those that were deleted
// on purpose (a replica that was away must not bring them back).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/json_fwd.h"
#include "core/base/result.h"
#include "core/repo/repository.h"
#include "core/types/ids.h"
#include "core/types/lsn.h"

namespace pitr {

class EnvelopeWriter;

using DumpId = std::string;  // "dp-<UTC yyyymmddThhmmss>-<8 hex>"
bool IsDumpId(std::string_view text);
// Of the dump that an operation makes, and the reverse.
DumpId DumpOfOperation(const OperationId& operation);
OperationId OperationOfDump(const DumpId& dump);

struct DumpObject {
  std::uint32_t number = 0;
  std::uint64_t plain_bytes = 0, stored_bytes = 0;
  std::uint64_t hash = 0;  // XXH3 of the plain bytes
};

// A file as PostgreSQL's programs read it: the plain bytes of its objects, one behind the other.
struct DumpFile {
  std::string name;  // in the directory that the dump is; empty: the dump is this file
  std::vector<DumpObject> objects;
  std::uint64_t PlainBytes() const;
  std::uint64_t StoredBytes() const;
};

struct DumpTable {
  std::string schema, name;
  std::uint64_t rows = 0;
};

struct DumpDatabase {
  std::string name;
  // As CREATE DATABASE wants them.
  std::string encoding, collate, ctype, provider, locale, icu_rules;
  std::uint64_t entries = 0;  // of the dump's list
  std::uint64_t rows = 0, large_objects = 0, plain_bytes = 0, stored_bytes = 0;
  // Not in a head:
  std::vector<DumpFile> files;
  std::vector<DumpTable> tables;
};

struct DumpOptions {
  std::optional<std::string> database;  // none: all
  std::string format = "custom";        // or "directory"
  bool schema_only = false, no_owner = false, no_privileges = false, globals = true;
  std::int32_t jobs = 1;
};

struct DumpManifest {
  DumpId id;
  std::string state;   // "verified" or "suspicious"
  std::string detail;  // why it is suspicious
  BranchId branch;
  std::string branch_name;  // at that time
  RootIdentity root;
  Lsn point_lsn;                        // the end of the last record that it has seen
  std::optional<Timestamp> point_time;  // of the last commit
  DumpOptions options;
  Timestamp started_at, finished_at;
  std::optional<Timestamp> expires_at;
  std::optional<DumpFile> globals;      // not in a head
  std::vector<DumpDatabase> databases;  // by name
  std::uint64_t stored_bytes = 0;       // of all objects

  std::uint64_t Rows() const;
  std::uint64_t Entries() const;
};

// kCorrupt unless numbers, names and sums fit together.
Status CheckDump(const DumpManifest& manifest);
// Options are the member "options" of both.
Json EncodeDump(const DumpManifest& manifest, bool whole);
// Members that are not known are passed over; kCorrupt, kUnsupported for a newer version. `whole`: files and tables must be there.
Result<DumpManifest> DecodeDump(const Json& json, bool whole);

// The same of a dump that is to be made, which has neither state nor databases yet: id, origin, options, times.
Result<DumpManifest> DecodeDumpStart(const Json& json);

// DURABLE, last of all. kCorrupt, and nothing written, when CheckDump refuses it.
Status WriteDump(Repository* repo, const DumpManifest& manifest);
Result<DumpManifest> ReadDump(Repository* repo, const DumpId& id);      // kNotFound
Result<DumpManifest> ReadDumpHead(Repository* repo, const DumpId& id);  // kNotFound
// Heads, oldest first; ids of those that cannot be read in `damaged` (may be null).
Result<std::vector<DumpManifest>> ListDumps(Repository* repo, std::vector<DumpId>* damaged);

// A database of a dump by "<dump id>" (when there is only one) or "<dump id>/<database>".
struct DumpPlace {
  DumpId id;
  std::optional<std::string> database;
};
DumpPlace ParseDumpPlace(std::string_view text);
// kNotFound, or kInvalidArgument naming the choice when there are several and none was named.
Result<const DumpDatabase*> DatabaseOf(const DumpManifest& manifest, const DumpPlace& place);

// The plain bytes in order. kCorrupt names the object that is damaged, gone or another one; what came before it was given already.
Status StreamDumpFile(Repository* repo, const DumpId& id, const DumpFile& file,
                      const std::function<Status(ByteView)>& sink);

// Takes what is to become a file of a dump, in objects of kDumpObjectSize plain bytes at most. Nothing of an object that was not ended is seen by anybody.
inline constexpr std::uint64_t kDumpObjectSize = 1ULL << 30;
class DumpWriter {
 public:
  // `next` is the number of the next object of this dump; it is counted on.
  DumpWriter(Repository* repo, DumpId id, std::uint32_t* next, int level,
             std::uint64_t object_size = kDumpObjectSize);
  ~DumpWriter();
  DumpWriter(const DumpWriter&) = delete;
  DumpWriter& operator=(const DumpWriter&) = delete;
  Status Add(ByteView plain);
  Result<DumpFile> Finish(std::string name);

 private:
  Status Begin();
  Status End();

  Repository* repo_;
  const DumpId id_;
  std::uint32_t* next_;
  const int level_;
  const std::uint64_t object_size_;
  std::uint64_t in_object_ = 0;
  std::unique_ptr<EnvelopeWriter> object_;
  DumpFile file_;
};

// Everything of a dump that is not to be, its manifest first: the bytes that were removed.
Result<std::uint64_t> RemoveDumpObjects(Repository* repo, const DumpId& id);
// A dump that shall not come back: marks it as deleted and removes it.
Result<std::uint64_t> DeleteDump(Repository* repo, const DumpId& id, Timestamp now);

}  // namespace pitr

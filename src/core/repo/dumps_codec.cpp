// The manifest of a dump as JSON, and what must hold of one.
#include "core/repo/dumps.h"

#include <charconv>
#include <cstdio>
#include <set>

#include "core/base/json.h"

namespace pitr {

namespace {

constexpr std::string_view kFormat = "pitr_ext dump";
constexpr std::int64_t kVersion = 1;

Status Bad(const std::string& what) {
  return Status(Code::kCorrupt, "the manifest of the dump is damaged: " + what);
}

std::string HexText(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

Result<std::uint64_t> HexOf(const Json& object, std::string_view member) {
  PITR_ASSIGN_OR_RETURN(const std::string text, JsonText(object, member));
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.size() != 16 || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
    return Bad("member \"" + std::string(member) + "\" is no checksum");
  }
  return value;
}

template <typename Number>
Result<Number> NumberOf(const Json& object, std::string_view member, std::uint64_t most) {
  PITR_ASSIGN_OR_RETURN(const std::uint64_t value, JsonUint(object, member));
  if (value > most) return Bad("member \"" + std::string(member) + "\" is out of range");
  return static_cast<Number>(value);
}

// What pg_dump calls the files of a directory.
bool IsFileName(std::string_view name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.size() <= 255 && name[0] != '.' &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

Json EncodeFile(const DumpFile& file) {
  Json json;
  json["name"] = file.name;
  json["objects"] = Json::array();
  for (const DumpObject& object : file.objects) {
    Json one;
    one["number"] = object.number;
    one["plain_bytes"] = object.plain_bytes;
    one["stored_bytes"] = object.stored_bytes;
    one["hash"] = HexText(object.hash);
    json["objects"].push_back(std::move(one));
  }
  return json;
}

Result<DumpFile> DecodeFile(const Json& json) {
  if (!json.is_object()) return Bad("a file is no object");
  DumpFile file;
  PITR_ASSIGN_OR_RETURN(file.name, JsonText(json, "name"));
  const Json* objects = JsonArray(json, "objects");
  if (objects == nullptr) return Bad("a file has no objects");
  for (const Json& one : *objects) {
    if (!one.is_object()) return Bad("an object of a file is none");
    DumpObject object;
    PITR_ASSIGN_OR_RETURN(object.number, NumberOf<std::uint32_t>(one, "number", 999999));
    PITR_ASSIGN_OR_RETURN(object.plain_bytes, JsonUint(one, "plain_bytes"));
    PITR_ASSIGN_OR_RETURN(object.stored_bytes, JsonUint(one, "stored_bytes"));
    PITR_ASSIGN_OR_RETURN(object.hash, HexOf(one, "hash"));
    file.objects.push_back(object);
  }
  return file;
}

Json EncodeDatabase(const DumpDatabase& database, bool whole) {
  Json json;
  json["name"] = database.name;
  json["encoding"] = database.encoding;
  json["collate"] = database.collate;
  json["ctype"] = database.ctype;
  json["provider"] = database.provider;
  json["locale"] = database.locale;
  json["icu_rules"] = database.icu_rules;
  json["entries"] = database.entries;
  json["rows"] = database.rows;
  json["large_objects"] = database.large_objects;
  json["plain_bytes"] = database.plain_bytes;
  json["stored_bytes"] = database.stored_bytes;
  if (!whole) return json;
  json["files"] = Json::array();
  for (const DumpFile& file : database.files) {
    json["files"].push_back(EncodeFile(file));
  }
  json["tables"] = Json::array();
  for (const DumpTable& table : database.tables) {
    json["tables"].push_back(Json::array({table.schema, table.name, table.rows}));
  }
  return json;
}

Status DecodeContents(const Json& json, DumpDatabase* database) {
  const Json* files = JsonArray(json, "files");
  const Json* tables = JsonArray(json, "tables");
  if (files == nullptr || tables == nullptr) return Bad("a database has no files or tables");
  for (const Json& one : *files) {
    PITR_ASSIGN_OR_RETURN(DumpFile file, DecodeFile(one));
    database->files.push_back(std::move(file));
  }
  for (const Json& one : *tables) {
    const bool is_table = one.is_array() && one.size() >= 3 && one[0].is_string() &&
                          one[1].is_string() && one[2].is_number_unsigned();
    if (!is_table) return Bad("a table is none");
    database->tables.push_back(
        {one[0].get<std::string>(), one[1].get<std::string>(), one[2].get<std::uint64_t>()});
  }
  return Status::Ok();
}

Result<DumpDatabase> DecodeDatabase(const Json& json, bool whole) {
  if (!json.is_object()) return Bad("a database is no object");
  DumpDatabase database;
  PITR_ASSIGN_OR_RETURN(database.name, JsonText(json, "name"));
  PITR_ASSIGN_OR_RETURN(database.encoding, JsonText(json, "encoding"));
  PITR_ASSIGN_OR_RETURN(database.collate, JsonText(json, "collate"));
  PITR_ASSIGN_OR_RETURN(database.ctype, JsonText(json, "ctype"));
  PITR_ASSIGN_OR_RETURN(database.provider, JsonText(json, "provider"));
  PITR_ASSIGN_OR_RETURN(database.locale, JsonText(json, "locale"));
  PITR_ASSIGN_OR_RETURN(database.icu_rules, JsonText(json, "icu_rules"));
  PITR_ASSIGN_OR_RETURN(database.entries, JsonUint(json, "entries"));
  PITR_ASSIGN_OR_RETURN(database.rows, JsonUint(json, "rows"));
  PITR_ASSIGN_OR_RETURN(database.large_objects, JsonUint(json, "large_objects"));
  PITR_ASSIGN_OR_RETURN(database.plain_bytes, JsonUint(json, "plain_bytes"));
  PITR_ASSIGN_OR_RETURN(database.stored_bytes, JsonUint(json, "stored_bytes"));
  if (whole) PITR_RETURN_IF_ERROR(DecodeContents(json, &database));
  return database;
}

Json EncodeOptions(const DumpOptions& options) {
  Json json;
  json["database"] = options.database ? Json(*options.database) : Json(nullptr);
  json["format"] = options.format;
  json["schema_only"] = options.schema_only;
  json["no_owner"] = options.no_owner;
  json["no_privileges"] = options.no_privileges;
  json["globals"] = options.globals;
  json["jobs"] = options.jobs;
  return json;
}

Result<DumpOptions> DecodeOptions(const Json& json) {
  DumpOptions options;
  PITR_ASSIGN_OR_RETURN(options.database, JsonOptionalText(json, "database"));
  PITR_ASSIGN_OR_RETURN(options.format, JsonText(json, "format"));
  PITR_ASSIGN_OR_RETURN(options.schema_only, JsonBool(json, "schema_only"));
  PITR_ASSIGN_OR_RETURN(options.no_owner, JsonBool(json, "no_owner"));
  PITR_ASSIGN_OR_RETURN(options.no_privileges, JsonBool(json, "no_privileges"));
  PITR_ASSIGN_OR_RETURN(options.globals, JsonBool(json, "globals"));
  PITR_ASSIGN_OR_RETURN(options.jobs, NumberOf<std::int32_t>(json, "jobs", 1000));
  return options;
}

std::optional<std::int64_t> Micros(const std::optional<Timestamp>& time) {
  return time ? std::optional(time->micros) : std::nullopt;
}

Json OrNull(const std::optional<std::int64_t>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Result<std::optional<Timestamp>> OptionalTime(const Json& json, std::string_view member) {
  PITR_ASSIGN_OR_RETURN(const auto micros, JsonOptionalInt(json, member));
  return micros ? std::optional(Timestamp{*micros}) : std::optional<Timestamp>();
}

Status DecodeOrigin(const Json& json, DumpManifest* manifest) {
  PITR_ASSIGN_OR_RETURN(manifest->branch, JsonText(json, "branch"));
  PITR_ASSIGN_OR_RETURN(manifest->branch_name, JsonText(json, "branch_name"));
  PITR_ASSIGN_OR_RETURN(const std::string system, JsonText(json, "system_identifier"));
  const auto parsed = std::from_chars(system.data(), system.data() + system.size(),
                                      manifest->root.system_identifier);
  if (parsed.ec != std::errc() || parsed.ptr != system.data() + system.size()) {
    return Bad("member \"system_identifier\" is no number");
  }
  constexpr std::uint64_t kMost = 0xFFFFFFFFU;
  PITR_ASSIGN_OR_RETURN(manifest->root.server_major,
                        NumberOf<std::uint32_t>(json, "server_major", kMost));
  PITR_ASSIGN_OR_RETURN(manifest->root.segment_size,
                        NumberOf<std::uint32_t>(json, "segment_size", kMost));
  PITR_ASSIGN_OR_RETURN(const std::string lsn, JsonText(json, "point_lsn"));
  const Result<Lsn> point = Lsn::Parse(lsn);
  if (!point.ok()) return Bad("member \"point_lsn\" is no LSN");
  manifest->point_lsn = *point;
  PITR_ASSIGN_OR_RETURN(manifest->point_time, OptionalTime(json, "point_time"));
  PITR_ASSIGN_OR_RETURN(manifest->started_at.micros, JsonInt(json, "started_at"));
  PITR_ASSIGN_OR_RETURN(manifest->finished_at.micros, JsonInt(json, "finished_at"));
  PITR_ASSIGN_OR_RETURN(manifest->expires_at, OptionalTime(json, "expires_at"));
  return Status::Ok();
}

// Numbers of objects that were seen, and what they take.
struct Seen {
  std::set<std::uint32_t> numbers;
  std::uint64_t stored_bytes = 0;
};

Status CheckFile(const DumpFile& file, Seen* seen) {
  for (const DumpObject& object : file.objects) {
    if (object.number == 0 || object.number > 999999 ||
        !seen->numbers.insert(object.number).second) {
      return Bad("object " + std::to_string(object.number) + " is named twice, or cannot be");
    }
    seen->stored_bytes += object.stored_bytes;
  }
  return file.objects.empty() ? Bad("file \"" + file.name + "\" has no object") : Status::Ok();
}

Status CheckDatabase(const DumpDatabase& database, bool is_directory, Seen* seen) {
  std::set<std::string> names;
  std::uint64_t plain = 0, rows = 0;
  for (const DumpFile& file : database.files) {
    if (file.name.empty() == is_directory || (is_directory && !IsFileName(file.name)) ||
        !names.insert(file.name).second) {
      return Bad("a file of database \"" + database.name + "\" cannot be called \"" + file.name +
                 "\"");
    }
    PITR_RETURN_IF_ERROR(CheckFile(file, seen));
    plain += file.PlainBytes();
  }
  for (const DumpTable& table : database.tables) {
    rows += table.rows;
  }
  if (names.empty() || plain != database.plain_bytes || rows != database.rows) {
    return Bad("the sums of database \"" + database.name + "\" are others");
  }
  return Status::Ok();
}

// What a head says as well.
Status CheckHead(const DumpManifest& manifest) {
  if (!IsDumpId(manifest.id)) return Bad("it has no id");
  if (manifest.state != "verified" && manifest.state != "suspicious") {
    return Bad("state \"" + manifest.state + "\" is none");
  }
  if (manifest.options.format != "custom" && manifest.options.format != "directory") {
    return Bad("format \"" + manifest.options.format + "\" is none");
  }
  std::set<std::string> names;
  for (const DumpDatabase& database : manifest.databases) {
    if (database.name.empty() || !names.insert(database.name).second) {
      return Bad("database \"" + database.name + "\" is named twice, or cannot be");
    }
  }
  return names.empty() ? Bad("it has no database") : Status::Ok();
}

}  // namespace

Status CheckDump(const DumpManifest& manifest) {
  PITR_RETURN_IF_ERROR(CheckHead(manifest));
  Seen seen;
  if (manifest.globals) PITR_RETURN_IF_ERROR(CheckFile(*manifest.globals, &seen));
  for (const DumpDatabase& database : manifest.databases) {
    PITR_RETURN_IF_ERROR(CheckDatabase(database, manifest.options.format == "directory", &seen));
  }
  return seen.stored_bytes == manifest.stored_bytes ? Status::Ok()
                                                    : Bad("the sum of its objects is another");
}

Json EncodeDump(const DumpManifest& manifest, bool whole) {
  Json json;
  json["format"] = kFormat;
  json["version"] = kVersion;
  json["id"] = manifest.id;
  json["state"] = manifest.state;
  json["detail"] = manifest.detail;
  json["branch"] = manifest.branch;
  json["branch_name"] = manifest.branch_name;
  json["system_identifier"] = std::to_string(manifest.root.system_identifier);
  json["server_major"] = manifest.root.server_major;
  json["segment_size"] = manifest.root.segment_size;
  json["point_lsn"] = manifest.point_lsn.ToString();
  json["point_time"] = OrNull(Micros(manifest.point_time));
  json["started_at"] = manifest.started_at.micros;
  json["finished_at"] = manifest.finished_at.micros;
  json["expires_at"] = OrNull(Micros(manifest.expires_at));
  json["options"] = EncodeOptions(manifest.options);
  json["stored_bytes"] = manifest.stored_bytes;
  json["databases"] = Json::array();
  for (const DumpDatabase& database : manifest.databases) {
    json["databases"].push_back(EncodeDatabase(database, whole));
  }
  if (whole && manifest.globals) json["globals"] = EncodeFile(*manifest.globals);
  return json;
}

Result<DumpManifest> DecodeDumpStart(const Json& json) {
  DumpManifest manifest;
  PITR_ASSIGN_OR_RETURN(manifest.id, JsonText(json, "id"));
  PITR_RETURN_IF_ERROR(DecodeOrigin(json, &manifest));
  const Json* options = JsonObject(json, "options");
  if (options == nullptr || !IsDumpId(manifest.id)) return Bad("it has no id or options");
  PITR_ASSIGN_OR_RETURN(manifest.options, DecodeOptions(*options));
  return manifest;
}

Result<DumpManifest> DecodeDump(const Json& json, bool whole) {
  PITR_ASSIGN_OR_RETURN(const std::string format, JsonText(json, "format"));
  PITR_ASSIGN_OR_RETURN(const std::int64_t version, JsonInt(json, "version"));
  if (format != kFormat || version < 1) return Bad("it is none");
  if (version > kVersion) {
    return Status(Code::kUnsupported, "the manifest of the dump has version " +
                                          std::to_string(version) + ", newer than this program");
  }
  PITR_ASSIGN_OR_RETURN(DumpManifest manifest, DecodeDumpStart(json));
  PITR_ASSIGN_OR_RETURN(manifest.state, JsonText(json, "state"));
  PITR_ASSIGN_OR_RETURN(manifest.detail, JsonText(json, "detail"));
  const Json* databases = JsonArray(json, "databases");
  if (databases == nullptr) return Bad("it has no databases");
  PITR_ASSIGN_OR_RETURN(manifest.stored_bytes, JsonUint(json, "stored_bytes"));
  for (const Json& one : *databases) {
    PITR_ASSIGN_OR_RETURN(DumpDatabase database, DecodeDatabase(one, whole));
    manifest.databases.push_back(std::move(database));
  }
  if (const Json* globals = whole ? JsonObject(json, "globals") : nullptr) {
    PITR_ASSIGN_OR_RETURN(manifest.globals, DecodeFile(*globals));
  }
  PITR_RETURN_IF_ERROR(whole ? CheckDump(manifest) : CheckHead(manifest));
  return manifest;
}

}  // namespace pitr

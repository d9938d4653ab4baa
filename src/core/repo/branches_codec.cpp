// Branches as JSON: doc/repository-format.md 5. Times are RFC 3339 with microseconds, LSNs as the server prints
// them, the system identifier text because it does not fit a JSON number of other programs.
#include "core/base/json.h"
#include "core/repo/branches.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/types/wal_name.h"

namespace pitr {

namespace {

constexpr std::uint64_t kVersion = 1;

struct KindName {
  BranchKind kind;
  std::string_view name;
};
constexpr KindName kKindNames[] = {
    {BranchKind::kRoot, "root"},
    {BranchKind::kChild, "child"},
    {BranchKind::kUndo, "undo"},
    {BranchKind::kSchemaOnly, "schema_only"},
};

void PutTime(Json* json, const char* member, const std::optional<Timestamp>& time) {
  if (time.has_value()) {
    (*json)[member] = FormatTime(*time);
  }
}

Json EncodeCompute(const BranchCompute& compute) {
  Json json;
  json["port"] = compute.port;
  const std::pair<const char*, const std::string*> files[] = {{"config_file", &compute.config_file},
                                                              {"hba_file", &compute.hba_file},
                                                              {"ident_file", &compute.ident_file}};
  for (const auto& [member, path] : files) {
    if (!path->empty()) {
      json[member] = *path;
    }
  }
  return json;
}

Json EncodeBuilt(const BuiltRestore& built) {
  Json json;
  json["target"] = built.target;
  if (!built.undo_name.empty()) {
    json["undo_name"] = built.undo_name;
  }
  json["preserve"] = built.preserve;
  json["keep_passwords"] = built.keep_passwords;
  json["force"] = built.force;
  json["below_backup"] = built.below_backup;
  return json;
}

Json EncodeBranch(const Branch& branch) {
  Json json;
  json["id"] = branch.id;
  json["name"] = branch.name;
  json["kind"] = BranchKindName(branch.kind);
  json["state"] = branch.state;
  json["system_identifier"] = std::to_string(branch.root.system_identifier);
  json["server_major"] = branch.root.server_major;
  json["segment_size"] = branch.root.segment_size;
  if (branch.parent.has_value()) {
    json["parent"] = *branch.parent;
  }
  if (branch.ancestor.has_value()) {
    json["ancestor"] = *branch.ancestor;
    json["fork_lsn"] = branch.fork_lsn.ToString();
    json["fork_timeline"] = branch.fork_timeline;
  }
  PutTime(&json, "fork_time", branch.fork_time);
  if (branch.directory.has_value()) {
    json["directory"] = *branch.directory;
  }
  if (branch.directory_place.has_value()) {
    json["directory_place"] = *branch.directory_place;
  }
  PutTime(&json, "directory_expires_at", branch.directory_expires_at);
  json["default"] = branch.is_default;
  json["protected"] = branch.is_protected;
  PutTime(&json, "created_at", branch.created_at);
  PutTime(&json, "updated_at", branch.updated_at);
  PutTime(&json, "last_reset_at", branch.last_reset_at);
  PutTime(&json, "expires_at", branch.expires_at);
  PutTime(&json, "deleted_at", branch.deleted_at);
  PutTime(&json, "gone_at", branch.gone_at);
  if (branch.ttl_seconds.has_value()) {
    json["ttl_seconds"] = *branch.ttl_seconds;
  }
  if (branch.builder.has_value()) {
    json["builder"] = *branch.builder;
  }
  if (branch.builder_process.has_value()) {
    json["builder_process"] = *branch.builder_process;
  }
  if (branch.undelete.has_value()) {
    Json& undelete = json["undelete"];
    undelete["deleted_at"] = FormatTime(branch.undelete->deleted_at);
    undelete["name"] = branch.undelete->name;
    undelete["state"] = branch.undelete->state;
  }
  if (branch.is_masked) {
    json["masked"] = true;
  }
  if (branch.compute.has_value()) {
    json["compute"] = EncodeCompute(*branch.compute);
  }
  if (branch.built.has_value()) {
    json["built"] = EncodeBuilt(*branch.built);
  }
  json["created_by"] = branch.created_by;
  if (!branch.created_with.empty()) {
    json["created_with"] = branch.created_with;
  }
  return json;
}

Result<std::optional<Timestamp>> OptionalTime(const Json& json, const char* member) {
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> text, JsonOptionalText(json, member));
  if (!text.has_value()) {
    return std::optional<Timestamp>();
  }
  Result<Timestamp> time = ParseRfc3339(*text);
  // With its offset taken off, a time of year 1 or 9999 may lie where the notation ends.
  if (!time.ok() || !ParseRfc3339(FormatTime(*time)).ok()) {
    return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" is no time");
  }
  return std::optional<Timestamp>(*time);
}

Result<Timestamp> RequiredTime(const Json& json, const char* member) {
  PITR_ASSIGN_OR_RETURN(const std::optional<Timestamp> time, OptionalTime(json, member));
  if (!time.has_value()) {
    return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" is missing");
  }
  return *time;
}

// A number of 32 bits above zero.
Result<std::uint32_t> RequiredU32(const Json& json, const char* member) {
  PITR_ASSIGN_OR_RETURN(const std::uint64_t number, JsonUint(json, member));
  if (number == 0 || number > UINT32_MAX) {
    return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" is out of range");
  }
  return static_cast<std::uint32_t>(number);
}

Result<BranchId> RequiredId(const Json& json, const char* member) {
  PITR_ASSIGN_OR_RETURN(std::string id, JsonText(json, member));
  if (!IsBranchId(id)) {
    return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" is no branch id");
  }
  return id;
}

Status DecodeRoot(const Json& json, RootIdentity* root) {
  PITR_ASSIGN_OR_RETURN(const std::string text, JsonText(json, "system_identifier"));
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, root->system_identifier);
  if (parsed.ec != std::errc() || parsed.ptr != end ||
      text != std::to_string(root->system_identifier)) {
    return Status(Code::kCorrupt, "member \"system_identifier\" is no number");
  }
  PITR_ASSIGN_OR_RETURN(root->server_major, RequiredU32(json, "server_major"));
  PITR_ASSIGN_OR_RETURN(root->segment_size, RequiredU32(json, "segment_size"));
  if (!IsValidSegmentSize(root->segment_size)) {
    return Status(Code::kCorrupt, "member \"segment_size\" is no size of WAL segments");
  }
  return Status::Ok();
}

Status DecodeOrigin(const Json& json, Branch* branch) {
  if (json.contains("parent")) {
    PITR_ASSIGN_OR_RETURN(branch->parent, RequiredId(json, "parent"));
  }
  if (json.contains("ancestor")) {
    PITR_ASSIGN_OR_RETURN(branch->ancestor, RequiredId(json, "ancestor"));
    PITR_ASSIGN_OR_RETURN(const std::string lsn, JsonText(json, "fork_lsn"));
    Result<Lsn> fork = Lsn::Parse(lsn);
    if (!fork.ok()) {
      return Status(Code::kCorrupt, "member \"fork_lsn\" is no LSN");
    }
    branch->fork_lsn = *fork;
    PITR_ASSIGN_OR_RETURN(branch->fork_timeline, RequiredU32(json, "fork_timeline"));
  }
  PITR_ASSIGN_OR_RETURN(branch->fork_time, OptionalTime(json, "fork_time"));
  if (json.contains("builder")) {
    PITR_ASSIGN_OR_RETURN(branch->builder, RequiredId(json, "builder"));
  }
  PITR_ASSIGN_OR_RETURN(branch->builder_process, JsonOptionalText(json, "builder_process"));
  return Status::Ok();
}

Status DecodeTimes(const Json& json, Branch* branch) {
  PITR_ASSIGN_OR_RETURN(branch->directory_expires_at, OptionalTime(json, "directory_expires_at"));
  PITR_ASSIGN_OR_RETURN(branch->created_at, RequiredTime(json, "created_at"));
  PITR_ASSIGN_OR_RETURN(branch->updated_at, RequiredTime(json, "updated_at"));
  PITR_ASSIGN_OR_RETURN(branch->last_reset_at, OptionalTime(json, "last_reset_at"));
  PITR_ASSIGN_OR_RETURN(branch->expires_at, OptionalTime(json, "expires_at"));
  PITR_ASSIGN_OR_RETURN(branch->deleted_at, OptionalTime(json, "deleted_at"));
  PITR_ASSIGN_OR_RETURN(branch->gone_at, OptionalTime(json, "gone_at"));
  PITR_ASSIGN_OR_RETURN(branch->ttl_seconds, JsonOptionalInt(json, "ttl_seconds"));
  return Status::Ok();
}

Result<BranchKind> DecodeKind(const Json& json) {
  PITR_ASSIGN_OR_RETURN(const std::string name, JsonText(json, "kind"));
  for (const KindName& known : kKindNames) {
    if (known.name == name) {
      return known.kind;
    }
  }
  return Status(Code::kCorrupt, "kind \"" + name + "\" is not known");
}

Status DecodeCompute(const Json& json, Branch* branch) {
  if (!json.contains("compute")) {
    return Status::Ok();
  }
  const Json* object = JsonObject(json, "compute");
  if (object == nullptr) {
    return Status(Code::kCorrupt, "member \"compute\" is no object");
  }
  BranchCompute& compute = branch->compute.emplace();
  PITR_ASSIGN_OR_RETURN(const std::uint32_t port, RequiredU32(*object, "port"));
  if (port > UINT16_MAX) {
    return Status(Code::kCorrupt, "member \"port\" is out of range");
  }
  compute.port = static_cast<int>(port);
  const std::pair<const char*, std::string*> files[] = {{"config_file", &compute.config_file},
                                                        {"hba_file", &compute.hba_file},
                                                        {"ident_file", &compute.ident_file}};
  for (const auto& [member, path] : files) {
    PITR_ASSIGN_OR_RETURN(const std::optional<std::string> text, JsonOptionalText(*object, member));
    *path = text.value_or("");
  }
  return Status::Ok();
}

Status DecodeUndelete(const Json& json, Branch* branch) {
  if (!json.contains("undelete")) {
    return Status::Ok();
  }
  const Json* object = JsonObject(json, "undelete");
  if (object == nullptr) {
    return Status(Code::kCorrupt, "member \"undelete\" is no object");
  }
  BranchUndelete& before = branch->undelete.emplace();
  PITR_ASSIGN_OR_RETURN(before.deleted_at, RequiredTime(*object, "deleted_at"));
  PITR_ASSIGN_OR_RETURN(before.name, JsonText(*object, "name"));
  PITR_ASSIGN_OR_RETURN(before.state, JsonText(*object, "state"));
  return Status::Ok();
}

Status DecodeBuilt(const Json& json, Branch* branch) {
  if (!json.contains("built")) {
    return Status::Ok();
  }
  const Json* object = JsonObject(json, "built");
  if (object == nullptr) {
    return Status(Code::kCorrupt, "member \"built\" is no object");
  }
  BuiltRestore& built = branch->built.emplace();
  PITR_ASSIGN_OR_RETURN(built.target, RequiredId(*object, "target"));
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> undo_name,
                        JsonOptionalText(*object, "undo_name"));
  built.undo_name = undo_name.value_or("");
  PITR_ASSIGN_OR_RETURN(built.preserve, JsonBool(*object, "preserve"));
  PITR_ASSIGN_OR_RETURN(built.keep_passwords, JsonBool(*object, "keep_passwords"));
  PITR_ASSIGN_OR_RETURN(built.force, JsonBool(*object, "force"));
  PITR_ASSIGN_OR_RETURN(built.below_backup, JsonBool(*object, "below_backup"));
  return Status::Ok();
}

Result<Branch> DecodeBranch(const Json& json) {
  Branch branch;
  PITR_ASSIGN_OR_RETURN(branch.id, RequiredId(json, "id"));
  PITR_ASSIGN_OR_RETURN(branch.name, JsonText(json, "name"));
  PITR_ASSIGN_OR_RETURN(branch.kind, DecodeKind(json));
  PITR_ASSIGN_OR_RETURN(branch.state, JsonText(json, "state"));
  PITR_RETURN_IF_ERROR(DecodeRoot(json, &branch.root));
  PITR_RETURN_IF_ERROR(DecodeOrigin(json, &branch));
  PITR_ASSIGN_OR_RETURN(branch.directory, JsonOptionalText(json, "directory"));
  PITR_ASSIGN_OR_RETURN(branch.directory_place, JsonOptionalText(json, "directory_place"));
  PITR_ASSIGN_OR_RETURN(branch.is_default, JsonBool(json, "default"));
  PITR_ASSIGN_OR_RETURN(branch.is_protected, JsonBool(json, "protected"));
  PITR_RETURN_IF_ERROR(DecodeTimes(json, &branch));
  PITR_RETURN_IF_ERROR(DecodeCompute(json, &branch));
  PITR_RETURN_IF_ERROR(DecodeUndelete(json, &branch));
  if (json.contains("masked")) {
    PITR_ASSIGN_OR_RETURN(branch.is_masked, JsonBool(json, "masked"));
  }
  PITR_RETURN_IF_ERROR(DecodeBuilt(json, &branch));
  PITR_ASSIGN_OR_RETURN(branch.created_by, JsonText(json, "created_by"));
  PITR_ASSIGN_OR_RETURN(const auto created_with, JsonOptionalText(json, "created_with"));
  branch.created_with = created_with.value_or("");
  return branch;
}

Result<NameSpan> DecodeSpan(const Json& json) {
  NameSpan span;
  PITR_ASSIGN_OR_RETURN(span.name, JsonText(json, "name"));
  PITR_ASSIGN_OR_RETURN(span.id, RequiredId(json, "id"));
  PITR_ASSIGN_OR_RETURN(span.since, RequiredTime(json, "since"));
  PITR_ASSIGN_OR_RETURN(span.until, OptionalTime(json, "until"));
  if (span.until.has_value() && *span.until < span.since) {
    return Status(Code::kCorrupt, "it ends before it begins");
  }
  return span;
}

// What the members say together. A missing ancestor is left to AncestryOf: the other branches stay usable.
Status CheckSet(const BranchSet& set) {
  std::set<std::string_view> ids, names;
  for (const Branch& branch : set.branches) {
    if (!ids.insert(branch.id).second) {
      return Status(Code::kCorrupt, "branch id \"" + branch.id + "\" is there twice");
    }
    if (!branch.deleted_at.has_value() && !names.insert(branch.name).second) {
      return Status(Code::kCorrupt, "branch name \"" + branch.name + "\" is there twice");
    }
  }
  for (const NameSpan& span : set.name_spans) {
    if (!ids.contains(span.id)) {
      return Status(Code::kCorrupt,
                    "the span of name \"" + span.name + "\" belongs to no branch of the catalogue");
    }
  }
  const auto is_earlier = [](const NameSpan& a, const NameSpan& b) { return a.since < b.since; };
  if (!std::is_sorted(set.name_spans.begin(), set.name_spans.end(), is_earlier)) {
    return Status(Code::kCorrupt, "the spans of names are not in order");
  }
  return Status::Ok();
}

}  // namespace

std::string_view BranchKindName(BranchKind kind) {
  for (const KindName& known : kKindNames) {
    if (known.kind == kind) {
      return known.name;
    }
  }
  return "unknown";
}

Json EncodeBranches(const BranchSet& set) {
  Json document;
  document["version"] = kVersion;
  Json& branches = document["branches"] = Json::array();
  for (const Branch& branch : set.branches) {
    branches.push_back(EncodeBranch(branch));
  }
  Json& spans = document["name_spans"] = Json::array();
  for (const NameSpan& span : set.name_spans) {
    Json json;
    json["name"] = span.name;
    json["id"] = span.id;
    PutTime(&json, "since", span.since);
    PutTime(&json, "until", span.until);
    spans.push_back(std::move(json));
  }
  return document;
}

Result<BranchSet> DecodeBranches(const Json& document) {
  BranchSet set;
  if (document.is_object() && document.empty()) {
    return set;  // none was ever written
  }
  PITR_ASSIGN_OR_RETURN(const std::uint64_t version, JsonUint(document, "version"));
  if (version != kVersion) {
    return Status(Code::kUnsupported,
                  "the catalogue of branches has format version " + std::to_string(version) +
                      ", this version of pitr_ext reads " + std::to_string(kVersion));
  }
  const Json* branches = JsonArray(document, "branches");
  const Json* spans = JsonArray(document, "name_spans");
  if (branches == nullptr || spans == nullptr) {
    return Status(Code::kCorrupt, "the catalogue of branches lacks a list");
  }
  for (const Json& json : *branches) {
    Result<Branch> branch = DecodeBranch(json);
    if (!branch.ok()) {
      return std::move(branch).status().Prefix("branch number " +
                                               std::to_string(set.branches.size() + 1));
    }
    set.branches.push_back(*std::move(branch));
  }
  for (const Json& json : *spans) {
    Result<NameSpan> span = DecodeSpan(json);
    if (!span.ok()) {
      return std::move(span).status().Prefix("name span number " +
                                             std::to_string(set.name_spans.size() + 1));
    }
    set.name_spans.push_back(*std::move(span));
  }
  PITR_RETURN_IF_ERROR(CheckSet(set));
  return set;
}

}  // namespace pitr

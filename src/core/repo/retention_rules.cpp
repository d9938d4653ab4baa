#include "core/repo/retention_rules.h"

#include <string_view>
#include <utility>

#include "core/base/json.h"
#include "core/repo/catalogue.h"

namespace pitr {

namespace {

constexpr std::string_view kDocument = "retention";
// The rules of a line that has some of its own, if they should say nothing.
constexpr const char* kIsSet = "set";
constexpr const char* kServer = "server";

using Member = std::optional<std::int64_t> RetentionRules::*;
constexpr std::pair<const char*, Member> kMembers[] = {
    {"window_seconds", &RetentionRules::window_seconds},
    {"keep_count", &RetentionRules::keep_count},
    {"daily", &RetentionRules::daily},
    {"weekly", &RetentionRules::weekly},
    {"monthly", &RetentionRules::monthly},
    {"yearly", &RetentionRules::yearly},
};

Result<std::int64_t> Positive(const Json& json, const char* member) {
  PITR_ASSIGN_OR_RETURN(const std::int64_t value, JsonInt(json, member));
  if (value < 0) {
    return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" is negative");
  }
  return value;
}

Result<BranchRetentionEntry> Decode(const Json& json) {
  BranchRetentionEntry entry;
  RetentionRules rules;
  bool is_set = json.contains(kIsSet);
  for (const auto& [name, member] : kMembers) {
    if (!json.contains(name) || json[name].is_null()) {
      continue;
    }
    PITR_ASSIGN_OR_RETURN(rules.*member, Positive(json, name));
    is_set = true;
  }
  if (is_set) {
    entry.rules = rules;
  }
  if (json.contains(kServer)) {
    const Json* server = JsonObject(json, kServer);
    if (server == nullptr) {
      return Status(Code::kCorrupt, "member \"server\" is no object");
    }
    entry.server.emplace();
    PITR_ASSIGN_OR_RETURN(entry.server->window_seconds, Positive(*server, "window_seconds"));
    PITR_ASSIGN_OR_RETURN(entry.server->minimum_snapshots, Positive(*server, "minimum_snapshots"));
  }
  return entry;
}

// The entry of a branch, made when there is none. What it has that we do not know stays.
Json& EntryOf(Json* document, const BranchId& id) {
  Json& entry = (*document)[id];
  if (!entry.is_object()) {
    entry = Json::object();
  }
  return entry;
}

}  // namespace

Result<RetentionRuleSet> DecodeRetentionRules(const Json& document) {
  RetentionRuleSet set;
  for (const auto& [id, json] : document.items()) {
    if (!IsBranchId(id)) {
      continue;
    }
    Result<BranchRetentionEntry> entry =
        json.is_object() ? Decode(json)
                         : Result<BranchRetentionEntry>(Status(Code::kCorrupt, "it is no object"));
    if (!entry.ok()) {
      return std::move(entry).status().Prefix("retention of branch \"" + id + "\"");
    }
    set.emplace(id, *std::move(entry));
  }
  return set;
}

Result<RetentionRuleSet> ReadRetentionRules(Repository* repo, std::uint64_t* number) {
  PITR_ASSIGN_OR_RETURN(const Json document, ReadDocument(repo, kDocument, number));
  return DecodeRetentionRules(document);
}

RetentionRules RulesOf(const RetentionRuleSet& set, const BranchSet& branches, const BranchId& id) {
  const auto own = set.find(id);
  if (own != set.end() && own->second.rules) {
    return *own->second.rules;
  }
  const Branch* branch = branches.FindId(id);
  if (branch == nullptr) {
    return {};
  }
  for (auto span = branches.name_spans.rbegin(); span != branches.name_spans.rend(); ++span) {
    // Whoever gave the name away in a restore is an undo branch since; others of that name are no past of this one.
    const Branch* before = branches.FindId(span->id);
    if (span->name != branch->name || span->id == id || before == nullptr ||
        before->kind != BranchKind::kUndo) {
      continue;
    }
    const auto found = set.find(span->id);
    if (found != set.end() && found->second.rules) {
      return *found->second.rules;
    }
  }
  return {};
}

Status UpdateRetentionRules(Repository* repo, const BranchSet& branches, const BranchId& id,
                            const std::function<Status(RetentionRules*)>& change) {
  return UpdateDocument(repo, kDocument, [&](Json* document) -> Status {
    PITR_ASSIGN_OR_RETURN(const RetentionRuleSet set, DecodeRetentionRules(*document));
    RetentionRules rules = RulesOf(set, branches, id);
    PITR_RETURN_IF_ERROR(change(&rules));
    Json& entry = EntryOf(document, id);
    entry[kIsSet] = true;
    for (const auto& [name, member] : kMembers) {
      entry.erase(name);
      if (rules.*member) {
        entry[name] = *(rules.*member);
      }
    }
    return Status::Ok();
  });
}

Status NoteServerRetention(Repository* repo, const BranchId& id, const ServerRetention& server) {
  PITR_ASSIGN_OR_RETURN(const RetentionRuleSet set, ReadRetentionRules(repo));
  const auto known = set.find(id);
  if (known != set.end() && known->second.server == server) {
    return Status::Ok();
  }
  return UpdateDocument(repo, kDocument, [&](Json* document) {
    Json json;
    json["window_seconds"] = server.window_seconds;
    json["minimum_snapshots"] = server.minimum_snapshots;
    EntryOf(document, id)[kServer] = std::move(json);
    return Status::Ok();
  });
}

}  // namespace pitr

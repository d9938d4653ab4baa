#include "core/plan/dump_retention.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace pitr {

namespace {

// Dumps of different servers or branches, or of different kinds, say nothing of each other.
using Kind = std::tuple<std::uint64_t, std::string, std::string,
                        bool>;  // system, branch, database, schemas alone
constexpr std::size_t kDatabase = 2;

Kind KindOf(const DumpManifest& dump, const DumpDatabase& database) {
  return {dump.root.system_identifier, dump.branch_name, database.name, dump.options.schema_only};
}

bool IsGood(const DumpManifest& dump) { return dump.state == "verified"; }

// What a dump shows, and not when it was made: one of the past is older than what it was made after.
Timestamp ShownTime(const DumpManifest& dump) { return dump.point_time.value_or(dump.started_at); }

// The newest good dump of each.
std::map<Kind, const DumpManifest*> NewestGood(const std::vector<DumpManifest>& dumps) {
  std::map<Kind, const DumpManifest*> newest;
  for (const DumpManifest& dump : dumps) {
    if (!IsGood(dump)) continue;
    for (const DumpDatabase& database : dump.databases) {
      const DumpManifest*& best = newest[KindOf(dump, database)];
      if (best == nullptr || ShownTime(*best) <= ShownTime(dump)) best = &dump;
    }
  }
  return newest;
}

bool IsLessThanHalf(std::uint64_t now, std::uint64_t before) { return now < before - before / 2; }

void Compare(const char* what, const std::string& database, std::uint64_t now, std::uint64_t before,
             const DumpId& id, std::string* found) {
  if (!IsLessThanHalf(now, before)) return;
  *found += (found->empty() ? "" : "; ");
  *found += "database \"" + database + "\" has " + std::to_string(now) + " " + what + ", " +
            std::to_string(before) + " in dump " + id;
}

}  // namespace

std::vector<DumpId> ExpiredDumps(const std::vector<DumpManifest>& dumps, Timestamp now) {
  std::set<DumpId> needed;
  for (const auto& [kind, dump] : NewestGood(dumps)) {
    needed.insert(dump->id);
  }
  std::vector<DumpId> expired;
  for (const DumpManifest& dump : dumps) {
    if (dump.expires_at && *dump.expires_at < now && !needed.contains(dump.id)) {
      expired.push_back(dump.id);
    }
  }
  return expired;
}

std::vector<std::string> LastGoodIn(const std::vector<DumpManifest>& dumps, const DumpId& id) {
  std::vector<std::string> databases;
  for (const auto& [kind, dump] : NewestGood(dumps)) {
    if (dump->id == id) databases.push_back(std::get<kDatabase>(kind));
  }
  return databases;
}

std::string WhatShrank(const DumpManifest& dump, const std::vector<DumpManifest>& before) {
  const std::map<Kind, const DumpManifest*> newest = NewestGood(before);
  std::string found;
  for (const DumpDatabase& database : dump.databases) {
    const auto last = newest.find(KindOf(dump, database));
    if (last == newest.end()) continue;
    const auto& others = last->second->databases;
    const auto other = std::find_if(others.begin(), others.end(), [&](const DumpDatabase& one) {
      return one.name == database.name;
    });
    const DumpId& id = last->second->id;
    Compare("rows", database.name, database.rows, other->rows, id, &found);
    Compare("bytes", database.name, database.plain_bytes, other->plain_bytes, id, &found);
  }
  return found;
}

}  // namespace pitr

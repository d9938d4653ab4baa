// `pitr info`: what a repository holds, from its objects alone. `--check` is one line and the exit status that monitoring understands:
// 0 fine, 1 warning, 2 critical, 3 unknown.
#include <cinttypes>
#include <cstdio>

#include "core/base/json.h"
#include "core/plan/restore_plan.h"
#include "core/repo/dumps.h"
#include "core/repo/manifest.h"
#include "tool/command_line.h"
#include "tool/commands.h"
#include "tool/exit_codes.h"

namespace pitr::tool {

namespace {

constexpr int kCheckOk = 0, kCheckWarning = 1, kCheckCritical = 2, kCheckUnknown = 3;
constexpr std::int64_t kStaleSnapshotSeconds = 48 * 3600;

struct Contents {
  std::string repository;
  std::string key_id;  // empty: not encrypted
  BranchSet branches;
  std::vector<ManifestHead> snapshots;
  std::vector<std::string> damaged;
  std::vector<WindowRow> windows;
  std::vector<DumpManifest> dumps;
};

Result<Contents> ReadContents(const RepositoryAccess& access) {
  Contents contents;
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress(access, false));
  contents.repository = repo->Describe();
  contents.key_id = repo->key_id();
  PITR_ASSIGN_OR_RETURN(contents.branches, ReadBranches(repo.get()));
  PITR_ASSIGN_OR_RETURN(contents.snapshots, ListSnapshots(repo.get(), &contents.damaged));
  PITR_ASSIGN_OR_RETURN(contents.dumps, ListDumps(repo.get(), nullptr));
  for (const Branch& branch : contents.branches.branches) {
    if (branch.deleted_at) {
      continue;
    }
    PITR_ASSIGN_OR_RETURN(const std::vector<WindowRow> rows,
                          RestoreWindow(repo.get(), contents.branches, branch.id));
    contents.windows.insert(contents.windows.end(), rows.begin(), rows.end());
  }
  return contents;
}

Json TimeJson(const std::optional<Timestamp>& time) {
  return time ? Json(FormatTime(*time)) : Json(nullptr);
}

Json BranchJson(const Branch& branch) {
  Json json;
  json["name"] = branch.name;
  json["id"] = branch.id;
  json["kind"] = BranchKindName(branch.kind);
  json["parent"] = branch.parent ? Json(*branch.parent) : Json(nullptr);
  json["system_identifier"] = std::to_string(branch.root.system_identifier);
  json["server_major"] = branch.root.server_major;
  json["fork_lsn"] = branch.ancestor ? Json(branch.fork_lsn.ToString()) : Json(nullptr);
  json["state"] = branch.state;
  json["directory"] = branch.directory ? Json(*branch.directory) : Json(nullptr);
  json["created_at"] = FormatTime(branch.created_at);
  return json;
}

Json SnapshotJson(const Manifest& snapshot, std::uint64_t bad_pages) {
  Json json;
  json["id"] = snapshot.id;
  json["name"] = snapshot.name;
  json["branch_id"] = snapshot.branch;
  json["kind"] = snapshot.kind;
  json["timeline"] = snapshot.timeline;
  json["start_lsn"] = snapshot.start_lsn.ToString();
  json["stop_lsn"] = snapshot.stop_lsn.ToString();
  json["started_at"] = FormatTime(snapshot.started_at);
  json["finished_at"] = FormatTime(snapshot.finished_at);
  json["database_bytes"] = snapshot.database_bytes;
  json["stored_bytes"] = snapshot.stored_bytes;
  json["bad_pages"] = bad_pages;
  return json;
}

Json WindowJson(const WindowRow& row) {
  Json json;
  json["branch"] = row.branch;
  json["line"] = row.line;
  json["line_id"] = row.line_id;
  json["timeline"] = row.timeline;
  json["earliest_time"] = TimeJson(row.earliest_time);
  json["latest_time"] = TimeJson(row.latest_time);
  json["earliest_lsn"] = row.earliest_lsn.ToString();
  json["latest_lsn"] = row.latest_lsn.ToString();
  json["snapshot_only"] = row.snapshot_only;
  return json;
}

void PrintJson(const Contents& contents) {
  Json json;
  json["repository"] = contents.repository;
  json["encrypted"] = !contents.key_id.empty();
  json["key_id"] = contents.key_id.empty() ? Json(nullptr) : Json(contents.key_id);
  json["branches"] = Json::array();
  for (const Branch& branch : contents.branches.branches) {
    if (!branch.deleted_at) {
      json["branches"].push_back(BranchJson(branch));
    }
  }
  json["snapshots"] = Json::array();
  for (const ManifestHead& head : contents.snapshots) {
    json["snapshots"].push_back(SnapshotJson(head.manifest, head.bad_page_count));
  }
  json["damaged_snapshots"] = contents.damaged;
  json["windows"] = Json::array();
  for (const WindowRow& row : contents.windows) {
    json["windows"].push_back(WindowJson(row));
  }
  json["dumps"] = Json::array();
  for (const DumpManifest& dump : contents.dumps) {
    json["dumps"].push_back(EncodeDump(dump, false));
  }
  std::printf("%s\n", DumpJson(json, 2).c_str());
}

std::string Size(std::uint64_t bytes) {
  const char* const units[] = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  for (; value >= 10240 && unit + 1 < std::size(units); unit++) {
    value /= 1024;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.0f %s", value, units[unit]);
  return text;
}

std::string ShortTime(const std::optional<Timestamp>& time) {
  return time ? FormatTime(*time, 0) : "-";
}

void PrintText(const Contents& contents) {
  std::printf("repository %s%s%s\n\nbranches\n", contents.repository.c_str(),
              contents.key_id.empty() ? "" : ", encrypted by key ", contents.key_id.c_str());
  for (const Branch& branch : contents.branches.branches) {
    if (!branch.deleted_at) {
      std::printf("  %s  %s  %s%s%s\n", branch.name.c_str(), branch.id.c_str(),
                  branch.state.c_str(), branch.ancestor ? "  forked at " : "",
                  branch.ancestor ? branch.fork_lsn.ToString().c_str() : "");
    }
  }
  std::printf("\nsnapshots\n");
  for (const ManifestHead& head : contents.snapshots) {
    const Manifest& snapshot = head.manifest;
    const Branch* branch = contents.branches.FindId(snapshot.branch);
    std::printf("  %s  %s  of %s, %s, %s - %s, %s stored as %s%s\n", snapshot.name.c_str(),
                snapshot.id.c_str(), branch == nullptr ? "?" : branch->name.c_str(),
                FormatTime(snapshot.finished_at, 0).c_str(), snapshot.start_lsn.ToString().c_str(),
                snapshot.stop_lsn.ToString().c_str(), Size(snapshot.database_bytes).c_str(),
                Size(snapshot.stored_bytes).c_str(),
                head.bad_page_count == 0 ? "" : ", with bad pages");
  }
  for (const std::string& id : contents.damaged) {
    std::printf("  %s  damaged\n", id.c_str());
  }
  std::printf("\ncan be restored\n");
  for (const WindowRow& row : contents.windows) {
    std::printf("  %s (%s, timeline %u)  %s - %s  %s - %s\n", row.branch.c_str(), row.line.c_str(),
                row.timeline, ShortTime(row.earliest_time).c_str(),
                ShortTime(row.latest_time).c_str(), row.earliest_lsn.ToString().c_str(),
                row.latest_lsn.ToString().c_str());
  }
  if (contents.dumps.empty()) return;
  std::printf("\ndumps\n");
  for (const DumpManifest& dump : contents.dumps) {
    std::printf("  %s  %s, %zu databases of %s at %s, stored as %s\n", dump.id.c_str(),
                dump.state.c_str(), dump.databases.size(), dump.branch_name.c_str(),
                dump.point_lsn.ToString().c_str(), Size(dump.stored_bytes).c_str());
  }
}

// What a monitor asks about: the newest row of the branch that a server starts with, not of what was left behind.
const WindowRow& CurrentWindow(const Contents& contents) {
  const WindowRow* best = nullptr;
  bool best_is_default = false;
  for (const WindowRow& row : contents.windows) {
    const Branch* branch = contents.branches.FindName(row.branch);
    const bool is_default = branch != nullptr && branch->is_default;
    const bool is_newer =
        best != nullptr && is_default == best_is_default && row.latest_time > best->latest_time;
    if (best == nullptr || (is_default && !best_is_default) || is_newer) {
      best = &row;
      best_is_default = is_default;
    }
  }
  return *best;
}

int Check(const Result<Contents>& contents) {
  if (!contents.ok()) {
    std::printf("PITR UNKNOWN - %s\n", contents.status().ToString().c_str());
    return kCheckUnknown;
  }
  if (contents->windows.empty()) {
    std::printf("PITR CRITICAL - nothing can be restored: no snapshot with its WAL\n");
    return kCheckCritical;
  }
  if (!contents->damaged.empty()) {
    std::printf("PITR CRITICAL - %zu damaged snapshots, %s the first\n", contents->damaged.size(),
                contents->damaged.front().c_str());
    return kCheckCritical;
  }
  Timestamp newest;
  for (const ManifestHead& head : contents->snapshots) {
    newest = std::max(newest, head.manifest.finished_at);
  }
  const WindowRow& row = CurrentWindow(*contents);
  const std::int64_t age = (SystemClock().Now().micros - newest.micros) / 1000000;
  const bool stale = age > kStaleSnapshotSeconds;
  std::printf("PITR %s - %s can be restored up to %s (%s), newest snapshot %" PRId64
              " h old | snapshots=%zu age=%" PRId64 "s\n",
              stale ? "WARNING" : "OK", row.branch.c_str(), ShortTime(row.latest_time).c_str(),
              row.latest_lsn.ToString().c_str(), age / 3600, contents->snapshots.size(), age);
  return stale ? kCheckWarning : kCheckOk;
}

}  // namespace

int InfoMain(const std::vector<std::string>& arguments) {
  const Result<Options> options = Options::Parse(
      arguments, {{"repository"}, {"encryption-key-file"}, {"json", false}, {"check", false}}, 0);
  if (!options.ok()) {
    return FailUsage("info", options.status());
  }
  const Result<RepositoryAccess> access = AccessOfOptions(*options);
  if (!access.ok()) {
    return FailUsage("info", access.status());
  }
  const Result<Contents> contents = ReadContents(*access);
  if (options->Has("check")) {
    return Check(contents);
  }
  if (!contents.ok()) {
    return Fail("info", contents.status());
  }
  if (options->Has("json")) {
    PrintJson(*contents);
  } else {
    PrintText(*contents);
  }
  return kExitDone;
}

}  // namespace pitr::tool

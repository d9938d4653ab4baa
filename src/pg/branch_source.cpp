#include "pg/branch_source.h"

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/identity.h"
#include "core/work/idle_server.h"
#include "core/work/live_files.h"
#include "core/work/living_server.h"
#include "core/work/ship_rest.h"
#include "pg/compute.h"
#include "pg/guc.h"
#include "pg/guc_branch.h"
#include "pg/interrupts.h"
#include "pg/server_facts.h"
#include "pg/ship_file.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kShipMillis = 120000;

// Empty when it is the file that a server looks for in its directory.
std::string FileOutside(const Json& live, const char* member, const char* name,
                        const std::string& directory) {
  std::string path = PathInReplacement(live.value(member, std::string()),
                                       live.value("data_directory", std::string()), directory);
  return path == JoinPath(directory, name) ? std::string() : path;
}

// The branch whose newest state is wanted, or whose past.
const Branch* FindSource(const BranchSet& branches, const Branch& target,
                         const std::string& source) {
  if (source == "^self") return &target;
  if (source == "^parent") return target.parent ? branches.FindId(*target.parent) : nullptr;
  const Result<const Branch*> found = branches.Find(source);
  return found.ok() ? *found : nullptr;
}

}  // namespace

Status ShipSource(const OperationContext& context, const Branch& source) {
  context.operation->SetPhase("ship WAL");
  if (source.id == context.identity->branch_id) return RequestShip(kShipMillis, context.operation);
  const std::optional<std::string> directory = DirectoryOf(source, context.identity->branch_id);
  if (!directory) return Status::Ok();
  if (!LivingServer(*directory)) return ShipLeft(context.repo, source);
  return AskToShip(*directory, kShipMillis, [&] { return context.operation->CancelRequested(); });
}

Status ShipSourceOf(const OperationContext& context, const BranchSet& branches,
                    const Branch& target, const std::string& source) {
  const Branch* found = FindSource(branches, target, source);
  return found == nullptr ? Status::Ok() : ShipSource(context, *found);
}

Status ShipLeft(Repository* repo, const Branch& branch) {
  if (!HasComputeHere(branch)) return Status::Ok();
  const std::string& directory = *branch.directory;
  PITR_ASSIGN_OR_RETURN(const File lock, TryLockStart(directory));
  // It runs, or somebody starts it: then it ships by itself.
  if (!lock.is_open() || LivingServer(directory)) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(directory));
  ShipOptions options;
  options.branch = branch.id;
  options.root = identity.root;
  options.compression_level = CurrentSettings().backlog_compression_level;
  options.cancel = &ServerCancel();
  return ShipRest(repo, options, directory).status().Prefix("WAL left in \"" + directory + "\"");
}

Result<Json> LiveIn(const BranchCompute& compute, const std::string& directory) {
  PITR_ASSIGN_OR_RETURN(Json live, LiveServerJson());
  const auto inside = [&](const std::string& outside, const char* name) {
    return outside.empty() ? JoinPath(directory, name) : outside;
  };
  live["data_directory"] = directory;
  live["config_file"] = inside(compute.config_file, "postgresql.conf");
  live["hba_file"] = inside(compute.hba_file, "pg_hba.conf");
  live["ident_file"] = inside(compute.ident_file, "pg_ident.conf");
  return live;
}

Result<Json> LiveOf(const Branch& source) {
  return HasComputeHere(source) ? LiveIn(*source.compute, *source.directory) : LiveServerJson();
}

Json SettingsBeside(const Json& live, const std::vector<std::pair<std::string, std::string>>& own) {
  Json base = Json::array();
  for (const Json& option : live.value("options", Json::array())) {
    const std::string text = option.get<std::string>();
    const std::string name = text.substr(0, text.find('='));
    if (GoesAlong(name)) base.push_back({name, text.substr(name.size() + 1)});
  }
  const BranchSettings wanted = CurrentBranchSettings();
  const std::pair<const char*, const char*> quiet[] = {
      // Its first commit would wait for standbys that it does not have.
      {"synchronous_standby_names", ""},
      {"pitr.synchronous", "off"},
      // Should somebody start it by hand.
      {"pitr.branch_directory", ""},
      {"huge_pages", "off"},
      {"pitr.archive_workers", "0"},
      {"pitr.fetch_workers", "1"},
  };
  for (const auto& [name, value] : quiet)
    base.push_back({name, value});
  if (SettingValue("log_directory").starts_with('/')) base.push_back({"log_directory", "log"});
  if (!wanted.activity) {
    base.push_back({"max_logical_replication_workers", "0"});
    if (SettingValue("shared_preload_libraries").find("pg_cron") != std::string::npos)
      base.push_back({"cron.launch_active_jobs", "off"});
  }
  Json settings;
  settings["base"] = base;
  settings["text"] = wanted.settings;
  settings["own"] = Json::array();
  for (const auto& [name, value] : own)
    settings["own"].push_back({name, value});
  return settings;
}

BranchCompute ComputeOf(const Json& live, const std::string& directory) {
  BranchCompute compute;
  compute.config_file = FileOutside(live, "config_file", "postgresql.conf", directory);
  compute.hba_file = FileOutside(live, "hba_file", "pg_hba.conf", directory);
  compute.ident_file = FileOutside(live, "ident_file", "pg_ident.conf", directory);
  return compute;
}

}  // namespace pitr::pg

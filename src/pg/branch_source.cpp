#include "pg/branch_source.h"

#include "core/base/file.h"
#include "core/repo/identity.h"
#include "core/work/idle_server.h"
#include "core/work/live_files.h"
#include "core/work/living_server.h"
#include "core/work/ship_rest.h"
#include "pg/compute.h"
#include "pg/guc.h"
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

Result<Json> LiveOf(const Branch& source) {
  PITR_ASSIGN_OR_RETURN(Json live, LiveServerJson());
  if (source.compute && HasComputeHere(source)) {
    const std::string& directory = *source.directory;
    const auto inside = [&](const std::string& outside, const char* name) {
      return outside.empty() ? JoinPath(directory, name) : outside;
    };
    live["data_directory"] = directory;
    live["config_file"] = inside(source.compute->config_file, "postgresql.conf");
    live["hba_file"] = inside(source.compute->hba_file, "pg_hba.conf");
    live["ident_file"] = inside(source.compute->ident_file, "pg_ident.conf");
  }
  return live;
}

BranchCompute ComputeOf(const Json& live, const std::string& directory) {
  BranchCompute compute;
  compute.config_file = FileOutside(live, "config_file", "postgresql.conf", directory);
  compute.hba_file = FileOutside(live, "hba_file", "pg_hba.conf", directory);
  compute.ident_file = FileOutside(live, "ident_file", "pg_ident.conf", directory);
  return compute;
}

}  // namespace pitr::pg

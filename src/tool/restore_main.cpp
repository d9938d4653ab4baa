// `pitr restore`: a data directory at a point, when no server is left that could be asked for it. The new directory is a line of its own
// in the catalogue, so that it never writes WAL under the id of the one it was made from.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/process.h"
#include "core/demand/folder.h"
#include "core/repo/identity.h"
#include "core/repo/pins.h"
#include "core/repo/unbuilt.h"
#include "tool/build.h"
#include "tool/command_line.h"
#include "tool/commands.h"
#include "tool/demand_settings.h"
#include "tool/directory_claim.h"
#include "tool/exit_codes.h"
#include "tool/held.h"
#include "tool/programs.h"
#include "tool/restore_target.h"
#include "tool/restored_server.h"
#include "tool/signals.h"
#include "tool/staging_config.h"

namespace pitr::tool {

namespace {

constexpr std::uint64_t kReadAhead = 128ULL << 20;  // default of pitr.wal_read_ahead
// As much restored WAL lies in pg_wal at a time (staging_config.cpp, max_wal_size).
constexpr std::uint64_t kRestoredWalCap = 8ULL << 30;

const std::vector<OptionSpec> kOptions = {
    {"repository"},   {"encryption-key-file"}, {"directory"},  {"branch"},
    {"target"},       {"target-time"},         {"target-lsn"}, {"name"},
    {"jobs"},         {"bin-directory"},       {"tablespace"}, {"demand-load", false},
    {"start", false}, {"exclusive", false},
};

class TerminalClient final : public BuildClient {
 public:
  Progress* progress() override { return &progress_; }
  void ReplayedTo(Lsn) noexcept override {}
  void Note(const std::string& text) override { std::fprintf(stderr, "%s\n", text.c_str()); }
  Result<std::optional<std::vector<Role>>> RolesOfToday() override {
    return std::optional<std::vector<Role>>();
  }

 private:
  TerminalProgress progress_;
};

struct Restore {
  RepositoryAccess repository;
  std::string directory;
  Branch line;  // the new one
  RestorePlan plan;
  BuildRequest build;
  SocketDirectory sockets;
};

Result<std::string> AbsoluteDirectory(const std::string& given) {
  const std::string parent = DirectoryName(given);
  char* real = ::realpath(parent.c_str(), nullptr);
  if (real == nullptr) {
    return Status::FromErrno(errno, "find the directory \"" + parent + "\"");
  }
  const std::string absolute = JoinPath(real, BaseName(given));
  std::free(real);
  return absolute;
}

// "16400=/new/place,16401=/other"
Result<std::map<std::string, std::string>> ParseTablespaces(const std::string& text) {
  std::map<std::string, std::string> tablespaces;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0 || part.substr(equals + 1, 1) != "/") {
      return Status(Code::kInvalidArgument,
                    "--tablespace wants OID=/absolute/directory, not \"" + part + "\"");
    }
    tablespaces[part.substr(0, equals)] = part.substr(equals + 1);
    begin = end + 1;
  }
  return tablespaces;
}

std::string FreeName(const BranchSet& branches, const Branch& from, const Options& options) {
  const std::string wanted = options.TextOr("name", CutCodePoints(from.name, 240) + "_restored");
  std::string name = wanted;
  for (int number = 2; !options.Has("name") && branches.IsNameTaken(name); number++) {
    name = wanted + "_" + std::to_string(number);
  }
  return name;
}

Result<Branch> NewLine(const BranchSet& branches, const Branch& from, const RestorePlan& plan,
                       const Options& options, const std::string& directory) {
  Branch line;
  PITR_ASSIGN_OR_RETURN(line.id, NewBranchId());
  line.name = FreeName(branches, from, options);
  PITR_RETURN_IF_ERROR(CheckName(line.name, "branch"));
  line.kind = BranchKind::kChild;
  line.root = from.root;
  line.parent = from.id;
  line.ancestor = plan.line;
  line.fork_lsn = plan.record_end;
  line.fork_timeline = plan.timeline;
  if (plan.last_commit) {
    line.fork_time = plan.last_commit->event.time;
  }
  line.directory = directory;
  line.state = "creating";
  const std::string process = OwnProcessMark();
  if (!process.empty()) line.builder_process = process;
  line.created_at = line.updated_at = SystemClock().Now();
  line.created_by = "pitr restore";
  return line;
}

Status CheckSpace(const Restore& restore) {
  PITR_ASSIGN_OR_RETURN(const std::uint64_t free, FreeSpace(DirectoryName(restore.directory)));
  const std::uint64_t need =
      restore.plan.data_bytes + std::min(restore.plan.wal_bytes, kRestoredWalCap);
  if (free < need) {
    return Status(Code::kDiskFull, "needs " + std::to_string(need) + " bytes at \"" +
                                       restore.directory + "\", " + std::to_string(free) +
                                       " are free");
  }
  return Status::Ok();
}

Status FillBuild(const Repository& repo, const Options& options, Restore* restore) {
  BuildRequest& build = restore->build;
  const RestorePlan& plan = restore->plan;
  const Identity identity = {restore->line.id, repo.id(), restore->line.root};
  build.repository = restore->repository;
  build.directory = restore->directory;
  build.branch = restore->line.id;
  build.identity = DumpJson(EncodeIdentity(identity), 2) + "\n";
  build.line = plan.line;
  build.timeline = plan.timeline;
  build.record_start = plan.record_start;
  build.record_end = plan.record_end;
  build.wal_from = plan.wal_from;
  build.snapshot = plan.snapshot;
  build.wal_bytes = plan.wal_bytes;
  build.settings = plan.settings;
  PITR_ASSIGN_OR_RETURN(build.bin_directory, FindBinDirectory(options.TextOr("bin-directory", ""),
                                                              restore->line.root.server_major));
  PITR_ASSIGN_OR_RETURN(build.program, OwnProgram());
  PITR_ASSIGN_OR_RETURN(const std::int64_t jobs, options.NumberOr("jobs", 2, 1, 64));
  build.workers = static_cast<int>(jobs);
  build.read_ahead_bytes = kReadAhead;
  // A server that still uses the tablespaces of the past may run on this machine.
  if (IsLibraryInstalled(build.bin_directory)) {
    build.library = kLibraryName;
  }
  if (options.Has("demand-load")) {
    PITR_RETURN_IF_ERROR(CheckCanLoadLater(build.bin_directory));
    build.demand_load = true;
    build.fetch_workers = kFetchWorkers;
  }
  PITR_ASSIGN_OR_RETURN(build.tablespaces, ParseTablespaces(options.TextOr("tablespace", "")));
  PITR_ASSIGN_OR_RETURN(restore->sockets, SocketDirectory::Make());
  build.socket_directory = restore->sockets.path();
  return CheckPlacesAreFree(build);
}

// A server whose configuration lives elsewhere (Debian's) left none in its directory: enough to start and look.
Status WriteMissingConfiguration(const Restore& restore) {
  const ControlSettings& settings = restore.plan.settings;
  std::string conf = "# Made by pitr restore: the snapshot held no configuration.\n";
  conf += ConfigLine("max_connections", std::to_string(std::max(settings.max_connections, 20)));
  conf +=
      ConfigLine("max_prepared_transactions", std::to_string(settings.max_prepared_transactions));
  const std::pair<const char*, std::string> files[] = {
      {"postgresql.conf", conf},
      {"pg_hba.conf", "local all all peer\nhost all all samehost scram-sha-256\n"},
      {"pg_ident.conf", "# empty\n"},
  };
  for (const auto& [name, text] : files) {
    const std::string path = JoinPath(restore.directory, name);
    if (!PathExists(path)) {
      PITR_RETURN_IF_ERROR(WriteFileDurably(path, AsBytes(text)));
      std::printf("made %s\n", path.c_str());
    }
  }
  return Status::Ok();
}

Status SetState(Repository* repo, const Restore& restore, const std::string& state) {
  return UpdateBranches(repo, [&](BranchSet* set) {
    Branch* const line = set->FindId(restore.line.id);
    if (line == nullptr) {
      return Status(Code::kNotFound, "branch \"" + restore.line.name +
                                         "\" was taken out of the catalogue meanwhile");
    }
    line->state = state;
    line->builder_process.reset();
    line->updated_at = SystemClock().Now();
    return Status::Ok();
  });
}

// What processes left that are gone: a half made directory in the place, lines that nobody builds.
Status TidyUp(Repository* repo, const std::string& directory) {
  PITR_ASSIGN_OR_RETURN(const std::optional<BranchId> line, RemoveHalfMade(directory));
  if (line) {
    std::fprintf(stderr, "removed what a pitr restore that did not end left in \"%s\"\n",
                 directory.c_str());
    PITR_RETURN_IF_ERROR(DropUnbuilt(repo, {*line}, SystemClock().Now()));
  }
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  return DropGivenUp(repo, branches, BranchId(), SystemClock().Now());
}

// The line with which the restore comes into the catalogue, and what keeps its snapshot there while it reads.
Status Announce(Repository* repo, const Restore& restore) {
  PITR_RETURN_IF_ERROR(UpdateBranches(repo, [&](BranchSet* set) {
    if (set->FindId(restore.line.id) != nullptr) {
      return Status::Ok();  // written in a round that seemed lost
    }
    if (set->IsNameTaken(restore.line.name)) {
      return Status(Code::kAlreadyExists, "branch \"" + restore.line.name + "\" exists already");
    }
    set->Add(restore.line);
    return Status::Ok();
  }));
  PITR_RETURN_IF_ERROR(PinSnapshot(repo, NewPin(restore.plan.snapshot, restore.line.id,
                                                restore.directory, SystemClock().Now())));
  PITR_FAULT("restore.announced");
  return Status::Ok();
}

void DropLine(Repository* repo, const Restore& restore) {
  Status dropped = UpdateBranches(repo, [&](BranchSet* set) {
    std::erase_if(set->branches, [&](const Branch& each) { return each.id == restore.line.id; });
    std::erase_if(set->name_spans,
                  [&](const NameSpan& span) { return span.id == restore.line.id; });
    return Status::Ok();
  });
  // A pin of a line that is not there is void already.
  if (dropped.ok()) dropped = UnpinBranch(repo, restore.line.id);
  if (!dropped.ok()) {
    std::fprintf(stderr, "pitr restore: branch \"%s\" stays in the catalogue: %s\n",
                 restore.line.name.c_str(), dropped.ToString().c_str());
  }
}

Result<Restore> PlanAll(Repository* repo, const Options& options) {
  Restore restore;
  PITR_ASSIGN_OR_RETURN(restore.repository, AccessOfOptions(options));
  PITR_ASSIGN_OR_RETURN(const std::string given, options.Required("directory"));
  PITR_ASSIGN_OR_RETURN(restore.directory, AbsoluteDirectory(given));
  PITR_RETURN_IF_ERROR(TidyUp(repo, restore.directory));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  PITR_ASSIGN_OR_RETURN(const Branch* from, ChooseBranch(branches, options));
  PITR_ASSIGN_OR_RETURN(const PlanRequest request,
                        RequestOfOptions(branches, *from, options, SystemClock().Now()));
  PITR_ASSIGN_OR_RETURN(restore.plan, PlanRestore(repo, branches, request, nullptr, nullptr));
  PITR_ASSIGN_OR_RETURN(restore.line,
                        NewLine(branches, *from, restore.plan, options, restore.directory));
  PITR_RETURN_IF_ERROR(CheckSpace(restore));
  PITR_RETURN_IF_ERROR(FillBuild(*repo, options, &restore));
  return restore;
}

// After the build: the configuration, and what the catalogue says. Is the directory incomplete?
Result<bool> Settle(Repository* repo, const Restore& restore, DirectoryClaim* claim) {
  PITR_RETURN_IF_ERROR(WriteMissingConfiguration(restore));
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> snapshot,
                        demand::SnapshotOfFolder(restore.directory));
  if (snapshot) {
    PITR_RETURN_IF_ERROR(WriteDemandSettings(restore.build.bin_directory, restore.directory,
                                             restore.repository, restore.line.root.server_major));
    // Once more: the time that it holds begins now.
    PITR_RETURN_IF_ERROR(PinSnapshot(
        repo, NewPin(*snapshot, restore.line.id, restore.directory, SystemClock().Now())));
  } else {
    PITR_RETURN_IF_ERROR(UnpinBranch(repo, restore.line.id));
  }
  // Behind this nobody takes it for half made, whatever the catalogue says.
  PITR_RETURN_IF_ERROR(claim->Finish());
  PITR_FAULT("restore.before_state");
  PITR_RETURN_IF_ERROR(SetState(repo, restore, "stopped"));
  return snapshot.has_value();
}

void Report(const Restore& restore, const BuildResult& built) {
  std::printf("restored branch \"%s\" at %s", restore.plan.line_name.c_str(),
              restore.plan.record_end.ToString().c_str());
  if (restore.plan.last_commit) {
    std::printf(", last commit %s", FormatTime(restore.plan.last_commit->event.time).c_str());
  }
  std::printf("\nbranch: %s (%s), timeline %u\ndirectory: %s\n", restore.line.name.c_str(),
              restore.line.id.c_str(), built.timeline, restore.directory.c_str());
  if (built.incomplete_bytes > 0) {
    std::printf("incomplete: %llu bytes are loaded by the server that starts on it\n",
                static_cast<unsigned long long>(built.incomplete_bytes));
  }
  for (const std::string& gid : built.prepared_transactions) {
    std::printf("prepared transaction, holds its locks: %s\n", gid.c_str());
  }
  for (const std::string& warning : restore.plan.warnings) {
    std::printf("warning: %s\n", warning.c_str());
  }
}

Status RunRestore(const Options& options) {
  PITR_ASSIGN_OR_RETURN(const RepositoryAccess access, AccessOfOptions(options));
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress(access, false));
  PITR_ASSIGN_OR_RETURN(const Restore restore, PlanAll(repo.get(), options));
  PITR_ASSIGN_OR_RETURN(
      DirectoryClaim claim,
      DirectoryClaim::Take(restore.directory, restore.line.id, restore.build.tablespaces));
  TerminalClient client;
  const Status announced = Announce(repo.get(), restore);
  if (!announced.ok()) {
    RemoveBuilt(restore.build, &client);
    DropLine(repo.get(), restore);
    return announced;
  }
  const Result<BuildResult> built = BuildReplacement(restore.build, &client, CancelOfProcess());
  if (!built.ok()) {
    DropLine(repo.get(), restore);
    return built.status();
  }
  const Result<bool> is_incomplete = Settle(repo.get(), restore, &claim);
  if (!is_incomplete.ok()) {
    RemoveBuilt(restore.build, &client);
    DropLine(repo.get(), restore);
    return is_incomplete.status();
  }
  Report(restore, *built);
  const RestoredServer server = {restore.build.bin_directory, restore.directory, restore.line.name,
                                 *is_incomplete};
  if (options.Has("start")) {
    PITR_RETURN_IF_ERROR(StartRestored(server));
    PITR_RETURN_IF_ERROR(SetState(repo.get(), restore, "running"));
  }
  std::printf("next steps:\n");
  for (const std::string& step : NextSteps(server, options.Has("start"))) {
    std::printf("  %s\n", step.c_str());
  }
  return Status::Ok();
}

}  // namespace

int RestoreMain(const std::vector<std::string>& arguments) {
  const Result<Options> options = Options::Parse(arguments, kOptions, 0);
  if (!options.ok()) {
    return FailUsage("restore", options.status());
  }
  for (const Status& needed :
       {AccessOfOptions(*options).status(), options->Required("directory").status()}) {
    if (!needed.ok()) {
      return FailUsage("restore", needed);
    }
  }
  if (::geteuid() == 0) {
    return Fail("restore",
                Status(Code::kPermission, "cannot be run as root")
                    .WithDetail("PostgreSQL refuses to recover a directory as root.")
                    .WithHint("Run it as the user who will own the server, for example with "
                              "\"runuser -u postgres -- pitr restore …\"."));
  }
  CatchCancelSignals();
  const Status status = RunRestore(*options);
  return status.ok() ? kExitDone : Fail("restore", status);
}

}  // namespace pitr::tool

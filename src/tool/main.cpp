// `pitr`, the program beside the server: one binary, a command a purpose. What a command does stands in its own file; here is
// only the choice among them.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/fault.h"
#include "tool/commands.h"
#include "tool/exit_codes.h"
#include "tool/member_notes.h"
#include "tool/signals.h"

namespace pitr::tool {

namespace {

int FaultPointsMain(const std::vector<std::string>&) {
  for (const std::string_view point : FaultPoints()) {
    std::printf("%.*s\n", static_cast<int>(point.size()), point.data());
  }
  return kExitDone;
}

struct Command {
  std::string_view name;
  int (*main)(const std::vector<std::string>& arguments);
};

constexpr Command kCommands[] = {
    {"wal-get", WalGetMain},
    {"restore", RestoreMain},
    {"info", InfoMain},
    {"verify", VerifyMain},
    {"job", JobMain},
    {"guard", GuardMain},
    {"compute", ComputeMain},
    {"fault-points", FaultPointsMain},
    {"dump-list", DumpListMain},
    {"dump-get", DumpGetMain},
};

constexpr char kUsage[] =
    "pitr: point-in-time restore for PostgreSQL, the program beside the extension pitr_ext\n"
    "\n"
    "usage:\n"
    "  pitr restore --repository ADDRESS --directory DIRECTORY [--branch NAME]\n"
    "               [--target POINT | --target-time TIME | --target-lsn LSN] [--exclusive]\n"
    "               [--name NAME] [--jobs N] [--bin-directory DIRECTORY]\n"
    "               [--tablespace OID=DIRECTORY[,...]] [--demand-load] [--start]\n"
    "      makes a data directory at that point; no server is needed. --demand-load: relation "
    "files\n"
    "      are loaded by the server that starts on it, when they are read and in the background\n"
    "  pitr info [--repository ADDRESS] [--json] [--check]\n"
    "      branches, snapshots and what can be restored; --check: one line, exit 0 1 2 3\n"
    "  pitr verify [--repository ADDRESS] [--snapshot ID] [--bytes N] [--jobs N]\n"
    "      reads the repository back and checks it; exit 1 when something is damaged\n"
    "  pitr dump-list [--repository ADDRESS] [--json]\n"
    "      logical dumps in the repository\n"
    "  pitr dump-get ID[/DATABASE] [--globals] [--output FILE] [--repository ADDRESS]\n"
    "      a dump as pg_restore reads it, to FILE (a directory, for one that is a directory) or "
    "standard "
    "output;\n"
    "      --globals: roles and tablespaces, as psql reads them\n"
    "  pitr wal-get NAME PATH\n"
    "      for restore_command: exit 0 delivered, 1 not in the repository, 200 anything else\n"
    "\n"
    "ADDRESS is a folder or s3://bucket/prefix, or a comma list of replicas: the nearest that has "
    "an "
    "object is\n"
    "read. PITR_REPOSITORY stands in for --repository. For an encrypted repository these commands "
    "take\n"
    "--encryption-key-file FILE, or the environment PITR_ENCRYPTION_KEY_FILE or "
    "PITR_ENCRYPTION_KEY_COMMAND.\n"
    "Exit 2: wrong usage, 200: failed.\n"
    "The server also starts: pitr job, pitr guard, pitr compute. For tests: pitr fault-points.\n";

int Run(int argc, char** argv) {
  SetProcessCancel(&CancelOfProcess());
  TellOfMembers();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) {
    std::fputs(kUsage, stderr);
    return kExitUsage;
  }
  if (arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    std::fputs(kUsage, stdout);
    return kExitDone;
  }
  for (const Command& command : kCommands) {
    if (arguments[0] == command.name) {
      return command.main({arguments.begin() + 1, arguments.end()});
    }
  }
  std::fprintf(stderr, "pitr: unknown command \"%s\"; see pitr --help\n", arguments[0].c_str());
  return kExitUsage;
}

}  // namespace

}  // namespace pitr::tool

int main(int argc, char** argv) { return pitr::tool::Run(argc, argv); }

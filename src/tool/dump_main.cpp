// `pitr dump-list` and `pitr dump-get`: dumps without a server.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/repo/dumps.h"
#include "tool/command_line.h"
#include "tool/commands.h"
#include "tool/exit_codes.h"
#include "tool/signals.h"

namespace pitr::tool {

namespace {

std::string NamesOf(const DumpManifest& dump) {
  std::string names;
  for (const DumpDatabase& database : dump.databases) {
    names += (names.empty() ? "" : ", ") + database.name;
  }
  return names;
}

Status List(const RepositoryAccess& access, bool as_json) {
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress(access, false));
  std::vector<DumpId> damaged;
  PITR_ASSIGN_OR_RETURN(const std::vector<DumpManifest> dumps, ListDumps(repo.get(), &damaged));
  Json all = Json::array();
  for (const DumpManifest& dump : dumps) {
    if (as_json) {
      all.push_back(EncodeDump(dump, false));
      continue;
    }
    std::printf("%s  %-10s  %-9s  %s  %s  %llu rows  %llu bytes\n", dump.id.c_str(),
                dump.state.c_str(), dump.options.format.c_str(),
                dump.point_time ? FormatTime(*dump.point_time, 0).c_str()
                                : dump.point_lsn.ToString().c_str(),
                NamesOf(dump).c_str(), static_cast<unsigned long long>(dump.Rows()),
                static_cast<unsigned long long>(dump.stored_bytes));
  }
  if (as_json) std::printf("%s\n", DumpJson(all, 2).c_str());
  for (const DumpId& id : damaged) {
    std::fprintf(stderr, "pitr dump-list: the manifest of dump \"%s\" is damaged\n", id.c_str());
  }
  return Status::Ok();
}

Status WriteOut(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno != EINTR) return Status::FromErrno(errno, "write the dump");
    if (put > 0) bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return CancelOfProcess().IsCancelled() ? Status(Code::kCancelled, "cancelled") : Status::Ok();
}

Status GetInto(Repository* repo, const DumpId& id, const DumpFile& file, int fd) {
  return StreamDumpFile(repo, id, file, [fd](ByteView bytes) { return WriteOut(fd, bytes); });
}

// A file that is there is whole: until then it is called otherwise.
Status GetFile(Repository* repo, const DumpId& id, const DumpFile& file, const std::string& path) {
  if (PathExists(path)) {
    return Status(Code::kAlreadyExists, "\"" + path + "\" exists already");
  }
  const std::string part = path + ".part";
  PITR_ASSIGN_OR_RETURN(File out, File::Open(part, O_WRONLY | O_CREAT | O_TRUNC));
  Status got = GetInto(repo, id, file, out.fd());
  if (got.ok()) got = out.Sync();
  if (got.ok() && ::rename(part.c_str(), path.c_str()) != 0) {
    got = Status::FromErrno(errno, "name \"" + path + "\"");
  }
  if (!got.ok()) (void)RemoveFile(part);
  return got;
}

Status GetDirectory(Repository* repo, const DumpManifest& dump, const DumpDatabase& database,
                    const std::string& path) {
  if (PathExists(path)) {
    return Status(Code::kAlreadyExists, "\"" + path + "\" exists already");
  }
  PITR_RETURN_IF_ERROR(MakeDirectories(path));
  Status got;
  for (const DumpFile& file : database.files) {
    if (got.ok()) got = GetFile(repo, dump.id, file, JoinPath(path, file.name));
  }
  if (!got.ok()) (void)RemoveTree(path);
  return got;
}

struct GetRequest {
  std::string dump;
  std::optional<std::string> output;
  bool globals = false;
};

Status Get(const RepositoryAccess& access, const GetRequest& request) {
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress(access, false));
  const DumpPlace place = ParseDumpPlace(request.dump);
  PITR_ASSIGN_OR_RETURN(const DumpManifest dump, ReadDump(repo.get(), place.id));
  const DumpFile* file = nullptr;
  if (request.globals) {
    if (!dump.globals) {
      return Status(Code::kNotFound, "dump \"" + dump.id + "\" was made without globals");
    }
    file = &*dump.globals;
  } else {
    PITR_ASSIGN_OR_RETURN(const DumpDatabase* database, DatabaseOf(dump, place));
    if (dump.options.format == "directory") {
      if (request.output) return GetDirectory(repo.get(), dump, *database, *request.output);
      return Status(Code::kInvalidArgument,
                    "dump \"" + dump.id + "\" is a directory: say where with --output");
    }
    file = &database->files.front();
  }
  return request.output ? GetFile(repo.get(), dump.id, *file, *request.output)
                        : GetInto(repo.get(), dump.id, *file, STDOUT_FILENO);
}

}  // namespace

int DumpListMain(const std::vector<std::string>& arguments) {
  const auto options =
      Options::Parse(arguments, {{"repository"}, {"encryption-key-file"}, {"json", false}}, 0);
  if (!options.ok()) return FailUsage("dump-list", options.status());
  const Result<RepositoryAccess> access = AccessOfOptions(*options);
  if (!access.ok()) return FailUsage("dump-list", access.status());
  CatchCancelSignals();
  const Status listed = List(*access, options->Has("json"));
  return listed.ok() ? kExitDone : Fail("dump-list", listed);
}

int DumpGetMain(const std::vector<std::string>& arguments) {
  const auto options = Options::Parse(
      arguments, {{"repository"}, {"encryption-key-file"}, {"output"}, {"globals", false}}, 1);
  if (!options.ok()) return FailUsage("dump-get", options.status());
  const Result<RepositoryAccess> access = AccessOfOptions(*options);
  if (!access.ok()) return FailUsage("dump-get", access.status());
  if (options->positional().empty()) {
    return FailUsage("dump-get", Status(Code::kInvalidArgument, "name a dump: its id"));
  }
  CatchCancelSignals();
  const Status got =
      Get(*access, {options->positional()[0], options->Text("output"), options->Has("globals")});
  return got.ok() ? kExitDone : Fail("dump-get", got);
}

}  // namespace pitr::tool

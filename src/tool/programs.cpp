// Looking for programs and starting them without a shell.
#include "tool/programs.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>

#include "core/base/ascii.h"
#include "core/base/file.h"
#include "core/base/process.h"

extern char** environ;

namespace pitr::tool {

namespace {

constexpr std::size_t kMaxOutput = 64U << 10;
constexpr int kPollMs = 20;

// -1: ours.
Result<int> Spawn(const std::vector<std::string>& arguments, int output, int errors,
                  char* const* environment = environ) {
  std::vector<std::string> copies = arguments;
  const std::vector<char*> pointers = ExecPointers(&copies);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (output >= 0) {
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  }
  if (errors >= 0) {
    posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  }
  pid_t child = 0;
  const int error =
      posix_spawn(&child, pointers[0], &actions, nullptr, pointers.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return Status::FromErrno(error, "run \"" + arguments[0] + "\"");
  }
  return child;
}

// What was written to it, without its last line end.
std::string TextOf(const File& file) {
  std::string text(4096, '\0');
  const Result<std::size_t> size = file.ReadAt(0, text.data(), text.size());
  text.resize(size.ok() ? *size : 0);
  return std::string(Trimmed(text));
}

Result<int> WaitFor(pid_t child, const std::string& program) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return Status::FromErrno(errno, "wait for \"" + program + "\"");
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<std::string> Candidates(std::uint32_t server_major) {
  std::vector<std::string> places;
  if (const Result<std::string> own = OwnProgram(); own.ok()) {
    places.push_back(DirectoryName(*own));
  }
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    if (end > 0) {
      places.emplace_back(rest.substr(0, end));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const std::string major = std::to_string(server_major);
  places.push_back("/usr/lib/postgresql/" + major + "/bin");
  places.push_back("/usr/pgsql-" + major + "/bin");
  return places;
}

}  // namespace

Result<std::string> OwnProgram() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) {
    return Status::FromErrno(errno, "find our own program");
  }
  return std::string(path, static_cast<std::size_t>(size));
}

bool IsLibraryInstalled(const std::string& bin_directory) {
  const Result<std::string> told = OutputOf({JoinPath(bin_directory, "pg_config"), "--pkglibdir"});
  const std::string folder = told.ok() && !told->empty()
                                 ? std::string(Trimmed(*told))
                                 : JoinPath(DirectoryName(bin_directory), "lib");
  return PathExists(JoinPath(folder, std::string(kLibraryName) + ".so"));
}

Result<std::string> OutputOf(const std::vector<std::string>& arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return Status::FromErrno(errno, "make a pipe");
  }
  const File reader(ends[0]);
  File writer(ends[1]);
  const File errors(memfd_create("errors", MFD_CLOEXEC));
  const Result<int> child = Spawn(arguments, writer.fd(), errors.fd());
  writer = File();
  PITR_RETURN_IF_ERROR(child.status());
  std::string output;
  char text[4096];
  ssize_t size = 0;
  while ((size = read(reader.fd(), text, sizeof text)) > 0 || (size < 0 && errno == EINTR)) {
    // What is too much is read all the same: the program must not wait for us.
    if (size > 0 && output.size() + static_cast<std::size_t>(size) <= kMaxOutput) {
      output.append(text, static_cast<std::size_t>(size));
    }
  }
  PITR_ASSIGN_OR_RETURN(const int status, WaitFor(*child, arguments[0]));
  if (status != 0) {
    return Status(Code::kIo, "\"" + arguments[0] + "\" ended with status " + std::to_string(status))
        .WithDetail(TextOf(errors));
  }
  return output;
}

Result<std::string> SettingOf(const std::string& bin_directory, const std::string& directory,
                              const std::string& name) {
  const Result<std::string> value =
      OutputOf({JoinPath(bin_directory, "postgres"), "-D", directory, "-C", name});
  if (value.ok()) return std::string(Trimmed(*value));
  // It asks for a module's setting that no line names, without the module.
  if (value.status().detail().find("unrecognized configuration parameter") != std::string::npos) {
    return std::string();
  }
  return value.status();
}

std::uint32_t MajorOfServer(const std::string& bin_directory) {
  const std::string program = JoinPath(bin_directory, "postgres");
  if (access(program.c_str(), X_OK) != 0) {
    return 0;
  }
  // "postgres (PostgreSQL) 15.20 (Debian …)"
  const Result<std::string> said = OutputOf({program, "--version"});
  const std::size_t number = said.ok() ? said->find(") ") : std::string::npos;
  std::uint32_t major = 0;
  if (number != std::string::npos) {
    std::from_chars(said->data() + number + 2, said->data() + said->size(), major);
  }
  return major;
}

Result<std::string> FindBinDirectory(const std::string& wanted, std::uint32_t server_major) {
  if (!wanted.empty()) {
    const std::uint32_t found = MajorOfServer(wanted);
    if (found == server_major) {
      return wanted;
    }
    return Status(Code::kNotReady,
                  "\"" + wanted + "\" holds " +
                      (found == 0 ? "no PostgreSQL" : "PostgreSQL " + std::to_string(found)) +
                      ", the data are of " + std::to_string(server_major));
  }
  for (const std::string& place : Candidates(server_major)) {
    if (MajorOfServer(place) == server_major) {
      return place;
    }
  }
  return Status(Code::kNotReady,
                "the programs of PostgreSQL " + std::to_string(server_major) + " were not found")
      .WithHint("Install that server, or say where it is with --bin-directory.");
}

Status RunQuietly(const std::vector<std::string>& arguments,
                  const std::vector<std::string>& environment, const CancelToken& cancel) {
  PITR_ASSIGN_OR_RETURN(const File nothing, File::Open("/dev/null", O_WRONLY));
  const File errors(memfd_create("errors", MFD_CLOEXEC));
  std::vector<std::string> variables = environment;
  const std::vector<char*> pointers = ExecPointers(&variables);
  PITR_ASSIGN_OR_RETURN(const pid_t child,
                        Spawn(arguments, nothing.fd(), errors.fd(), pointers.data()));
  int status = 0;
  bool is_cancelled = false;
  for (;;) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) break;
    if (ended < 0 && errno != EINTR)
      return Status::FromErrno(errno, "wait for \"" + arguments[0] + "\"");
    if (cancel.IsCancelled() && !is_cancelled) {
      is_cancelled = true;
      kill(child, SIGTERM);
    }
    poll(nullptr, 0, kPollMs);
  }
  if (is_cancelled) return Status(Code::kCancelled, "cancelled");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Status::Ok();
  return Status(Code::kInternal, "\"" + arguments[0] + "\" failed").WithDetail(TextOf(errors));
}

Result<int> RunProgram(const std::vector<std::string>& arguments) {
  PITR_ASSIGN_OR_RETURN(const int child, Spawn(arguments, -1, -1));
  return WaitFor(child, arguments[0]);
}

}  // namespace pitr::tool

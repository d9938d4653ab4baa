#include "core/work/tablespaces.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <set>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/work/control_file.h"
#include "core/work/lay_out.h"

namespace pitr {

namespace {

constexpr std::string_view kFolder = "pg_tblspc";

bool IsOid(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// …/<branch id>/<oid>
bool IsOwnTarget(const std::string& target) {
  return IsOid(BaseName(target)) && IsBranchId(BaseName(DirectoryName(target)));
}

std::string RealPath(const std::string& path) {
  char real[PATH_MAX];
  return ::realpath(path.c_str(), real) != nullptr ? std::string(real) : path;
}

Status MakeLink(const std::string& target, const std::string& link) {
  return ::symlink(target.c_str(), link.c_str()) == 0 || errno == EEXIST
             ? Status::Ok()
             : Status::FromErrno(errno, "create link \"" + link + "\"");
}

// "PG_15_202209061": the folder of a directory's server in a tablespace. Empty when the directory is not whole enough to say.
std::string VersionFolder(const std::string& directory) {
  const Result<std::string> major = ReadTextFile(JoinPath(directory, "PG_VERSION"), 64);
  const Result<ControlFile> control = ReadControlFile(directory);
  if (!major.ok() || !control.ok()) {
    return {};
  }
  return "PG_" + major->substr(0, major->find('\n')) + "_" +
         std::to_string(control->catalog_version);
}

// Where the other directories' links lead to.
Result<std::set<std::string>> UsedByOthers(const std::string& directory, const std::string& live) {
  std::vector<std::string> others = {live};
  const std::string parent = DirectoryName(directory);
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(parent));
  for (const std::string& name : names) {
    others.push_back(JoinPath(parent, name));
  }
  std::set<std::string> used;
  for (const std::string& other : others) {
    if (other.empty() || other == directory) {
      continue;
    }
    PITR_ASSIGN_OR_RETURN(const auto links, TablespaceLinks(other));
    for (const TablespaceLink& link : links) {
      used.insert(link.target);
    }
  }
  return used;
}

// DROP TABLESPACE leaves its directory, empty, to whoever made it.
void RemoveEmptyTargets(const std::string& location, const BranchId& branch) {
  const std::string targets = DirectoryName(TablespaceTarget(location, branch, "0"));
  const Result<std::vector<std::string>> oids = ListDirectory(targets);
  if (!oids.ok()) {
    return;
  }
  for (const std::string& oid : *oids) {
    (void)::rmdir(JoinPath(targets, oid).c_str());
  }
  (void)::rmdir(targets.c_str());
}

Status RemoveTablespaces(const std::string& directory, const std::string& live) {
  PITR_ASSIGN_OR_RETURN(const std::vector<TablespaceLink> links, TablespaceLinks(directory));
  PITR_ASSIGN_OR_RETURN(const std::set<std::string> used, UsedByOthers(directory, live));
  const std::string name(WithoutGone(BaseName(directory)));
  for (const std::string& location : used) {
    if (IsBranchId(name)) {
      RemoveEmptyTargets(location, name);
    }
  }
  const std::string version = VersionFolder(directory);
  for (const TablespaceLink& link : links) {
    const bool is_used = std::any_of(used.begin(), used.end(), [&](const std::string& other) {
      return RealPath(other) == RealPath(link.target);
    });
    if (is_used) {
      continue;
    }
    if (IsOwnTarget(link.target)) {
      PITR_RETURN_IF_ERROR(RemoveTree(link.target));
      (void)::rmdir(DirectoryName(link.target).c_str());  // another tablespace may be beside it
    } else if (!version.empty()) {
      // The administrator's directory, and perhaps that of a cluster of another major as well.
      PITR_RETURN_IF_ERROR(RemoveTree(JoinPath(link.target, version)));
    }
  }
  return Status::Ok();
}

}  // namespace

std::string_view WithoutGone(std::string_view name) {
  return name.substr(0, name.size() - (name.ends_with(kGoneSuffix) ? kGoneSuffix.size() : 0));
}

Result<std::vector<TablespaceLink>> TablespaceLinks(const std::string& directory) {
  const std::string folder = JoinPath(directory, kFolder);
  std::vector<TablespaceLink> links;
  const Result<std::vector<std::string>> names = ListDirectory(folder);
  if (!names.ok()) {
    const bool is_none = !PathExists(folder);
    return is_none ? Result<std::vector<TablespaceLink>>(std::move(links)) : names.status();
  }
  for (const std::string& name : *names) {
    char target[PATH_MAX];
    const ssize_t size = ::readlink(JoinPath(folder, name).c_str(), target, sizeof target);
    if (size < 0 && errno != EINVAL) {
      return Status::FromErrno(errno, "read link \"" + JoinPath(folder, name) + "\"");
    }
    if (size >= 0) {
      links.push_back({name, std::string(target, static_cast<std::size_t>(size))});
    }
  }
  return links;
}

std::string TablespaceTarget(std::string_view location, const BranchId& branch,
                             std::string_view oid) {
  std::string base(location);
  while (base.size() > 1 && base.back() == '/') {
    base.pop_back();
  }
  if (IsOwnTarget(base)) {
    base = DirectoryName(DirectoryName(base));
  }
  return JoinPath(JoinPath(base, branch), oid);
}

Status ReplayCreateTablespace(const std::string& directory, std::string_view location,
                              const BranchId& branch, const std::string& oid,
                              std::string_view version_folder) {
  PITR_FAULT("tablespace.before_create");
  const std::string link = JoinPath(JoinPath(directory, kFolder), oid);
  if (!PathExists(link)) {
    const std::string target = TablespaceTarget(location, branch, oid);
    Status made = MakeDirectories(target);
    if (!made.ok()) {
      return std::move(made)
          .Prefix("a tablespace was created at \"" + std::string(location) + "\"")
          .WithHint(
              "Make that directory again for the time of the restore, and give it to the "
              "server's user.");
    }
    PITR_RETURN_IF_ERROR(MakeLink(target, link));
  }
  return MakeDirectories(JoinPath(link, version_folder));
}

Status RemoveDataDirectory(const std::string& directory, const std::string& live) {
  std::string now = directory;
  // One that `pitr restore` was told to make stands where names are other people's.
  if (IsBranchId(BaseName(directory))) {
    now += kGoneSuffix;
    if (PathExists(now)) {
      PITR_RETURN_IF_ERROR(RemoveDataDirectory(now, live));
    }
    if (::rename(directory.c_str(), now.c_str()) != 0) {
      return errno == ENOENT ? Status::Ok()
                             : Status::FromErrno(errno, "rename \"" + directory + "\"");
    }
    PITR_RETURN_IF_ERROR(SyncDirectory(DirectoryName(now)));
  }
  PITR_RETURN_IF_ERROR(RemoveTablespaces(now, live));
  // What says whose it is goes last.
  const Result<std::vector<std::string>> names = ListDirectory(now);
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    if (name != kOwnFolder) PITR_RETURN_IF_ERROR(RemoveTree(JoinPath(now, name)));
  }
  return RemoveTree(now);
}

}  // namespace pitr

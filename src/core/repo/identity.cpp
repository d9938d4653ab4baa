// Making and checking identities.
//
// Order of writes for a new directory: identity.pending (a branch id of our own choice), the branch in the catalogue,
// identity.json, then identity.pending goes. A kill in between leaves a pending file whose id the next process takes up, so
// that the branch is never made twice and never without a directory.
#include "core/repo/identity.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/types/wal_name.h"

namespace pitr {

namespace {

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kMaxSize = 64U << 10;
constexpr std::string_view kRootName = "main";

std::string FolderOf(const std::string& data_directory) { return JoinPath(data_directory, "pitr"); }

std::string PendingPath(const std::string& data_directory) {
  return JoinPath(FolderOf(data_directory), "identity.pending");
}

std::string TextOf(const Identity& identity) {
  return DumpJson(EncodeIdentity(identity), 2) + "\n";
}

Result<Identity> ReadIdentity(const std::string& path) {
  PITR_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxSize));
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(text, "\"" + path + "\""));
  Result<Identity> identity = DecodeIdentity(json);
  if (!identity.ok()) {
    return std::move(identity).status().Prefix("\"" + path + "\"");
  }
  return identity;
}

std::string Describe(const RootIdentity& root) {
  return "system identifier " + std::to_string(root.system_identifier) + ", PostgreSQL " +
         std::to_string(root.server_major) + ", WAL segments of " +
         std::to_string(root.segment_size) + " bytes";
}

Status Check(const Repository& repo, const BranchSet& branches, const Identity& identity,
             const RootIdentity& server) {
  if (identity.root != server) {
    return Status(Code::kForeign, "the identity of this data directory belongs to another server")
        .WithDetail("Identity: " + Describe(identity.root) + ". Server: " + Describe(server) + ".")
        .WithHint(
            "If the directory was upgraded or made anew, remove its folder \"pitr\" and name "
            "an empty repository.");
  }
  if (identity.repository_id != repo.id()) {
    return Status(Code::kForeign, "this data directory belongs to another repository")
        .WithDetail("The directory belongs to repository " + identity.repository_id + ", \"" +
                    repo.Describe() + "\" is repository " + repo.id() + ".")
        .WithHint("Set pitr.repository to where that repository is now.");
  }
  const Branch* branch = branches.FindId(identity.branch_id);
  if (branch == nullptr || branch->root != identity.root) {
    return Status(Code::kForeign, "branch \"" + identity.branch_id +
                                      "\" of this data directory is not in repository \"" +
                                      repo.Describe() + "\"");
  }
  return Status::Ok();
}

// REQUIRES: this directory has no identity yet and chose `wanted`.
Status AddRootBranch(const Repository& repo, const Identity& wanted, Timestamp now,
                     BranchSet* set) {
  if (set->FindId(wanted.branch_id) != nullptr) {
    return Status::Ok();  // a process of this server was faster, with the same choice
  }
  for (const Branch& branch : set->branches) {
    if (branch.root == wanted.root) {
      return Status(Code::kForeign, "repository \"" + repo.Describe() +
                                        "\" has the history of this server, but this data "
                                        "directory has no identity")
          .WithDetail("The server has " + Describe(wanted.root) + "; branch \"" + branch.name +
                      "\" (" + branch.id + ") was written by it.")
          .WithHint(
              "If this is a copy of that server, use a repository of its own; if its file "
              "pitr/identity.json was lost, bring it back.");
    }
  }
  for (const Branch& branch : set->branches) {
    if (branch.kind == BranchKind::kRoot) {
      return Status(Code::kForeign,
                    "repository \"" + repo.Describe() + "\" belongs to another server")
          .WithDetail("Repository: " + Describe(branch.root) +
                      ". This server: " + Describe(wanted.root) + ".")
          .WithHint("Use an empty folder for each server.");
    }
  }
  Branch root;
  root.id = wanted.branch_id;
  root.name = kRootName;
  root.kind = BranchKind::kRoot;
  root.root = wanted.root;
  root.is_default = true;
  root.created_at = now;
  root.updated_at = now;
  root.state = "running";
  set->Add(std::move(root));
  return Status::Ok();
}

// Makes `path` with `text` unless it exists. DURABLE.
Status CreateExclusively(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".tmp." + std::to_string(::getpid());
  PITR_RETURN_IF_ERROR(WriteFileDurably(temporary, AsBytes(text)));
  const int errnum = ::link(temporary.c_str(), path.c_str()) == 0 ? 0 : errno;
  PITR_RETURN_IF_ERROR(RemoveFile(temporary));
  if (errnum != 0 && errnum != EEXIST) {
    return Status::FromErrno(errnum, "create file \"" + path + "\"");
  }
  return SyncDirectory(DirectoryName(path));
}

// The choice that all processes of this directory share.
Result<Identity> ChoosePending(const std::string& data_directory, const Repository& repo,
                               const RootIdentity& server) {
  PITR_ASSIGN_OR_RETURN(BranchId id, NewBranchId());
  const Identity mine = {std::move(id), repo.id(), server};
  const std::string path = PendingPath(data_directory);
  PITR_RETURN_IF_ERROR(MakeDirectories(FolderOf(data_directory)));
  PITR_RETURN_IF_ERROR(CreateExclusively(path, TextOf(mine)));
  Result<Identity> pending = ReadIdentity(path);
  if (pending.ok() && pending->repository_id == mine.repository_id && pending->root == mine.root) {
    return pending;
  }
  if (!pending.ok() && pending.status().code() != Code::kCorrupt) {
    return pending;
  }
  // Of an attempt with another repository.
  PITR_RETURN_IF_ERROR(WriteFileDurably(path, AsBytes(TextOf(mine))));
  return mine;
}

Status RemovePending(const std::string& data_directory) {
  PITR_RETURN_IF_ERROR(RemoveFile(PendingPath(data_directory)));
  return SyncDirectory(FolderOf(data_directory));
}

Result<Identity> Checked(Repository* repo, Identity identity, const RootIdentity& server) {
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  PITR_RETURN_IF_ERROR(Check(*repo, branches, identity, server));
  return identity;
}

Status Register(Repository* repo, const std::string& data_directory, const Identity& wanted,
                Timestamp now) {
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
  if (branches.FindId(wanted.branch_id) == nullptr) {
    PITR_RETURN_IF_ERROR(UpdateBranches(
        repo, [&](BranchSet* set) { return AddRootBranch(*repo, wanted, now, set); }));
  }
  PITR_FAULT("identity.after_catalogue");
  PITR_FAULT("identity.before_write");
  return StoreIdentity(data_directory, wanted);
}

bool IsAbsent(const Result<Identity>& identity) {
  return !identity.ok() && identity.status().code() == Code::kNotFound;
}

}  // namespace

std::string IdentityPath(const std::string& data_directory) {
  return JoinPath(FolderOf(data_directory), "identity.json");
}

Json EncodeIdentity(const Identity& identity) {
  Json json;
  json["format"] = kFormat;
  json["branch_id"] = identity.branch_id;
  json["repository_id"] = identity.repository_id;
  // As text: a 64-bit number is more than most JSON readers keep.
  json["system_identifier"] = std::to_string(identity.root.system_identifier);
  json["server_major"] = identity.root.server_major;
  json["segment_size"] = identity.root.segment_size;
  return json;
}

Result<Identity> DecodeIdentity(const Json& json) {
  PITR_ASSIGN_OR_RETURN(const std::int64_t format, JsonInt(json, "format"));
  if (format != kFormat) {
    return Status(Code::kForeign, "identity has format " + std::to_string(format) +
                                      ", this version of pitr_ext reads " +
                                      std::to_string(kFormat));
  }
  Identity identity;
  PITR_ASSIGN_OR_RETURN(identity.branch_id, JsonText(json, "branch_id"));
  if (!IsBranchId(identity.branch_id)) {
    return Status(Code::kCorrupt, "\"branch_id\" is not the id of a branch");
  }
  PITR_ASSIGN_OR_RETURN(identity.repository_id, JsonText(json, "repository_id"));
  PITR_ASSIGN_OR_RETURN(const std::string system, JsonText(json, "system_identifier"));
  const char* end = system.data() + system.size();
  const auto parsed = std::from_chars(system.data(), end, identity.root.system_identifier);
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    return Status(Code::kCorrupt, "\"system_identifier\" is not a number");
  }
  PITR_ASSIGN_OR_RETURN(const std::uint64_t major, JsonUint(json, "server_major"));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t segment_size, JsonUint(json, "segment_size"));
  if (major > 1000 || !IsValidSegmentSize(segment_size)) {
    return Status(Code::kCorrupt, "\"server_major\" or \"segment_size\" is out of range");
  }
  identity.root.server_major = static_cast<std::uint32_t>(major);
  identity.root.segment_size = static_cast<std::uint32_t>(segment_size);
  return identity;
}

Result<Identity> LoadIdentity(const std::string& data_directory) {
  return ReadIdentity(IdentityPath(data_directory));
}

Status StoreIdentity(const std::string& data_directory, const Identity& identity) {
  PITR_RETURN_IF_ERROR(MakeDirectories(FolderOf(data_directory)));
  return WriteFileDurably(IdentityPath(data_directory), AsBytes(TextOf(identity)));
}

Result<Identity> EstablishIdentity(Repository* repo, const std::string& data_directory,
                                   const RootIdentity& server, Timestamp now) {
  Result<Identity> known = LoadIdentity(data_directory);
  if (IsAbsent(known)) {
    const Result<Identity> wanted = ChoosePending(data_directory, *repo, server);
    // Looked for again: whoever removes a pending file has written the identity before, so a choice that comes too late
    // is found out here.
    known = LoadIdentity(data_directory);
    if (IsAbsent(known)) {
      PITR_RETURN_IF_ERROR(wanted.ok() ? Register(repo, data_directory, *wanted, now)
                                       : wanted.status());
      known = LoadIdentity(data_directory);
    }
    if (known.ok()) {
      PITR_RETURN_IF_ERROR(RemovePending(data_directory));
    }
  }
  if (!known.ok()) {
    return known;
  }
  return Checked(repo, *std::move(known), server);
}

}  // namespace pitr

#include "core/repo/lease_proof.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/json.h"

namespace pitr {

namespace {

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kMaxSize = 64U << 10;
constexpr std::size_t kNonceBytes = 16;
// The lock is held for one write of a small file; whoever has it longer stands still, and is not waited for.
constexpr int kLockTries = 500;
constexpr std::chrono::milliseconds kLockPause{10};

std::string FolderOf(const std::string& data_directory) { return JoinPath(data_directory, "pitr"); }

Json EncodeToken(const LeaseToken& token) {
  Json json;
  json["number"] = token.number;
  json["nonce"] = token.nonce;
  return json;
}

Result<LeaseToken> DecodeToken(const Json& json, std::string_view member) {
  const Json* token = JsonObject(json, member);
  if (token == nullptr) {
    return Status(Code::kCorrupt, "\"" + std::string(member) + "\" is not an object");
  }
  LeaseToken decoded;
  PITR_ASSIGN_OR_RETURN(decoded.number, JsonUint(*token, "number"));
  PITR_ASSIGN_OR_RETURN(decoded.nonce, JsonText(*token, "nonce"));
  return decoded;
}

// Ends with the process, whatever becomes of it.
Result<File> Lock(const std::string& data_directory) {
  const std::string path = JoinPath(FolderOf(data_directory), "lease.lock");
  PITR_RETURN_IF_ERROR(MakeDirectories(FolderOf(data_directory)));
  PITR_ASSIGN_OR_RETURN(File file, File::Open(path, O_RDWR | O_CREAT));
  for (int i = 0; i < kLockTries; i++) {
    if (::flock(file.fd(), LOCK_EX | LOCK_NB) == 0) {
      return file;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return Status::FromErrno(errno, "lock \"" + path + "\"");
    }
    std::this_thread::sleep_for(kLockPause);
  }
  return Status(Code::kInUse, "another process keeps \"" + path + "\" locked");
}

}  // namespace

Result<LeasePlace> PlaceOf(const std::string& directory) {
  LeasePlace place;
  PITR_ASSIGN_OR_RETURN(place.boot, ReadTextFile("/proc/sys/kernel/random/boot_id", 256));
  while (!place.boot.empty() && place.boot.back() == '\n') {
    place.boot.pop_back();
  }
  struct statx info = {};
  if (::statx(AT_FDCWD, directory.c_str(), 0, STATX_INO | STATX_BTIME, &info) != 0) {
    return Status::FromErrno(errno, "examine \"" + directory + "\"");
  }
  place.device = makedev(info.stx_dev_major, info.stx_dev_minor);
  place.inode = info.stx_ino;
  if ((info.stx_mask & STATX_BTIME) != 0) {
    place.born_seconds = info.stx_btime.tv_sec;
    place.born_nanos = info.stx_btime.tv_nsec;
  }
  return place;
}

std::string LeaseProofPath(const std::string& data_directory) {
  return JoinPath(FolderOf(data_directory), "lease.json");
}

Json EncodeLeaseProof(const LeaseProof& proof) {
  Json json;
  json["format"] = kFormat;
  json["branch_id"] = proof.branch;
  json["held"] = EncodeToken(proof.held);
  json["intended"] = EncodeToken(proof.intended);
  json["boot"] = proof.place.boot;
  json["device"] = proof.place.device;
  json["inode"] = proof.place.inode;
  json["born_seconds"] = proof.place.born_seconds;
  json["born_nanos"] = proof.place.born_nanos;
  return json;
}

Result<LeaseProof> DecodeLeaseProof(const Json& json) {
  PITR_ASSIGN_OR_RETURN(const std::int64_t format, JsonInt(json, "format"));
  if (format != kFormat) {
    return Status(Code::kForeign, "lease.json has format " + std::to_string(format) +
                                      ", this version of pitr_ext reads " +
                                      std::to_string(kFormat));
  }
  LeaseProof proof;
  PITR_ASSIGN_OR_RETURN(proof.branch, JsonText(json, "branch_id"));
  PITR_ASSIGN_OR_RETURN(proof.held, DecodeToken(json, "held"));
  PITR_ASSIGN_OR_RETURN(proof.intended, DecodeToken(json, "intended"));
  PITR_ASSIGN_OR_RETURN(proof.place.boot, JsonText(json, "boot"));
  PITR_ASSIGN_OR_RETURN(proof.place.device, JsonUint(json, "device"));
  PITR_ASSIGN_OR_RETURN(proof.place.inode, JsonUint(json, "inode"));
  PITR_ASSIGN_OR_RETURN(proof.place.born_seconds, JsonInt(json, "born_seconds"));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t nanos, JsonUint(json, "born_nanos"));
  proof.place.born_nanos = static_cast<std::uint32_t>(nanos);
  return proof;
}

Result<LeaseProof> LoadLeaseProof(const std::string& data_directory) {
  const std::string path = LeaseProofPath(data_directory);
  PITR_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxSize));
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(text, "\"" + path + "\""));
  Result<LeaseProof> proof = DecodeLeaseProof(json);
  if (!proof.ok()) {
    return std::move(proof).status().Prefix("\"" + path + "\"");
  }
  return proof;
}

Result<LeaseToken> IntendLease(const std::string& data_directory, const BranchId& branch,
                               const LeaseToken& held, std::uint64_t number) {
  PITR_FAULT("lease.before_intend");
  PITR_ASSIGN_OR_RETURN(const File lock, Lock(data_directory));
  PITR_ASSIGN_OR_RETURN(const LeasePlace here, PlaceOf(data_directory));
  const Result<LeaseProof> found = LoadLeaseProof(data_directory);
  // One that cannot be read proves nothing and is replaced, except when the disk did not answer.
  if (!found.ok() && found.status().code() == Code::kIo) {
    return found.status();
  }
  if (found.ok() && found->branch == branch && found->place == here) {
    if (found->intended.number > number) {
      return Status(Code::kInUse, "another process of this server has renewed the lease");
    }
    if (found->intended.number == number) {
      return found->intended;
    }
  }
  PITR_ASSIGN_OR_RETURN(const Bytes nonce, RandomBytes(kNonceBytes));
  const LeaseProof proof = {branch, held, {number, ToHex(nonce)}, here};
  PITR_RETURN_IF_ERROR(WriteFileDurably(LeaseProofPath(data_directory),
                                        AsBytes(DumpJson(EncodeLeaseProof(proof), 2) + "\n")));
  return proof.intended;
}

}  // namespace pitr

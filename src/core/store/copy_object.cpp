#include "core/store/copy_object.h"

#include <algorithm>

namespace pitr {

namespace {

constexpr std::uint64_t kReadSize = 4U << 20;

Status CheckCancel(const CancelToken* cancel) {
  const bool is_cancelled = (cancel != nullptr && cancel->IsCancelled()) || IsProcessCancelled();
  return is_cancelled ? Status(Code::kCancelled, "copying between repositories was cancelled")
                      : Status::Ok();
}

Status CutOff(const ObjectStore* store, const std::string& name) {
  return Status(Code::kIo,
                "object \"" + name + "\" of \"" + store->Describe() + "\" changed its size");
}

}  // namespace

Result<bool> IsSameObject(ObjectStore* a, ObjectStore* b, const std::string& name,
                          const CancelToken* cancel) {
  PITR_ASSIGN_OR_RETURN(const ObjectStat stat, a->Stat(name));
  PITR_ASSIGN_OR_RETURN(const ObjectStat other, b->Stat(name));
  if (stat.size != other.size) {
    return false;
  }
  for (std::uint64_t at = 0; at < stat.size; at += kReadSize) {
    PITR_RETURN_IF_ERROR(CheckCancel(cancel));
    const std::uint64_t size = std::min(kReadSize, stat.size - at);
    PITR_ASSIGN_OR_RETURN(const Bytes mine, a->GetRange(name, at, size));
    PITR_ASSIGN_OR_RETURN(const Bytes theirs, b->GetRange(name, at, size));
    if (mine != theirs) {
      return false;
    }
  }
  return true;
}

Status CopyObject(ObjectStore* from, ObjectStore* to, const std::string& name,
                  const CancelToken* cancel, std::uint64_t* copied) {
  PITR_ASSIGN_OR_RETURN(const ObjectStat stat, from->Stat(name));
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer, to->Create(name));
  for (std::uint64_t at = 0; at < stat.size;) {
    PITR_RETURN_IF_ERROR(CheckCancel(cancel));
    const std::uint64_t size = std::min(kReadSize, stat.size - at);
    PITR_ASSIGN_OR_RETURN(const Bytes bytes, from->GetRange(name, at, size));
    if (bytes.size() != size) {
      return CutOff(from, name);
    }
    PITR_RETURN_IF_ERROR(writer->Append(bytes));
    at += size;
  }
  const Status status = writer->Commit();
  if (status.code() != Code::kAlreadyExists) {
    if (status.ok() && copied != nullptr) {
      *copied += stat.size;
    }
    return status;
  }
  PITR_ASSIGN_OR_RETURN(const bool is_same, IsSameObject(from, to, name, cancel));
  return is_same ? Status::Ok()
                 : Status(Code::kForeign, "object \"" + name + "\" of \"" + to->Describe() +
                                              "\" is not the one of \"" + from->Describe() + "\"")
                       .WithHint(
                           "One of the two repositories was written by itself. Nothing in either "
                           "is changed; take one of them out of pitr.repository.");
}

}  // namespace pitr

// Reads a repository back: every object is what it was when it was written, and the WAL of each line has no hole. Findings are
// given one an object, good ones too; only what could not be looked at at all is an error.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/base/cancel.h"
#include "core/base/result.h"
#include "core/repo/repository.h"
#include "core/work/progress.h"

namespace pitr::tool {

struct Finding {
  std::string kind;  // repository, catalogue, manifest, frame, dump, segment, part, history, wal
  std::string object;
  bool ok = true;
  std::string detail;
};

struct VerifyOptions {
  std::optional<std::string> snapshot;  // this one alone, by id; else everything
  int workers = 2;
  std::uint64_t byte_budget =
      0;  // stored bytes of snapshots and WAL to read, newest snapshots first; 0 = no limit
};

struct VerifySummary {
  std::uint64_t objects = 0, damaged = 0, skipped = 0, bytes = 0;
};

// The same of each repository of a list by itself; findings then say in their detail which one it is. One that cannot be opened is a
// finding, unless there is only one.
Result<VerifySummary> VerifyAddress(const RepositoryAccess& access, const VerifyOptions& options,
                                    const std::function<void(const Finding&)>& sink,
                                    Progress* progress, const CancelToken& cancel);

// `sink` is called from one thread at a time. kCancelled; kUnavailable and the like when the store cannot be read.
Result<VerifySummary> VerifyRepository(Repository* repo, const VerifyOptions& options,
                                       const std::function<void(const Finding&)>& sink,
                                       Progress* progress, const CancelToken& cancel);

}  // namespace pitr::tool

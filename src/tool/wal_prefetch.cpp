// The read-ahead threads. Invariant: a file under a segment's own name in the spool is whole; "part.<name>" says that it is being
// made. Errors end read-ahead silently, because the wal-get that wants that segment meets and reports the same error.
#include "tool/wal_prefetch.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <exception>
#include <system_error>

#include "core/base/file.h"

namespace pitr::tool {

namespace {

// One unpacks faster than a server replays. A store that answers after milliseconds is asked for several segments at a time.
std::size_t Threads(const std::string& address) { return address.starts_with('/') ? 1 : 3; }

}  // namespace

WalPrefetch::WalPrefetch(Repository* repo, WalSource source, std::vector<SegmentId> segments,
                         std::uint64_t read_ahead_bytes)
    : repo_(repo),
      source_(std::move(source)),
      segments_(std::move(segments)),
      segment_size_(source_.line.front().root.segment_size),
      room_(std::max<std::uint64_t>(1, read_ahead_bytes / segment_size_)) {
  if (read_ahead_bytes == 0 || source_.spool.empty()) {
    return;
  }
  try {
    for (std::size_t i = 0; i < Threads(source_.repository.address); i++) {
      threads_.emplace_back([this] { Run(); });
    }
  } catch (const std::system_error&) {
    // Fewer threads, or none.
  }
}

WalPrefetch::~WalPrefetch() {
  stop_ = true;
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void WalPrefetch::Run() noexcept {
  try {
    (void)FetchAll();
  } catch (const std::exception&) {
    // Out of memory: replay goes on at the pace of wal-get.
  }
}

bool WalPrefetch::HasRoom() const {
  const Result<std::vector<std::string>> names = ListDirectory(source_.spool);
  if (!names.ok()) {
    return false;
  }
  std::uint64_t waiting = 0;
  for (const std::string& name : *names) {
    waiting += ParseWalFileName(name, segment_size_) ? 1 : 0;
  }
  return waiting < room_;
}

Status WalPrefetch::Fetch(const WalReader& reader, SegmentId segment, const std::string& name) {
  const std::string part = SpoolPartFile(source_.spool, name);
  // The mark stands before the work begins: a wal-get that comes meanwhile waits instead of doing it twice.
  PITR_RETURN_IF_ERROR(PublishFile(part, {}, false));
  Result<Bytes> bytes = reader.ReadSegment(segment);
  Status status = bytes.ok() ? PublishFile(part, *bytes, false) : std::move(bytes).status();
  const std::string ready = SpoolFile(source_.spool, name);
  if (status.ok() && ::rename(part.c_str(), ready.c_str()) != 0) {
    status = Status::FromErrno(errno, "rename \"" + part + "\"");
  }
  if (!status.ok()) {
    (void)RemoveFile(part);
  }
  return status;
}

Status WalPrefetch::FetchAll() {
  const WalReader reader(repo_, source_.line);
  for (std::size_t at = next_++; at < segments_.size(); at = next_++) {
    while (!stop_ && !HasRoom()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    if (stop_) {
      break;
    }
    const std::string name = SegmentName(segments_[at], segment_size_);
    // Recovery was faster and has fetched this one itself.
    if (name <= ReadSpoolPosition(source_.spool)) {
      continue;
    }
    PITR_RETURN_IF_ERROR(Fetch(reader, segments_[at], name));
  }
  return Status::Ok();
}

}  // namespace pitr::tool

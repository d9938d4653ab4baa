// In PostgreSQL 15 to 18 alike the archiver gets SIGUSR2 after the shutdown checkpoint, makes one round over the files that wait,
// and ends; the module's shutdown_cb runs in proc_exit (pgarch.c). An ERROR there would be FATAL, so there are next to no
// calls of the server here, and the control file is read by our own code.
#include "pg/last_round.h"

#include <signal.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/repo/tail.h"
#include "core/store/http.h"
#include "core/types/wal_name.h"
#include "core/work/control_file.h"
#include "pg/boundary.h"
#include "pg/guc.h"
#include "pg/interrupts.h"
#include "pg/lease.h"
#include "pg/log.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/workers.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog_internal.h"
}

namespace pitr::pg {

namespace {

// Enough for a segment and the rest; service managers kill after 90 s or more.
constexpr std::int64_t kPatienceMs = 5'000;
// With a repository that did not answer before either. Not zero: it may have been one of several, and not the one that counts.
constexpr std::int64_t kNoPatienceMs = 700;
constexpr std::int64_t kLookMs = 200;

std::int64_t Patience() noexcept { return IsStoreStalled() ? kNoPatienceMs : kPatienceMs; }

class LastRoundCancel final : public CancelToken {
 public:
  bool IsCancelled() const noexcept override {
    if (ServerCancel().IsCancelled()) {
      return true;
    }
    if (HasLauncher()) {
      alone_since_ = 0;
      return false;
    }
    // The launcher may be away for another reason, so that the control file has the last word.
    const std::int64_t now = SystemClock().MonotonicMillis();
    if (alone_since_ == 0) {
      alone_since_ = now;
      patience_ = Patience();  // not later: what is asked for from here on may take its time
    }
    if (now - alone_since_ < patience_) {
      return false;
    }
    if (now - looked_at_ >= kLookMs) {
      looked_at_ = now;
      Report report;
      static_cast<void>(Run([this] { is_over_ = IsServerShutDown(); }, &report));
    }
    return is_over_;
  }

 private:
  mutable std::int64_t alone_since_ = 0, looked_at_ = 0, patience_ = 0;
  mutable bool is_over_ = false;
};

class Deadline final : public CancelToken {
 public:
  void Begin() { end_ = SystemClock().MonotonicMillis() + Patience(); }
  bool IsCancelled() const noexcept override { return SystemClock().MonotonicMillis() >= end_; }

 private:
  std::int64_t end_ = 0;
};

Status ShipShutdownCheckpoint(Shipper* shipper) {
  static constinit Deadline deadline;
  deadline.Begin();
  // Not the server's wish: SIGTERM may have come long ago, from an init that stops the whole machine.
  SetProcessCancel(&deadline);
  shipper->set_cancel(&deadline);
  PITR_RETURN_IF_ERROR(shipper->Open());
  const std::uint64_t size = shipper->identity().root.segment_size;
  const Lsn end = FlushLsn();
  const TimelineId timeline = CurrentTimeline();
  const auto offset = static_cast<std::uint32_t>(end.value % size);
  if (offset == 0) {
    return Status::Ok();
  }
  PITR_RETURN_IF_ERROR(shipper->ShipHistory(timeline));
  const SegmentId segment{timeline, end.value / size};
  return ShipTail(shipper->repository(),
                  shipper->Options(CurrentSettings().backlog_compression_level),
                  JoinPath(XLOGDIR, SegmentName(segment, size)), segment, offset)
      .status();
}

}  // namespace

bool HasLauncher() noexcept {
  // Without the lock: this is asked from inside of libcurl's waiting as well. An int is written whole.
  const volatile std::int32_t* pid = &GetShared()->operations.launcher_pid;
  return *pid != 0 && ::kill(*pid, 0) == 0;
}

bool IsServerShutDown() {
  const Result<ControlFile> control = ReadControlFile(DataDir);
  return control.ok() && (control->state == ClusterState::kShutDown ||
                          control->state == ClusterState::kShutDownInRecovery);
}

const CancelToken& ArchiverCancel() {
  static constinit LastRoundCancel token;
  return token;
}

void ShipLastWal(Shipper* shipper) noexcept {
  Report report;
  const Outcome outcome = Run(
      [&] {
        const Result<ControlFile> control = ReadControlFile(DataDir);
        if (!HasRepositorySetting() || !control.ok() || control->state != ClusterState::kShutDown) {
          return;
        }
        const Result<ReadyFiles> ready = ListReadyFiles(1);
        if (ready.ok() && ready->count > 0) {
          return;
        }
        Status status = ShipShutdownCheckpoint(shipper);
        if (status.code() == Code::kOtherWriter) {
          return;  // the log was told
        }
        if (!status.ok()) {
          LogStatus(WARNING, "what was written last before the stop is not in the repository",
                    status);
          return;
        }
        status = ReleaseLease(shipper->repository(), shipper->identity());
        if (!status.ok()) {
          LogStatus(LOG, "could not give back the lease of the branch", status);
        }
      },
      &report);
  if (outcome != Outcome::kOk) {
    LogAndDrop(outcome, report, WARNING);
  }
}

}  // namespace pitr::pg

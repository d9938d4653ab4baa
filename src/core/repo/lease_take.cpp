// Reading and putting leases. Invariant: what TakeLease returns was the newest lease after it had been put, and the data directory held
// its token, durably, before that. A number is free twice only when it was used and removed while the taker slept: the listing
// afterwards finds that out.
#include "core/repo/lease.h"

#include <algorithm>

#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/codec/envelope.h"
#include "core/repo/conditions.h"
#include "core/repo/layout.h"
#include "core/repo/lease_object.h"

namespace pitr {

namespace {

// Enough to see by hand who wrote before whom.
constexpr std::uint64_t kKept = 4;
constexpr std::uint64_t kMaxLease = 64U << 10;
constexpr int kAttempts = 10;
// Longer than a put that was on its way before ours may take to arrive after it.
constexpr std::int64_t kReadBackPauseMs = 1000;

Status TooLate(const std::string& branch) {
  return Status(Code::kOtherWriter,
                "another server has taken the lease of branch \"" + branch + "\"");
}

Result<Lease> ReadLease(Repository* repo, const BranchId& branch, std::uint64_t number) {
  const std::string name = layout::LeaseObject(branch, number);
  PITR_ASSIGN_OR_RETURN(const Bytes bytes,
                        ReadEnvelope(repo->store(), name, ObjectKind::kText, kMaxLease));
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(AsText(bytes), "\"" + name + "\""));
  Result<Lease> lease = DecodeLease(json, number);
  return lease.ok() ? std::move(lease)
                    : Result<Lease>(std::move(lease).status().Prefix("\"" + name + "\""));
}

// The store said that it is durable under this name: is that so, and does it stay so?
Status ReadBack(Repository* repo, const LeaseTaker& taker, const LeaseToken& token) {
  for (int look = 0; look < 2; look++) {
    if (look > 0 && taker.pause) {
      PITR_RETURN_IF_ERROR(taker.pause(kReadBackPauseMs));
    }
    PITR_ASSIGN_OR_RETURN(const std::optional<Lease> newest, ReadNewestLease(repo, taker.branch));
    if (!newest.has_value() || newest->token != token) {
      return TooLate(taker.branch);
    }
  }
  return Status::Ok();
}

// A server that takes a name twice keeps nobody apart. The same bytes once more, so that nothing is spoiled.
Status TryStore(Repository* repo, const std::string& name, ByteView bytes) {
  const Status again = WriteEnvelope(repo->store(), name, ObjectKind::kText, 0, bytes);
  if (again.code() == Code::kAlreadyExists) {
    PITR_ASSIGN_OR_RETURN(const bool keeps_apart, KeepsWritersApart(repo->store()));
    if (keeps_apart) return Status::Ok();
  } else if (!again.ok() && again.code() != Code::kUnsupported) {
    return again;
  }
  return Status(Code::kUnsupported,
                "\"" + repo->Describe() + "\" lets an object that is there be written once more")
      .WithDetail("The repository was made on a store that did not.")
      .WithHint(
          "The server must know \"If-None-Match: *\" for PUT. A new repository on this store gets "
          "along "
          "without.");
}

void RemoveOld(Repository* repo, const BranchId& branch, std::uint64_t newest, bool all) {
  if (newest <= kKept) {
    return;
  }
  // Never fails a lease that is durable: what stays is removed by the next server that takes the lease.
  if (!all) {
    (void)repo->store()->Remove(layout::LeaseObject(branch, newest - kKept));
    return;
  }
  const Result<std::vector<ObjectStat>> found = repo->store()->List(layout::LeasePrefix(branch));
  if (!found.ok()) {
    return;
  }
  for (const ObjectStat& object : *found) {
    const std::optional<std::uint64_t> number = layout::ParseLeaseObject(branch, object.name);
    if (number.has_value() && *number <= newest - kKept) {
      (void)repo->store()->Remove(object.name);
    }
  }
}

}  // namespace

Result<std::uint64_t> NewestLeaseNumber(Repository* repo, const BranchId& branch) {
  const std::string seen_as = layout::LeasePrefix(branch);
  std::uint64_t newest = repo->NewestSeen(seen_as);
  PITR_ASSIGN_OR_RETURN(
      const std::vector<ObjectStat> found,
      repo->store()->List(layout::LeasePrefix(branch), layout::LeaseObject(branch, newest)));
  for (const ObjectStat& object : found) {
    newest = std::max(newest, layout::ParseLeaseObject(branch, object.name).value_or(0));
  }
  repo->SetNewestSeen(seen_as, newest);
  return newest;
}

Result<std::optional<Lease>> ReadNewestLease(Repository* repo, const BranchId& branch) {
  for (int attempt = 1;; attempt++) {
    PITR_ASSIGN_OR_RETURN(const std::uint64_t newest, NewestLeaseNumber(repo, branch));
    if (newest == 0) {
      return std::optional<Lease>();
    }
    Result<Lease> lease = ReadLease(repo, branch, newest);
    if (lease.ok()) {
      return std::optional<Lease>(*std::move(lease));
    }
    // Removed in the meantime: so many newer ones came.
    if (lease.status().code() != Code::kNotFound || attempt == kAttempts) {
      return std::move(lease).status();
    }
  }
}

Result<Lease> TakeLease(Repository* repo, const LeaseTaker& taker,
                        const std::optional<Lease>& newest, const LeaseStep& step) {
  Lease lease;
  lease.holder = taker.self;
  lease.renewed_at = SystemClock().Now();
  lease.since = step.is_mine && newest.has_value() ? newest->since : lease.renewed_at;
  lease.timeout_seconds = taker.timeout_seconds;
  lease.is_released = step.release;
  const std::uint64_t number = newest.has_value() ? newest->token.number + 1 : 1;
  const LeaseToken held = step.is_mine && newest.has_value() ? newest->token : LeaseToken();
  PITR_ASSIGN_OR_RETURN(lease.token, IntendLease(taker.data_directory, taker.branch, held, number));
  const std::string name = layout::LeaseObject(taker.branch, number);
  const std::string text = DumpJson(EncodeLease(lease), 2) + "\n";
  PITR_FAULT("lease.after_intend");
  const Status put = WriteEnvelope(repo->store(), name, ObjectKind::kText, 0, AsBytes(text));
  if (put.code() == Code::kAlreadyExists) {
    // Perhaps by another process of this server, or by an attempt whose answer was lost.
    Result<Lease> there = ReadLease(repo, taker.branch, number);
    if (there.ok() ? there->token != lease.token : there.status().code() == Code::kNotFound) {
      return TooLate(taker.branch);
    }
    PITR_ASSIGN_OR_RETURN(lease, std::move(there));
    if (lease.is_released != step.release) {
      return Status(Code::kInUse, "another process of this server has renewed the lease");
    }
  } else if (!put.ok()) {
    return put;
  }
  PITR_FAULT("lease.after_put");
  if (step.try_store && put.ok() && repo->conditional_writes()) {
    PITR_RETURN_IF_ERROR(TryStore(repo, name, AsBytes(text)));
  }
  if (!repo->conditional_writes()) {
    PITR_RETURN_IF_ERROR(ReadBack(repo, taker, lease.token));
  } else {
    PITR_ASSIGN_OR_RETURN(const std::uint64_t now, NewestLeaseNumber(repo, taker.branch));
    if (now != number) {
      return TooLate(taker.branch);
    }
  }
  RemoveOld(repo, taker.branch, number, step.try_store);
  return lease;
}

}  // namespace pitr

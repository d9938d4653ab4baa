#include "core/repo/lease.h"
#include "core/base/json.h"

#include <algorithm>
#include <charconv>

#include "core/repo/lease_object.h"

namespace pitr {

namespace {

constexpr std::int64_t kFormat = 1;

bool Contains(const std::vector<TimelineId>& list, TimelineId timeline) {
  return std::find(list.begin(), list.end(), timeline) != list.end();
}

Result<Timestamp> TimeMember(const Json& json, std::string_view member) {
  PITR_ASSIGN_OR_RETURN(const std::int64_t micros, JsonInt(json, member));
  return Timestamp{micros};
}

}  // namespace

std::string LeaseHolder::Describe() const {
  return "host \"" + host + "\", data directory \"" + data_directory + "\", timeline " +
         std::to_string(timeline);
}

Json EncodeLease(const Lease& lease) {
  Json json;
  json["format"] = kFormat;
  json["nonce"] = lease.token.nonce;
  json["host"] = lease.holder.host;
  json["data_directory"] = lease.holder.data_directory;
  // As text: a 64-bit number is more than most JSON readers keep.
  json["system_identifier"] = std::to_string(lease.holder.system_identifier);
  json["timeline"] = lease.holder.timeline;
  json["postmaster_pid"] = lease.holder.postmaster_pid;
  json["since"] = lease.since.micros;
  json["renewed_at"] = lease.renewed_at.micros;
  json["timeout_seconds"] = lease.timeout_seconds;
  json["released"] = lease.is_released;
  return json;
}

Result<Lease> DecodeLease(const Json& json, std::uint64_t number) {
  PITR_ASSIGN_OR_RETURN(const std::int64_t format, JsonInt(json, "format"));
  if (format != kFormat) {
    return Status(Code::kForeign, "lease has format " + std::to_string(format) +
                                      ", this version of pitr_ext reads " +
                                      std::to_string(kFormat));
  }
  Lease lease;
  lease.token.number = number;
  PITR_ASSIGN_OR_RETURN(lease.token.nonce, JsonText(json, "nonce"));
  PITR_ASSIGN_OR_RETURN(lease.holder.host, JsonText(json, "host"));
  PITR_ASSIGN_OR_RETURN(lease.holder.data_directory, JsonText(json, "data_directory"));
  PITR_ASSIGN_OR_RETURN(const std::string system, JsonText(json, "system_identifier"));
  const char* end = system.data() + system.size();
  const auto parsed = std::from_chars(system.data(), end, lease.holder.system_identifier);
  PITR_ASSIGN_OR_RETURN(const std::uint64_t timeline, JsonUint(json, "timeline"));
  PITR_ASSIGN_OR_RETURN(lease.holder.postmaster_pid, JsonInt(json, "postmaster_pid"));
  PITR_ASSIGN_OR_RETURN(lease.since, TimeMember(json, "since"));
  PITR_ASSIGN_OR_RETURN(lease.renewed_at, TimeMember(json, "renewed_at"));
  PITR_ASSIGN_OR_RETURN(lease.timeout_seconds, JsonInt(json, "timeout_seconds"));
  PITR_ASSIGN_OR_RETURN(lease.is_released, JsonBool(json, "released"));
  if (parsed.ec != std::errc() || parsed.ptr != end || timeline == 0 || timeline > UINT32_MAX ||
      lease.timeout_seconds <= 0 || lease.timeout_seconds > 86400) {
    return Status(Code::kCorrupt,
                  "\"system_identifier\", \"timeline\" or \"timeout_seconds\" is out of range");
  }
  lease.holder.timeline = static_cast<TimelineId>(timeline);
  return lease;
}

LeaseMove JudgeLease(const LeaseSight& sight, TimelineId timeline,
                     const std::vector<TimelineId>& ancestors) {
  if (!sight.newest.has_value()) {
    return LeaseMove::kTake;
  }
  const Lease& lease = *sight.newest;
  if (sight.is_mine) {
    return sight.is_same_place || lease.is_released ? LeaseMove::kRenew : LeaseMove::kWatch;
  }
  const bool is_ancestor =
      lease.holder.timeline != timeline && Contains(ancestors, lease.holder.timeline);
  if (lease.is_released && (is_ancestor || lease.holder.timeline == timeline)) {
    return LeaseMove::kTake;
  }
  return is_ancestor ? LeaseMove::kWatch : LeaseMove::kRefuse;
}

Result<LeaseSight> LookAtLease(Repository* repo, const LeaseTaker& taker) {
  LeaseSight sight;
  PITR_ASSIGN_OR_RETURN(sight.newest, ReadNewestLease(repo, taker.branch));
  if (!sight.newest.has_value()) {
    return sight;
  }
  const Result<LeaseProof> proof = LoadLeaseProof(taker.data_directory);
  if (!proof.ok()) {
    // What cannot be read is no proof; a disk that does not answer says nothing.
    return proof.status().code() == Code::kIo ? Result<LeaseSight>(proof.status()) : sight;
  }
  sight.is_mine = proof->Proves(taker.branch, sight.newest->token);
  PITR_ASSIGN_OR_RETURN(const LeasePlace here, PlaceOf(taker.data_directory));
  sight.is_same_place = proof->place == here;
  return sight;
}

Status OtherWriter(const std::string& branch_name, const Lease& lease, const LeaseHolder& self) {
  const std::string state = lease.is_released
                                ? ", shut down " + FormatTime(lease.renewed_at, 0)
                                : ", last heard of " + FormatTime(lease.renewed_at, 0);
  return Status(Code::kOtherWriter,
                "another server is the writer of branch \"" + branch_name + "\"")
      .WithDetail("The writer is " + lease.holder.Describe() + ", since " +
                  FormatTime(lease.since, 0) + state + ". This server is " + self.Describe() + ".")
      .WithHint(
          "Nothing is archived here. Stop this server if the other one is the right one; if that "
          "one is gone for good, call pitr_take_over_branch('" +
          branch_name + "') here.");
}

}  // namespace pitr

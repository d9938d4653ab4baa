#include "core/store/open_mirror.h"

#include <algorithm>

#include "core/store/open_store.h"
#include "core/store/s3_store.h"

namespace pitr {

namespace {

// Limits, in ms. A required one is waited for somewhat longer: nothing is archived without it, and its own caller tries again.
struct Patience {
  std::int64_t connect, idle, request, retry;
};
constexpr Patience kRequired = {5000, 15'000, 120'000, 10'000};
constexpr Patience kBestEffort = {3000, 5000, 15'000, 2000};

}  // namespace

Result<std::unique_ptr<ObjectStore>> OpenStoreBriefly(const StoreAddress& address) {
  if (!address.address.starts_with("s3://")) {
    return OpenStore(address.address);
  }
  PITR_ASSIGN_OR_RETURN(S3Address parsed, ParseS3Address(address.address));
  const Patience& most = address.is_required ? kRequired : kBestEffort;
  parsed.http.connect_timeout_ms = std::min(parsed.http.connect_timeout_ms, most.connect);
  parsed.http.idle_timeout_ms = std::min(parsed.http.idle_timeout_ms, most.idle);
  parsed.http.request_timeout_ms = std::min(parsed.http.request_timeout_ms, most.request);
  parsed.retry_time_ms = std::min(parsed.retry_time_ms, most.retry);
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<S3Store> store, S3Store::Open(parsed));
  return std::unique_ptr<ObjectStore>(std::move(store));
}

std::unique_ptr<MirroredStore> OpenMirror(const std::vector<StoreAddress>& addresses,
                                          const LookAtMember& look, MirroredStore::Options options,
                                          MemberLedger* ledger) {
  std::vector<std::unique_ptr<MirrorMember>> members;
  for (const StoreAddress& address : addresses) {
    const auto open = [address, look]() -> Result<MirrorMember::Opened> {
      PITR_ASSIGN_OR_RETURN(std::unique_ptr<ObjectStore> store, OpenStoreBriefly(address));
      PITR_ASSIGN_OR_RETURN(const bool takes_part, look(store.get(), address));
      return MirrorMember::Opened{std::move(store), takes_part};
    };
    members.push_back(std::make_unique<MirrorMember>(address, open, ledger));
  }
  return std::make_unique<MirroredStore>(std::move(members), std::move(options));
}

}  // namespace pitr

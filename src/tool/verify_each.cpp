// Verification of several repositories: each alone, since damage in one must not hide behind a sound copy in another.
#include "core/store/address_list.h"
#include "tool/verify.h"

namespace pitr::tool {

Result<VerifySummary> VerifyAddress(const RepositoryAccess& access, const VerifyOptions& options,
                                    const std::function<void(const Finding&)>& sink,
                                    Progress* progress, const CancelToken& cancel) {
  PITR_ASSIGN_OR_RETURN(const std::vector<StoreAddress> entries,
                        ParseStoreAddresses(access.address));
  VerifySummary all;
  for (const StoreAddress& entry : entries) {
    const auto repo = Repository::OpenAddress({entry.address, access.keys}, false);
    if (entries.size() == 1) {
      PITR_RETURN_IF_ERROR(repo.status());
      return VerifyRepository(repo->get(), options, sink, progress, cancel);
    }
    const auto tell = [&](Finding finding) {
      finding.detail =
          "in \"" + entry.label + "\"" + (finding.detail.empty() ? "" : ": " + finding.detail);
      sink(finding);
    };
    Result<VerifySummary> one = repo.ok()
                                    ? VerifyRepository(repo->get(), options, tell, progress, cancel)
                                    : Result<VerifySummary>(repo.status());
    if (one.status().code() == Code::kCancelled) {
      return one;
    }
    if (!one.ok()) {
      tell({"repository", entry.label, false, one.status().message()});
      one = VerifySummary{1, 1, 0, 0};
    }
    all.objects += one->objects;
    all.damaged += one->damaged;
    all.skipped += one->skipped;
    all.bytes += one->bytes;
  }
  return all;
}

}  // namespace pitr::tool

// `pitr verify`: 0 everything is as it was written, 1 something is not.
#include <cstdio>

#include "tool/command_line.h"
#include "tool/commands.h"
#include "tool/exit_codes.h"
#include "tool/signals.h"
#include "tool/verify.h"

namespace pitr::tool {

namespace {

Result<VerifySummary> Verify(const RepositoryAccess& access, const VerifyOptions& options) {
  NoProgress progress;
  const auto print = [](const Finding& finding) {
    if (!finding.ok) {
      std::printf("%s %s: %s\n", finding.kind.c_str(), finding.object.c_str(),
                  finding.detail.c_str());
    }
  };
  return VerifyAddress(access, options, print, &progress, CancelOfProcess());
}

}  // namespace

int VerifyMain(const std::vector<std::string>& arguments) {
  const auto options = Options::Parse(
      arguments, {{"repository"}, {"encryption-key-file"}, {"snapshot"}, {"bytes"}, {"jobs"}}, 0);
  if (!options.ok()) {
    return FailUsage("verify", options.status());
  }
  const Result<RepositoryAccess> access = AccessOfOptions(*options);
  const Result<std::int64_t> bytes = options->NumberOr("bytes", 0, 0, INT64_MAX);
  const Result<std::int64_t> jobs = options->NumberOr("jobs", 2, 1, 64);
  for (const Status* status : {&access.status(), &bytes.status(), &jobs.status()}) {
    if (!status->ok()) {
      return FailUsage("verify", *status);
    }
  }
  CatchCancelSignals();
  VerifyOptions verify;
  verify.snapshot = options->Text("snapshot");
  verify.workers = static_cast<int>(*jobs);
  verify.byte_budget = static_cast<std::uint64_t>(*bytes);
  const Result<VerifySummary> summary = Verify(*access, verify);
  if (!summary.ok()) {
    return Fail("verify", summary.status());
  }
  std::printf("%llu objects, %llu damaged, %llu not looked at\n",
              static_cast<unsigned long long>(summary->objects),
              static_cast<unsigned long long>(summary->damaged),
              static_cast<unsigned long long>(summary->skipped));
  return summary->damaged == 0 ? kExitDone : kExitCheckFailed;
}

}  // namespace pitr::tool

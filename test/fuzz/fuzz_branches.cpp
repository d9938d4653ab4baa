// The catalogue of branches: a document that is accepted is written again as one that says the same.
#include <cstdint>
#include <cstdlib>

#include "core/base/json.h"
#include "core/repo/branches.h"

namespace {

void Check(bool condition) {
  if (!condition) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const pitr::Result<pitr::Json> json =
      pitr::ParseJson(pitr::AsText({data, size}), "fuzz", 1U << 20);
  if (!json.ok()) {
    return 0;
  }
  const pitr::Result<pitr::BranchSet> set = pitr::DecodeBranches(*json);
  if (!set.ok()) {
    return 0;
  }
  const pitr::Json written = pitr::EncodeBranches(*set);
  const pitr::Result<pitr::BranchSet> again = pitr::DecodeBranches(written);
  Check(again.ok() && pitr::EncodeBranches(*again) == written);
  // Questions about whatever was accepted end.
  for (const pitr::Branch& branch : set->branches) {
    static_cast<void>(set->AncestryOf(branch.id).ok());
    static_cast<void>(set->Find(branch.name).ok());
    Check(!set->FamilyOf(branch.id).empty());
  }
  return 0;
}

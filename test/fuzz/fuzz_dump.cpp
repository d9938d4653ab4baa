// The manifest of a dump: one that is accepted fits together, and is written again as one that says the same.
#include <cstdint>
#include <cstdlib>

#include "core/base/json.h"
#include "core/plan/dump_retention.h"
#include "core/repo/dumps.h"

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
  for (const bool whole : {false, true}) {
    const pitr::Result<pitr::DumpManifest> dump = pitr::DecodeDump(*json, whole);
    if (!dump.ok()) {
      continue;
    }
    const pitr::Json written = pitr::EncodeDump(*dump, whole);
    const pitr::Result<pitr::DumpManifest> again = pitr::DecodeDump(written, whole);
    Check(again.ok() && pitr::EncodeDump(*again, whole) == written);
    Check(!whole || pitr::CheckDump(*dump).ok());
    static_cast<void>(pitr::ExpiredDumps({*dump}, {INT64_MAX}));
    static_cast<void>(pitr::WhatShrank(*dump, {*dump}));
  }
  return 0;
}

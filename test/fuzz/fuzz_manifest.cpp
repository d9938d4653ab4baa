// Manifests: what is accepted fits together, is written again, and reads the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/repo/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const pitr::ByteView input(data, size);
  const auto manifest = pitr::DecodeManifest(input);
  if (!manifest.ok()) {
    return 0;
  }
  if (!pitr::DecodeManifestHead(input).ok() || !pitr::CheckManifest(*manifest).ok()) {
    std::abort();
  }
  const pitr::Bytes composed = pitr::EncodeManifest(*manifest, 0);
  const auto again = pitr::DecodeManifest(composed);
  if (!again.ok() || pitr::EncodeManifest(*again, 0) != composed) {
    std::abort();
  }
  return 0;
}

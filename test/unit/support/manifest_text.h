// A manifest in words, one fact a line: two manifests are equal when their texts are, and where the texts differ says where
// they do. Also the sample that the golden file holds.
#pragma once

#include <string>

#include "core/repo/manifest.h"

namespace pitr {

std::string ManifestText(const Manifest& manifest);
Manifest SampleManifest();

}  // namespace pitr

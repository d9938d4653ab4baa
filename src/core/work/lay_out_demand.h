// The part of a manifest that is not laid out at once.
#pragma once

#include <string>
#include <vector>

#include "core/repo/manifest.h"

namespace pitr {

// By file of the manifest: main forks of relations below base/ and pg_tblspc/ that are large enough. Empty when there is none. Free space
// and visibility maps, init forks, shared catalogs and whatever is no relation are read by others than the buffer manager, or at once.
std::vector<bool> FilesToLoadLater(const Manifest& manifest);

// DURABLE: the folder and the marker in `directory`, which holds those files at their full size.
Status NoteMissing(const Manifest& manifest, const std::vector<bool>& later,
                   const std::vector<std::string>& places, const std::string& directory);

}  // namespace pitr

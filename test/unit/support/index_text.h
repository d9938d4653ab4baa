// An index in words, for messages and for the readable twins of golden files.
#pragma once

#include <string>

#include "core/wal/index.h"

namespace pitr::wal {

std::string IndexText(const SegmentIndex& index);

}  // namespace pitr::wal

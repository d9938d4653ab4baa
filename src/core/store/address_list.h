// The text of pitr.repository and of --repository: one address, or several separated by commas, that hold the same objects.
//
//   /folder[?mode=required|best_effort]
//   s3://bucket/prefix[?mode=…&endpoint=…&…]       (s3_address.h)
//
// The first is the nearest and is read first. Without a mode the first one is required, the others are best_effort.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace pitr {

struct StoreAddress {
  std::string address;  // for OpenStore; of a folder without parameters
  std::string
      place;  // which place it is, however it is written: the same for the same folder or bucket prefix
  std::string label;  // for people: the folder or s3://bucket/prefix
  bool is_required = true;
  friend bool operator==(const StoreAddress&, const StoreAddress&) = default;
};

// Each of several is asked at every write, and has a place in shared memory.
inline constexpr std::size_t kMaxStoreAddresses = 8;

// In the order of the text. kInvalidArgument names the entry by its number and what is wrong; without a required one, with two that are
// one place or of which one lies in the other, with more than kMaxStoreAddresses.
Result<std::vector<StoreAddress>> ParseStoreAddresses(std::string_view text);

// The pieces between the commas, blanks around them taken off; nothing is checked.
std::vector<std::string> SplitStoreAddresses(std::string_view text);
// The reverse.
std::string JoinStoreAddresses(const std::vector<std::string>& pieces);

}  // namespace pitr

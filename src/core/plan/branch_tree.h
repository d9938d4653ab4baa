// The branches as a tree, drawn with line characters, a row a branch.
#pragma once

#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/repo/branches.h"

namespace pitr {

struct BranchTreeRow {
  const Branch* branch = nullptr;  // of the set
  std::string text;
};

// Parents before their children, those in the order in which they were made; deleted ones are left out, and who descends from one
// stands where it stood. What a catalogue should not have, a parent that is not there or a ring of parents, still gives each branch
// one row. `text`: name, age, from where, and what is special: "├─ dev  2 h, from 0/3000148, protected". Ages stand below each other as
// far as names are no longer than 48.
std::vector<BranchTreeRow> BranchTree(const BranchSet& set, Timestamp now);

// "40 s", "5 min", "3 h", "12 d": the largest unit of which there is one whole.
std::string AgeText(std::int64_t micros);

}  // namespace pitr

// What only some stores can do, found out at run time: the interface of all (store.h) stays the few verbs that every store has.
#pragma once

#include <string>

#include "core/store/store.h"

namespace pitr {

// A store with several copies of its objects.
class Distrusting {
 public:
  virtual ~Distrusting() = default;
  // Whoever calls has found that what it read of this object, in this thread, is damaged. True: there is another copy, from which the
  // object is read from now on. False: there is none, and the damage is final.
  virtual bool Distrust(const std::string& name) = 0;
};

// False for a store with one copy.
inline bool Distrust(ObjectStore* store, const std::string& name) {
  auto* const able = dynamic_cast<Distrusting*>(store);
  return able != nullptr && able->Distrust(name);
}

// A store of which it is not known whether its condition for new names holds for two writers at the same moment.
class Racing {
 public:
  virtual ~Racing() = default;
  // Of a store that refuses a taken name: whether of two that write `name` at the same moment one alone succeeds, tried out. `name` is free
  // before, and may be taken afterwards.
  virtual Result<bool> KeepsWritersApart(const std::string& name) = 0;
};

// True for every other store.
inline Result<bool> KeepsWritersApart(ObjectStore* store, const std::string& name) {
  auto* const able = dynamic_cast<Racing*>(store);
  return able == nullptr ? Result<bool>(true) : able->KeepsWritersApart(name);
}

}  // namespace pitr

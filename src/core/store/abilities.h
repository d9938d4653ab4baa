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

}  // namespace pitr

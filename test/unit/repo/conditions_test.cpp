#include "core/repo/conditions.h"

#include <gtest/gtest.h>

#include <memory>

#include "unit/support/memory_store.h"

namespace pitr {

namespace {

TEST(Conditions, WhetherNamesAreTakenOnceIsTriedOutWithoutATrace) {
  for (bool MemoryObjects::*lack :
       {static_cast<bool MemoryObjects::*>(nullptr), &MemoryObjects::takes_names_twice,
        &MemoryObjects::refuses_conditions, &MemoryObjects::looks_too_early}) {
    const auto objects = std::make_shared<MemoryObjects>();
    if (lack != nullptr) {
      (*objects).*lack = true;
    }
    MemoryStore store(objects);
    const Result<bool> once = TakesNamesOnce(&store);
    ASSERT_TRUE(once.ok()) << once.status().ToString();
    EXPECT_EQ(*once, lack == nullptr);
    EXPECT_TRUE(objects->objects.empty());
  }
}

TEST(Conditions, WritersAtTheSameMomentAreAskedForAlone) {
  const auto objects = std::make_shared<MemoryObjects>();
  MemoryStore store(objects);
  EXPECT_TRUE(*KeepsWritersApart(&store));
  objects->looks_too_early = true;
  EXPECT_FALSE(*KeepsWritersApart(&store));
  EXPECT_TRUE(objects->objects.empty());
}

}  // namespace

}  // namespace pitr

// Every store against the contract.
#include "unit/store/store_contract.h"

#include "core/store/local_store.h"
#include "unit/support/memory_store.h"
#include "unit/support/temp_dir.h"

namespace pitr {

namespace {

class MemoryPlace final : public StorePlace {
 public:
  std::unique_ptr<ObjectStore> Open() override { return std::make_unique<MemoryStore>(objects_); }

 private:
  std::shared_ptr<MemoryObjects> objects_ = std::make_shared<MemoryObjects>();
};

class LocalPlace final : public StorePlace {
 public:
  std::unique_ptr<ObjectStore> Open() override {
    Result<std::unique_ptr<LocalStore>> store = LocalStore::Open(directory_.path());
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    return *std::move(store);
  }

 private:
  TempDir directory_;
};

template <typename Place>
std::unique_ptr<StorePlace> Make() {
  return std::make_unique<Place>();
}

INSTANTIATE_TEST_SUITE_P(Memory, StoreContract, testing::Values(&Make<MemoryPlace>));
INSTANTIATE_TEST_SUITE_P(Local, StoreContract, testing::Values(&Make<LocalPlace>));

}  // namespace

}  // namespace pitr

// Every store against the contract.
#include "unit/store/store_contract.h"

#include <cstdlib>

#include "core/codec/encrypted_store.h"
#include "core/store/local_store.h"
#include "core/store/open_store.h"
#include "core/store/s3_store.h"
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

// Any of the others, encrypted.
template <typename Place>
class EncryptedPlace final : public StorePlace {
 public:
  std::unique_ptr<ObjectStore> Open() override {
    return std::make_unique<EncryptedStore>(place_.Open(), key_, "repository");
  }

 private:
  Place place_;
  const SecretKey key_ = *SecretKey::Random();
};

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// A prefix of its own in the bucket of the server that test/rgw started (test/run does).
class S3Place final : public StorePlace {
 public:
  S3Place() : S3Place("&url_style=path&endpoint=" + Environment("PITR_TEST_S3_ENDPOINT")) {}
  explicit S3Place(const std::string& parameters) {
    address_ = "s3://pitr/contract/" + ToHex(*RandomBytes(8)) +
               "?credentials_file=" + Environment("PITR_TEST_S3_CREDENTIALS") + parameters;
  }
  std::unique_ptr<ObjectStore> Open() override {
    Result<std::unique_ptr<ObjectStore>> store = OpenStore(address_);
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    return store.ok() ? *std::move(store) : nullptr;
  }

 private:
  std::string address_;
};

std::unique_ptr<StorePlace> MakeS3() {
  const std::string endpoint = Environment("PITR_TEST_S3_ENDPOINT");
  return endpoint.empty() ? nullptr
                          : std::make_unique<S3Place>("&url_style=path&endpoint=" + endpoint);
}

std::unique_ptr<StorePlace> MakeEncryptedS3() {
  return Environment("PITR_TEST_S3_ENDPOINT").empty() ? nullptr
                                                      : std::make_unique<EncryptedPlace<S3Place>>();
}

std::unique_ptr<StorePlace> MakeS3Tls() {
  const std::string endpoint = Environment("PITR_TEST_S3_TLS_ENDPOINT");
  return endpoint.empty() ? nullptr
                          : std::make_unique<S3Place>("&url_style=virtual&endpoint=" + endpoint +
                                                      "&ca_file=" + Environment("PITR_TEST_S3_CA"));
}

template <typename Place>
std::unique_ptr<StorePlace> Make() {
  return std::make_unique<Place>();
}

INSTANTIATE_TEST_SUITE_P(Memory, StoreContract, testing::Values(&Make<MemoryPlace>));
INSTANTIATE_TEST_SUITE_P(Local, StoreContract, testing::Values(&Make<LocalPlace>));
INSTANTIATE_TEST_SUITE_P(EncryptedMemory, StoreContract,
                         testing::Values(&Make<EncryptedPlace<MemoryPlace>>));
INSTANTIATE_TEST_SUITE_P(EncryptedLocal, StoreContract,
                         testing::Values(&Make<EncryptedPlace<LocalPlace>>));
INSTANTIATE_TEST_SUITE_P(S3, StoreContract, testing::Values(&MakeS3));
INSTANTIATE_TEST_SUITE_P(EncryptedS3, StoreContract, testing::Values(&MakeEncryptedS3));
INSTANTIATE_TEST_SUITE_P(S3VirtualTls, StoreContract, testing::Values(&MakeS3Tls));

}  // namespace

}  // namespace pitr

// Every store against the contract.
#include "unit/store/store_contract.h"

#include <cstdlib>

#include "core/codec/encrypted_store.h"
#include "core/store/local_store.h"
#include "core/store/mirrored_store.h"
#include "core/store/open_store.h"
#include "core/store/s3_store.h"
#include "unit/support/fault_store.h"
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

// Two of the others as one. `kIsSick`: the second fails at everything.
template <typename Place, bool kIsSecondRequired, bool kIsSick = false>
class MirroredPlace final : public StorePlace {
 public:
  std::unique_ptr<ObjectStore> Open() override {
    std::vector<std::unique_ptr<MirrorMember>> members;
    members.push_back(Member("/first", true, &first_, false));
    members.push_back(Member("/second", kIsSecondRequired, &second_, kIsSick));
    return std::make_unique<MirroredStore>(
        std::move(members), MirroredStore::Options{[](const std::string&) { return true; }});
  }

 private:
  std::unique_ptr<MirrorMember> Member(const std::string& name, bool is_required, Place* place,
                                       bool is_sick) {
    const auto open = [place, is_sick]() -> Result<MirrorMember::Opened> {
      std::shared_ptr<ObjectStore> store = place->Open();
      if (!is_sick) return MirrorMember::Opened{store, true};
      const FaultStore::Plan dead = {FaultStore::kDieBefore, 0, Code::kUnavailable};
      // The inner store lives as long as the sick one.
      return MirrorMember::Opened{
          std::shared_ptr<ObjectStore>(new FaultStore(store.get(), dead),
                                       [store](ObjectStore* sick) { delete sick; }),
          true};
    };
    return std::make_unique<MirrorMember>(StoreAddress{name, name, name, is_required}, open,
                                          &ledger_);
  }

  Place first_, second_;
  ProcessLedger ledger_;
};

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// A prefix of its own in the bucket of the server that test/rgw started (test/run does).
class S3Place : public StorePlace {
 public:
  S3Place() : S3Place("&url_style=path&endpoint=" + Environment("PITR_TEST_S3_ENDPOINT")) {}
  explicit S3Place(const std::string& parameters, const std::string& bucket = "pitr",
                   const char* credentials = "PITR_TEST_S3_CREDENTIALS") {
    address_ = "s3://" + bucket + "/contract/" + ToHex(*RandomBytes(8)) +
               "?credentials_file=" + Environment(credentials) + parameters;
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

// Keys of the server's own token service.
std::unique_ptr<StorePlace> MakeS3Session() {
  const std::string endpoint = Environment("PITR_TEST_S3_STS_ENDPOINT");
  return endpoint.empty() ? nullptr
                          : std::make_unique<S3Place>("&url_style=path&endpoint=" + endpoint,
                                                      "pitr", "PITR_TEST_S3_SESSION");
}

// Ceph 16 ignores conditions in a bucket with versions, and a lock needs versions.
class LockedPlace final : public S3Place {
 public:
  LockedPlace()
      : S3Place("&url_style=path&object_lock=governance&object_lock_days=1&endpoint=" +
                    Environment("PITR_TEST_S3_ENDPOINT"),
                "pitr-locked") {}
  bool TakesNamesOnce() const override { return false; }
};

std::unique_ptr<StorePlace> MakeS3Locked() {
  return Environment("PITR_TEST_S3_ENDPOINT").empty() ? nullptr : std::make_unique<LockedPlace>();
}

// As if the server knew no conditions.
class UnconditionalPlace final : public S3Place {
 public:
  std::unique_ptr<ObjectStore> Open() override {
    std::unique_ptr<ObjectStore> store = S3Place::Open();
    if (store != nullptr) store->ForgoConditions();
    return store;
  }
  bool IsAtomic() const override { return false; }
};

std::unique_ptr<StorePlace> MakeS3Unconditional() {
  return Environment("PITR_TEST_S3_ENDPOINT").empty() ? nullptr
                                                      : std::make_unique<UnconditionalPlace>();
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

// The server encrypts with a key that goes along with each request; it takes that over TLS only.
class CustomerKeyPlace final : public StorePlace {
 public:
  CustomerKeyPlace() {
    const std::string file = directory_.path() + "/key";
    EXPECT_TRUE(WriteFileDurably(file, AsBytes(std::string(64, 'a')), 0600).ok());
    place_ = std::make_unique<S3Place>(
        "&url_style=path&endpoint=" + Environment("PITR_TEST_S3_TLS_ENDPOINT") +
        "&ca_file=" + Environment("PITR_TEST_S3_CA") +
        "&server_side_encryption=customer&customer_key_file=" + file);
  }
  std::unique_ptr<ObjectStore> Open() override { return place_->Open(); }

 private:
  TempDir directory_;
  std::unique_ptr<S3Place> place_;
};

std::unique_ptr<StorePlace> MakeS3CustomerKey() {
  return Environment("PITR_TEST_S3_TLS_ENDPOINT").empty() ? nullptr
                                                          : std::make_unique<CustomerKeyPlace>();
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
using MirroredMemory = MirroredPlace<MemoryPlace, true>;
using MirroredLocal = MirroredPlace<LocalPlace, false>;
using HalfSickMemory = MirroredPlace<MemoryPlace, false, true>;
INSTANTIATE_TEST_SUITE_P(MirroredMemory, StoreContract, testing::Values(&Make<MirroredMemory>));
INSTANTIATE_TEST_SUITE_P(MirroredLocal, StoreContract, testing::Values(&Make<MirroredLocal>));
INSTANTIATE_TEST_SUITE_P(MirroredHalfSick, StoreContract, testing::Values(&Make<HalfSickMemory>));
INSTANTIATE_TEST_SUITE_P(EncryptedMirrored, StoreContract,
                         testing::Values(&Make<EncryptedPlace<MirroredMemory>>));
INSTANTIATE_TEST_SUITE_P(S3, StoreContract, testing::Values(&MakeS3));
INSTANTIATE_TEST_SUITE_P(EncryptedS3, StoreContract, testing::Values(&MakeEncryptedS3));
INSTANTIATE_TEST_SUITE_P(S3Session, StoreContract, testing::Values(&MakeS3Session));
INSTANTIATE_TEST_SUITE_P(S3Unconditional, StoreContract, testing::Values(&MakeS3Unconditional));
INSTANTIATE_TEST_SUITE_P(S3Locked, StoreContract, testing::Values(&MakeS3Locked));
INSTANTIATE_TEST_SUITE_P(S3CustomerKey, StoreContract, testing::Values(&MakeS3CustomerKey));
INSTANTIATE_TEST_SUITE_P(S3VirtualTls, StoreContract, testing::Values(&MakeS3Tls));

}  // namespace

}  // namespace pitr

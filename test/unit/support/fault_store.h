// A store in front of another one that fails, or after which its process is dead, at the n-th operation. For crash sweeps:
//
//   run once without a plan, count operations(); then for every k below the count and both ways of dying
//   FaultStore store(&inner, {FaultStore::kDieBefore, k}); run; look at `inner` with a store of its own.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/store/store.h"

namespace pitr {

class FaultStore final : public ObjectStore {
 public:
  enum Way {
    kNever,
    kFailOnce,   // operation `at` fails, without an effect; all others work
    kDieBefore,  // operation `at` and all after it fail, without an effect
    kDieAfter,   // operation `at` has its effect, but fails all the same; all after it fail
  };
  struct Plan {
    Way way = kNever;
    int at = 0;  // from 0
    Code code = Code::kIo;
  };

  // `inner` outlives this.
  explicit FaultStore(ObjectStore* inner) : inner_(inner) {}
  FaultStore(ObjectStore* inner, Plan plan) : inner_(inner), plan_(plan) {}

  int operations() const { return operations_; }

  Status Put(const std::string& name, ByteView bytes) override;
  Result<std::unique_ptr<ObjectWriter>> Create(const std::string& name) override;
  Result<Bytes> Get(const std::string& name, std::uint64_t max_size) override;
  Result<Bytes> GetRange(const std::string& name, std::uint64_t offset,
                         std::uint64_t size) override;
  Result<Bytes> GetSuffix(const std::string& name, std::uint64_t size) override;
  Result<ObjectStat> Stat(const std::string& name) override;
  Result<std::vector<ObjectStat>> List(const std::string& prefix, const std::string& after,
                                       std::size_t limit) override;
  Result<std::vector<std::string>> ListParts(const std::string& prefix) override;
  Status Remove(const std::string& name) override;
  Status CollectAbandoned(std::int64_t age_seconds) override;
  std::optional<std::uint64_t> FreeBytes() override { return inner_->FreeBytes(); }
  void ForgoConditions() override { inner_->ForgoConditions(); }
  std::string Describe() const override { return inner_->Describe(); }

 private:
  friend class FaultWriter;
  // Counts one operation and carries it out, or not, as planned.
  template <typename Operation>
  auto Run(Operation operation) -> decltype(operation());

  ObjectStore* inner_;
  Plan plan_;
  int operations_ = 0;
};

}  // namespace pitr

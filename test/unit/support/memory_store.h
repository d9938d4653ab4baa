// Objects in memory: a real implementation of the contract, not a mock. Several stores made over the same MemoryObjects see
// each other's objects, as processes do; DURABLE means as durable as the process.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/store/abilities.h"
#include "core/store/store.h"

namespace pitr {

struct MemoryObjects {
  std::mutex mutex;
  std::map<std::string, Bytes> objects;
  bool takes_names_twice = false;   // as a server that ignores conditions
  bool refuses_conditions = false;  // as a server that answers 501 to them
  bool looks_too_early =
      false;  // as a server that heeds them when nobody writes at the same moment
};

class MemoryStore final : public ObjectStore, public Racing {
 public:
  MemoryStore() : shared_(std::make_shared<MemoryObjects>()) {}
  explicit MemoryStore(std::shared_ptr<MemoryObjects> shared) : shared_(std::move(shared)) {}

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
  Status CollectAbandoned(std::int64_t) override { return Status::Ok(); }
  std::optional<std::uint64_t> FreeBytes() override { return std::nullopt; }
  void ForgoConditions() override { has_conditions_ = false; }
  Result<bool> KeepsWritersApart(const std::string& name) override {
    PITR_RETURN_IF_ERROR(Put(name, {}));
    return !shared_->looks_too_early;
  }
  std::string Describe() const override { return "memory"; }

  const std::shared_ptr<MemoryObjects>& shared() const { return shared_; }
  // Changes what is stored, as no writer can. REQUIRES: the object is there.
  Bytes& Tamper(const std::string& name) { return shared_->objects.at(name); }

 private:
  // The object, with the lock held; kNotFound, kInvalidArgument.
  Result<const Bytes*> Find(const std::string& name) const;

  std::shared_ptr<MemoryObjects> shared_;
  bool has_conditions_ = true;
};

}  // namespace pitr

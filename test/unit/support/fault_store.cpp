#include "unit/support/fault_store.h"

namespace pitr {

template <typename Operation>
auto FaultStore::Run(Operation operation) -> decltype(operation()) {
  const int number = operations_++;
  const Status fault(plan_.code, "injected fault at operation " + std::to_string(number));
  switch (plan_.way) {
    case kNever:
      return operation();
    case kFailOnce:
      return number == plan_.at ? fault : operation();
    case kDieBefore:
      return number >= plan_.at ? fault : operation();
    case kDieAfter:
      if (number > plan_.at) {
        return fault;
      }
      if (number == plan_.at) {
        [[maybe_unused]] const auto unheard = operation();
        return fault;
      }
      return operation();
  }
  return fault;
}

class FaultWriter final : public ObjectWriter {
 public:
  FaultWriter(FaultStore* store, std::unique_ptr<ObjectWriter> inner)
      : store_(store), inner_(std::move(inner)) {}
  Status Append(ByteView bytes) override {
    return store_->Run([&] { return inner_->Append(bytes); });
  }
  Status Commit() override {
    return store_->Run([&] { return inner_->Commit(); });
  }

 private:
  FaultStore* store_;
  std::unique_ptr<ObjectWriter> inner_;
};

Status FaultStore::Put(const std::string& name, ByteView bytes) {
  return Run([&] { return inner_->Put(name, bytes); });
}

Result<std::unique_ptr<ObjectWriter>> FaultStore::Create(const std::string& name) {
  return Run([&]() -> Result<std::unique_ptr<ObjectWriter>> {
    PITR_ASSIGN_OR_RETURN(std::unique_ptr<ObjectWriter> writer, inner_->Create(name));
    return std::unique_ptr<ObjectWriter>(std::make_unique<FaultWriter>(this, std::move(writer)));
  });
}

Result<Bytes> FaultStore::Get(const std::string& name, std::uint64_t max_size) {
  return Run([&] { return inner_->Get(name, max_size); });
}

Result<Bytes> FaultStore::GetRange(const std::string& name, std::uint64_t offset,
                                   std::uint64_t size) {
  return Run([&] { return inner_->GetRange(name, offset, size); });
}

Result<Bytes> FaultStore::GetSuffix(const std::string& name, std::uint64_t size) {
  return Run([&] { return inner_->GetSuffix(name, size); });
}

Result<ObjectStat> FaultStore::Stat(const std::string& name) {
  return Run([&] { return inner_->Stat(name); });
}

Result<std::vector<ObjectStat>> FaultStore::List(const std::string& prefix,
                                                 const std::string& after, std::size_t limit) {
  return Run([&] { return inner_->List(prefix, after, limit); });
}

Result<std::vector<std::string>> FaultStore::ListParts(const std::string& prefix) {
  return Run([&] { return inner_->ListParts(prefix); });
}

Status FaultStore::Remove(const std::string& name) {
  return Run([&] { return inner_->Remove(name); });
}

Status FaultStore::CollectAbandoned(std::int64_t age_seconds) {
  return Run([&] { return inner_->CollectAbandoned(age_seconds); });
}

}  // namespace pitr

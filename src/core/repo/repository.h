// An opened repository: the store, its identity, and what every part of the product asks it for.
#pragma once

#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/store/store.h"

namespace pitr {

class Repository {
 public:
  inline static constexpr int kFormatVersion = 1;

  // kNotReady when the store is empty (no repository.json) unless `create`; kForeign for another format or a newer version.
  // Creating checks that the folder is empty: anything else in it is kForeign.
  static Result<std::unique_ptr<Repository>> Open(std::unique_ptr<ObjectStore> store, bool create);
  static Result<std::unique_ptr<Repository>> OpenAddress(const std::string& address, bool create);

  ObjectStore* store() const { return store_.get(); }
  const std::string& id() const { return id_; }
  std::string Describe() const { return store_->Describe(); }

 private:
  Repository(std::unique_ptr<ObjectStore> store, std::string id) : store_(std::move(store)), id_(std::move(id)) {}
  std::unique_ptr<ObjectStore> store_;
  std::string id_;
};

}  // namespace pitr

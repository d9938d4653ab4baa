// An opened repository: the store, its identity, and what every part of the product asks it for.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

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
  // The same of OpenStore(address).
  static Result<std::unique_ptr<Repository>> OpenAddress(const std::string& address, bool create);

  ObjectStore* store() const { return store_.get(); }
  const std::string& id() const { return id_; }
  std::string Describe() const { return store_->Describe(); }

  // A local directory, made when it is needed, where entries of logs are kept (log_cache.h); empty: none.
  void set_cache_directory(std::string directory) { cache_directory_ = std::move(directory); }
  const std::string& cache_directory() const { return cache_directory_; }

  // The highest number of a catalogue kind that this object has seen, 0 for none: listings begin behind it. Never more
  // than what is there, since the newest number of a kind is never removed.
  std::uint64_t NewestSeen(std::string_view kind) const;
  void SetNewestSeen(std::string_view kind, std::uint64_t number);

 private:
  Repository(std::unique_ptr<ObjectStore> store, std::string id)
      : store_(std::move(store)), id_(std::move(id)) {}
  std::unique_ptr<ObjectStore> store_;
  std::string id_;
  std::string cache_directory_;
  mutable std::mutex mutex_;  // of newest_: workers of the program share a repository
  std::map<std::string, std::uint64_t, std::less<>> newest_;
};

}  // namespace pitr

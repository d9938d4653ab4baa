// A folder as an object store, with the visibility of S3: an object is there whole or not at all. The place
// in the layers: open_store.cpp alone makes one.
//
//   <folder>/<object name>      published objects, mode 0600, folders 0700
//   <folder>/.tmp/<16 hex>      objects being written; every name part that begins with "." is invisible
//
// Invariant: a name appears by one rename that replaces nothing, after the content is on disk; OK is said
// when the folder that holds the name, and every folder above it, is on disk too.
//
// No descriptor is held between calls, so an idle process does not keep the file system from being
// unmounted. That the folder is the one that was opened (device, inode) is checked before a folder is made
// in it and before "not found" is said: an unmounted disk is an error, never an empty repository.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/store/store.h"

namespace pitr {

class LocalStore final : public ObjectStore {
 public:
  // `folder`: absolute, exists, is a folder that this process may read, write and enter; kIo with a hint
  // otherwise.
  static Result<std::unique_ptr<LocalStore>> Open(const std::string& folder);

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
  std::optional<std::uint64_t> FreeBytes() override;
  std::string Describe() const override { return root_; }

  // What tells one folder from another that later bears its name. A reused inode has another birth time.
  struct Identity {
    std::uint64_t device = 0, inode = 0;
    std::int64_t born_seconds = 0;
    std::uint32_t born_nanos = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };

 private:
  friend class LocalWriter;

  LocalStore(std::string root, Identity identity) : root_(std::move(root)), identity_(identity) {}

  std::string PathOf(std::string_view name) const { return JoinPath(root_, name); }
  // Status for `errnum` of an attempt at `name`: a full disk names the folder; "absent" only when the root is
  // still the folder that was opened.
  Status ErrorFor(int errnum, std::string_view verb, const std::string& name) const;
  Status CheckRoot() const;
  Result<File> OpenObject(const std::string& name, std::uint64_t* size) const;
  Result<File> CreateTemporary(std::string* path);
  // Opens the folder of object `name`, made and durable down from the root.
  Result<File> OpenFolderOf(const std::string& name);
  Result<File> MakeFolder(const std::string& folder);
  Status Publish(const std::string& temporary, const std::string& name);
  // kAlreadyExists, when what is there is durable.
  Status Taken(const std::string& name);
  Status ListFolder(const std::string& prefix, const std::string& after, std::size_t limit,
                    std::vector<ObjectStat>* out) const;
  bool HoldsObject(const std::string& prefix) const;
  void RemoveEmptyFolders(const std::string& name) const;

  const std::string root_;
  const Identity identity_;
  // Folders that this process has made durable, by path below the root. Locked: workers of the program
  // share a store.
  std::mutex mutex_;
  std::map<std::string, Identity> durable_folders_;
};

}  // namespace pitr

// The object store contract. Objects are immutable: there is no verb that replaces one. Each sentence below
// is one named test of the contract suite (test/unit/store/store_contract.h), run against every store.
//
// Names are "/"-separated, made of [A-Za-z0-9._-] parts that do not begin with "." (composed in repo/layout.cpp only);
// any other name is kInvalidArgument, and nothing is looked at. No name is also the folder of another.
// A store may be used by several threads at once; an ObjectWriter by one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/cancel.h"
#include "core/base/result.h"

namespace pitr {

struct ObjectStat {
  std::string name;
  std::uint64_t size = 0;
};

// An object being written, in pieces; nobody sees it before Commit. Destroying it without Commit
// leaves nothing visible (a file that a killed process leaves is invisible to List and is removed by
// CollectAbandoned).
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  virtual Status Append(ByteView bytes) = 0;
  // Publishes under the name given to Create. DURABLE when OK. kAlreadyExists when the name is taken:
  // what is there is untouched, and durable by now. Exactly one of several concurrent commits of one name succeeds.
  virtual Status Commit() = 0;
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // Put-if-absent in one call; as Create + Append + Commit. DURABLE.
  virtual Status Put(const std::string& name, ByteView bytes) = 0;
  virtual Result<std::unique_ptr<ObjectWriter>> Create(const std::string& name) = 0;

  // The whole object. kNotFound only when the store answered that it does not exist; kLimit when it is
  // larger than max_size.
  virtual Result<Bytes> Get(const std::string& name, std::uint64_t max_size) = 0;
  // Exactly [offset, offset + size) unless the object ends before: then what there is.
  virtual Result<Bytes> GetRange(const std::string& name, std::uint64_t offset,
                                 std::uint64_t size) = 0;
  // The last `size` bytes (the whole object when it is smaller).
  virtual Result<Bytes> GetSuffix(const std::string& name, std::uint64_t size) = 0;
  virtual Result<ObjectStat> Stat(const std::string& name) = 0;  // one point look-up, no listing

  // Objects whose name starts with `prefix` (which ends in "/" or is empty) and is greater than
  // `after`, in name order, at most `limit` (0 = all). An absent prefix lists as empty.
  virtual Result<std::vector<ObjectStat>> List(const std::string& prefix,
                                               const std::string& after = "",
                                               std::size_t limit = 0) = 0;
  // Next name parts below `prefix` ("a/" for folders, "b" for objects), sorted.
  virtual Result<std::vector<std::string>> ListParts(const std::string& prefix) = 0;

  // DURABLE. Absent is OK.
  virtual Status Remove(const std::string& name) = 0;
  // Removes what killed writers left behind, older than `age_seconds`.
  virtual Status CollectAbandoned(std::int64_t age_seconds) = 0;
  // Bytes free where the store can tell.
  virtual std::optional<std::uint64_t> FreeBytes() = 0;
  // For a server that does not know put-if-absent (it takes a name twice, or refuses the condition): from here on a name is looked for
  // before it is written, and read back afterwards. Two writers of one name at the same moment may then both succeed. Before the first
  // write, and not while other threads use the store. Stores whose names can be taken only once do nothing.
  virtual void ForgoConditions() {}
  // For messages: the folder or URL, never a secret.
  virtual std::string Describe() const = 0;
};

// Address -> store (open_store.cpp; errors: open_store.h). Declared with the interface, so that repo/ can open a
// repository by address without knowing what stores there are.
Result<std::unique_ptr<ObjectStore>> OpenStore(const std::string& address);

}  // namespace pitr

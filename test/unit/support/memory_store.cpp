#include "unit/support/memory_store.h"

#include <algorithm>

namespace pitr {

namespace {

Status CheckName(std::string_view name) {
  char before = '/';
  for (const char c : name) {
    const bool is_word = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                         (c >= '0' && c <= '9') || c == '_' || c == '-';
    const bool is_fine = is_word || ((c == '/' || c == '.') && before != '/');
    if (!is_fine) {
      return Status(Code::kInvalidArgument, "\"" + std::string(name) + "\" is no object name");
    }
    before = c;
  }
  return before == '/'
             ? Status(Code::kInvalidArgument, "\"" + std::string(name) + "\" is no object name")
             : Status::Ok();
}

Status CheckPrefix(std::string_view prefix) {
  if (prefix.empty()) {
    return Status::Ok();
  }
  if (!prefix.ends_with('/')) {
    return Status(Code::kInvalidArgument, "prefix without \"/\" at its end");
  }
  return CheckName(prefix.substr(0, prefix.size() - 1));
}

Status NotFound(const std::string& name) {
  return Status(Code::kNotFound, "object \"" + name + "\" is not in memory");
}

class MemoryWriter final : public ObjectWriter {
 public:
  MemoryWriter(std::shared_ptr<MemoryObjects> shared, std::string name, bool has_conditions)
      : shared_(std::move(shared)), name_(std::move(name)), has_conditions_(has_conditions) {}

  Status Append(ByteView bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return Status::Ok();
  }

  Status Commit() override {
    const std::lock_guard lock(shared_->mutex);
    if (has_conditions_ && shared_->refuses_conditions) {
      return Status(Code::kUnsupported, "no conditions in memory");
    }
    if (has_conditions_ && shared_->takes_names_twice) {
      shared_->objects.erase(name_);
    }
    if (!shared_->objects.try_emplace(name_, std::move(bytes_)).second) {
      return Status(Code::kAlreadyExists, "object \"" + name_ + "\" is already in memory");
    }
    return Status::Ok();
  }

 private:
  std::shared_ptr<MemoryObjects> shared_;
  std::string name_;
  bool has_conditions_;
  Bytes bytes_;
};

}  // namespace

Status MemoryStore::Put(const std::string& name, ByteView bytes) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer, Create(name));
  PITR_RETURN_IF_ERROR(writer->Append(bytes));
  return writer->Commit();
}

Result<std::unique_ptr<ObjectWriter>> MemoryStore::Create(const std::string& name) {
  PITR_RETURN_IF_ERROR(CheckName(name));
  return std::unique_ptr<ObjectWriter>(
      std::make_unique<MemoryWriter>(shared_, name, has_conditions_));
}

Result<const Bytes*> MemoryStore::Find(const std::string& name) const {
  PITR_RETURN_IF_ERROR(CheckName(name));
  const auto found = shared_->objects.find(name);
  if (found == shared_->objects.end()) {
    return NotFound(name);
  }
  return &found->second;
}

Result<Bytes> MemoryStore::Get(const std::string& name, std::uint64_t max_size) {
  const std::lock_guard lock(shared_->mutex);
  PITR_ASSIGN_OR_RETURN(const Bytes* bytes, Find(name));
  if (bytes->size() > max_size) {
    return Status(Code::kLimit, "object \"" + name + "\" is too large");
  }
  return *bytes;
}

Result<Bytes> MemoryStore::GetRange(const std::string& name, std::uint64_t offset,
                                    std::uint64_t size) {
  const std::lock_guard lock(shared_->mutex);
  PITR_ASSIGN_OR_RETURN(const Bytes* bytes, Find(name));
  const auto begin = std::min<std::uint64_t>(offset, bytes->size());
  const auto end = begin + std::min<std::uint64_t>(size, bytes->size() - begin);
  return Bytes(bytes->begin() + static_cast<std::ptrdiff_t>(begin),
               bytes->begin() + static_cast<std::ptrdiff_t>(end));
}

Result<Bytes> MemoryStore::GetSuffix(const std::string& name, std::uint64_t size) {
  const std::lock_guard lock(shared_->mutex);
  PITR_ASSIGN_OR_RETURN(const Bytes* bytes, Find(name));
  const auto taken = std::min<std::uint64_t>(size, bytes->size());
  return Bytes(bytes->end() - static_cast<std::ptrdiff_t>(taken), bytes->end());
}

Result<ObjectStat> MemoryStore::Stat(const std::string& name) {
  const std::lock_guard lock(shared_->mutex);
  PITR_ASSIGN_OR_RETURN(const Bytes* bytes, Find(name));
  return ObjectStat{name, bytes->size()};
}

Result<std::vector<ObjectStat>> MemoryStore::List(const std::string& prefix,
                                                  const std::string& after, std::size_t limit) {
  PITR_RETURN_IF_ERROR(CheckPrefix(prefix));
  const std::lock_guard lock(shared_->mutex);
  std::vector<ObjectStat> found;
  for (const auto& [name, bytes] : shared_->objects) {
    if (name.starts_with(prefix) && name > after && (limit == 0 || found.size() < limit)) {
      found.push_back({name, bytes.size()});
    }
  }
  return found;
}

Result<std::vector<std::string>> MemoryStore::ListParts(const std::string& prefix) {
  PITR_RETURN_IF_ERROR(CheckPrefix(prefix));
  const std::lock_guard lock(shared_->mutex);
  std::vector<std::string> parts;
  for (const auto& [name, bytes] : shared_->objects) {
    if (name.starts_with(prefix)) {
      const std::size_t slash = name.find('/', prefix.size());
      const std::size_t end = slash == std::string::npos ? name.size() : slash + 1;
      parts.push_back(name.substr(prefix.size(), end - prefix.size()));
    }
  }
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
  return parts;
}

Status MemoryStore::Remove(const std::string& name) {
  PITR_RETURN_IF_ERROR(CheckName(name));
  const std::lock_guard lock(shared_->mutex);
  shared_->objects.erase(name);
  return Status::Ok();
}

}  // namespace pitr

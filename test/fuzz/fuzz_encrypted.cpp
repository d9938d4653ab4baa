// Encrypted objects and key files. The first byte chooses: 0, the rest is an object as it is read from a store; 1, the rest is encrypted, and
// changed where bytes 1 to 4 say; 2, the rest is the text of a key file. Nothing but what was encrypted ever comes out.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "core/codec/encrypted_format.h"
#include "core/codec/encrypted_store.h"
#include "core/codec/keyring.h"

namespace {

void Check(bool condition) {
  if (!condition) {
    std::abort();
  }
}

// A store that holds one object, whatever its name.
class OneObject final : public pitr::ObjectStore {
 public:
  explicit OneObject(std::shared_ptr<pitr::Bytes> bytes) : bytes_(std::move(bytes)) {}
  pitr::Status Put(const std::string&, pitr::ByteView) override { return None(); }
  pitr::Result<std::unique_ptr<pitr::ObjectWriter>> Create(const std::string&) override {
    return std::unique_ptr<pitr::ObjectWriter>(std::make_unique<Writer>(bytes_.get()));
  }
  pitr::Result<pitr::Bytes> Get(const std::string&, std::uint64_t) override { return *bytes_; }
  pitr::Result<pitr::Bytes> GetRange(const std::string&, std::uint64_t offset,
                                     std::uint64_t size) override {
    const std::uint64_t begin = std::min<std::uint64_t>(offset, bytes_->size());
    return Part(begin, begin + std::min<std::uint64_t>(size, bytes_->size() - begin));
  }
  pitr::Result<pitr::Bytes> GetSuffix(const std::string&, std::uint64_t size) override {
    return Part(bytes_->size() - std::min<std::uint64_t>(size, bytes_->size()), bytes_->size());
  }
  pitr::Result<pitr::ObjectStat> Stat(const std::string&) override { return None(); }
  pitr::Result<std::vector<pitr::ObjectStat>> List(const std::string&, const std::string&,
                                                   std::size_t) override {
    return None();
  }
  pitr::Result<std::vector<std::string>> ListParts(const std::string&) override { return None(); }
  pitr::Status Remove(const std::string&) override { return None(); }
  pitr::Status CollectAbandoned(std::int64_t) override { return None(); }
  std::optional<std::uint64_t> FreeBytes() override { return std::nullopt; }
  std::string Describe() const override { return "one"; }

 private:
  class Writer final : public pitr::ObjectWriter {
   public:
    explicit Writer(pitr::Bytes* out) : out_(out) { out_->clear(); }
    pitr::Status Append(pitr::ByteView bytes) override {
      out_->insert(out_->end(), bytes.begin(), bytes.end());
      return pitr::Status::Ok();
    }
    pitr::Status Commit() override { return pitr::Status::Ok(); }

   private:
    pitr::Bytes* out_;
  };
  static pitr::Status None() { return {pitr::Code::kInternal, "not here"}; }
  pitr::Bytes Part(std::uint64_t begin, std::uint64_t end) const {
    return {bytes_->begin() + static_cast<std::ptrdiff_t>(begin),
            bytes_->begin() + static_cast<std::ptrdiff_t>(end)};
  }
  std::shared_ptr<pitr::Bytes> bytes_;
};

constexpr std::uint64_t kMax = 8U << 20;
const std::string kName = "some/object";

// The master key of the golden file: 00 01 02 … 1f.
pitr::SecretKey MasterKey() {
  pitr::SecretKey key;
  for (std::size_t i = 0; i < pitr::kKeySize; i++) {
    key.bytes()[i] = static_cast<std::uint8_t>(i);
  }
  return key;
}

// `right`: what may come out; null: only what its own foot vouches for.
void Read(const pitr::Bytes& stored, const pitr::Bytes* right) {
  const auto bytes = std::make_shared<pitr::Bytes>(stored);
  pitr::EncryptedStore store(std::make_unique<OneObject>(bytes), MasterKey(),
                             "5a1f0c3be2d94f7c8a6be01d27c3f590");
  const pitr::Result<pitr::Bytes> whole = store.Get(kName, kMax);
  const pitr::Result<pitr::Bytes> range = store.GetRange(kName, 0, kMax);
  const pitr::Result<pitr::Bytes> suffix = store.GetSuffix(kName, kMax);
  for (const auto* got : {&whole, &range, &suffix}) {
    if (got->ok()) {
      Check(right == nullptr || **got == *right);
    } else {
      Check(got->status().code() == pitr::Code::kCorrupt ||
            got->status().code() == pitr::Code::kUnsupported ||
            got->status().code() == pitr::Code::kLimit);
    }
  }
  Check(!whole.ok() || (range.ok() && suffix.ok() && *range == *whole && *suffix == *whole));
  Check(!whole.ok() || pitr::encrypted::StoredSize(whole->size()) == stored.size());
}

void ReadRaw(pitr::ByteView object) {
  Read({object.begin(), object.end()}, nullptr);
  const std::size_t foot_size = std::min(object.size(), pitr::encrypted::kFootSize);
  const auto foot = pitr::encrypted::DecodeFoot(object.last(foot_size), kName);
  if (foot.ok()) {
    const pitr::Bytes again = pitr::encrypted::EncodeFoot(*foot);
    Check(std::equal(again.begin(), again.end(), object.last(foot_size).begin()));
    Check(pitr::encrypted::PlainSize(pitr::encrypted::StoredSize(foot->plain_size)) ==
          foot->plain_size);
  }
}

void ReadChanged(pitr::ByteView input) {
  pitr::ByteReader in(input);
  const std::uint32_t where = in.U32();
  const pitr::ByteView rest = in.Raw(in.remaining());
  const pitr::Bytes plain(rest.begin(), rest.end());
  const auto stored = std::make_shared<pitr::Bytes>();
  pitr::EncryptedStore store(std::make_unique<OneObject>(stored), MasterKey(),
                             "5a1f0c3be2d94f7c8a6be01d27c3f590");
  const auto writer = store.Create(kName);
  Check(writer.ok() && (*writer)->Append(plain).ok() && (*writer)->Commit().ok());
  Read(*stored, &plain);
  (*stored)[where % stored->size()] ^= static_cast<std::uint8_t>(1U << (where >> 29));
  Check(!store.Get(kName, kMax).ok());
  Read(*stored, &plain);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const pitr::ByteView rest(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      ReadRaw(rest);
      break;
    case 1:
      ReadChanged(rest);
      break;
    default: {
      const auto keys = pitr::ParseKeys(pitr::AsText(rest), "fuzz");
      Check(keys.ok() ? !keys->empty() : keys.status().code() == pitr::Code::kKeyMissing);
    }
  }
  return 0;
}

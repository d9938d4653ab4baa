// See the header. Sizes and checksums come first, because they need one small read; only what they call equal
// is compared in full, and only what differs is read again for its SHA-256.
#define OPENSSL_SUPPRESS_DEPRECATED  // the three calls neither allocate nor fail, see base/hash.cpp
#include "core/repo/same_content.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "core/base/hash.h"

namespace pitr {

namespace {

constexpr std::size_t kReadSize = 1U << 20;

class Sha256Stream {
 public:
  Sha256Stream() { SHA256_Init(&context_); }
  void Update(ByteView bytes) { SHA256_Update(&context_, bytes.data(), bytes.size()); }
  std::string Hex() {
    std::array<std::uint8_t, 32> digest;
    SHA256_Final(digest.data(), &context_);
    return ToHex(digest);
  }

 private:
  SHA256_CTX context_;
};

Status CheckCancel(const CancelToken* cancel) {
  return cancel != nullptr && cancel->IsCancelled()
             ? Status(Code::kCancelled, "comparing with the repository was cancelled")
             : Status::Ok();
}

// Compares what comes in with the file, from its place in there on.
class FileComparer {
 public:
  explicit FileComparer(const ContentToCompare& content)
      : file_(content.file), cancel_(content.cancel), position_(content.offset) {}

  Status Add(ByteView stored) {
    PITR_RETURN_IF_ERROR(CheckCancel(cancel_));
    buffer_.resize(stored.size());
    PITR_ASSIGN_OR_RETURN(const std::size_t got,
                          file_.ReadAt(position_, buffer_.data(), buffer_.size()));
    position_ += got;
    is_same_ = is_same_ && got == stored.size() &&
               std::equal(stored.begin(), stored.end(), buffer_.begin());
    return Status::Ok();
  }
  bool is_same() const { return is_same_; }

 private:
  const File& file_;
  const CancelToken* cancel_;
  Bytes buffer_;
  std::uint64_t position_;
  bool is_same_ = true;
};

Result<std::string> HashOfFile(const ContentToCompare& content) {
  Sha256Stream hash;
  Bytes buffer(kReadSize);
  for (std::uint64_t position = 0; position < content.footer.plain_size;) {
    PITR_RETURN_IF_ERROR(CheckCancel(content.cancel));
    const auto wanted = static_cast<std::size_t>(
        std::min<std::uint64_t>(kReadSize, content.footer.plain_size - position));
    PITR_ASSIGN_OR_RETURN(const std::size_t got,
                          content.file.ReadAt(content.offset + position, buffer.data(), wanted));
    if (got == 0) {
      break;
    }
    hash.Update({buffer.data(), got});
    position += got;
  }
  return hash.Hex();
}

}  // namespace

Result<EnvelopeFooter> CheckSameContent(ObjectStore* store, const ContentToCompare& content) {
  Result<EnvelopeFooter> footer = ReadEnvelopeFooter(store, content.object, content.kind);
  if (footer.status().code() == Code::kNotFound) {
    // It was in the way a moment ago. That says nothing about file or store: the caller asks again from the start.
    return Status(Code::kNotReady,
                  "object \"" + content.object + "\" was removed while it was compared");
  }
  PITR_ASSIGN_OR_RETURN(const EnvelopeFooter stored, std::move(footer));
  if (stored.plain_size == content.footer.plain_size &&
      stored.plain_hash == content.footer.plain_hash) {
    FileComparer comparer(content);
    PITR_RETURN_IF_ERROR(StreamEnvelope(store, content.object, content.kind,
                                        [&](ByteView bytes) { return comparer.Add(bytes); }));
    if (comparer.is_same()) {
      return stored;
    }
  }
  Sha256Stream stored_hash;
  PITR_RETURN_IF_ERROR(
      StreamEnvelope(store, content.object, content.kind, [&](ByteView bytes) -> Status {
        stored_hash.Update(bytes);
        return CheckCancel(content.cancel);
      }));
  PITR_ASSIGN_OR_RETURN(const std::string file_hash, HashOfFile(content));
  return Status(Code::kAlreadyExists, "object \"" + content.object +
                                          "\" is already in the repository with other content than "
                                          "file \"" +
                                          content.path + "\"")
      .WithDetail("SHA-256 of the object's content is " + stored_hash.Hex() + ", of the file " +
                  file_hash + "; sizes are " + std::to_string(stored.plain_size) + " and " +
                  std::to_string(content.footer.plain_size) + " bytes.");
}

}  // namespace pitr

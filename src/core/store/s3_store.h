// A bucket prefix of an S3 server as an object store. An object is there whole or not at all, and put-if-absent is the server's own
// `If-None-Match: *`. Objects above one part go up in parts; servers of which the completion of an upload ignores the condition
// (Ceph before 20) leave a moment in which two writers of one such name could both succeed: names of large objects carry an id of
// their writer, so nobody else writes them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/store/abilities.h"
#include "core/store/s3_request.h"
#include "core/store/s3_xml.h"
#include "core/store/store.h"

namespace pitr {

class S3Store final : public ObjectStore, public Racing {
 public:
  // Makes no request: what is wrong with bucket or keys shows at the first one.
  static Result<std::unique_ptr<S3Store>> Open(const S3Address& address);
  explicit S3Store(std::unique_ptr<S3Client> client) : client_(std::move(client)) {}

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
  // Uploads in parts that were never completed.
  Status CollectAbandoned(std::int64_t age_seconds) override;
  std::optional<std::uint64_t> FreeBytes() override { return std::nullopt; }
  void ForgoConditions() override { client_->ForgoConditions(); }
  // Some servers look at the condition when a request begins, and not when they write.
  Result<bool> KeepsWritersApart(const std::string& name) override;
  std::string Describe() const override { return client_->Describe(); }

 private:
  Result<Bytes> GetPart(const std::string& name, const std::string& range,
                        std::uint64_t max_response);
  Result<S3Listing> ListPage(const std::string& prefix, const std::string& token,
                             const std::pair<std::string, std::string>& narrowing,
                             std::size_t size);
  // What an object's absence is called, when an answer without a body left it open.
  Result<HttpResponse> Head(const std::string& name);

  std::unique_ptr<S3Client> client_;
};

}  // namespace pitr

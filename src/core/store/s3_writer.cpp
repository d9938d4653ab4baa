#include "core/store/s3_writer.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "core/base/fault.h"
#include "core/base/hash.h"
#include "core/store/s3_protection.h"
#include "core/store/s3_xml.h"

namespace pitr {

namespace {

// Of an upload; at most 10,000 of them make an object, and each is memory of a writer.
constexpr std::size_t kPartSize = 16U << 20;
// Tells our own object from another writer's after an answer was lost.
constexpr const char* kWriterHeader = "x-amz-meta-pitr-writer";

class S3Writer final : public ObjectWriter {
 public:
  S3Writer(S3Client* client, std::string name) : client_(client), name_(std::move(name)) {}
  ~S3Writer() override { Abort(); }
  S3Writer(const S3Writer&) = delete;
  S3Writer& operator=(const S3Writer&) = delete;

  Status Append(ByteView bytes) override {
    while (!bytes.empty()) {
      if (buffer_.size() == kPartSize) {
        PITR_RETURN_IF_ERROR(SendPart());
      }
      const std::size_t take = std::min(bytes.size(), kPartSize - buffer_.size());
      buffer_.insert(buffer_.end(), bytes.begin(),
                     bytes.begin() + static_cast<std::ptrdiff_t>(take));
      bytes = bytes.subspan(take);
    }
    return Status::Ok();
  }

  // While the object is on its way. Once, also when its request is tried again.
  void set_meanwhile(std::function<void()> meanwhile) { meanwhile_ = std::move(meanwhile); }

  Status Commit() override {
    if (is_committed_) {
      return Status(Code::kInternal, "object \"" + name_ + "\" was committed before");
    }
    is_committed_ = true;
    PITR_FAULT("store.put.before_sync");
    const Status status = upload_id_.empty() ? PutWhole() : CompleteUpload();
    PITR_FAULT("store.put.after_link");
    return status;
  }

 private:
  Status Prepare() {
    if (nonce_.empty()) {
      PITR_ASSIGN_OR_RETURN(const Bytes random, RandomBytes(16));
      nonce_ = ToHex(random);
    }
    return Status::Ok();
  }

  // What is said once about an object: with the request that makes it.
  HttpHeaders ObjectHeaders() const {
    HttpHeaders headers = ProtectionHeaders(client_->address(), name_, SystemClock().Now());
    headers.emplace_back("content-type", "application/octet-stream");
    headers.emplace_back(kWriterHeader, nonce_);
    return headers;
  }

  // A request that locks must carry the checksum of its body.
  void AddChecksum(S3Request* request) const {
    if (IsLocked(client_->address(), name_)) {
      request->headers.emplace_back("content-md5", ContentMd5(request->body));
    }
  }

  Status Taken() const {
    return Status(Code::kAlreadyExists, "object \"" + name_ + "\" is already in repository \"" +
                                            client_->Describe() + "\"");
  }

  // Whether the object under this name is the one that this writer sent.
  Result<bool> IsOurs() {
    S3Request request;
    request.method = "HEAD";
    request.name = name_;
    request.accepted = {404};
    PITR_ASSIGN_OR_RETURN(const S3Answer answer, client_->Perform(request));
    return answer.response.Header(kWriterHeader) == nonce_;
  }

  Status PutWhole() {
    PITR_RETURN_IF_ERROR(Prepare());
    if (!client_->has_conditions()) {
      PITR_RETURN_IF_ERROR(CheckFree());
    }
    S3Request request;
    request.method = "PUT";
    request.name = name_;
    request.headers = ObjectHeaders();
    AddCondition(&request);
    request.body = buffer_;
    AddChecksum(&request);
    request.accepted = {412};
    if (meanwhile_) {
      request.before_end = [this] {
        if (const auto once = std::exchange(meanwhile_, nullptr)) once();
      };
    }
    PITR_ASSIGN_OR_RETURN(const S3Answer answer, client_->Perform(request));
    if (answer.response.status == 412) {
      return Refused(answer.is_ambiguous);
    }
    return client_->has_conditions() ? Status::Ok() : CheckOurs();
  }

  void AddCondition(S3Request* request) const {
    if (client_->has_conditions()) {
      request->headers.emplace_back("if-none-match", "*");
    }
  }

  // Of servers that would replace what is there.
  Status CheckFree() {
    S3Request look;
    look.method = "HEAD";
    look.name = name_;
    look.accepted = {404};
    PITR_ASSIGN_OR_RETURN(const S3Answer found, client_->Perform(look));
    return found.response.status == 404 ? Status::Ok() : Taken();
  }

  // Somebody who looked when we did may have written after us.
  Status CheckOurs() {
    PITR_ASSIGN_OR_RETURN(const bool is_ours, IsOurs());
    return is_ours ? Status::Ok() : Taken();
  }

  Status Refused(bool is_ambiguous) {
    if (is_ambiguous) {
      PITR_ASSIGN_OR_RETURN(const bool is_ours, IsOurs());
      if (is_ours) return Status::Ok();
    }
    return Taken();
  }

  Status BeginUpload() {
    PITR_RETURN_IF_ERROR(Prepare());
    S3Request request;
    request.method = "POST";
    request.name = name_;
    request.query = {{"uploads", ""}};
    request.headers = ObjectHeaders();
    PITR_ASSIGN_OR_RETURN(const S3Answer answer, client_->Perform(request));
    PITR_ASSIGN_OR_RETURN(upload_id_, ParseUploadId(AsText(answer.response.body)));
    return Status::Ok();
  }

  Status SendPart() {
    if (upload_id_.empty()) {
      PITR_RETURN_IF_ERROR(BeginUpload());
    }
    S3Request request;
    request.method = "PUT";
    request.name = name_;
    request.query = {{"partNumber", std::to_string(etags_.size() + 1)}, {"uploadId", upload_id_}};
    request.headers = {{"content-type", "application/octet-stream"}};
    request.body = buffer_;
    AddChecksum(&request);
    PITR_ASSIGN_OR_RETURN(const S3Answer answer, client_->Perform(request));
    const std::string etag = answer.response.Header("etag");
    if (etag.empty()) {
      return Status(Code::kIo, "the server gave no ETag for a part of object \"" + name_ + "\"");
    }
    etags_.push_back(etag);
    buffer_.clear();
    return Status::Ok();
  }

  Status CompleteUpload() {
    if (!buffer_.empty()) {
      PITR_RETURN_IF_ERROR(SendPart());
    }
    // Some servers that know the condition ignore it here.
    PITR_RETURN_IF_ERROR(CheckFree());
    const std::string parts = EncodeParts(etags_);
    S3Request request;
    request.method = "POST";
    request.name = name_;
    request.query = {{"uploadId", upload_id_}};
    request.headers = {{"content-type", "application/xml"}};
    AddCondition(&request);
    request.body = AsBytes(parts);
    request.accepted = {404, 412};
    PITR_ASSIGN_OR_RETURN(const S3Answer answer, client_->Perform(request));
    const S3Error error = ParseS3Error(AsText(answer.response.body));
    if (answer.response.status == 412) {
      return Refused(answer.is_ambiguous);
    }
    if (answer.response.status == 404 || !error.code.empty()) {
      // A lost answer: the first attempt completed the upload, so the second knows none. Or an error behind a 200.
      PITR_ASSIGN_OR_RETURN(const bool is_ours, IsOurs());
      if (!is_ours) {
        return Status(Code::kUnavailable, "could not complete object \"" + name_ + "\" in " +
                                              client_->Describe() + ": " + error.code)
            .WithDetail(error.message);
      }
    }
    upload_id_.clear();
    PITR_RETURN_IF_ERROR(LockUploaded());
    return client_->has_conditions() ? Status::Ok() : CheckOurs();
  }

  // Ceph 16 forgets the lock that an upload was begun with; where it was kept this changes nothing.
  Status LockUploaded() {
    if (!IsLocked(client_->address(), name_)) {
      return Status::Ok();
    }
    const std::string body = RetentionBody(client_->address(), SystemClock().Now());
    S3Request request;
    request.method = "PUT";
    request.name = name_;
    request.query = {{"retention", ""}};
    request.headers = {{"content-type", "application/xml"}};
    request.body = AsBytes(body);
    AddChecksum(&request);
    return client_->Perform(request).status();
  }

  void Abort() {
    if (upload_id_.empty()) return;
    S3Request request;
    request.method = "DELETE";
    request.name = name_;
    request.query = {{"uploadId", upload_id_}};
    request.accepted = {404};
    // One that stays is invisible and collected later.
    (void)client_->Perform(request).ok();
    upload_id_.clear();
  }

  S3Client* client_;
  std::string name_;
  std::string nonce_, upload_id_;
  std::vector<std::string> etags_;
  std::function<void()> meanwhile_;
  Bytes buffer_;
  bool is_committed_ = false;
};

}  // namespace

Result<bool> S3KeepsWritersApart(S3Client* client, const std::string& name) {
  S3Writer first(client, name), second(client, name);
  Status written(Code::kInternal, "the second of two requests was not made");
  first.set_meanwhile([&] { written = second.Commit(); });
  int winners = 0;
  for (S3Writer* writer : {&first, &second}) {
    PITR_RETURN_IF_ERROR(writer->Append(AsBytes("probe")));
  }
  const Status sent = first.Commit();
  for (const Status& status : {sent, written}) {
    if (!status.ok() && status.code() != Code::kAlreadyExists) {
      return status;
    }
    winners += status.ok() ? 1 : 0;
  }
  return winners == 1;
}

std::unique_ptr<ObjectWriter> MakeS3Writer(S3Client* client, const std::string& name) {
  return std::make_unique<S3Writer>(client, name);
}

}  // namespace pitr

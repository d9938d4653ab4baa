#include "core/store/s3_store.h"

#include <algorithm>
#include <charconv>

#include "core/store/local_names.h"
#include "core/store/s3_writer.h"
#include "core/store/s3_xml.h"

namespace pitr {

namespace {

constexpr std::uint64_t kMaxObject = 5ULL << 40;  // of S3
constexpr std::uint64_t kMaxListing = 16U << 20;
constexpr std::size_t kPageSize = 1000;

Result<std::uint64_t> ContentLength(const HttpResponse& response, const std::string& name) {
  const std::string text = response.Header("content-length");
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Status(Code::kIo, "the server did not say how large object \"" + name + "\" is");
  }
  return size;
}

S3Request ListingRequest(std::vector<std::pair<std::string, std::string>> query) {
  S3Request request;
  request.method = "GET";
  request.is_bucket = true;
  request.max_response = kMaxListing;
  request.query = std::move(query);
  return request;
}

}  // namespace

Result<std::unique_ptr<S3Store>> S3Store::Open(const S3Address& address) {
  PITR_ASSIGN_OR_RETURN(std::unique_ptr<S3Client> client, S3Client::Create(address));
  return std::make_unique<S3Store>(std::move(client));
}

Status S3Store::Put(const std::string& name, ByteView bytes) {
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<ObjectWriter> writer, Create(name));
  PITR_RETURN_IF_ERROR(writer->Append(bytes));
  return writer->Commit();
}

Result<std::unique_ptr<ObjectWriter>> S3Store::Create(const std::string& name) {
  PITR_RETURN_IF_ERROR(local::CheckObjectName(name));
  return MakeS3Writer(client_.get(), name);
}

Result<bool> S3Store::KeepsWritersApart(const std::string& name) {
  PITR_RETURN_IF_ERROR(local::CheckObjectName(name));
  if (client_->address().http.connections > 1) {
    return S3KeepsWritersApart(client_.get(), name);
  }
  S3Address address = client_->address();
  address.http.connections = 2;  // at the same moment, indeed
  PITR_ASSIGN_OR_RETURN(const std::unique_ptr<S3Client> client, S3Client::Create(address));
  return S3KeepsWritersApart(client.get(), name);
}

Result<Bytes> S3Store::GetPart(const std::string& name, const std::string& range,
                               std::uint64_t max_response) {
  S3Request request;
  request.method = "GET";
  request.name = name;
  request.max_response = max_response;
  if (!range.empty()) {
    request.headers = {{"range", range}};
    request.accepted = {416};  // nothing of the object lies there
  }
  PITR_ASSIGN_OR_RETURN(S3Answer answer, client_->Perform(request));
  if (answer.response.status == 416) {
    return Bytes();
  }
  if (!range.empty() && answer.response.status != 206) {
    return Status(Code::kUnsupported, client_->Describe() + " does not answer ranged reads");
  }
  return std::move(answer.response.body);
}

Result<Bytes> S3Store::Get(const std::string& name, std::uint64_t max_size) {
  PITR_RETURN_IF_ERROR(local::CheckObjectName(name));
  return GetPart(name, "", max_size);
}

Result<Bytes> S3Store::GetRange(const std::string& name, std::uint64_t offset, std::uint64_t size) {
  PITR_RETURN_IF_ERROR(local::CheckObjectName(name));
  if (size == 0 || offset >= kMaxObject) {
    PITR_RETURN_IF_ERROR(Stat(name).status());
    return Bytes();
  }
  const std::uint64_t length = std::min(size, kMaxObject - offset);
  return GetPart(
      name, "bytes=" + std::to_string(offset) + "-" + std::to_string(offset + length - 1), length);
}

Result<Bytes> S3Store::GetSuffix(const std::string& name, std::uint64_t size) {
  PITR_RETURN_IF_ERROR(local::CheckObjectName(name));
  if (size == 0) {
    PITR_RETURN_IF_ERROR(Stat(name).status());
    return Bytes();
  }
  const std::uint64_t length = std::min(size, kMaxObject);
  return GetPart(name, "bytes=-" + std::to_string(length), length);
}

Result<HttpResponse> S3Store::Head(const std::string& name) {
  S3Request request;
  request.method = "HEAD";
  request.name = name;
  request.accepted = {404};
  PITR_ASSIGN_OR_RETURN(S3Answer answer, client_->Perform(request));
  if (answer.response.status != 404) {
    return std::move(answer.response);
  }
  // A HEAD has no body: the bucket may be absent as well, and "not found" must be said of the object alone.
  S3Request look;
  look.method = "GET";
  look.name = name;
  look.headers = {{"range", "bytes=0-0"}};
  look.accepted = {416};
  PITR_RETURN_IF_ERROR(client_->Perform(look).status());
  request.accepted = {};
  PITR_ASSIGN_OR_RETURN(answer, client_->Perform(request));  // it came in between
  return std::move(answer.response);
}

Result<ObjectStat> S3Store::Stat(const std::string& name) {
  PITR_RETURN_IF_ERROR(local::CheckObjectName(name));
  PITR_ASSIGN_OR_RETURN(const HttpResponse response, Head(name));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t size, ContentLength(response, name));
  return ObjectStat{name, size};
}

// One page of keys below `prefix`, from the token of the page before on.
Result<S3Listing> S3Store::ListPage(const std::string& prefix, const std::string& token,
                                    const std::pair<std::string, std::string>& narrowing,
                                    std::size_t size) {
  S3Request request = ListingRequest({{"list-type", "2"},
                                      {"encoding-type", "url"},
                                      {"prefix", prefix},
                                      {"max-keys", std::to_string(size)}});
  if (!narrowing.second.empty()) {
    request.query.push_back(narrowing);
  }
  if (!token.empty()) {
    request.query.emplace_back("continuation-token", token);
  }
  PITR_ASSIGN_OR_RETURN(const S3Answer answer, client_->Perform(request));
  return ParseS3Listing(AsText(answer.response.body));
}

Result<std::vector<ObjectStat>> S3Store::List(const std::string& prefix, const std::string& after,
                                              std::size_t limit) {
  PITR_RETURN_IF_ERROR(local::CheckPrefix(prefix));
  const std::string& root = client_->address().prefix;
  std::vector<ObjectStat> found;
  std::string token;
  do {
    const std::string begin = after.empty() || !token.empty() ? "" : root + after;
    const std::size_t page = limit == 0 ? kPageSize : std::min(kPageSize, limit - found.size());
    PITR_ASSIGN_OR_RETURN(const S3Listing listing,
                          ListPage(root + prefix, token, {"start-after", begin}, page));
    for (const ObjectStat& object : listing.objects) {
      std::string name = object.name.starts_with(root) ? object.name.substr(root.size()) : "";
      // Other programs' keys, such as the empty objects that stand for folders.
      if (local::CheckObjectName(name).ok() && (limit == 0 || found.size() < limit)) {
        found.push_back({std::move(name), object.size});
      }
    }
    token = listing.next_token;
  } while (!token.empty() && (limit == 0 || found.size() < limit));
  return found;
}

Result<std::vector<std::string>> S3Store::ListParts(const std::string& prefix) {
  PITR_RETURN_IF_ERROR(local::CheckPrefix(prefix));
  const std::string whole = client_->address().prefix + prefix;
  std::vector<std::string> parts;
  std::string token;
  do {
    PITR_ASSIGN_OR_RETURN(const S3Listing listing,
                          ListPage(whole, token, {"delimiter", "/"}, kPageSize));
    const auto add = [&](const std::string& key, bool is_folder) {
      if (!key.starts_with(whole)) return;
      const std::string part = key.substr(whole.size());
      const std::string bare = is_folder ? part.substr(0, part.size() - 1) : part;
      if (local::CheckObjectName(bare).ok()) parts.push_back(part);
    };
    for (const ObjectStat& object : listing.objects) {
      add(object.name, false);
    }
    for (const std::string& folder : listing.prefixes) {
      add(folder, true);
    }
    token = listing.next_token;
  } while (!token.empty());
  std::sort(parts.begin(), parts.end());
  return parts;
}

Status S3Store::Remove(const std::string& name) {
  PITR_RETURN_IF_ERROR(local::CheckObjectName(name));
  S3Request request;
  request.method = "DELETE";
  request.name = name;
  Result<S3Answer> answer = client_->Perform(request);
  return answer.ok() || answer.status().code() == Code::kNotFound ? Status::Ok() : answer.status();
}

Status S3Store::CollectAbandoned(std::int64_t age_seconds) {
  const std::string& root = client_->address().prefix;
  const std::int64_t oldest = SystemClock().Now().micros - age_seconds * 1000000;
  S3Uploads page;
  do {
    S3Request request = ListingRequest({{"uploads", ""}, {"prefix", root}});
    if (!page.next_key_marker.empty()) {
      request.query.emplace_back("key-marker", page.next_key_marker);
      request.query.emplace_back("upload-id-marker", page.next_upload_id_marker);
    }
    PITR_ASSIGN_OR_RETURN(const S3Answer answer, client_->Perform(request));
    PITR_ASSIGN_OR_RETURN(page, ParseS3Uploads(AsText(answer.response.body)));
    for (const S3Upload& upload : page.uploads) {
      const Result<Timestamp> began = ParseRfc3339(upload.initiated);
      if (!upload.key.starts_with(root) || !began.ok() || began->micros > oldest) {
        continue;
      }
      S3Request abort;
      abort.method = "DELETE";
      abort.name = upload.key.substr(root.size());
      abort.query = {{"uploadId", upload.upload_id}};
      abort.accepted = {404};
      PITR_RETURN_IF_ERROR(client_->Perform(abort).status());
    }
  } while (!page.next_key_marker.empty());
  return Status::Ok();
}

}  // namespace pitr

// Every answer of S3 and STS, by each of its readers: a listing that is accepted is written again and must read the same, and
// what is printed of an error is printable.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/store/s3_xml.h"

namespace {

void Check(bool is_true) {
  if (!is_true) {
    std::abort();
  }
}

std::string Element(const std::string& name, const std::string& text) {
  return "<" + name + ">" + text + "</" + name + ">";
}

// Encoded, so that any byte of a key comes through.
std::string Compose(const pitr::S3Listing& listing) {
  std::string inner = Element("EncodingType", "url") +
                      Element("IsTruncated", listing.next_token.empty() ? "false" : "true");
  for (const pitr::ObjectStat& object : listing.objects) {
    inner += Element("Contents", Element("Key", pitr::UriEncode(object.name, true)) +
                                     Element("Size", std::to_string(object.size)));
  }
  for (const std::string& prefix : listing.prefixes) {
    inner += Element("CommonPrefixes", Element("Prefix", pitr::UriEncode(prefix, true)));
  }
  return Element("ListBucketResult",
                 inner + Element("NextContinuationToken", listing.next_token.empty() ? "" : "t"));
}

void CheckListing(std::string_view body) {
  const auto listing = pitr::ParseS3Listing(body);
  if (!listing.ok()) {
    Check(listing.status().code() == pitr::Code::kCorrupt);
    return;
  }
  const auto again = pitr::ParseS3Listing(Compose(*listing));
  Check(again.ok() && again->objects.size() == listing->objects.size() &&
        again->prefixes == listing->prefixes &&
        again->next_token.empty() == listing->next_token.empty());
  for (std::size_t i = 0; i < again->objects.size(); i++) {
    Check(again->objects[i].name == listing->objects[i].name &&
          again->objects[i].size == listing->objects[i].size && !again->objects[i].name.empty());
  }
}

bool IsPrintable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  CheckListing(body);
  const auto uploads = pitr::ParseS3Uploads(body);
  Check(uploads.ok() || uploads.status().code() == pitr::Code::kCorrupt);
  const auto id = pitr::ParseUploadId(body);
  Check(id.ok() ? !id->empty() : id.status().code() == pitr::Code::kCorrupt);
  const auto keys = pitr::ParseStsCredentials(body);
  Check(keys.ok() ? keys->expires_at.has_value() : keys.status().code() == pitr::Code::kCorrupt);
  const pitr::S3Error error = pitr::ParseS3Error(body);
  Check(IsPrintable(error.code) && IsPrintable(error.message) && error.message.size() <= 300);
  return 0;
}

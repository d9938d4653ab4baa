// Addresses and credentials files as people write them: what is accepted keeps to its form, so that no header, host or path can be
// made of it that was not meant.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/store/s3_address.h"
#include "core/store/s3_credential_sources.h"

namespace {

void Check(bool is_true) {
  if (!is_true) {
    std::abort();
  }
}

bool IsGraphic(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

void CheckAddress(const std::string& text) {
  const auto address = pitr::ParseS3Address(text);
  if (!address.ok()) {
    Check(address.status().code() == pitr::Code::kInvalidArgument &&
          !address.status().hint().empty());
    return;
  }
  Check(address->prefix.empty() || address->prefix.ends_with('/'));
  Check(IsGraphic(address->bucket) && IsGraphic(address->region) &&
        IsGraphic(address->storage_class) && IsGraphic(address->kms_key_id));
  Check(pitr::NormalEndpoint(address->endpoint) == address->endpoint);
  Check(address->http.connections >= 1 && address->http.connections <= 64);
  // A default never changes what is there.
  const auto again =
      pitr::ParseS3Address(pitr::AddS3Defaults(text, {{"endpoint", "https://default.example"},
                                                      {"prefix", ""},
                                                      {"connections", "64"},
                                                      {"ca_file", "/a b&c,d"}}));
  Check(again.ok() && again->bucket == address->bucket && again->prefix == address->prefix &&
        again->region == address->region);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  CheckAddress(text);
  const auto keys = pitr::ParseCredentialsFile(text, "file");
  Check(keys.ok() ? !keys->access_key_id.empty() && IsGraphic(keys->access_key_id) &&
                        !keys->secret_access_key.empty() && IsGraphic(keys->secret_access_key) &&
                        IsGraphic(keys->session_token)
                  : keys.status().code() == pitr::Code::kInvalidArgument);
  const auto decoded = pitr::UriDecode(text);
  Check(pitr::UriDecode(pitr::UriEncode(text, true)) == text);
  Check(!decoded || decoded->size() <= text.size());
  return 0;
}

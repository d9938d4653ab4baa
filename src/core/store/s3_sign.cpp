// AWS Signature Version 4, header form. Path and query are made canonical once and sent as exactly these bytes, so that there is
// no second encoder (libcurl's, a proxy's) to disagree with what was signed.
#include "core/store/s3_sign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "core/base/ascii.h"
#include "core/base/hash.h"

namespace pitr {

namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kTerminator = "aws4_request";

using Digest = std::array<std::uint8_t, 32>;

// libcrypto's one call fails only without memory. The key is then zeros and the server answers that the signature is
// wrong: nothing is let in by that, so a Status for it would be of no use to the caller.
Digest HmacSha256(ByteView key, std::string_view text) {
  Digest digest = {};
  const ByteView bytes = AsBytes(text);
  unsigned size = 0;
  if (::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes.data(), bytes.size(),
             digest.data(), &size) == nullptr) {
    digest.fill(0);
  }
  return digest;
}

// Without blanks at the ends, and each run of blanks inside as one.
std::string Folded(std::string_view value) {
  std::string folded;
  bool has_blank = false;
  for (const char c : value) {
    if (c == ' ' || c == '\t') {
      has_blank = !folded.empty();
      continue;
    }
    if (has_blank) {
      folded.push_back(' ');
      has_blank = false;
    }
    folded.push_back(c);
  }
  return folded;
}

// 20130524T000000Z
std::string BasicTime(Timestamp now) {
  std::string text = FormatTime(now, 0);
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

struct CanonicalHeaders {
  std::string lines;  // "name:value\n" of each
  std::string names;  // joined by ";"
};

// Sorted by the name alone: "x-amz-meta-a" comes before "x-amz-meta-a-b", which sorting whole lines would turn round,
// as ":" is greater than "-". A name that is there twice is one line with both values.
CanonicalHeaders Canonical(const HttpHeaders& headers, const std::string& host) {
  HttpHeaders sorted = {{"host", Folded(host)}};
  for (const auto& [name, value] : headers) {
    sorted.emplace_back(ToLowerAscii(name), Folded(value));
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  CanonicalHeaders canonical;
  for (std::size_t i = 0; i < sorted.size(); i++) {
    if (i > 0 && sorted[i].first == sorted[i - 1].first) {
      canonical.lines.back() = ',';
    } else {
      canonical.lines.append(sorted[i].first).append(":");
      canonical.names.append(i > 0 ? ";" : "").append(sorted[i].first);
    }
    canonical.lines.append(sorted[i].second).append("\n");
  }
  return canonical;
}

// The key of one day, region and service.
Digest SigningKey(const std::string& secret, std::string_view date, const std::string& region) {
  Digest key = HmacSha256(AsBytes("AWS4" + secret), date);
  key = HmacSha256(key, region);
  key = HmacSha256(key, "s3");
  return HmacSha256(key, kTerminator);
}

bool IsUnreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

// -1 for what is no digit.
int HexValue(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool IsOurs(const std::string& name) {
  return name == "x-amz-date" || name == "x-amz-content-sha256" || name == "x-amz-security-token" ||
         name == "authorization" || name == "host";
}

}  // namespace

std::string UriEncode(std::string_view text, bool encode_slash) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (IsUnreserved(c) || (c == '/' && !encode_slash)) {
      encoded.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded.append({'%', kDigits[byte >> 4], kDigits[byte & 0xF]});
    }
  }
  return encoded;
}

std::optional<std::string> UriDecode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); i++) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
    const int low = high >= 0 ? HexValue(text[i + 2]) : -1;
    if (low < 0) {
      return std::nullopt;
    }
    decoded.push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  return decoded;
}

std::string CanonicalQuery(std::vector<std::pair<std::string, std::string>> query) {
  for (auto& [name, value] : query) {
    name = UriEncode(name, true);
    value = UriEncode(value, true);
  }
  // After encoding: "%" is less than any letter, so the order is another one than before.
  std::sort(query.begin(), query.end());
  std::string text;
  for (const auto& [name, value] : query) {
    text.append(text.empty() ? "" : "&").append(name).append("=").append(value);
  }
  return text;
}

std::string Sha256Hex(ByteView bytes) { return ToHex(Sha256(bytes)); }

HttpHeaders SignS3(const S3RequestToSign& request, const S3Credentials& credentials,
                   const std::string& region, Timestamp now) {
  HttpHeaders headers = request.headers;
  std::erase_if(headers, [](const auto& header) { return IsOurs(ToLowerAscii(header.first)); });
  const std::string time = BasicTime(now);
  headers.emplace_back("x-amz-date", time);
  headers.emplace_back("x-amz-content-sha256", request.payload_hash);
  if (!credentials.session_token.empty()) {
    headers.emplace_back("x-amz-security-token", credentials.session_token);
  }

  const CanonicalHeaders canonical = Canonical(headers, request.host);
  const std::string canonical_request = request.method + "\n" + request.path + "\n" +
                                        CanonicalQuery(request.query) + "\n" + canonical.lines +
                                        "\n" + canonical.names + "\n" + request.payload_hash;

  const std::string_view date = std::string_view(time).substr(0, time.find('T'));
  const std::string scope =
      std::string(date).append("/").append(region).append("/s3/").append(kTerminator);
  const std::string to_sign = std::string(kAlgorithm) + "\n" + time + "\n" + scope + "\n" +
                              Sha256Hex(AsBytes(canonical_request));
  const Digest signature =
      HmacSha256(SigningKey(credentials.secret_access_key, date, region), to_sign);

  headers.emplace_back("Authorization", std::string(kAlgorithm) +
                                            " Credential=" + credentials.access_key_id + "/" +
                                            scope + ",SignedHeaders=" + canonical.names +
                                            ",Signature=" + ToHex(signature));
  return headers;
}

}  // namespace pitr

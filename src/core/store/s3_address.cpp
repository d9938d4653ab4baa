// The text of an S3 repository's address. No message repeats a value: addresses with keys in them are written by mistake, and
// messages end in logs.
#include "core/store/s3_address.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/base/ascii.h"
#include "core/store/s3_sign.h"

namespace pitr {

namespace {

constexpr std::string_view kScheme = "s3://";
// S3 allows 1024 bytes for a key; our own names below the prefix are shorter than 512.
constexpr std::size_t kMaxPrefixSize = 512;
constexpr std::int64_t kMaxMillis = 86400000;  // a day
constexpr std::int64_t kMaxConnections = 64;
constexpr std::int64_t kMaxLockDays = 36500;  // of S3
constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view kDigits = "0123456789";

Status Wrong(std::string_view part, std::string_view hint) {
  return Status(Code::kInvalidArgument, "the " + std::string(part) + " is not valid")
      .WithHint(std::string(hint));
}

Status WrongParameter(std::string_view name, std::string_view hint) {
  return Wrong("value of \"" + std::string(name) + "\"", hint);
}

Status HasSecret(std::string_view part) {
  return Status(Code::kInvalidArgument,
                "the " + std::string(part) + " contains a user name, a password or a stray \"@\"")
      .WithHint(
          "Keys belong in a file of mode 0600, named by pitr.s3_credentials_file; what was written "
          "here may have been seen by others already.");
}

bool HasBlankOrControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return (c >= 0 && c <= ' ') || c == '\x7f'; });
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; });
}

// The text before `separator`, which is taken off with it; all of it when there is none.
std::string_view TakeUntil(std::string_view* rest, char separator) {
  const std::size_t at = rest->find(separator);
  const std::string_view taken = rest->substr(0, at);
  rest->remove_prefix(at == std::string_view::npos ? rest->size() : at + 1);
  return taken;
}

Result<std::string> ParseEndpoint(const std::string& text) {
  if (text.find('@') != std::string::npos) {
    return HasSecret("value of \"endpoint\"");
  }
  const std::optional<std::string> endpoint = NormalEndpoint(text);
  if (!endpoint) {
    return WrongParameter("endpoint", "An endpoint looks like https://host or http://host:port.");
  }
  return *endpoint;
}

Status ParseBucket(std::string_view text, S3Address* out) {
  if (text.find_first_of("@:") != std::string_view::npos) {
    return HasSecret("bucket name");
  }
  const bool is_valid =
      text.size() >= 3 && text.size() <= 63 && IsMadeOf(text, {kLower, kDigits, ".-"}) &&
      IsMadeOf(text.substr(0, 1), {kLower, kDigits}) &&
      IsMadeOf(text.substr(text.size() - 1), {kLower, kDigits}) &&
      text.find("..") == std::string_view::npos && !IsMadeOf(text, {kDigits, "."});
  if (!is_valid) {
    return Wrong("bucket name",
                 "An address looks like s3://bucket/prefix; a bucket name has 3 to 63 lower-case "
                 "letters, digits, dots and hyphens.");
  }
  out->bucket = text;
  return Status::Ok();
}

Status ParsePrefix(std::string_view text, S3Address* out) {
  constexpr std::string_view kHint =
      "A prefix looks like a/b: at most 512 bytes, no empty part, no \".\" or \"..\", other "
      "characters than letters and digits as %XX.";
  // "s3://key:sec/ret@bucket": a secret key may have a slash.
  if (text.find('@') != std::string_view::npos) {
    return HasSecret("prefix");
  }
  const std::optional<std::string> decoded = UriDecode(text);
  if (!decoded || HasControl(*decoded)) {
    return Wrong("prefix", kHint);
  }
  out->prefix = *decoded;
  if (!out->prefix.empty() && !out->prefix.ends_with('/')) {
    out->prefix.push_back('/');
  }
  bool is_valid = out->prefix.size() <= kMaxPrefixSize;
  for (std::string_view rest = out->prefix; !rest.empty();) {
    const std::string_view part = TakeUntil(&rest, '/');
    is_valid = is_valid && !part.empty() && part != "." && part != "..";
  }
  return is_valid ? Status::Ok() : Wrong("prefix", kHint);
}

Status ParseNumber(std::string_view name, const std::string& value, std::int64_t min,
                   std::int64_t max, std::int64_t* out) {
  const char* const end = value.data() + value.size();
  const std::from_chars_result result = std::from_chars(value.data(), end, *out);
  if (result.ec != std::errc() || result.ptr != end || *out < min || *out > max) {
    return WrongParameter(name, "It is a whole number from " + std::to_string(min) + " to " +
                                    std::to_string(max) + ", without a unit.");
  }
  return Status::Ok();
}

template <typename T>
struct Choice {
  std::string_view text;
  T value;
};

template <typename T>
Status ParseChoice(std::string_view name, const std::string& value,
                   std::initializer_list<Choice<T>> choices, T* out) {
  std::string hint = "It is one of:";
  for (const Choice<T>& choice : choices) {
    if (choice.text == value) {
      *out = choice.value;
      return Status::Ok();
    }
    hint.append(" ").append(choice.text);
  }
  return WrongParameter(name, hint + ".");
}

Status ParsePath(std::string_view name, const std::string& value, std::string* out) {
  if (!value.starts_with('/') || HasControl(value)) {
    return WrongParameter(name, "It is the absolute path of a file.");
  }
  *out = value;
  return Status::Ok();
}

Status ParseProxy(const std::string& value, std::string* out) {
  if (value.find('@') != std::string::npos) {
    return HasSecret("value of \"proxy\"");
  }
  if (HasBlankOrControl(value)) {
    return WrongParameter("proxy", "A proxy looks like http://host:port.");
  }
  *out = value;
  return Status::Ok();
}

Status ParseWord(std::string_view name, const std::string& value, std::string_view punctuation,
                 std::size_t max_size, std::string* out) {
  if (value.size() > max_size || !IsMadeOf(value, {kLower, kUpper, kDigits, punctuation})) {
    return WrongParameter(name, "It has at most " + std::to_string(max_size) +
                                    " letters, digits and characters of \"" +
                                    std::string(punctuation) + "\".");
  }
  *out = value;
  return Status::Ok();
}

constexpr std::array<std::string_view, 19> kParameters = {
    "endpoint",          "region",          "url_style",        "credentials",
    "ca_file",           "proxy",           "storage_class",    "server_side_encryption",
    "kms_key_id",        "connections",     "connect_timeout",  "idle_timeout",
    "retry_time",        "request_timeout", "credentials_file", "mode",
    "customer_key_file", "object_lock",     "object_lock_days"};

Status CheckName(std::string_view name) {
  if (std::find(kParameters.begin(), kParameters.end(), name) != kParameters.end()) {
    return Status::Ok();
  }
  // A name that is none may be the second half of a secret that holds "&".
  const bool is_name = !name.empty() && name.size() <= 30 && IsMadeOf(name, {kLower, "_"});
  std::string hint = "Parameters are";
  for (const std::string_view parameter : kParameters) {
    hint.append(" ").append(parameter);
  }
  return Status(Code::kInvalidArgument,
                is_name ? "there is no parameter \"" + std::string(name) + "\" of an S3 address"
                        : "a parameter of the address has no valid name")
      .WithHint(hint + "; keys are none of them.");
}

// Null unless the parameter is a number of milliseconds.
std::int64_t* MillisOf(std::string_view name, S3Address* out) {
  if (name == "connect_timeout") {
    return &out->http.connect_timeout_ms;
  }
  if (name == "idle_timeout") {
    return &out->http.idle_timeout_ms;
  }
  if (name == "request_timeout") {
    return &out->http.request_timeout_ms;
  }
  return name == "retry_time" ? &out->retry_time_ms : nullptr;
}

Status SetChoice(std::string_view name, const std::string& value, S3Address* out) {
  if (name == "url_style") {
    return ParseChoice<S3UrlStyle>(name, value,
                                   {{"auto", S3UrlStyle::kAuto},
                                    {"path", S3UrlStyle::kPath},
                                    {"virtual", S3UrlStyle::kVirtual}},
                                   &out->url_style);
  }
  if (name == "credentials") {
    return ParseChoice<S3CredentialSource>(name, value,
                                           {{"auto", S3CredentialSource::kAuto},
                                            {"file", S3CredentialSource::kFile},
                                            {"environment", S3CredentialSource::kEnvironment},
                                            {"instance", S3CredentialSource::kInstance},
                                            {"web_identity", S3CredentialSource::kWebIdentity}},
                                           &out->credentials);
  }
  if (name == "server_side_encryption") {
    return ParseChoice<S3Encryption>(name, value,
                                     {{"none", S3Encryption::kNone},
                                      {"aes256", S3Encryption::kAes256},
                                      {"kms", S3Encryption::kKms},
                                      {"customer", S3Encryption::kCustomer}},
                                     &out->encryption);
  }
  if (name == "object_lock") {
    return ParseChoice<S3ObjectLock>(name, value,
                                     {{"none", S3ObjectLock::kNone},
                                      {"governance", S3ObjectLock::kGovernance},
                                      {"compliance", S3ObjectLock::kCompliance}},
                                     &out->object_lock);
  }
  bool is_required = true;  // "mode" is for whoever opens several repositories
  return ParseChoice<bool>(name, value, {{"required", true}, {"best_effort", false}}, &is_required);
}

// REQUIRES: CheckName(name) is OK.
Status SetParameter(std::string_view name, const std::string& value, S3Address* out) {
  if (name == "endpoint") {
    PITR_ASSIGN_OR_RETURN(out->endpoint, ParseEndpoint(value));
    return Status::Ok();
  }
  if (name == "region") {
    return ParseWord(name, value, "-_", 63, &out->region);
  }
  if (name == "storage_class") {
    return ParseWord(name, value, "-_", 64, &out->storage_class);
  }
  if (name == "kms_key_id") {
    return ParseWord(name, value, ":/-_.", 2048, &out->kms_key_id);
  }
  if (name == "credentials_file") {
    return ParsePath(name, value, &out->credentials_file);
  }
  if (name == "customer_key_file") {
    return ParsePath(name, value, &out->customer_key_file);
  }
  if (name == "ca_file") {
    return ParsePath(name, value, &out->http.ca_file);
  }
  if (name == "proxy") {
    return ParseProxy(value, &out->http.proxy);
  }
  if (name == "connections") {
    std::int64_t number = 0;
    PITR_RETURN_IF_ERROR(ParseNumber(name, value, 1, kMaxConnections, &number));
    out->http.connections = static_cast<int>(number);
    return Status::Ok();
  }
  if (name == "object_lock_days") {
    std::int64_t days = 0;
    PITR_RETURN_IF_ERROR(ParseNumber(name, value, 0, kMaxLockDays, &days));
    out->object_lock_days = static_cast<int>(days);
    return Status::Ok();
  }
  if (std::int64_t* const millis = MillisOf(name, out)) {
    return ParseNumber(name, value, name == "retry_time" ? 0 : 1, kMaxMillis, millis);
  }
  return SetChoice(name, value, out);
}

// What can be wrong with several parameters together.
Status CheckTogether(const S3Address& address, bool has_encryption) {
  if (address.credentials == S3CredentialSource::kFile && address.credentials_file.empty()) {
    return WrongParameter("credentials", "Name the file in \"credentials_file\".");
  }
  // Somebody who names a key believes that it is used. With an encryption given it may be a default that is not wanted here.
  if (!address.kms_key_id.empty() && !has_encryption) {
    return Status(Code::kInvalidArgument, "\"kms_key_id\" without \"server_side_encryption\"")
        .WithHint("Add server_side_encryption=kms.");
  }
  if (!address.customer_key_file.empty() && !has_encryption) {
    return Status(Code::kInvalidArgument,
                  "\"customer_key_file\" without \"server_side_encryption\"")
        .WithHint("Add server_side_encryption=customer.");
  }
  if (address.encryption == S3Encryption::kCustomer && address.customer_key_file.empty()) {
    return WrongParameter("server_side_encryption", "Name the file in \"customer_key_file\".");
  }
  if (address.object_lock != S3ObjectLock::kNone && address.object_lock_days == 0) {
    return WrongParameter("object_lock", "Say for how long in \"object_lock_days\".");
  }
  return Status::Ok();
}

Status ParseParameters(std::string_view query, S3Address* out) {
  std::vector<std::string_view> seen;
  bool has_encryption = false;
  while (!query.empty()) {
    std::string_view parameter = TakeUntil(&query, '&');
    if (parameter.empty()) {
      continue;  // "a=1&&b=2", or one left at the end
    }
    const bool has_value = parameter.find('=') != std::string_view::npos;
    const std::string_view name = TakeUntil(&parameter, '=');
    PITR_RETURN_IF_ERROR(CheckName(name));
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return Status(Code::kInvalidArgument,
                    "parameter \"" + std::string(name) + "\" is given twice in the address")
          .WithHint("Leave one of them out.");
    }
    seen.push_back(name);
    const std::optional<std::string> value = UriDecode(parameter);
    if (!has_value || !value) {
      return WrongParameter(name, "Write name=value, characters like \"&\" and \"%\" as %XX.");
    }
    if (!value->empty()) {
      PITR_RETURN_IF_ERROR(SetParameter(name, *value, out));
      has_encryption = has_encryption || name == "server_side_encryption";
    }
  }
  return CheckTogether(*out, has_encryption);
}

bool HasParameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    std::string_view parameter = TakeUntil(&query, '&');
    if (TakeUntil(&parameter, '=') == name) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<S3Address> ParseS3Address(const std::string& text) {
  if (!text.starts_with(kScheme)) {
    return Wrong("S3 address", "It begins with \"s3://\".");
  }
  std::string_view query = std::string_view(text).substr(kScheme.size());
  if (HasBlankOrControl(query) || query.find('#') != std::string_view::npos) {
    return Wrong("S3 address",
                 "Blanks, control characters and \"#\" are written as %XX in an address.");
  }
  std::string_view path = TakeUntil(&query, '?');
  S3Address address;
  PITR_RETURN_IF_ERROR(ParseBucket(TakeUntil(&path, '/'), &address));
  PITR_RETURN_IF_ERROR(ParsePrefix(path, &address));
  PITR_RETURN_IF_ERROR(ParseParameters(query, &address));
  if (address.endpoint.empty()) {
    address.endpoint =
        "https://s3." + address.region + "." + std::string(AmazonDomain(address.region));
  }
  return address;
}

bool UsesPathStyle(const S3Address& address) {
  if (address.url_style != S3UrlStyle::kAuto) {
    return address.url_style == S3UrlStyle::kPath;
  }
  // A bucket name with dots is outside of the wildcard of the server's certificate.
  const bool is_amazon = address.endpoint.ends_with(".amazonaws.com") ||
                         address.endpoint.ends_with(".amazonaws.com.cn");
  return !is_amazon || address.bucket.find('.') != std::string::npos;
}

std::string_view AmazonDomain(const std::string& region) {
  return region.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

std::string AddS3Defaults(const std::string& address,
                          const std::vector<std::pair<std::string, std::string>>& defaults) {
  if (!address.starts_with(kScheme)) {
    return address;
  }
  std::string text = address;
  for (const auto& [name, value] : defaults) {
    const std::size_t question = text.find('?');
    const bool has_query = question != std::string::npos;
    if (value.empty() ||
        (has_query && HasParameter(std::string_view(text).substr(question + 1), name))) {
      continue;
    }
    if (!has_query) {
      text.push_back('?');
    } else if (!text.ends_with('?') && !text.ends_with('&')) {
      text.push_back('&');
    }
    text.append(name).append("=").append(UriEncode(value, true));
  }
  return text;
}

}  // namespace pitr

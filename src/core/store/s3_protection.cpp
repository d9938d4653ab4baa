#define OPENSSL_SUPPRESS_DEPRECATED  // see ContentMd5
#include "core/store/s3_protection.h"

#include <openssl/evp.h>
#include <openssl/md5.h>

#include <array>

#include "core/base/ascii.h"
#include "core/base/hash.h"
#include "core/base/secret_file.h"

namespace pitr {

namespace {

constexpr std::int64_t kDayMicros = 86400LL * 1000000;
constexpr std::size_t kKeySize = 32;
constexpr std::size_t kMaxKeyFile = 4096;

std::string Base64(ByteView bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // and the zero that OpenSSL adds
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

Result<Bytes> ReadCustomerKey(const std::string& path) {
  constexpr std::string_view kWhat = "customer key file";
  PITR_ASSIGN_OR_RETURN(const SecretFile file,
                        OpenSecretFile(path, kWhat, "It is named by pitr.s3_customer_key_file."));
  Bytes text(kMaxKeyFile);
  PITR_ASSIGN_OR_RETURN(const std::size_t size, ReadSecretFile(file, path, kWhat, text));
  Result<Bytes> key = FromHex(Trimmed(AsText(ByteView(text).first(size))));
  Wipe(text.data(), text.size());
  if (!key.ok() || key->size() != kKeySize) {
    return Status(Code::kInvalidArgument,
                  "the " + std::string(kWhat) + " \"" + path + "\" holds no key")
        .WithHint("A key is 64 hexadecimal digits; \"openssl rand -hex 32\" makes one.");
  }
  return key;
}

const char* LockMode(const S3Address& address) {
  return address.object_lock == S3ObjectLock::kCompliance ? "COMPLIANCE" : "GOVERNANCE";
}

std::string LockEnd(const S3Address& address, Timestamp now) {
  return FormatTime({now.micros + address.object_lock_days * kDayMicros}, 0);
}

}  // namespace

bool IsShortLived(std::string_view name) {
  return name.find("/tail/") != std::string_view::npos ||
         name.find("/lease/") != std::string_view::npos;
}

bool IsLocked(const S3Address& address, std::string_view name) {
  return address.object_lock != S3ObjectLock::kNone && !IsShortLived(name);
}

HttpHeaders ProtectionHeaders(const S3Address& address, std::string_view name, Timestamp now) {
  HttpHeaders headers;
  if (!address.storage_class.empty()) {
    headers.emplace_back("x-amz-storage-class", address.storage_class);
  }
  if (address.encryption == S3Encryption::kAes256 || address.encryption == S3Encryption::kKms) {
    headers.emplace_back("x-amz-server-side-encryption",
                         address.encryption == S3Encryption::kKms ? "aws:kms" : "AES256");
  }
  if (address.encryption == S3Encryption::kKms && !address.kms_key_id.empty()) {
    headers.emplace_back("x-amz-server-side-encryption-aws-kms-key-id", address.kms_key_id);
  }
  if (IsLocked(address, name)) {
    headers.emplace_back("x-amz-object-lock-mode", LockMode(address));
    headers.emplace_back("x-amz-object-lock-retain-until-date", LockEnd(address, now));
  }
  return headers;
}

std::string RetentionBody(const S3Address& address, Timestamp now) {
  return "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>" +
         std::string(LockMode(address)) + "</Mode><RetainUntilDate>" + LockEnd(address, now) +
         "</RetainUntilDate></Retention>";
}

// The old call on purpose, as in hash.cpp: it cannot fail.
std::string ContentMd5(ByteView body) {
  std::array<std::uint8_t, MD5_DIGEST_LENGTH> digest;
  MD5(body.data(), body.size(), digest.data());
  return Base64(digest);
}

Result<HttpHeaders> CustomerKeyHeaders(const S3Address& address) {
  if (address.encryption != S3Encryption::kCustomer) {
    return HttpHeaders();
  }
  PITR_ASSIGN_OR_RETURN(const Bytes key, ReadCustomerKey(address.customer_key_file));
  const std::string prefix = "x-amz-server-side-encryption-customer-";
  return HttpHeaders{{prefix + "algorithm", "AES256"},
                     {prefix + "key", Base64(key)},
                     {prefix + "key-md5", ContentMd5(key)}};
}

}  // namespace pitr

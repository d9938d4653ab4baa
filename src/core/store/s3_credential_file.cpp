// Keys from a file or the environment.
#include "core/store/s3_credential_sources.h"

#include <algorithm>
#include <cstdlib>

#include "core/base/ascii.h"
#include "core/base/hash.h"
#include "core/base/secret_file.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxFileSize = 65536;
constexpr std::size_t kMaxIdSize = 256;
constexpr std::size_t kMaxSecretSize = 1024;
constexpr std::size_t kMaxTokenSize = 16384;

constexpr std::string_view kWhat = "credentials file";
constexpr std::string_view kFileHint =
    "The file has a line [default] and below it aws_access_key_id = ... and "
    "aws_secret_access_key = ...";

// Never kNotFound or kIo: for the caller, who asks for an object, these would speak of the object or the store.
Status Unusable(std::string message, std::string hint) {
  return Status(Code::kInvalidArgument, std::move(message)).WithHint(std::move(hint));
}

class FileCredentials final : public S3CredentialProvider {
 public:
  explicit FileCredentials(std::string path) : path_(std::move(path)) {}

  Result<S3Credentials> Get() override {
    const std::lock_guard lock(mutex_);
    PITR_ASSIGN_OR_RETURN(
        const SecretFile file,
        OpenSecretFile(path_, kWhat,
                       "It is named by pitr.s3_credentials_file or in the repository's address."));
    if (!keys_ || file.state != state_) {
      keys_.reset();
      PITR_ASSIGN_OR_RETURN(keys_, Read(file));
      state_ = file.state;
    }
    return *keys_;
  }

  void Forget() override {
    const std::lock_guard lock(mutex_);
    keys_.reset();
  }

 private:
  Result<S3Credentials> Read(const SecretFile& file) const {
    Bytes text(kMaxFileSize);
    PITR_ASSIGN_OR_RETURN(const std::size_t size, ReadSecretFile(file, path_, kWhat, text));
    Result<S3Credentials> keys = ParseCredentialsFile(AsText(ByteView(text).first(size)), path_);
    Wipe(text.data(), text.size());
    return keys;
  }

  const std::string path_;
  std::mutex mutex_;
  SecretFileState state_;              // of the file that keys_ were read from
  std::optional<S3Credentials> keys_;  // guarded by mutex_, as state_ is
};

class EnvironmentCredentials final : public S3CredentialProvider {
 public:
  Result<S3Credentials> Get() override {
    S3Credentials keys;
    keys.access_key_id = EnvironmentText("AWS_ACCESS_KEY_ID");
    keys.secret_access_key = EnvironmentText("AWS_SECRET_ACCESS_KEY");
    keys.session_token = EnvironmentText("AWS_SESSION_TOKEN");
    PITR_RETURN_IF_ERROR(CheckCredentials(
        keys, "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN)"));
    return keys;
  }
  void Forget() override {}  // nothing is remembered
};

}  // namespace

Status CheckCredentials(const S3Credentials& credentials, std::string_view source) {
  const auto check = [&](std::string_view part, std::string_view value, std::size_t max_size) {
    if (IsVisibleAscii(value) && value.size() <= max_size) {
      return Status::Ok();
    }
    return Unusable("the " + std::string(part) + " of S3 from " + std::string(source) +
                        (value.empty() ? " is missing" : " has characters that no key has"),
                    value.empty() ? "Both an access key id and a secret access key are needed."
                                  : "Look for blanks, quotation marks and line ends.");
  };
  PITR_RETURN_IF_ERROR(check("access key id", credentials.access_key_id, kMaxIdSize));
  PITR_RETURN_IF_ERROR(check("secret access key", credentials.secret_access_key, kMaxSecretSize));
  return credentials.session_token.empty()
             ? Status::Ok()
             : check("session token", credentials.session_token, kMaxTokenSize);
}

Result<S3Credentials> ParseCredentialsFile(std::string_view text, const std::string& path) {
  S3Credentials keys;
  bool is_default = false, has_default = false;
  if (text.starts_with("\xef\xbb\xbf")) {
    text.remove_prefix(3);  // the mark some editors put before UTF-8
  }
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with('[')) {
      is_default = line.ends_with(']') && Trimmed(line.substr(1, line.size() - 2)) == "default";
      has_default = has_default || is_default;
      continue;
    }
    const std::size_t equals = line.find('=');
    if (!is_default || equals == std::string_view::npos || line.starts_with('#') ||
        line.starts_with(';')) {
      continue;
    }
    const std::string_view name = Trimmed(line.substr(0, equals));
    const std::string_view value = Trimmed(line.substr(equals + 1));
    if (name == "aws_access_key_id") {
      keys.access_key_id = value;
    } else if (name == "aws_secret_access_key") {
      keys.secret_access_key = value;
    } else if (name == "aws_session_token") {
      keys.session_token = value;
    }
  }
  if (!has_default) {
    return Unusable("credentials file \"" + path + "\" has no section \"default\"",
                    std::string(kFileHint));
  }
  PITR_RETURN_IF_ERROR(CheckCredentials(keys, "file \"" + path + "\""));
  return keys;
}

std::unique_ptr<S3CredentialProvider> MakeFileCredentials(const std::string& path) {
  return std::make_unique<FileCredentials>(path);
}

std::unique_ptr<S3CredentialProvider> MakeEnvironmentCredentials() {
  return std::make_unique<EnvironmentCredentials>();
}

std::string EnvironmentText(const char* name) {
  const char* const text = ::getenv(name);
  return text == nullptr ? "" : text;
}

}  // namespace pitr

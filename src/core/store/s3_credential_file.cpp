// Keys from a file or the environment. The file is judged by its open descriptor, so that what is read is what was looked at.
#include "core/store/s3_credential_sources.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "core/base/ascii.h"
#include "core/base/file.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxFileSize = 65536;
constexpr std::size_t kMaxIdSize = 256;
constexpr std::size_t kMaxSecretSize = 1024;
constexpr std::size_t kMaxTokenSize = 16384;

constexpr std::string_view kFileHint =
    "The file has a line [default] and below it aws_access_key_id = ... and "
    "aws_secret_access_key = ...";

// Never kNotFound or kIo: for the caller, who asks for an object, these would speak of the object or the store.
Status Unusable(std::string message, std::string hint) {
  return Status(Code::kInvalidArgument, std::move(message)).WithHint(std::move(hint));
}

// What must have changed for the file to be read again. The time of change is among it, so that a file put in place with an old
// time of modification is seen.
struct FileState {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t modified_sec = 0, modified_nsec = 0, changed_sec = 0, changed_nsec = 0;
  friend bool operator==(const FileState&, const FileState&) = default;
};

Result<FileState> CheckFile(const File& file, const std::string& path) {
  struct stat found = {};
  if (::fstat(file.fd(), &found) != 0) {
    return Unusable(Status::FromErrno(errno, "stat credentials file \"" + path + "\"").message(),
                    "Check the file and its disk.");
  }
  if (!S_ISREG(found.st_mode)) {
    return Unusable("credentials file \"" + path + "\" is no regular file", "Name a file.");
  }
  if (found.st_uid != ::geteuid()) {
    return Unusable("credentials file \"" + path + "\" belongs to user " +
                        std::to_string(found.st_uid) + ", not to user " +
                        std::to_string(::geteuid()) + " who reads it",
                    "Use chown; whoever owns the file can read and replace the keys.");
  }
  if ((found.st_mode & 077) != 0) {
    char mode[16];
    std::snprintf(mode, sizeof mode, "0%03o", static_cast<unsigned>(found.st_mode & 07777));
    return Unusable("credentials file \"" + path + "\" has mode " + mode +
                        ", which gives rights to group or others",
                    "Use chmod 0600; if somebody may have read the keys, replace them.");
  }
  return FileState{found.st_dev,         found.st_ino,          found.st_size,
                   found.st_mtim.tv_sec, found.st_mtim.tv_nsec, found.st_ctim.tv_sec,
                   found.st_ctim.tv_nsec};
}

class FileCredentials final : public S3CredentialProvider {
 public:
  explicit FileCredentials(std::string path) : path_(std::move(path)) {}

  Result<S3Credentials> Get() override {
    const std::lock_guard lock(mutex_);
    // O_NONBLOCK: a pipe of that name must not stop the caller.
    Result<File> file = File::Open(path_, O_RDONLY | O_NONBLOCK);
    if (!file.ok()) {
      return Unusable("credentials file: " + file.status().message(),
                      "It is named by pitr.s3_credentials_file or in the repository's address.");
    }
    PITR_ASSIGN_OR_RETURN(const FileState state, CheckFile(*file, path_));
    if (!keys_ || state != state_) {
      keys_.reset();
      PITR_ASSIGN_OR_RETURN(keys_, Read(*file));
      state_ = state;
    }
    return *keys_;
  }

  void Forget() override {
    const std::lock_guard lock(mutex_);
    keys_.reset();
  }

 private:
  Result<S3Credentials> Read(const File& file) const {
    std::string text(kMaxFileSize + 1, '\0');
    const Result<std::size_t> size = file.ReadAt(0, text.data(), text.size());
    if (!size.ok() || *size > kMaxFileSize) {
      return Unusable("credentials file \"" + path_ + "\" could not be read or is too large",
                      std::string(kFileHint));
    }
    return ParseCredentialsFile(std::string_view(text).substr(0, *size), path_);
  }

  const std::string path_;
  std::mutex mutex_;
  FileState state_;                    // of the file that keys_ were read from
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

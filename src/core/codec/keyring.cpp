#include "core/codec/keyring.h"

#include <algorithm>

#include "core/base/ascii.h"
#include "core/base/command.h"
#include "core/base/hash.h"
#include "core/base/secret_file.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxText = 64U << 10;
constexpr std::size_t kMaxKeys = 16;
constexpr std::int64_t kCommandMs = 30'000;

constexpr std::string_view kWhat = "encryption key file";
constexpr std::string_view kKeyHint =
    "A key is a line of 64 hexadecimal digits; \"openssl rand -hex 32\" makes one.";

Status Missing(std::string why, std::string_view hint) {
  return Status(Code::kKeyMissing, "encryption key missing: " + std::move(why))
      .WithHint(std::string(hint));
}

// Bytes of a secret for the time of a scope.
class SecretBuffer {
 public:
  SecretBuffer() : bytes_(kMaxText) {}
  ~SecretBuffer() { Wipe(bytes_.data(), bytes_.size()); }
  SecretBuffer(const SecretBuffer&) = delete;
  SecretBuffer& operator=(const SecretBuffer&) = delete;
  Bytes& bytes() { return bytes_; }
  std::string_view Text(std::size_t size) const { return AsText(ByteView(bytes_).first(size)); }

 private:
  Bytes bytes_;  // never grows, so no copy is left behind
};

Result<KeyRing> LoadFile(const std::string& path) {
  const auto missing = [](const Status& status) {
    return Missing(status.message(), status.hint());
  };
  const Result<SecretFile> file =
      OpenSecretFile(path, kWhat, "It is named by pitr.encryption_key_file.");
  if (!file.ok()) {
    return missing(file.status());
  }
  SecretBuffer text;
  const Result<std::size_t> size = ReadSecretFile(*file, path, kWhat, text.bytes());
  if (!size.ok()) {
    return missing(size.status());
  }
  return ParseKeys(text.Text(*size), std::string(kWhat) + " \"" + path + "\"");
}

Result<KeyRing> RunCommand(const std::string& command) {
  SecretBuffer text;
  const Result<std::size_t> size = RunShellCommand(command, kCommandMs, text.bytes());
  if (size.status().code() == Code::kCancelled) {
    return size.status();
  }
  if (size.status().code() == Code::kUnavailable) {
    return Status(size.status()).Prefix("pitr.encryption_key_command");
  }
  if (!size.ok()) {
    return Missing("pitr.encryption_key_command: " + size.status().message(),
                   "Run the command by hand as the server's user: it must print the key within 30 "
                   "seconds and exit with status 0.");
  }
  return ParseKeys(text.Text(*size), "what pitr.encryption_key_command prints");
}

}  // namespace

const SecretKey* KeyRing::Find(std::string_view key_id) const {
  const auto found = std::find_if(keys_.begin(), keys_.end(),
                                  [key_id](const SecretKey& key) { return key.Id() == key_id; });
  return found == keys_.end() ? nullptr : &*found;
}

std::string KeyRing::Ids() const {
  std::string ids;
  for (const SecretKey& key : keys_) {
    ids += (ids.empty() ? "" : ", ") + key.Id();
  }
  return ids;
}

Result<KeyRing> ParseKeys(std::string_view text, const std::string& what) {
  std::vector<SecretKey> keys;
  keys.reserve(kMaxKeys);
  for (int number = 1; !text.empty(); number++) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with('#')) {
      continue;
    }
    if (line.size() != 2 * kKeySize) {
      return Missing("line " + std::to_string(number) + " of " + what + " is no key", kKeyHint);
    }
    Result<Bytes> key = FromHex(line);
    if (!key.ok()) {
      return Missing("line " + std::to_string(number) + " of " + what + " is no key", kKeyHint);
    }
    if (keys.size() == kMaxKeys) {
      return Missing(what + " has more than " + std::to_string(kMaxKeys) + " keys",
                     "Take out those that no repository needs any more.");
    }
    keys.emplace_back(*key);
    Wipe(key->data(), key->size());
  }
  if (keys.empty()) {
    return Missing(what + " holds no key", kKeyHint);
  }
  return KeyRing(std::move(keys));
}

Result<KeyRing> LoadKeys(const KeySource& source) {
  if (!source.file.empty() && !source.command.empty()) {
    return Status(Code::kInvalidArgument,
                  "both pitr.encryption_key_file and pitr.encryption_key_command are set")
        .WithHint("Set one of them.");
  }
  if (source.empty()) {
    return KeyRing();
  }
  return source.file.empty() ? RunCommand(source.command) : LoadFile(source.file);
}

}  // namespace pitr

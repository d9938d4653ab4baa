#include "core/work/attachment.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <vector>

namespace pitr {

namespace {

// Empty when it is no link.
std::string Target(const std::string& link) {
  std::array<char, PATH_MAX> target{};
  const ssize_t size = ::readlink(link.c_str(), target.data(), target.size());
  return size <= 0 ? std::string() : std::string(target.data(), static_cast<std::size_t>(size));
}

std::vector<std::string> NamesIn(const std::string& directory, std::string_view prefix) {
  Result<std::vector<std::string>> names = ListDirectory(directory);
  if (!names.ok()) return {};
  std::erase_if(*names, [&](const std::string& name) { return !name.starts_with(prefix); });
  return *std::move(names);
}

}  // namespace

std::string AttachmentPrefix(std::uint32_t database) {
  return std::string(kAttachmentPrefix) + std::to_string(database) + "-";
}

std::string AttachmentName(std::uint32_t database, std::uint32_t schema) {
  return AttachmentPrefix(database) + std::to_string(schema);
}

Status SetAttachment(const std::string& link, const Look& look) {
  const std::string fresh = link + ".tmp." + std::to_string(::getpid());
  PITR_RETURN_IF_ERROR(RemoveFile(fresh));
  if (::symlink(look.socket_directory.c_str(), fresh.c_str()) != 0)
    return Status::FromErrno(errno, "make the link \"" + fresh + "\"");
  if (::rename(fresh.c_str(), link.c_str()) != 0)
    return Status::FromErrno(errno, "rename \"" + fresh + "\"");
  return Status::Ok();
}

std::optional<Look> LookOfAttachment(const std::string& link, const std::string& branch_directory) {
  const std::string target = Target(link);
  if (target.empty()) return std::nullopt;
  for (Look& look : ListLooks(branch_directory)) {
    if (look.is_ready && look.socket_directory == target) return std::move(look);
  }
  return std::nullopt;
}

bool IsAttached(const Look& look, const std::string& links) {
  const std::vector<std::string> names = NamesIn(links, kAttachmentPrefix);
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return Target(JoinPath(links, name)) == look.socket_directory;
  });
}

void DropAttachments(const std::string& links, std::string_view prefix) {
  for (const std::string& name : NamesIn(links, prefix))
    (void)::unlink(JoinPath(links, name).c_str());
}

}  // namespace pitr

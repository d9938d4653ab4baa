// Schemas that are attached to looks (look.h): a look that one is attached to stays, whoever reads from it. A server has a directory with a symbolic
// link for each, "at-<oid of the database>-<oid of the schema>", to the socket directory of its look. Nothing is lost with a link: who reads from the
// schema makes it again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/work/look.h"

namespace pitr {

// What all of them begin with, and those of a database.
inline constexpr std::string_view kAttachmentPrefix = "at-";
std::string AttachmentPrefix(std::uint32_t database);
std::string AttachmentName(std::uint32_t database, std::uint32_t schema);

// The link names this look from here on. Readers see the old or the new one.
Status SetAttachment(const std::string& link, const Look& look);
// The look of a branch directory that a link names, if it is ready; it may have ended.
std::optional<Look> LookOfAttachment(const std::string& link, const std::string& branch_directory);
// A link in the directory names this look.
bool IsAttached(const Look& look, const std::string& links);
// All links whose names begin so.
void DropAttachments(const std::string& links, std::string_view prefix);

}  // namespace pitr

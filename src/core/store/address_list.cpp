#include "core/store/address_list.h"

#include <algorithm>

#include "core/store/open_store.h"
#include "core/store/s3_address.h"

namespace pitr {

namespace {

constexpr std::string_view kS3 = "s3://";

std::string_view Trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
  while (!text.empty() && is_blank(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_blank(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

Status WrongMode(std::string_view value) {
  return Status(Code::kInvalidArgument,
                "the value of \"mode\" is not valid: \"" + std::string(value) + "\"")
      .WithHint("It is one of: required best_effort.");
}

// The mode that the parameters give; nothing when they give none.
Status TakeMode(std::string_view query, StoreAddress* entry, bool* is_given) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view parameter = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = std::min(parameter.find('='), parameter.size());
    if (parameter.substr(0, equals) != "mode") {
      continue;
    }
    const std::string_view value = parameter.substr(std::min(equals + 1, parameter.size()));
    if (value != "required" && value != "best_effort") {
      return WrongMode(value);
    }
    entry->is_required = value == "required";
    *is_given = true;
  }
  return Status::Ok();
}

// "/a//b/" and "/a/b" are one folder.
std::string NormalPath(std::string_view path) {
  std::string normal;
  for (const char c : path) {
    if (c != '/' || !normal.ends_with('/')) {
      normal.push_back(c);
    }
  }
  if (normal.size() > 1 && normal.ends_with('/')) {
    normal.pop_back();
  }
  return normal;
}

Status ParseFolder(std::string_view piece, StoreAddress* entry, bool* has_mode) {
  const std::size_t question = std::min(piece.find('?'), piece.size());
  const std::string_view query = piece.substr(std::min(question + 1, piece.size()));
  PITR_RETURN_IF_ERROR(TakeMode(query, entry, has_mode));
  const bool has_other = question < piece.size() &&
                         (!query.starts_with("mode=") || query.find('&') != std::string_view::npos);
  if (has_other) {
    return Status(Code::kInvalidArgument, "a folder has no other parameter than \"mode\"")
        .WithHint("Write /folder?mode=required or /folder?mode=best_effort.");
  }
  entry->address = piece.substr(0, question);
  PITR_RETURN_IF_ERROR(CheckStoreAddress(entry->address));
  entry->place = entry->label = NormalPath(entry->address);
  return Status::Ok();
}

Status ParseS3(std::string_view piece, StoreAddress* entry, bool* has_mode) {
  entry->address = piece;
  PITR_ASSIGN_OR_RETURN(const S3Address parsed, ParseS3Address(entry->address));
  const std::size_t question = std::min(piece.find('?'), piece.size());
  PITR_RETURN_IF_ERROR(
      TakeMode(piece.substr(std::min(question + 1, piece.size())), entry, has_mode));
  entry->label = "s3://" + parsed.bucket;
  if (!parsed.prefix.empty()) {
    entry->label += "/" + parsed.prefix.substr(0, parsed.prefix.size() - 1);
  }
  entry->place = entry->label + "@" + parsed.endpoint;
  return Status::Ok();
}

bool LiesIn(const std::string& inner, const std::string& outer) {
  return inner.starts_with(outer.ends_with('/') ? outer : outer + "/");
}

// What can be wrong with several together.
Status CheckTogether(const std::vector<StoreAddress>& entries) {
  for (std::size_t i = 0; i < entries.size(); i++) {
    for (std::size_t j = 0; j < i; j++) {
      if (entries[i].place == entries[j].place) {
        return Status(Code::kInvalidArgument,
                      "repository \"" + entries[i].label + "\" is given twice")
            .WithHint("Leave one of them out.");
      }
      const bool are_folders = entries[i].place[0] == '/' && entries[j].place[0] == '/';
      if (are_folders && (LiesIn(entries[i].place, entries[j].place) ||
                          LiesIn(entries[j].place, entries[i].place))) {
        return Status(Code::kInvalidArgument, "one of the repositories \"" + entries[j].label +
                                                  "\" and \"" + entries[i].label +
                                                  "\" lies in the other")
            .WithHint("Name folders beside each other, best on different disks.");
      }
    }
  }
  if (std::none_of(entries.begin(), entries.end(),
                   [](const StoreAddress& entry) { return entry.is_required; })) {
    return Status(Code::kInvalidArgument, "no repository is required")
        .WithHint("At least one must be: WAL is called archived when the required ones have it.");
  }
  return Status::Ok();
}

// Two buckets of one name at different servers.
void TellApart(std::vector<StoreAddress>* entries) {
  std::vector<std::string> labels;
  for (const StoreAddress& entry : *entries) {
    labels.push_back(entry.label);
  }
  for (std::size_t i = 0; i < entries->size(); i++) {
    if (std::count(labels.begin(), labels.end(), labels[i]) > 1) {
      const std::string& place = (*entries)[i].place;
      (*entries)[i].label += "?endpoint=" + place.substr(place.rfind('@') + 1);
    }
  }
}

}  // namespace

std::vector<std::string> SplitStoreAddresses(std::string_view text) {
  std::vector<std::string> pieces;
  for (;;) {
    const std::size_t comma = text.find(',');
    pieces.emplace_back(Trimmed(text.substr(0, comma)));
    if (comma == std::string_view::npos) {
      return pieces;
    }
    text.remove_prefix(comma + 1);
  }
}

std::string JoinStoreAddresses(const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) {
    text.append(text.empty() ? "" : ",").append(piece);
  }
  return text;
}

Result<std::vector<StoreAddress>> ParseStoreAddresses(std::string_view text) {
  const std::vector<std::string> pieces = SplitStoreAddresses(text);
  if (pieces.size() > kMaxStoreAddresses) {
    return Status(Code::kInvalidArgument, std::to_string(pieces.size()) +
                                              " repositories are more than the " +
                                              std::to_string(kMaxStoreAddresses) + " possible");
  }
  std::vector<StoreAddress> entries;
  for (const std::string& piece : pieces) {
    StoreAddress entry;
    bool has_mode = false;
    Status status = piece.starts_with(kS3) ? ParseS3(piece, &entry, &has_mode)
                                           : ParseFolder(piece, &entry, &has_mode);
    if (!status.ok() && pieces.size() > 1) {
      // Not the entry itself: a secret may have got into it by mistake.
      return std::move(status).Prefix("repository " + std::to_string(entries.size() + 1) +
                                      " of the list");
    }
    PITR_RETURN_IF_ERROR(status);
    if (!has_mode) {
      entry.is_required = entries.empty();
    }
    entries.push_back(std::move(entry));
  }
  PITR_RETURN_IF_ERROR(CheckTogether(entries));
  TellApart(&entries);
  return entries;
}

}  // namespace pitr

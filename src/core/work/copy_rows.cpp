#include "core/work/copy_rows.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace pitr {

namespace {

constexpr std::string_view kCopy = "COPY ", kFromStdin = " FROM stdin;", kEnd = "\\.";
constexpr std::string_view kLargeObject = "SELECT pg_catalog.lo_open(";
// A statement of a table with the most and longest columns is some 200 kB.
constexpr std::size_t kMaxLine = 4U << 20;

// A name with or without quotes at the front, which is removed.
std::optional<std::string> TakeName(std::string_view* text) {
  std::string name;
  if (!text->starts_with('"')) {
    const std::size_t end = std::min(text->find_first_of(". ("), text->size());
    name = text->substr(0, end);
    text->remove_prefix(end);
    return name.empty() ? std::nullopt : std::optional(name);
  }
  for (std::size_t i = 1; i < text->size(); i++) {
    if ((*text)[i] != '"') {
      name += (*text)[i];
    } else if (i + 1 < text->size() && (*text)[i + 1] == '"') {
      name += '"';
      i++;
    } else {
      text->remove_prefix(i + 1);
      return name;
    }
  }
  return std::nullopt;
}

// "COPY schema.name (columns) FROM stdin;"
std::optional<CopiedTable> ParseCopy(std::string_view line) {
  if (!line.starts_with(kCopy) || !line.ends_with(kFromStdin)) return std::nullopt;
  line.remove_prefix(kCopy.size());
  std::optional<std::string> schema = TakeName(&line);
  if (!schema || !line.starts_with('.')) return std::nullopt;
  line.remove_prefix(1);
  std::optional<std::string> name = TakeName(&line);
  if (!name) return std::nullopt;
  return CopiedTable{*std::move(schema), *std::move(name), 0};
}

}  // namespace

void CopyRows::TakeLine(std::string_view line) {
  if (std::optional<CopiedTable> table = ParseCopy(line)) {
    tables_.push_back(*std::move(table));
    in_rows_ = true;
  } else if (line.starts_with(kLargeObject)) {
    large_objects_++;
  }
}

// Rows up to and with the line that ends them; what is left. REQUIRES: no line was begun.
std::string_view CopyRows::TakeRows(std::string_view text) {
  std::uint64_t* const rows = &tables_.back().rows;
  while (!text.empty()) {
    const void* const found = std::memchr(text.data(), '\n', text.size());
    if (found == nullptr) return text;
    const auto size = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    const bool is_end = size == kEnd.size() && text.substr(0, size) == kEnd;
    text.remove_prefix(size + 1);
    if (is_end) {
      in_rows_ = false;
      return text;
    }
    ++*rows;
  }
  return text;
}

void CopyRows::Add(ByteView bytes) {
  std::string_view text = AsText(bytes);
  while (!text.empty()) {
    if (begun_size_ == 0 && in_rows_) {
      text = TakeRows(text);
      if (!in_rows_) continue;
      if (text.empty()) return;
    }
    const std::size_t end = text.find('\n');
    const std::size_t size = std::min(end, text.size());
    // Of a row nothing matters but whether it is the end.
    const std::size_t room = (in_rows_ ? kEnd.size() + 1 : kMaxLine) - begun_.size();
    begun_.append(text.substr(0, std::min(size, room)));
    begun_size_ += size;
    if (end == std::string_view::npos) {
      // An empty part of a line is none: the next piece begins it.
      return;
    }
    text.remove_prefix(size + 1);
    if (!in_rows_) {
      TakeLine(begun_);
    } else if (begun_ == kEnd) {
      in_rows_ = false;
    } else {
      tables_.back().rows++;
    }
    begun_.clear();
    begun_size_ = 0;
  }
}

}  // namespace pitr

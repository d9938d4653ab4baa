// pugixml builds its tree in memory before we see anything of it, so what a body may hold is counted before it is parsed. The walk
// below never descends further than the documents are deep, whatever is nested in them.
#include "core/store/s3_xml.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <pugixml.hpp>

namespace pitr {

namespace {

// A page has at most 1000 entries of some 10 elements, so 20000 tags; a node costs pugixml some 60 bytes.
constexpr std::size_t kMaxTags = 200000;
constexpr std::size_t kMaxAttributes = 20000;
constexpr int kMaxDepth = 32;              // the documents are 5 deep
constexpr std::size_t kMaxKeySize = 4096;  // S3 allows 1024 bytes
constexpr std::size_t kMaxTokenSize = 16384;
constexpr std::size_t kMaxMessageSize = 300;
constexpr std::size_t kMaxCodeSize = 64;

Status Malformed(std::string_view detail) {
  return Status(Code::kCorrupt, "the XML answer is malformed").WithDetail(std::string(detail));
}

Status BadElement(std::string_view element) {
  return Malformed("Element \"" + std::string(element) + "\" is missing or out of range.");
}

// Counts tags, depth and attributes as pugixml will see them, or more.
class ShapeCheck {
 public:
  explicit ShapeCheck(std::string_view body) : body_(body) {}

  Status Run() {
    if (body_.size() > kMaxS3XmlSize || body_.find('\0') != std::string_view::npos) {
      return Malformed("It is too large or no text.");
    }
    while ((at_ = body_.find('<', at_)) != std::string_view::npos) {
      if (++tags_ > kMaxTags) {
        return Malformed("It has too many elements.");
      }
      const std::string_view rest = body_.substr(at_);
      if (rest.starts_with("<?")) {
        SkipPast("<?", "?>");
      } else if (rest.starts_with("<!--")) {
        SkipPast("<!--", "-->");
      } else if (rest.starts_with("<![CDATA[")) {
        SkipPast("<![CDATA[", "]]>");
      } else if (rest.starts_with("<!")) {
        return Malformed("It has a document type.");  // where entities are declared
      } else {
        SkipTag();
      }
      if (depth_ > kMaxDepth || attributes_ > kMaxAttributes) {
        return Malformed("It is nested too deep or has too many attributes.");
      }
    }
    return Status::Ok();
  }

 private:
  // "<!-->" is no whole comment: its end is looked for behind its begin, as pugixml does.
  void SkipPast(std::string_view begin, std::string_view end) {
    const std::size_t found = body_.find(end, at_ + begin.size());
    at_ = found == std::string_view::npos ? body_.size() : found + end.size();
  }

  // ">" in an attribute's value does not end the tag.
  void SkipTag() {
    const bool is_end = body_.substr(at_).starts_with("</");
    char quote = 0, last = 0;
    for (at_++; at_ < body_.size(); at_++) {
      const char c = body_[at_];
      if (quote != 0) {
        quote = c == quote ? '\0' : quote;
      } else if (c == '"' || c == '\'') {
        quote = c;
        attributes_++;
      } else if (c == '>') {
        break;
      }
      last = c;
    }
    if (is_end) {
      depth_--;
    } else if (last != '/') {
      depth_++;
    }
  }

  std::string_view body_;
  std::size_t at_ = 0, tags_ = 0, attributes_ = 0;
  int depth_ = 0;
};

// Without a name space's prefix: some servers write "s3:Key".
std::string_view LocalName(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const std::size_t colon = name.rfind(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

// The first of that name; an empty node when there is none.
pugi::xml_node Child(const pugi::xml_node& parent, std::string_view name) {
  for (const pugi::xml_node& child : parent.children()) {
    if (LocalName(child) == name) {
      return child;
    }
  }
  return {};
}

// All text directly in the node: a comment or CDATA section splits it into several.
std::string TextOf(const pugi::xml_node& node) {
  std::string text;
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata) {
      text.append(child.value());
    }
  }
  return text;
}

// Without blanks around it: for everything but keys.
std::string TrimmedText(const pugi::xml_node& parent, std::string_view name) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::string text = TextOf(Child(parent, name));
  const std::size_t begin = text.find_first_not_of(kBlanks);
  return begin == std::string::npos
             ? ""
             : text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

Status Parse(std::string_view body, pugi::xml_document* document) {
  PITR_RETURN_IF_ERROR(ShapeCheck(body).Run());
  // The encoding is given, or pugixml would guess UTF-16 and see another document than the check above.
  const pugi::xml_parse_result result = document->load_buffer(
      body.data(), body.size(), pugi::parse_default | pugi::parse_ws_pcdata_single,
      pugi::encoding_utf8);
  if (!result) {
    return Malformed(std::string(result.description()) + ".");
  }
  return Status::Ok();
}

// The root of the parsed document, which must be called `name`.
Result<pugi::xml_node> ParseRoot(std::string_view body, std::string_view name,
                                 pugi::xml_document* document) {
  PITR_RETURN_IF_ERROR(Parse(body, document));
  const pugi::xml_node root = document->document_element();
  if (LocalName(root) != name) {
    return Malformed("It is no " + std::string(name) + ".");
  }
  return root;
}

// As forms are decoded: S3 writes a blank of a key as "+".
bool UrlDecode(std::string* text) {
  std::replace(text->begin(), text->end(), '+', ' ');
  std::optional<std::string> decoded = UriDecode(*text);
  if (decoded) {
    *text = *std::move(decoded);
  }
  return decoded.has_value();
}

// Reads the members of one answer; keys are decoded as the answer says.
class AnswerReader {
 public:
  explicit AnswerReader(const pugi::xml_node& root) : root_(root) {}

  Status Begin() {
    const std::string encoding = TrimmedText(root_, "EncodingType");
    is_url_encoded_ = encoding == "url";
    return is_url_encoded_ || encoding.empty() ? Status::Ok() : BadElement("EncodingType");
  }

  // May be empty only when the element may be absent.
  Result<std::string> Key(const pugi::xml_node& parent, std::string_view name,
                          bool may_be_empty = false) const {
    std::string key = TextOf(Child(parent, name));
    if ((is_url_encoded_ && !UrlDecode(&key)) || key.size() > kMaxKeySize ||
        (key.empty() && !may_be_empty)) {
      return BadElement(name);
    }
    return key;
  }

  Result<std::string> Token(const pugi::xml_node& parent, std::string_view name,
                            bool may_be_empty = false) const {
    std::string token = TrimmedText(parent, name);
    if (token.size() > kMaxTokenSize || (token.empty() && !may_be_empty)) {
      return BadElement(name);
    }
    return token;
  }

  Result<std::uint64_t> Size(const pugi::xml_node& parent) const {
    const std::string text = TrimmedText(parent, "Size");
    std::uint64_t size = 0;
    const char* const end = text.data() + text.size();
    const std::from_chars_result result = std::from_chars(text.data(), end, size);
    if (result.ec != std::errc() || result.ptr != end ||
        size > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
      return BadElement("Size");
    }
    return size;
  }

  Result<bool> IsTruncated() const {
    const std::string text = TrimmedText(root_, "IsTruncated");
    if (text != "true" && text != "false") {
      return BadElement("IsTruncated");
    }
    return text == "true";
  }

 private:
  pugi::xml_node root_;
  bool is_url_encoded_ = false;
};

// Printable ASCII, at most `max_size` bytes; other bytes become blanks, runs of them one.
std::string Printable(const std::string& text, std::size_t max_size) {
  std::string printable;
  for (const char c : text) {
    const bool is_blank = c <= ' ' || c > '~';
    if (is_blank && (printable.empty() || printable.back() == ' ')) {
      continue;
    }
    if (printable.size() == max_size) {
      break;
    }
    printable.push_back(is_blank ? ' ' : c);
  }
  if (!printable.empty() && printable.back() == ' ') {
    printable.pop_back();
  }
  return printable;
}

}  // namespace

S3Error ParseS3Error(std::string_view body) {
  pugi::xml_document document;
  if (!Parse(body, &document).ok()) {
    return {};
  }
  pugi::xml_node error = document.document_element();
  if (LocalName(error) == "ErrorResponse") {  // STS
    error = Child(error, "Error");
  }
  if (LocalName(error) != "Error") {
    return {};
  }
  return {Printable(TextOf(Child(error, "Code")), kMaxCodeSize),
          Printable(TextOf(Child(error, "Message")), kMaxMessageSize)};
}

Result<S3Listing> ParseS3Listing(std::string_view body) {
  pugi::xml_document document;
  PITR_ASSIGN_OR_RETURN(const pugi::xml_node root, ParseRoot(body, "ListBucketResult", &document));
  AnswerReader reader(root);
  PITR_RETURN_IF_ERROR(reader.Begin());
  S3Listing listing;
  for (const pugi::xml_node& node : root.children()) {
    const std::string_view name = LocalName(node);
    if (name == "Contents") {
      ObjectStat object;
      PITR_ASSIGN_OR_RETURN(object.name, reader.Key(node, "Key"));
      PITR_ASSIGN_OR_RETURN(object.size, reader.Size(node));
      listing.objects.push_back(std::move(object));
    } else if (name == "CommonPrefixes") {
      PITR_ASSIGN_OR_RETURN(std::string prefix, reader.Key(node, "Prefix"));
      listing.prefixes.push_back(std::move(prefix));
    }
  }
  PITR_ASSIGN_OR_RETURN(const bool is_truncated, reader.IsTruncated());
  if (is_truncated) {
    PITR_ASSIGN_OR_RETURN(listing.next_token, reader.Token(root, "NextContinuationToken"));
  }
  return listing;
}

Result<std::string> ParseUploadId(std::string_view body) {
  pugi::xml_document document;
  PITR_ASSIGN_OR_RETURN(const pugi::xml_node root,
                        ParseRoot(body, "InitiateMultipartUploadResult", &document));
  return AnswerReader(root).Token(root, "UploadId");
}

Result<S3Uploads> ParseS3Uploads(std::string_view body) {
  pugi::xml_document document;
  PITR_ASSIGN_OR_RETURN(const pugi::xml_node root,
                        ParseRoot(body, "ListMultipartUploadsResult", &document));
  AnswerReader reader(root);
  PITR_RETURN_IF_ERROR(reader.Begin());
  S3Uploads answer;
  for (const pugi::xml_node& node : root.children()) {
    if (LocalName(node) != "Upload") {
      continue;
    }
    S3Upload upload;
    PITR_ASSIGN_OR_RETURN(upload.key, reader.Key(node, "Key"));
    PITR_ASSIGN_OR_RETURN(upload.upload_id, reader.Token(node, "UploadId"));
    PITR_ASSIGN_OR_RETURN(upload.initiated, reader.Token(node, "Initiated"));
    answer.uploads.push_back(std::move(upload));
  }
  PITR_ASSIGN_OR_RETURN(const bool is_truncated, reader.IsTruncated());
  if (is_truncated) {
    PITR_ASSIGN_OR_RETURN(answer.next_key_marker, reader.Key(root, "NextKeyMarker"));
    PITR_ASSIGN_OR_RETURN(answer.next_upload_id_marker,
                          reader.Token(root, "NextUploadIdMarker", true));
  }
  return answer;
}

Result<S3Credentials> ParseStsCredentials(std::string_view body) {
  pugi::xml_document document;
  PITR_ASSIGN_OR_RETURN(const pugi::xml_node root,
                        ParseRoot(body, "AssumeRoleWithWebIdentityResponse", &document));
  const pugi::xml_node node = Child(Child(root, "AssumeRoleWithWebIdentityResult"), "Credentials");
  const AnswerReader reader(node);
  S3Credentials credentials;
  PITR_ASSIGN_OR_RETURN(credentials.access_key_id, reader.Token(node, "AccessKeyId"));
  PITR_ASSIGN_OR_RETURN(credentials.secret_access_key, reader.Token(node, "SecretAccessKey"));
  PITR_ASSIGN_OR_RETURN(credentials.session_token, reader.Token(node, "SessionToken"));
  const Result<Timestamp> expiration = ParseRfc3339(TrimmedText(node, "Expiration"));
  if (!expiration.ok()) {  // not its own message: that repeats the text
    return BadElement("Expiration");
  }
  credentials.expires_at = *expiration;
  return credentials;
}

std::string EncodeParts(const std::vector<std::string>& etags) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("CompleteMultipartUpload");
  root.append_attribute("xmlns") = "http://s3.amazonaws.com/doc/2006-03-01/";
  for (std::size_t index = 0; index < etags.size(); index++) {
    pugi::xml_node part = root.append_child("Part");
    part.append_child("PartNumber").text() = static_cast<unsigned long long>(index + 1);
    part.append_child("ETag").text() = etags[index].c_str();
  }
  struct StringWriter final : pugi::xml_writer {
    void write(const void* data, std::size_t size) override {
      text.append(static_cast<const char*>(data), size);
    }
    std::string text;
  } writer;
  document.save(writer, "", pugi::format_raw | pugi::format_no_declaration, pugi::encoding_utf8);
  return std::move(writer.text);
}

}  // namespace pitr

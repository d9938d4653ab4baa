// What can be said of a request or an answer without a network: what may go on the wire, what may go there twice, and how the
// lines of an answer's head become headers. No libcurl here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/store/http.h"

namespace pitr {

// kInvalidArgument for an unknown method, a URL or header that would not arrive as it stands, and headers that are the
// client's own: Transfer-Encoding, Expect, and a Content-Length that is not the body's.
Status CheckHttpRequest(const HttpRequest& request);

// True when a server that carries the request out twice ends where it would after once, and answers the second time as if
// there had been one. GET and HEAD; PUT and DELETE without a condition, which only set a state. Not with a condition
// (If-None-Match and the like): it may refuse the second because of the first. Never POST.
bool IsRepeatable(const HttpRequest& request);

// Path and query of a URL, "/" when it has none.
std::string TargetOfUrl(std::string_view url);

// The lines that libcurl is told: those of the request, and that it adds none of its own.
std::vector<std::string> HeaderLines(const HttpRequest& request);

// One line of an answer's head, with or without its end. A status line begins the answer anew, since heads that announce
// another one (100 Continue) come before it; what is no header is left out.
void AddHeadLine(std::string_view line, HttpResponse* response);

// The Content-Length of the answer, 0 when there is none that can be read.
std::uint64_t AnnouncedSize(const HttpResponse& response);

// `text` for a message: one line of printable ASCII, not too long.
std::string PrintableText(std::string_view text);

}  // namespace pitr

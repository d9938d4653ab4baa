// What an S3 server is asked to do with our objects besides keeping them: storage class, encryption at its side, object lock.
#pragma once

#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/store/http.h"
#include "core/store/s3_address.h"

namespace pitr {

// Names of objects that something else replaces within minutes (pieces of the tail, leases). They are never locked: each would be
// kept and paid for as long as the segment that replaced it.
bool IsShortLived(std::string_view name);

// For the request that makes object `name`. A locked one cannot be removed before `now` and address.object_lock_days, under
// compliance by nobody at all; the bucket must have been made with object lock.
bool IsLocked(const S3Address& address, std::string_view name);
HttpHeaders ProtectionHeaders(const S3Address& address, std::string_view name, Timestamp now);

// The body of a PUT ?retention that asks for the same lock as ProtectionHeaders.
std::string RetentionBody(const S3Address& address, Timestamp now);

// "Content-MD5" of a body: S3 demands it of requests that lock an object, as a guard against damage on the way only.
std::string ContentMd5(ByteView body);

// For each request that writes or reads an object under SSE-C; empty with any other encryption. address.customer_key_file holds 64
// hexadecimal digits and is our own with mode 0600; else kInvalidArgument.
Result<HttpHeaders> CustomerKeyHeaders(const S3Address& address);

}  // namespace pitr

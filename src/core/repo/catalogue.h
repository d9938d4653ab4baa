// What changes, kept as numbered immutable objects made by put-if-absent; the newest number wins.
//
// A *document* kind (branches, snapshots, gaps): each number holds the whole state; an update reads the newest,
// changes it and puts the next number, again from the start when somebody else was first: no lost update.
// A *log* kind (operations, audit): each number is one entry, nothing is ever changed.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json_fwd.h"
#include "core/repo/repository.h"

namespace pitr {

// Newest document, or an empty object when there is none. `number` (may be null) gets its number, 0 for none.
Result<Json> ReadDocument(Repository* repo, std::string_view kind, std::uint64_t* number = nullptr);
// `change` may be called again after a lost race and must start from what it is given. A Status from it ends the
// update without a write and is returned. DURABLE. Old numbers beyond the last 16 are removed.
Status UpdateDocument(Repository* repo, std::string_view kind,
                      const std::function<Status(Json*)>& change);

// DURABLE. Returns the number.
Result<std::uint64_t> AppendLog(Repository* repo, std::string_view kind, const Json& entry);
// The newest `limit` entries (0 = all), oldest first.
Result<std::vector<Json>> ReadLog(Repository* repo, std::string_view kind, std::size_t limit);

}  // namespace pitr

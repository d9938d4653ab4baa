// Which dumps go, and which are not what they seem. Pure: heads of dumps in, answers out.
#pragma once

#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/repo/dumps.h"

namespace pitr {

// Those whose time is over. Never one that holds the newest verified dump of a database, whenever it expires (the newest shows the latest point): what was not verified, or seems to lack something,
// takes nobody's place. `dumps`: oldest first.
std::vector<DumpId> ExpiredDumps(const std::vector<DumpManifest>& dumps, Timestamp now);

// Databases of which this dump holds the newest verified one.
std::vector<std::string> LastGoodIn(const std::vector<DumpManifest>& dumps, const DumpId& id);

// What became less than half of what the newest verified dump of the same database had, rows or bytes; empty: nothing. Dumps of the same server, branch (by name) and
// kind (with rows, or schemas alone) are compared.
std::string WhatShrank(const DumpManifest& dump, const std::vector<DumpManifest>& before);

}  // namespace pitr

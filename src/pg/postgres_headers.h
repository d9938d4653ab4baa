// The one wrapper around postgres.h: C++ and system headers first, the server's in extern "C", then the stdio names
// that it shadows are given back. Include it after every C++ header of a file and before other server headers.
#pragma once

// What the server's headers include themselves must be in before extern "C" begins: templates have no C linkage.
#include <cerrno>
#include <climits>
#include <clocale>
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

extern "C" {
#include "postgres.h"
//
#include "fmgr.h"
#include "miscadmin.h"
}

// src/include/port.h (15) defines these as macros. Min and Max stay: headers of 19 use them.
#undef vsnprintf
#undef snprintf
#undef vsprintf
#undef sprintf
#undef vfprintf
#undef fprintf
#undef vprintf
#undef printf
#undef strerror
#undef strerror_r

// Named fault points of test builds (-DPITR_FAULTS). PITR_FAULT("archive.put.before_sync") does nothing
// in a product build. In a test build the file named by the environment variable PITR_FAULT_FILE is read
// at each point (so that a test can arm a running server): lines "<point> <action> [<skip>]" with action
//   error   the point returns kIo "injected fault at <point>" (true where it cannot return a Status)
//   enospc  as a full disk
//   kill    SIGKILL of this process
//   stop    waits until the line is gone from the file
//   exit2   _exit(2)
// and <skip> passes over the first n visits of this process, counted from its start. The names are listed
// in fault_points.h; a name that is not there, or an action that is none of these, aborts the process. Each
// visit that is acted upon appends a line "<point> <pid>" to the file <PITR_FAULT_FILE>.hits.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace pitr {

// All names, sorted; none in a product build.
std::vector<std::string_view> FaultPoints();

#ifdef PITR_FAULTS
Status HitFault(const char* point);
// For code that cannot return a Status: kill, stop and exit2 act, error and enospc are reported as true.
// Both keep errno.
bool HitFaultPlain(const char* point) noexcept;
#define PITR_FAULT(point) PITR_RETURN_IF_ERROR(::pitr::HitFault(point))
#define PITR_FAULT_PLAIN(point) ::pitr::HitFaultPlain(point)
#else
#define PITR_FAULT(point) \
  do {                    \
  } while (0)
inline bool NoFault() noexcept { return false; }
#define PITR_FAULT_PLAIN(point) ::pitr::NoFault()
#endif

}  // namespace pitr

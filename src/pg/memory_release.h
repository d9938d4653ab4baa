// Giving back the server's shared memory without anybody waiting for it.
#pragma once

namespace pitr::pg {

// Whether two shared memories of this server may exist at the same time for a moment. Reads /proc: not in a hurry.
bool MayReleaseMemoryLate();

// From a process that is about to end the server's shared memory by a crash cycle. Whoever lets go of it last gives its pages back one by one,
// 0.1 s for 512 MB; that would be the postmaster, while sessions wait. A child of its own session holds the memory until the postmaster
// is through, and pays. It touches nothing, has no file open, and ends by itself. Without one the cycle only takes longer.
void ReleaseMemoryLate() noexcept;

}  // namespace pitr::pg

#include "core/demand/frame_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace pitr::demand {

void Say(FetchFailure* failure, const char* format, ...) noexcept {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(failure->text, sizeof failure->text, format, arguments);
  va_end(arguments);
}

bool LocalPacks::Read(const IndexView& index, std::uint32_t frame, std::uint32_t place,
                      std::uint8_t* packed, FetchFailure* failure) noexcept {
  const FrameEntry& entry = index.frames()[frame];
  char path[PATH_MAX];
  if (std::snprintf(path, sizeof path, "%s/%s", index.Chars(index.places()[place]),
                    index.Chars(index.packs()[entry.pack])) >= static_cast<int>(sizeof path)) {
    Say(failure, "The path of a pack in repository \"%s\" is too long.",
        index.Chars(index.places()[place]));
    return false;
  }
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    Say(failure, "could not open \"%s\" of repository \"%s\": %s", path,
        index.Chars(index.places()[place]), std::strerror(errno));
    return false;
  }
  std::size_t size = 0;
  int error = 0;
  while (size < entry.packed_size && error == 0) {
    const ssize_t got = ::pread(fd, packed + size, entry.packed_size - size,
                                static_cast<off_t>(entry.offset + size));
    if (got > 0) {
      size += static_cast<std::size_t>(got);
    } else if (got == 0) {
      Say(failure, "\"%s\" of repository \"%s\" ends before the frame at offset %llu", path,
          index.Chars(index.places()[place]), static_cast<unsigned long long>(entry.offset));
      error = EIO;
    } else if (errno != EINTR) {
      error = errno;
      Say(failure, "could not read \"%s\" of repository \"%s\": %s", path,
          index.Chars(index.places()[place]), std::strerror(error));
    }
  }
  ::close(fd);
  return error == 0;
}

}  // namespace pitr::demand

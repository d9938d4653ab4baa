// A program of PostgreSQL whose output is taken as it comes, and that may be fed: no file in between.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/cancel.h"
#include "core/base/file.h"
#include "core/base/result.h"

namespace pitr::tool {

class PipedProgram {
 public:
  using Sink = std::function<Status(ByteView)>;

  // `arguments`: the path first. `is_fed`: its input comes by Feed; else there is none. An error of `sink` ends it. It ends with the thread that
  // calls this, and with everything that it started in its process group.
  static Result<std::unique_ptr<PipedProgram>> Start(const std::vector<std::string>& arguments,
                                                     const std::vector<std::string>& environment,
                                                     bool is_fed, Sink sink);
  ~PipedProgram();
  PipedProgram(const PipedProgram&) = delete;
  PipedProgram& operator=(const PipedProgram&) = delete;

  // Waits until it has taken all of that, and takes what it says meanwhile. A program that reads no more is no error here: what it has not taken is
  // thrown away, and its end tells. kCancelled.
  Status Feed(ByteView bytes, const CancelToken& cancel);
  // False: it wants no more.
  bool takes_input() const { return input_.is_open(); }
  // Takes the rest of what it says and waits for its end. kIo with its own words as the detail when it failed (kDiskFull, kLockTimeout when they say so).
  Status End(const CancelToken& cancel);

 private:
  PipedProgram(std::string name, pid_t pid, File input, File output, File errors, Sink sink);
  Status TakeOutput();
  // Until one of them is ready, or a moment is over.
  Status Wait(bool for_input, const CancelToken& cancel);
  Status Failure(int status) const;
  void EndNow() noexcept;

  const std::string name_;
  pid_t pid_;
  File input_, output_;
  const File errors_;
  const Sink sink_;
  Bytes buffer_;
};

}  // namespace pitr::tool

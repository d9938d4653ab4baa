// One row as COPY … TO STDOUT writes it in its text form.
#pragma once

#include <string>
#include <vector>

namespace pitr {

// Takes `line` apart where it lies: values that end with a zero byte, null for NULL, good as long as `line` is not touched.
void SplitCopyLine(std::string* line, std::vector<const char*>* values);

}  // namespace pitr

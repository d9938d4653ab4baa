#!/bin/bash
# Every setting that src/pg/guc*.cpp defines is described in README.md, and the rows of its table are sorted.
set -uo pipefail
cd "$(dirname "$0")/../.."
shopt -s nullglob

sources=(src/pg/guc*.cpp)
[ ${#sources[@]} -gt 0 ] && [ -f README.md ] || exit 0
bad=0
for name in $(grep -ohE '"pitr\.[a-z0-9_]+"' "${sources[@]}" | tr -d '"' | sort -u); do
  if ! grep -qF "\`$name\`" README.md; then
    echo "README.md does not describe $name"
    bad=1
  fi
done
rows=$(sed -n 's/^| *`\(pitr\.[a-z0-9_]*\)`.*/\1/p' README.md)
if [ "$rows" != "$(LC_ALL=C sort -u <<<"$rows")" ]; then
  echo "README.md: the table of settings is not sorted"
  bad=1
fi
exit $bad

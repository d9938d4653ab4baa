#!/bin/bash
# Sources over 450 lines are named, over 500 they fail: split by operation.
set -uo pipefail
cd "$(dirname "$0")/../.."
shopt -s globstar nullglob

bad=0
for file in src/**/*.cpp; do
  lines=$(wc -l <"$file")
  if [ "$lines" -gt 500 ]; then
    echo "$file has $lines lines, more than 500"
    bad=1
  elif [ "$lines" -gt 450 ]; then
    echo "$file has $lines lines, soon too long"
  fi
done
exit $bad

#!/bin/bash
# Nothing is left untested by oversight: SQL tests and expected files come in pairs, each unit of the core has a unit test, each
# fuzz target has a corpus, and TAP tests have numbers of their own.
set -uo pipefail
cd "$(dirname "$0")/../.."
shopt -s globstar nullglob

bad=0
report() { printf '%s\n' "$1"; bad=1; }

for dir in . test/modules/*; do
  for file in "$dir"/sql/*.sql; do
    name=$(basename "$file" .sql)
    case $name in *--*) continue ;; esac
    [ -f "$dir/expected/$name.out" ] || report "$file has no $dir/expected/$name.out"
  done
  for file in "$dir"/expected/*.out; do
    name=$(basename "$file" .out)
    # name_1.out is an alternative of name.out
    [ -f "$dir/sql/$name.sql" ] || [ -f "$dir/sql/${name%_[0-9]}.sql" ] || report "$file belongs to no test in $dir/sql"
  done
done

# A unit is tested by test/unit/FOLDER/NAME_test.cpp, or by a test that includes its header. A source without a header of its
# own is part of the unit whose header it includes first.
tested=$(cat /dev/null test/unit/**/*.{h,cpp} | sed -n 's/^#include "\(core\/[^"]*\)".*/\1/p' | sort -u)
for file in src/core/**/*.cpp; do
  unit=${file#src/}
  unit=${unit%.cpp}
  [ -f "test/unit/${unit#core/}_test.cpp" ] && continue
  header=$unit.h
  [ -f "src/$header" ] || header=$(sed -n 's/^#include "\(core\/[^"]*\)".*/\1/p' "$file" | head -n 1)
  grep -qxF "$header" <<<"$tested" || report "$file has no test: test/unit/${unit#core/}_test.cpp"
done

for file in test/fuzz/fuzz_*.cpp; do
  name=$(basename "$file" .cpp)
  [ -d "test/fuzz/corpus/$name" ] || [ -d "test/fuzz/corpus/${name#fuzz_}" ] || report "$file has no test/fuzz/corpus/${name#fuzz_}"
done

numbers=$(for file in test/tap/*.pl; do basename "$file"; done | cut -c 1-4)
repeated=$(sort <<<"$numbers" | uniq -d)
[ -z "$repeated" ] || report "TAP tests with the same number: $repeated"
for file in test/tap/*.pl; do
  case $(basename "$file") in
    [0-9][0-9][0-9]_*.pl) ;;
    *) report "$file: TAP tests are called NNN_topic.pl, others are not run" ;;
  esac
done
exit $bad

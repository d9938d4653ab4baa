#!/bin/bash
# The fault points that the sources use and the list in fault_points.h are the same, and the list is sorted: HitFault aborts at
# a name that is not listed, and the crash sweep takes its points from the list.
set -uo pipefail
cd "$(dirname "$0")/../.."
shopt -s globstar nullglob

list=src/core/base/fault_points.h
bad=0
report() { printf '%s\n' "$1"; bad=1; }

mapfile -t files < <(printf '%s\n' src/**/*.{h,cpp} | grep -vE '^src/core/base/fault(_points)?\.(h|cpp)$')
listed=$(sed -n 's/^ *"\([^"]\+\)",.*/\1/p' "$list")
# A call may be broken after the parenthesis, hence the whole file as one line.
used=$(perl -0777 -ne 's{//[^\n]*}{}g; print "$1\n" while /\bPITR_FAULT(?:_PLAIN)?\(\s*"([^"]*)"/g' "${files[@]}" | LC_ALL=C sort -u)
indirect=$(grep -nE '\bPITR_FAULT(_PLAIN)?\( *[^" ]' "${files[@]}" /dev/null)

[ "$listed" = "$(LC_ALL=C sort -u <<<"$listed")" ] || report "$list is not sorted, or names a point twice"
while read -r name; do
  [ -z "$name" ] || report "fault point \"$name\" is used but not in $list"
done < <(LC_ALL=C comm -23 <(LC_ALL=C sort <<<"$used") <(LC_ALL=C sort <<<"$listed"))
while read -r name; do
  [ -z "$name" ] || report "fault point \"$name\" is in $list but not used"
done < <(LC_ALL=C comm -13 <(LC_ALL=C sort <<<"$used") <(LC_ALL=C sort <<<"$listed"))
[ -z "$indirect" ] || report "the name of a fault point is a literal:
$indirect"
exit $bad

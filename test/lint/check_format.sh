#!/bin/bash
# The formatter in check mode; `test/lint/check_format.sh --fix [FILE...]` applies it.
set -uo pipefail
cd "$(dirname "$0")/../.."
shopt -s globstar nullglob

if ! command -v clang-format >/dev/null; then
  echo "skipped, clang-format is not installed"
  exit 0
fi
fix=
if [ "${1:-}" = --fix ]; then
  fix=1
  shift
fi
files=("$@")
[ ${#files[@]} -gt 0 ] || files=({src,test,bench,demo}/**/*.{h,cpp})
[ ${#files[@]} -gt 0 ] || exit 0
if [ -n "$fix" ]; then
  clang-format -i "${files[@]}"
else
  wrong=$(clang-format --dry-run "${files[@]}" 2>&1 | sed -n 's/^\([^:]*\):\([0-9]*\):.*clang-format-violations.*/\1 line \2/p' | sort -u -k1,1)
  [ -z "$wrong" ] || { printf 'not formatted (test/lint/check_format.sh --fix):\n%s\n' "$wrong"; exit 1; }
fi

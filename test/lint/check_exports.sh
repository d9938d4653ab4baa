#!/bin/bash
# The symbols that the newest build of pitr_ext.so shows, against exports.map; and the symbols it wants, against what the server
# and the linked libraries offer (they are resolved only at load, so a missing one would be found by a user).
set -uo pipefail
cd "$(dirname "$0")/../.."

module=$(ls -t build/*/pitr_ext.so 2>/dev/null | head -n 1)
[ -n "$module" ] || exit 0
bad=0

# exports.map: names between "global:" and "local:", with * as the only wildcard.
patterns=$(sed -n '/global:/,/local:/p' exports.map | sed 's,/\*.*\*/,,' | grep -oE '[A-Za-z_][A-Za-z0-9_*]*;' | tr -d ';' | sed 's/\*/.*/')
shown=$(nm -D --defined-only "$module" | awk '{print $NF}')
stray=$(grep -vxE "$(paste -sd'|' <<<"$patterns")" <<<"$shown")
if [ -n "$stray" ]; then
  printf '%s shows symbols that exports.map does not list:\n%s\n' "$module" "$stray"
  bad=1
fi
for name in _PG_init Pg_magic_func; do
  if ! grep -qx "$name" <<<"$shown"; then
    printf '%s does not show %s\n' "$module" "$name"
    bad=1
  fi
done
# Every function that has an information record must be visible itself, and the reverse.
while read -r name; do
  if ! grep -qx "$name" <<<"$shown"; then
    printf '%s: pg_finfo_%s is shown, %s is not\n' "$module" "$name" "$name"
    bad=1
  fi
done < <(sed -n 's/^pg_finfo_//p' <<<"$shown")

major=${module#build/}
major=${major%%[-/]*}
server=/usr/lib/postgresql/$major/bin/postgres
[ -x "$server" ] || server=$("${PG_CONFIG:-pg_config}" --bindir 2>/dev/null)/postgres
if [ -x "$server" ]; then
  offered=$(nm -D --defined-only "$server" | awk '{print $NF}' | sed 's/@.*//' | sort -u)
  wanted=$(ldd -r "$module" 2>&1 | sed -n 's/^undefined symbol: *\([^ \t,]*\).*/\1/p' | sort -u)
  unknown=$(comm -13 <(printf '%s\n' "$offered") <(printf '%s\n' "$wanted") | grep -v '^$')
  if [ -n "$unknown" ]; then
    printf '%s wants symbols that neither the server nor a linked library has:\n%s\n' "$module" "$(c++filt <<<"$unknown")"
    bad=1
  fi
fi
exit $bad

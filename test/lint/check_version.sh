#!/bin/bash
# One version everywhere, and a way to it from each one before: the control file, the module, CMake and the newest heading of
# CHANGELOG.md agree, and the scripts of sql/ lead from the first version to it.
set -uo pipefail
cd "$(dirname "$0")/../.."

bad=0
version=$(sed -n "s/^default_version = '\(.*\)'$/\1/p" pitr_ext.control)
says() { # PLACE VERSION
  [ "$2" = "$version" ] || { echo "$1 says version \"$2\", pitr_ext.control \"$version\""; bad=1; }
}
says src/pg/module.cpp "$(sed -n 's/^PITR_MODULE_MAGIC("pitr_ext", "\(.*\)");$/\1/p' src/pg/module.cpp)"
says CMakeLists.txt "$(sed -n 's/^project(pitr_ext VERSION \([0-9.]*\) .*/\1/p' CMakeLists.txt)"
says CHANGELOG.md "$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)"

# The chain: one whole script, then one step from each version to the next.
at=$(ls sql | sed -n 's/^pitr_ext--\([0-9.]*\)\.sql$/\1/p')
steps=0
while step=$(compgen -G "sql/pitr_ext--$at--*.sql"); do
  at=$(basename "$step" .sql)
  at=${at##*--}
  steps=$((steps + 1))
done
[ "$at" = "$version" ] || { echo "the scripts of sql/ lead to \"$at\", pitr_ext.control says \"$version\""; bad=1; }
scripts=(sql/*--*.sql)
[ ${#scripts[@]} -eq $((steps + 1)) ] || { echo "sql/ has ${#scripts[@]} scripts, $steps steps and one whole script are needed"; bad=1; }
exit $bad

#!/bin/bash
# Tokens that may stand only in certain files. The core returns Status, so it raises nothing and throws nothing; PostgreSQL's
# errors are raised and caught in pg/boundary alone. "lint-ok: REASON" in a comment of the same line lets one through.
set -uo pipefail
cd "$(dirname "$0")/../.."
shopt -s globstar nullglob

bad=0
forbid() { # EXPLANATION REGEX FILE...
  local explanation=$1 regex=$2 hits
  shift 2
  [ $# -gt 0 ] || return 0
  hits=$(perl test/lint/source_without_comments.pl "$@" | grep -E "^[^ ]+: .*($regex)")
  if [ -n "$hits" ]; then
    printf '%s:\n%s\n' "$explanation" "$hits"
    bad=1
  fi
}

without() { # REGEX FILE...
  local regex=$1
  shift
  printf '%s\n' "$@" | grep -vE "$regex" || true
}

core=(src/core/**/*.{h,cpp})
tool=(src/tool/**/*.{h,cpp})
mapfile -t pg < <(without '^$|^src/pg/boundary\.(h|cpp)$' src/pg/**/*.{h,cpp})
mapfile -t pg_no_log < <(without '^$|^src/pg/(boundary|log)\.(h|cpp)$' src/pg/**/*.{h,cpp})

forbid 'the core and the program never call the server' \
  '\b(ereport|elog|palloc0?|repalloc|pfree|PG_TRY|PG_CATCH|PG_RE_THROW|CHECK_FOR_INTERRUPTS)\b' "${core[@]}" "${tool[@]}"
forbid 'no jump outside pg/boundary' '\b(sigsetjmp|siglongjmp|setjmp|longjmp)\b' "${core[@]}" "${tool[@]}" "${pg[@]}"
forbid 'the core returns Status and throws nothing' '\bthrow\b' "${core[@]}" "${tool[@]}" "${pg[@]}"
forbid 'catching everything belongs to pg/boundary' 'catch *\( *\.\.\. *\)' "${core[@]}" "${pg[@]}"
forbid 'PostgreSQL errors are raised and caught in pg/boundary alone' \
  '\b(PG_TRY|PG_CATCH|PG_FINALLY|PG_RE_THROW|ReThrowError|ThrowErrorData)\b|\b(ereport|elog) *\( *(ERROR|FATAL)\b' "${pg[@]}"
forbid 'logging goes through the quiet path (pg/log.h)' '\b(ereport|elog) *\(' "${pg_no_log[@]}"
forbid 'no iostream and no regex in the library' '# *include *<(iostream|regex)>' "${core[@]}" "${pg[@]}"
forbid 'no using-directive' '\busing namespace\b' "${core[@]}" "${tool[@]}" "${pg[@]}"
exit $bad

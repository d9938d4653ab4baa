#!/bin/bash
# Who may include whom: the #include lines of src/ against the table below. Arrows point one way only; store/ knows nothing of
# WAL or snapshots, repo/ and work/ know only the store's interface, pg/ and tool/ never meet.
set -uo pipefail
cd "$(dirname "$0")/../.."
shopt -s globstar nullglob

allowed() { # LAYER ; regular expression over what stands between the quotes
  case $1 in
    core/base)  echo 'core/base/' ;;
    core/types) echo 'core/(base|types)/' ;;
    core/codec) echo 'core/(base|codec)/|core/store/(store|abilities)\.h$' ;;
    core/store) echo 'core/(base|store)/' ;;
    core/wal)   echo 'core/(base|types|wal)/|core/codec/compress\.h$' ;;
    core/repo)  echo 'core/(base|types|codec|wal|repo)/|core/store/(store|abilities|address_list|copy_object|member_ledger|mirrored_store|open_mirror)\.h$' ;;
    core/plan)  echo 'core/(base|types|wal|repo|plan)/' ;;
    core/demand) echo 'core/(base|demand)/|core/codec/compress\.h$' ;;
    core/work)  echo 'core/(base|types|codec|wal|repo|plan|demand|work)/|core/store/(store|abilities)\.h$' ;;
    core/find)  echo 'core/(base|types|wal|repo|plan|work|find)/' ;;
    tool)       echo 'core/|tool/' ;;
    pg)         echo 'core/|pg/' ;;
  esac
}

bad=0
report() { printf '%s\n' "$1"; bad=1; }

for file in src/**/*.{h,cpp}; do
  layer=${file#src/}
  layer=${layer%/*}
  case $layer in core/*/*) layer=$(cut -d/ -f1-2 <<<"$layer") ;; esac
  rule=$(allowed "$layer")
  if [ -z "$rule" ]; then
    report "$file: the folder has no row in the table of check_layers.sh"
    continue
  fi
  while IFS=: read -r line text; do
    name=$(sed -E 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]([^">]*)[">].*/\1/' <<<"$text")
    case $text in
      *\"*)
        grep -qE "^($rule)" <<<"$name" && continue
        # Server headers are quoted as the server quotes them; headers of pg/ keep to the two that wrap them.
        if [ "$layer" = pg ] && ! grep -qE '^(core|pg|tool)/' <<<"$name"; then
          case $file in
            *.cpp | src/pg/postgres_headers.h | src/pg/boundary.h | src/pg/version.h) continue ;;
          esac
          report "$file:$line: a header of pg/ includes no server header but through pg/postgres_headers.h: $name"
          continue
        fi
        report "$file:$line: $layer may not include $name"
        ;;
      *)
        case $layer:$name in
          core/*:libpq* | core/*:postgres* | core/*:*/postgres* | core/*:pqxx/*) report "$file:$line: the core includes no PostgreSQL header: $name" ;;
          core/store:curl/* ) ;;
          *:curl/*) report "$file:$line: libcurl belongs in core/store: $name" ;;
          core/store:pugixml.hpp) ;;
          *:pugixml.hpp) report "$file:$line: pugixml belongs in core/store: $name" ;;
        esac
        case $file:$name in
          src/core/*.h:zstd*.h | src/core/*.h:openssl/* | src/core/*.h:xxhash.h | src/core/*.h:curl/* | src/core/*.h:pugixml.hpp)
            report "$file:$line: a core header includes no third-party header: $name" ;;
        esac
        ;;
    esac
  done < <(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' "$file")
done
exit $bad

#!/bin/sh
# For node_exporter's textfile collector, from a systemd timer or cron, each minute:
#
#   textfile.sh FOLDER [PSQL ARGUMENT...]     writes FOLDER/pitr_ext.prom whole, or not at all
#
# A server that does not answer leaves the file as it was: node_textfile_mtime_seconds tells how old it is.
set -eu
folder=${1:?folder of the textfile collector}
shift
new=$(mktemp "$folder/.pitr_ext.XXXXXX")
trap 'rm -f "$new"' EXIT
psql -XAtq -v ON_ERROR_STOP=1 "$@" -c 'SELECT pitr_metrics()' >"$new"
chmod 644 "$new"
mv "$new" "$folder/pitr_ext.prom"

CREATE FUNCTION boundary_core_error() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_core_text(message text, detail text, hint text) RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_euro() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_server_error() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_out_of_memory() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_exception() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_foreign_exception() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_exception_in_call() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_wait_for_cancel() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_cancelled_status(pending boolean) RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_notice_while_cancelled() RETURNS boolean AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_nested_call() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_nested_shell() RETURNS void AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_drop_error() RETURNS boolean AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_holdoff_kept() RETURNS boolean AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_live_objects() RETURNS integer AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_resident_kb() RETURNS bigint AS 'MODULE_PATHNAME' LANGUAGE C;
CREATE FUNCTION boundary_echo(value text) RETURNS text AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION boundary_utf8_length(value text) RETURNS integer AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
CREATE FUNCTION boundary_arguments(t text[], b boolean, i integer, l bigint, p pg_lsn, s timestamptz, d interval)
RETURNS text AS 'MODULE_PATHNAME' LANGUAGE C STRICT;

CREATE FUNCTION boundary_rows(n integer)
RETURNS TABLE (t text, b boolean, i integer, l bigint, p pg_lsn, s timestamptz, x xid, d interval, a text[], c inet)
AS 'MODULE_PATHNAME' LANGUAGE C;
-- Older and newer definitions of the same function: fewer columns, more columns, another type.
CREATE FUNCTION boundary_rows_fewer(n integer) RETURNS TABLE (t text, b boolean)
AS 'MODULE_PATHNAME', 'boundary_rows' LANGUAGE C;
CREATE FUNCTION boundary_rows_more(n integer)
RETURNS TABLE (t text, b boolean, i integer, l bigint, p pg_lsn, s timestamptz, x xid, d interval, a text[], c inet, z text)
AS 'MODULE_PATHNAME', 'boundary_rows' LANGUAGE C;
CREATE FUNCTION boundary_rows_other(n integer) RETURNS TABLE (t text, b integer)
AS 'MODULE_PATHNAME', 'boundary_rows' LANGUAGE C;

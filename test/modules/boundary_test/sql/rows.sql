SET timezone = 'UTC';
SET intervalstyle = 'postgres';
SELECT * FROM boundary_rows(3);
SELECT count(*), count(t) FROM boundary_rows(100000);
-- Definitions of other versions: a column that is not there yet is left out, one that is not given is null, another type is
-- an error.
SELECT * FROM boundary_rows_fewer(1);
SELECT t, z FROM boundary_rows_more(1);
SELECT * FROM boundary_rows_other(1);
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_arguments(ARRAY['a', NULL, 'b c'], true, -5, 9000000000, '1/28', '2026-11-20 10:00:00.5+00', '1 day 00:00:01');
SELECT boundary_arguments('{}', false, 0, 0, '0/0', 'infinity', '0');
\echo :LAST_ERROR_SQLSTATE
SELECT length(boundary_echo(repeat('x', 3000000)));
SELECT boundary_live_objects();

CREATE EXTENSION boundary_test;

-- A core error arrives with its SQLSTATE, detail and hint.
SELECT boundary_core_error();
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_live_objects();

-- A server error arrives as it was raised.
SELECT boundary_server_error();
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_live_objects();

DO $$
DECLARE state text; message text; detail text; hint text; tab text;
BEGIN
  PERFORM boundary_server_error();
EXCEPTION WHEN unique_violation THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
    hint = PG_EXCEPTION_HINT, tab = TABLE_NAME;
  RAISE NOTICE '% | % | % | % | %', state, message, detail, hint, tab;
END $$;

SELECT boundary_out_of_memory();
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_exception();
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_foreign_exception();
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_exception_in_call();
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_nested_call();
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_nested_shell();
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_live_objects();

-- Cancel inside a call; a cancel that core code saw; a cancel pending at a NOTICE.
SET statement_timeout = '200ms';
SELECT boundary_wait_for_cancel();
\echo :LAST_ERROR_SQLSTATE
RESET statement_timeout;
SELECT boundary_cancelled_status(true);
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_cancelled_status(false);
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_notice_while_cancelled();
\echo :LAST_ERROR_SQLSTATE
SELECT boundary_live_objects();

-- Errors that are dropped, and what a raised error would have reset.
SELECT boundary_drop_error();
SELECT boundary_holdoff_kept();

-- Texts that do not fit are cut where a character begins.
DO $$
DECLARE message text; detail text; hint text;
BEGIN
  PERFORM boundary_core_text(repeat('€', 1000), repeat('x', 4094) || '€', 'x' || repeat('😀', 300));
EXCEPTION WHEN invalid_parameter_value THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RAISE NOTICE '% % % % % %', length(message), octet_length(message), length(detail), right(detail, 1), length(hint),
    octet_length(hint);
END $$;
DO $$
BEGIN
  PERFORM boundary_core_text('100%s', '', '');
EXCEPTION WHEN invalid_parameter_value THEN
  RAISE NOTICE '%', SQLERRM;
END $$;

-- 50,000 errors of each kind in one session: no object and no memory left behind.
CREATE FUNCTION repeat_error(statement text, times integer) RETURNS void AS $$
BEGIN
  FOR i IN 1 .. times LOOP
    BEGIN
      EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END LOOP;
END $$ LANGUAGE plpgsql;
SELECT repeat_error('SELECT boundary_core_error()', 2000), repeat_error('SELECT boundary_server_error()', 2000),
  repeat_error('SELECT boundary_nested_call()', 2000), repeat_error('SELECT boundary_exception()', 2000);
SELECT boundary_resident_kb() AS before \gset
SELECT repeat_error('SELECT boundary_core_error()', 50000);
SELECT boundary_resident_kb() - :before < 2048 AS no_leak_of_core_errors;
SELECT repeat_error('SELECT boundary_server_error()', 50000);
SELECT boundary_resident_kb() - :before < 2048 AS no_leak_of_server_errors;
SELECT repeat_error('SELECT boundary_exception_in_call()', 50000);
SELECT boundary_resident_kb() - :before < 2048 AS no_leak_of_exceptions_in_calls;
SELECT repeat_error('SELECT boundary_nested_call()', 10000);
SELECT boundary_resident_kb() - :before < 2048 AS no_leak_of_nested_calls;
SELECT repeat_error('SELECT boundary_foreign_exception()', 10000);
SELECT boundary_resident_kb() - :before < 2048 AS no_leak_of_exceptions;
SELECT boundary_live_objects();

-- The session is as good as ever.
SELECT boundary_echo('still here');

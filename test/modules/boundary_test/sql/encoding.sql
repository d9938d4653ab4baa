-- Our texts are UTF-8, the database's are not: both directions convert, and a character that is missing becomes '?'.
CREATE DATABASE boundary_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
\c boundary_latin1
SET client_encoding = 'UTF8';
CREATE EXTENSION boundary_test;
SELECT boundary_utf8_length('ü'), octet_length('ü'), boundary_echo('ü') = 'ü' AS same;
SELECT boundary_core_text('größe', 'Détail.', 'Ñu.');
DO $$
BEGIN
  PERFORM boundary_core_text(repeat('ü', 1500), '', '');
EXCEPTION WHEN invalid_parameter_value THEN
  RAISE NOTICE '% %', length(SQLERRM), replace(SQLERRM, 'ü', '') = '';
END $$;
-- The character is not in LATIN1, and got here in spite of that.
SELECT boundary_euro();
\c contrib_regression
DROP DATABASE boundary_latin1;

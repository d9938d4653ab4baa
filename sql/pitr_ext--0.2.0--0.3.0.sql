-- From pitr_ext 0.2.0 to 0.3.0: what demand loading brought.
\echo Use "ALTER EXTENSION pitr_ext UPDATE TO '0.3.0'" to load this file. \quit

CREATE FUNCTION pitr_complete_branch(branch text DEFAULT NULL,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, state text, bytes_total bigint)
AS 'MODULE_PATHNAME', 'pitr_complete_branch'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_complete_branch(text, boolean) IS
    'Waits until the demand-loaded directory of a branch (NULL: the connected one) needs nothing from the repository any more. Size in bytes.';
REVOKE ALL ON FUNCTION pitr_complete_branch(text, boolean) FROM PUBLIC;

-- From pitr_ext 0.1.0 to 0.2.0: what repositories in S3, encryption, several repositories and one writer for each of them brought.
\echo Use "ALTER EXTENSION pitr_ext UPDATE TO '0.2.0'" to load this file. \quit

CREATE FUNCTION pitr_take_over_branch(branch text)
RETURNS TABLE (branch text, previous_writer text)
AS 'MODULE_PATHNAME', 'pitr_take_over_branch'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_take_over_branch(text) IS
    'Makes this server the writer of its branch when the old writer is gone for good. Watches that one for its pitr.lease_timeout first; PI008 when it lives.';
REVOKE ALL ON FUNCTION pitr_take_over_branch(text) FROM PUBLIC;

CREATE FUNCTION pitr_rewrap_keys()
RETURNS TABLE (objects bigint, key_id text)
AS 'MODULE_PATHNAME', 'pitr_rewrap_keys'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_rewrap_keys() IS
    'Moves an encrypted repository to the first key of pitr.encryption_key_file or pitr.encryption_key_command, without rewriting data: wraps its master key anew. objects: key objects written, 0 when that key is in use already.';
REVOKE ALL ON FUNCTION pitr_rewrap_keys() FROM PUBLIC;

CREATE FUNCTION pitr_internal_repositories()
RETURNS TABLE (repository text, required boolean, reachable boolean, last_error text,
               behind_segments bigint, behind_bytes bigint, free_bytes bigint,
               conditional_writes boolean, encrypted boolean, key_id text)
AS 'MODULE_PATHNAME', 'pitr_internal_repositories'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_internal_repositories() IS
    'Rows of the view pitr_repositories.';
REVOKE ALL ON FUNCTION pitr_internal_repositories() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_internal_repositories() TO pg_monitor;

CREATE VIEW pitr_repositories AS SELECT * FROM pitr_internal_repositories();
COMMENT ON VIEW pitr_repositories IS
    'The repositories that pitr.repository names: which can be reached, and what each of them still lacks.';
REVOKE ALL ON pitr_repositories FROM PUBLIC;
GRANT SELECT ON pitr_repositories TO pg_monitor;

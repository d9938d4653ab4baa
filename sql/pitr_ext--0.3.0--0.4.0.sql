-- From pitr_ext 0.3.0 to 0.4.0: what branches with a server of their own brought.
\echo Use "ALTER EXTENSION pitr_ext UPDATE TO '0.4.0'" to load this file. \quit

CREATE FUNCTION pitr_create_branch(name text DEFAULT NULL,
    source text DEFAULT '^self',
    start boolean DEFAULT true,
    schema_only boolean DEFAULT false,
    masking_script text DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL,
    protected boolean DEFAULT false,
    settings jsonb DEFAULT '{}',
    wait boolean DEFAULT true)
RETURNS TABLE (name text, id text, parent text, parent_id text, fork_lsn pg_lsn, fork_time timestamptz, kind text, state text,
    is_self boolean, is_default boolean, protected boolean, port integer, connection text, directory text,
    size_bytes bigint, incomplete_bytes bigint, created_at timestamptz, updated_at timestamptz,
    last_reset_at timestamptz, expires_at timestamptz, ttl interval, deleted_at timestamptz,
    window_start timestamptz, window_end timestamptz, created_by text)
AS 'MODULE_PATHNAME', 'pitr_create_branch'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_create_branch(text, text, boolean, boolean, text, timestamptz, boolean, jsonb, boolean) IS
    'Makes a branch with a server of its own from source[@point] (^self, ^parent, name or id; without a point from its head): a data directory beside this server''s, a port of pitr.branch_ports, an archive of its own. settings: names and values for its postgresql.auto.conf. schema_only: a root of its own without rows. masking_script: SQL that runs before anybody can connect. The same call again succeeds. 42710 name taken, 53400 no port left, PI001 to PI003 as pitr_restore_branch';
REVOKE ALL ON FUNCTION pitr_create_branch(text, text, boolean, boolean, text, timestamptz, boolean, jsonb, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_start_branch(branch text,
    wait boolean DEFAULT true)
RETURNS TABLE (branch text, port integer, connection text)
AS 'MODULE_PATHNAME', 'pitr_start_branch'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_start_branch(text, boolean) IS
    'Starts the server of a branch, which from then on is kept running. One that runs already is left alone. 55000 when the branch has no server here';
REVOKE ALL ON FUNCTION pitr_start_branch(text, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_stop_branch(branch text,
    mode text DEFAULT 'fast')
RETURNS TABLE (branch text, stopped_at timestamptz)
AS 'MODULE_PATHNAME', 'pitr_stop_branch'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_stop_branch(text, text) IS
    'Stops the server of a branch (smart, fast or immediate) and leaves it stopped. 55006 for the connected branch';
REVOKE ALL ON FUNCTION pitr_stop_branch(text, text) FROM PUBLIC;

CREATE FUNCTION pitr_protect_branch(branch text,
    protected boolean DEFAULT true)
RETURNS TABLE (name text, id text, parent text, parent_id text, fork_lsn pg_lsn, fork_time timestamptz, kind text, state text,
    is_self boolean, is_default boolean, protected boolean, port integer, connection text, directory text,
    size_bytes bigint, incomplete_bytes bigint, created_at timestamptz, updated_at timestamptz,
    last_reset_at timestamptz, expires_at timestamptz, ttl interval, deleted_at timestamptz,
    window_start timestamptz, window_end timestamptz, created_by text)
AS 'MODULE_PATHNAME', 'pitr_protect_branch'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_protect_branch(text, boolean) IS
    'Protects a branch from being deleted, reset or restored over, or lets go of that';
REVOKE ALL ON FUNCTION pitr_protect_branch(text, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_undelete_branch(branch text,
    new_name text DEFAULT NULL)
RETURNS TABLE (name text, id text, parent text, parent_id text, fork_lsn pg_lsn, fork_time timestamptz, kind text, state text,
    is_self boolean, is_default boolean, protected boolean, port integer, connection text, directory text,
    size_bytes bigint, incomplete_bytes bigint, created_at timestamptz, updated_at timestamptz,
    last_reset_at timestamptz, expires_at timestamptz, ttl interval, deleted_at timestamptz,
    window_start timestamptz, window_end timestamptz, created_by text)
AS 'MODULE_PATHNAME', 'pitr_undelete_branch'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_undelete_branch(text, text) IS
    'Brings a deleted branch back, within 7 days of its deletion: by id, or the newest of that name, under its name or another one. A server that it had is made again from the repository. 42710 name taken, 55000 deleted with force or too long ago';
REVOKE ALL ON FUNCTION pitr_undelete_branch(text, text) FROM PUBLIC;

CREATE FUNCTION pitr_set_default_branch(branch text)
RETURNS TABLE (name text, id text, parent text, parent_id text, fork_lsn pg_lsn, fork_time timestamptz, kind text, state text,
    is_self boolean, is_default boolean, protected boolean, port integer, connection text, directory text,
    size_bytes bigint, incomplete_bytes bigint, created_at timestamptz, updated_at timestamptz,
    last_reset_at timestamptz, expires_at timestamptz, ttl interval, deleted_at timestamptz,
    window_start timestamptz, window_end timestamptz, created_by text)
AS 'MODULE_PATHNAME', 'pitr_set_default_branch'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_set_default_branch(text) IS
    'Makes a branch the default one, instead of the one that was: points without a branch are its, and it cannot be deleted nor expire';
REVOKE ALL ON FUNCTION pitr_set_default_branch(text) FROM PUBLIC;

CREATE FUNCTION pitr_reset_branch(branch text,
    preserve_under_name text DEFAULT NULL,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, state text, branch text, branch_id text, restored_lsn pg_lsn, commit_time timestamptz,
    commit_xid xid, timeline integer, undo_branch text, undo_branch_id text)
AS 'MODULE_PATHNAME', 'pitr_reset_branch'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_reset_branch(text, text, boolean) IS
    'Restores a branch to the head of its parent. What it was is kept only with a name for it; its time to live begins anew. 55000 for a root, PI005 for a protected branch, 2BP01 for one with children';
REVOKE ALL ON FUNCTION pitr_reset_branch(text, text, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_finalize_restore(branch text,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, state text, branch text, branch_id text, restored_lsn pg_lsn, commit_time timestamptz,
    commit_xid xid, timeline integer, undo_branch text, undo_branch_id text)
AS 'MODULE_PATHNAME', 'pitr_finalize_restore'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_finalize_restore(text, boolean) IS
    'Second step of pitr_restore_branch(..., finalize => false): the branch that it built (or, when there is only one, the one built for this branch) takes the place of the one that was to be restored, with what was done on it meanwhile. 55000 when nothing waits for it';
REVOKE ALL ON FUNCTION pitr_finalize_restore(text, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_set_branch_expiration(branch text,
    expires_at timestamptz DEFAULT NULL,
    ttl interval DEFAULT NULL)
RETURNS TABLE (name text, id text, parent text, parent_id text, fork_lsn pg_lsn, fork_time timestamptz, kind text, state text,
    is_self boolean, is_default boolean, protected boolean, port integer, connection text, directory text,
    size_bytes bigint, incomplete_bytes bigint, created_at timestamptz, updated_at timestamptz,
    last_reset_at timestamptz, expires_at timestamptz, ttl interval, deleted_at timestamptz,
    window_start timestamptz, window_end timestamptz, created_by text)
AS 'MODULE_PATHNAME', 'pitr_set_branch_expiration'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_set_branch_expiration(text, timestamptz, interval) IS
    'Says when a branch is to be deleted: at a time or after an interval, at most 30 days ahead; neither clears it. Not for the default branch, a protected one or one with children (55000)';
REVOKE ALL ON FUNCTION pitr_set_branch_expiration(text, timestamptz, interval) FROM PUBLIC;

CREATE FUNCTION pitr_branch_tree()
RETURNS TABLE (tree text, state text, created_at timestamptz, head_time timestamptz, size_bytes bigint)
AS 'MODULE_PATHNAME', 'pitr_branch_tree'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_branch_tree() IS
    'The branches that are not deleted as a tree, a row a branch: name, age and the LSN it was made from, below its parent. head_time: the last moment of it that can be restored';
REVOKE ALL ON FUNCTION pitr_branch_tree() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_branch_tree() TO pg_monitor;

CREATE FUNCTION pitr_open_at(point text)
RETURNS TABLE (point text, lsn pg_lsn, commit_time timestamptz, host text, port integer, connection text, expires_when_idle interval)
AS 'MODULE_PATHNAME', 'pitr_open_at'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_open_at(text) IS
    'Where to connect to read the past: a server at that point, which only the user of this server reaches and nobody can write. The same point again is the same server; it goes when nobody was connected for pitr.time_travel_idle_timeout. 53400 when pitr.time_travel_max are in use, PI001 to PI003 as pitr_restore_branch';
REVOKE ALL ON FUNCTION pitr_open_at(text) FROM PUBLIC;

CREATE FUNCTION pitr_close_at(point text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pitr_close_at'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_close_at(text) IS
    'Ends the server at a point of the past, and the sessions that it has. False: there is none';
REVOKE ALL ON FUNCTION pitr_close_at(text) FROM PUBLIC;

CREATE FUNCTION pitr_query_at(point text,
    query text,
    database text DEFAULT NULL)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pitr_query_at'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_query_at(text, text, text) IS
    'Rows of one read-only query on the past: SELECT * FROM pitr_query_at(point, query) AS t(name type, ...). It runs as current_user, with the rights that role had then, in the database of that name. All rows are fetched before the first is seen; temp_file_limit holds. 42704 role absent then, 42804 other columns, 25006 a write, errors of the query as they are';
REVOKE ALL ON FUNCTION pitr_query_at(text, text, text) FROM PUBLIC;

CREATE FUNCTION pitr_query_json_at(point text,
    query text,
    database text DEFAULT NULL)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'pitr_query_json_at'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_query_json_at(text, text, text) IS
    'As pitr_query_at, each row as a JSON object: no column list is needed';
REVOKE ALL ON FUNCTION pitr_query_json_at(text, text, text) FROM PUBLIC;

CREATE FUNCTION pitr_find_events(since timestamptz DEFAULT NULL,
    until timestamptz DEFAULT NULL,
    kinds text[] DEFAULT NULL,
    min_rows bigint DEFAULT 1000,
    relation text DEFAULT NULL,
    branch text DEFAULT '^self')
RETURNS TABLE (event_time timestamptz, kind text, database text, object text, row_count bigint, commit_xid xid, lsn pg_lsn,
    committed boolean, target text, detail text)
AS 'MODULE_PATHNAME', 'pitr_find_events'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_find_events(timestamptz, timestamptz, text[], bigint, text, text) IS
    'What the WAL in the repository tells of drops, truncations, deletions and updates of at least min_rows rows, DDL, dropped databases and restore points, of all databases. object: as it was called then. target: the point just before, for pitr_restore_branch or pitr_create_branch. kinds: drop, truncate, delete, update, ddl, drop_database, restore_point; NULL is all';
REVOKE ALL ON FUNCTION pitr_find_events(timestamptz, timestamptz, text[], bigint, text, text) FROM PUBLIC;

CREATE FUNCTION pitr_schema_of(source text DEFAULT '^self',
    format text DEFAULT 'sql',
    database text DEFAULT NULL)
RETURNS TABLE (database text, schema_text text)
AS 'MODULE_PATHNAME', 'pitr_schema_of'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_schema_of(text, text, text) IS
    'The schema of a database at source[@point], of all that current_user may enter by default: what pg_dump --schema-only writes, or with format ''json'' the tables with names and types of their columns. It reads as current_user, with the rights that role had then. 42501 what pg_dump may not read, 3D000 no such database then';
REVOKE ALL ON FUNCTION pitr_schema_of(text, text, text) FROM PUBLIC;

CREATE FUNCTION pitr_schema_diff(base text DEFAULT NULL,
    compare text DEFAULT NULL,
    database text DEFAULT NULL)
RETURNS TABLE (database text, diff text)
AS 'MODULE_PATHNAME', 'pitr_schema_diff'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_schema_diff(text, text, text) IS
    'What the schemas of two source[@point] differ in, as diff -u of what pg_dump writes; no row for a database where they are equal. Without arguments ^parent against ^self; ^parent is always the base, and as the second source that of the first. Errors as pitr_schema_of, PI009 no parent';
REVOKE ALL ON FUNCTION pitr_schema_diff(text, text, text) FROM PUBLIC;

CREATE FUNCTION pitr_data_diff(relation text,
    base text,
    compare text DEFAULT '^self',
    database text DEFAULT NULL)
RETURNS TABLE (op text, key jsonb, old_row jsonb, new_row jsonb)
AS 'MODULE_PATHNAME', 'pitr_data_diff'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_data_diff(text, text, text, text) IS
    'Rows of a table that differ between two source[@point], told apart by its primary key or the index of its replica identity: op insert, update or delete. Columns that only one side has are shown and not compared. It reads as current_user, with the rights that role had and has. 42P01 no such table there, 55000 no key, or another one';
REVOKE ALL ON FUNCTION pitr_data_diff(text, text, text, text) FROM PUBLIC;

CREATE FUNCTION pitr_recover_table(relation text,
    at text,
    into_table text DEFAULT NULL,
    mode text DEFAULT 'beside',
    database text DEFAULT NULL,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, state text, relation text, rows_found bigint, rows_written bigint, commit_time timestamptz)
AS 'MODULE_PATHNAME', 'pitr_recover_table'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_recover_table(text, text, text, text, text, boolean) IS
    'Brings a table of source[@point] back, dropped or not, in the transaction of the caller and as current_user: beside, as <name>_recovered or into_table, with indexes, constraints, defaults, owned sequences, privileges, comments; mode missing inserts rows whose primary key is gone; replace puts the rows of then in the place of all, triggers silent. 42P01 no such table then, 42501 what current_user may not, 42704 a type that is gone, 42P10 no key, 23503 foreign keys that would not hold';
REVOKE ALL ON FUNCTION pitr_recover_table(text, text, text, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_recover_database(name text,
    at text,
    into_database text DEFAULT NULL,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, state text, database text, commit_time timestamptz)
AS 'MODULE_PATHNAME', 'pitr_recover_database'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_recover_database(text, text, text, boolean) IS
    'Makes a database of source[@point] anew, dropped or not, as <name>_recovered or into_database, while everything goes on: all that pg_dump knows of, its settings, privileges, comment and owner. What roles owned that are gone is the caller''s. It is there when it is whole; the operation is no part of the calling transaction. 3D000 no such database then, 42710 name taken, 53100 no room';
REVOKE ALL ON FUNCTION pitr_recover_database(text, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_attach_schema(point text,
    schema text DEFAULT 'past',
    remote_schema text DEFAULT 'public',
    relations text[] DEFAULT NULL)
RETURNS TABLE (schema text, relation text, skipped text)
AS 'MODULE_PATHNAME', 'pitr_attach_schema'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_attach_schema(text, text, text, text[]) IS
    'Makes a schema with the tables and views of a schema at a point of the past as foreign tables (postgres_fdw), for who calls alone and with the rights of then. skipped: why one is not there. The server of the past stays until the schema is detached or dropped. An attached schema of that name is replaced. 42501 without CREATE on the database, 55000 without postgres_fdw, 42P06 another schema of that name, 3F000 and 42P01 what did not exist then, errors of pitr_open_at';
REVOKE ALL ON FUNCTION pitr_attach_schema(text, text, text, text[]) FROM PUBLIC;

CREATE FUNCTION pitr_detach_schema(schema text DEFAULT 'past')
RETURNS boolean
AS 'MODULE_PATHNAME', 'pitr_detach_schema'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_detach_schema(text) IS
    'Drops a schema that pitr_attach_schema made. False: there is none. 42501 for who does not own it, 2BP01 when other objects depend on it, 55000 an ordinary schema';
REVOKE ALL ON FUNCTION pitr_detach_schema(text) FROM PUBLIC;

-- Settings: reserved prefix, ranges, check hooks that name the place.
SHOW pitr.archive_workers;
SHOW pitr.archive_look_ahead;
SHOW pitr.compression_level;
SHOW pitr.backlog_compression_level;
SHOW pitr.snapshot_compression_level;
SHOW pitr.snapshot_workers;
SHOW pitr.restore_workers;
SHOW pitr.wal_read_ahead;
SHOW pitr.operation_lock_timeout;
SHOW pitr.terminate_timeout;
SHOW pitr.undo_directory_retention;
SHOW pitr.log_operations;
SHOW pitr.tail_interval;
SHOW pitr.heartbeat_interval;
SHOW pitr.lease_timeout;
SHOW pitr.max_replay_bytes;
SHOW pitr.max_replay_time;
SHOW pitr.synchronous;
SHOW pitr.demand_load;
SHOW pitr.fetch_workers;
SHOW pitr.fill_rate;
SET pitr.operation_lock_timeout = '5s';
SHOW pitr.operation_lock_timeout;
-- The wording of ranges differs between majors.
\set VERBOSITY sqlstate
SET pitr.operation_lock_timeout = -1;
SET pitr.no_such_setting = 1;
ALTER SYSTEM SET pitr.compression_level = 20;
ALTER SYSTEM SET pitr.archive_workers = 17;
ALTER SYSTEM SET pitr.tail_interval = '2h';
ALTER SYSTEM SET pitr.lease_timeout = 9;
ALTER SYSTEM SET pitr.lease_timeout = '61min';
\set VERBOSITY default
ALTER SYSTEM SET pitr.tail_interval = 99;
ALTER SYSTEM SET pitr.tail_interval = 100;
ALTER SYSTEM RESET pitr.tail_interval;
ALTER SYSTEM SET pitr.repository = 'relative/path';
ALTER SYSTEM SET pitr.repository = '/a, relative/path';
ALTER SYSTEM SET pitr.repository = '/a,/b,/a/';
ALTER SYSTEM SET pitr.repository = '/a?mode=best_effort';
ALTER SYSTEM SET pitr.repository = '/a?mode=sometimes';
ALTER SYSTEM SET pitr.branch_directory = 'relative/path';
ALTER SYSTEM SET pitr.encryption_key_file = 'relative/path';
ALTER SYSTEM SET pitr.recovery_settings = 'work_mem=1MB; nonsense';

# Demand loading: a restored server is served while most of it is still in the repository, holds exactly what was recorded at its
# target, survives what ends it, and becomes a plain directory by itself.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# Slow completion, so that there is time to look at what is missing.
my $node = pitr_node('main', conf => "fsync = on\npitr.demand_load = auto\npitr.fill_rate = '64kB'\nautovacuum = off\n");
is($node->safe_psql('postgres', "SELECT detail FROM pitr_check('0 s') WHERE item = 'demand loading'"),
	'restored directories are served before all of them is laid out', 'pitr_check says that demand loading works here');

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE big AS SELECT g AS id, md5(g::text) AS v, repeat('x', 60) AS pad FROM generate_series(1, 60000) g;
CREATE INDEX big_id ON big (id);
CREATE TABLE to_drop AS SELECT * FROM big;
CREATE TABLE to_truncate AS SELECT * FROM big;
CREATE TABLE to_rewrite AS SELECT * FROM big;
CREATE TABLE to_extend AS SELECT * FROM big WHERE id < 20000;
CREATE TABLE shrinks AS SELECT * FROM big;
VACUUM FREEZE;
CREATE DATABASE other TEMPLATE template0;
SQL
$node->safe_psql('other', 'CREATE TABLE elsewhere AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 30000) g');
$node->safe_psql('postgres', "SELECT id FROM pitr_create_snapshot('base')");
$node->safe_psql('postgres', "UPDATE big SET v = 'changed' WHERE id % 1000 = 7; DELETE FROM shrinks WHERE id > 30000");
my $then = contents($node);
my $target = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
$node->safe_psql('postgres', "DELETE FROM big WHERE id > 100; DROP TABLE to_rewrite; INSERT INTO to_extend SELECT * FROM to_drop");
my $later = contents($node);

sub incomplete { return $node->safe_psql('postgres', 'SELECT incomplete_bytes FROM pitr_branches WHERE is_self'); }
sub folder { return -d $node->data_dir . '/pgsql_tmp_pitr'; }

sub restore_there
{
	my ($name) = @_;
	my $row = restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)");
	is($row->{outcome}, 'done', "$name: restored") or diag(explain($row));
	ok(folder(), "$name: the directory is incomplete");
	cmp_ok(incomplete(), '>', 8 * 1024 * 1024, "$name: most of it is missing");
	return $row;
}

# What was recorded, while pages are missing; then everything that a server does to relations that it has not read yet.
restore_there('first');
is(contents($node), $then, 'what was recorded at the target, while pages are missing');
ok(folder(), 'and are still');
is($node->safe_psql('postgres', "SELECT kind, state, phase FROM pitr_operations WHERE kind = 'complete'"),
	'complete|running|load', 'its completion is an operation');
like(slurp_file($node->data_dir . '/backup_label'), qr/\AINCOMPLETE: do not copy, rewind, upgrade or checksum/, 'the marker warns');
$node->safe_psql('postgres', 'DROP TABLE to_drop; TRUNCATE to_truncate; CHECKPOINT');
$node->safe_psql('postgres', 'VACUUM shrinks');
$node->safe_psql('postgres', 'VACUUM FULL to_rewrite');
$node->safe_psql('postgres', "COPY (SELECT * FROM big WHERE id % 100 = 0) TO '/tmp/" . $node->name . "_$$.copy'");
$node->safe_psql('postgres', "COPY to_extend FROM '/tmp/" . $node->name . "_$$.copy'");
unlink '/tmp/' . $node->name . "_$$.copy";
$node->safe_psql('postgres', 'CREATE DATABASE copied TEMPLATE other STRATEGY file_copy');
$node->safe_psql('postgres', 'CREATE DATABASE logged TEMPLATE other STRATEGY wal_log');
is($node->safe_psql('copied', 'SELECT count(*), sum(id) FROM elsewhere'), '30000|450015000', 'a file-copied database is whole');
is($node->safe_psql('logged', 'SELECT count(*), sum(id) FROM elsewhere'), '30000|450015000', 'so is a logged one');
is($node->safe_psql('postgres', 'SELECT count(*) FROM to_extend'), 19999 + 600, 'extended');
$node->safe_psql('postgres', 'DROP DATABASE copied');
$node->safe_psql('postgres', 'DROP DATABASE logged');
my $changed = contents($node);
unlike($changed, qr/to_drop/, 'dropped');
like($changed, qr/ shrinks\|30000\|/, 'shrunk');
ok(folder(), 'still incomplete');

# A crash of a backend, of the completion, of everything: only what was synced survives in the map, and all of the data.
foreach my $who ('completion', 'checkpointer')
{
	my $pid;
	wait_until(30, sub {
		$pid = $node->safe_psql('postgres', $who eq 'completion'
			? "SELECT pid FROM pitr_operations WHERE kind = 'complete' AND state = 'running' AND pid IS NOT NULL"
			: "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
	});
	ok($pid, "there is a $who");
	kill 'KILL', $pid;
	wait_until(10, sub { !is_alive($pid) });
	ok(ensure_running($node), "up after the $who was killed");
	is(contents($node), $changed, 'with what it had');
}
$node->safe_psql('postgres', 'INSERT INTO to_truncate SELECT * FROM big WHERE id <= 500');
$changed = contents($node);
$node->stop('immediate');
$node->start;
is(contents($node), $changed, 'after an immediate stop as well');
ok(folder(), 'still incomplete');

# Who reads files without asking the server is refused.
is(refusal($node, "SELECT pg_backup_start('x')")->{sqlstate}, '55000', 'pg_backup_start is refused');
is(refusal($node, 'SELECT pitr_create_snapshot()')->{sqlstate}, '55000', 'a snapshot has to wait');
is(refusal($node, "SELECT pitr_delete_snapshot('base')")->{sqlstate}, '55006', 'the snapshot that it is loaded from stays');

# A server without the library does not start on it.
$node->stop;
my $offset = -s $node->logfile;
is(system_log('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', "-c shared_preload_libraries=''", 'start') == 0,
	'', 'without the library it does not start');
like(slurp_file($node->logfile, $offset), qr/FATAL:  control file contains invalid database cluster state/, 'and says why');
$offset = -s $node->logfile;
is(system_log('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '-c fsync=off', 'start') == 0, '', 'nor without fsync');
like(slurp_file($node->logfile, $offset), qr/FATAL:.*incomplete.*fsync is off/, 'and says why');
$node->start;

# Back to where it came from, while incomplete: the old directory is one that is incomplete as well.
my $row = undo($node);
is($row->{outcome}, 'done', 'undo') or diag(explain($row));
is(contents($node), $later, 'what was before the first restore');
ok(!folder(), 'the old directory was complete');
is(refusal($node, "SELECT pitr_delete_snapshot('base')")->{sqlstate}, '55006', 'an undo directory needs its snapshot too');
$row = undo($node);
is($row->{outcome}, 'done', 'undo of the undo: to an incomplete directory') or diag(explain($row));
is(contents($node), $changed, 'which holds what it held');
ok(folder(), 'and is incomplete still');

# From an incomplete directory to another point.
restore_there('second');
# A base backup over the protocol is a plain, complete directory.
$node->backup('whole');
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($node, 'whole');
$copy->append_conf('postgresql.conf', "shared_preload_libraries = ''\narchive_mode = off\narchive_library = ''\n");
ok(!-d $copy->data_dir . '/pgsql_tmp_pitr', 'the folder is not in a base backup');
$copy->start;
is(contents($copy), $then, 'which holds everything');
$copy->stop;

is(contents($node), $then, 'second: what was recorded at the target');

# The repository away: who needs it is told, the others go on.
restore_there('third');
my $repository = repository_of($node);
rename $repository, "$repository.away" or die;
my $failed = refusal($node, 'SELECT count(*) FROM to_rewrite');
is($failed->{sqlstate}, '58030', 'without the repository a missing page is an I/O error');
like($failed->{text}, qr/could not read block.*DETAIL:  could not open "\Q$repository\E/s, 'that names the repository');
is($node->safe_psql('postgres', 'SELECT 1'), 1, 'others go on');
rename "$repository.away", $repository or die;
# What nobody has read yet moves to a tablespace.
my $place = $node->basedir . '/place';
mkdir $place;
$node->safe_psql('postgres', "CREATE TABLESPACE there LOCATION '$place'");
$node->safe_psql('postgres', 'ALTER DATABASE other SET TABLESPACE there');
is($node->safe_psql('other', 'SELECT count(*), sum(id) FROM elsewhere'), '30000|450015000', 'a database that moved to a tablespace is whole');
is(contents($node), $then, 'all is well when the repository is back');

# Completion.
$node->safe_psql('postgres', 'ALTER SYSTEM SET pitr.fill_rate = 0');
$node->reload;
is($node->safe_psql('postgres', 'SELECT state FROM pitr_complete_branch()'), 'done', 'complete');
ok(!folder() && !-e $node->data_dir . '/backup_label', 'a plain directory');
is(incomplete(), 0, 'nothing is missing');
is(contents($node), $then, 'and all is there');
ok($node->safe_psql('postgres', "SELECT count(*) FROM pitr_operations WHERE kind = 'complete' AND state = 'done' AND bytes_done = bytes_total") >= 1,
	'its operation is done');
$node->stop;
rename $repository, "$repository.away" or die;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\narchive_library = ''\narchive_mode = off\n");
$node->start;
is($node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM to_rewrite'), '60000|1800030000', 'it needs nothing of ours any more');
$node->command_ok([ 'pg_amcheck', '-d', 'postgres', '--install-missing', '--heapallindexed' ], 'amcheck finds nothing wrong');
$node->stop;
done_testing();

# Programs that work on a stopped data directory, each run on an incomplete one: they refuse, or the library refuses to start on what they
# made, or nothing was harmed. Never are there zeros where there was data.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pitr_node('main', conf => "fsync = on\nautovacuum = off\nwal_log_hints = on\nwal_keep_size = '256MB'\npitr.fill_rate = '64kB'\n");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE big AS SELECT g AS id, md5(g::text) AS v, repeat('x', 60) AS pad FROM generate_series(1, 30000) g;
CREATE INDEX big_id ON big (id);
CREATE UNLOGGED TABLE unlogged AS SELECT g AS id FROM generate_series(1, 3000) g;
SQL
$node->safe_psql('postgres', "SELECT id FROM pitr_create_snapshot('base')");
my $then = contents($node);
my $target = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
$node->safe_psql('postgres', 'DELETE FROM big WHERE id > 100');
my $row = restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)");
is($row->{outcome}, 'done', 'restored') or diag(explain($row));

sub folder { return -d $node->data_dir . '/pgsql_tmp_pitr'; }

sub goes_on
{
	my ($what) = @_;
	$node->start;
	is(contents($node), $then, "$what: everything is there");
	ok(folder(), "$what: the directory is still incomplete");
	$node->stop;
	return;
}

# Starts a directory, which has to fail; what its log says.
sub refusal_to_start
{
	my ($directory) = @_;
	my $log = $node->basedir . '/refused.log';
	unlink $log;
	is(system_log('pg_ctl', '-w', '-D', $directory, '-l', $log, 'start') == 0, '', 'it does not start');
	return slurp_file($log);
}

ok(folder(), 'the directory is incomplete');
$node->stop;

# They look at the control file first, which does not call the server shut down.
foreach my $tool ([ 'pg_checksums', '--check', '-D', $node->data_dir ], [ 'pg_checksums', '--enable', '-D', $node->data_dir ], [ 'pg_resetwal', '-D', $node->data_dir ])
{
	my ($out, $err) = ('', '');
	IPC::Run::run($tool, '>', \$out, '2>', \$err);
	isnt($?, 0, "@$tool[0, 1]: refused");
	like("$out$err", qr/must be shut down|was not shut down cleanly/, 'as a server that was not shut down');
}
goes_on('checked');

# A plain copy has holes that nobody fills.
my $copy = $node->basedir . '/copy';
system_or_bail('cp', '-a', $node->data_dir, $copy);
like(refusal_to_start($copy), qr/FATAL:.*not as pitr_ext left it.*DETAIL:  File "[^"]+" is another one than the one that was laid out/s,
	'a copy: the library says so');
goes_on('copied');

# pg_upgrade.
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
my $bin = $node->config_data('--bindir');
my ($out, $err) = ('', '');
IPC::Run::run([ 'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $new->data_dir, '-b', $bin, '-B', $bin, '-p', $node->port, '-P', $new->port,
		'-s', PostgreSQL::Test::Utils::tempdir_short() ], '>', \$out, '2>', \$err);
isnt($?, 0, 'pg_upgrade fails');
note($out, $err);
like("$out$err", qr/source cluster was not shut down cleanly/, 'and says why');
goes_on('pg_upgrade failed');

# pg_rewind would write over pages that the map calls missing. It ends the server's recovery itself first, without fsync: refused.
$node->start;
$node->backup('whole');
my $source = PostgreSQL::Test::Cluster->new('source');
$source->init_from_backup($node, 'whole', has_streaming => 1);
$source->append_conf('postgresql.conf', "shared_preload_libraries = ''\narchive_mode = off\narchive_library = ''\n");
$source->start;
$node->wait_for_catchup($source, 'replay', $node->lsn('insert'));
$source->promote;
$source->safe_psql('postgres', 'CHECKPOINT');
# Its base backup has loaded everything: incomplete once more.
$row = restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)");
is($row->{outcome}, 'done', 'restored again') or diag(explain($row));
$node->stop;
ok(folder(), 'and incomplete');
($out, $err) = ('', '');
IPC::Run::run([ 'pg_rewind', '--target-pgdata', $node->data_dir, '--source-server', $source->connstr('postgres') ], '>', \$out, '2>', \$err);
isnt($?, 0, 'pg_rewind fails');
like($err, qr/FATAL:.*incomplete.*fsync is off/, 'and says why');
$source->stop;
$then = do { $node->start; my $now = contents($node); $node->stop; $now };
like($then, qr/postgres big\|30000\|/, 'which the server has survived');

# A server without the library.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
like(refusal_to_start($node->data_dir), qr/FATAL:  control file contains invalid database cluster state/, 'without the library: the control file says no');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pitr_ext'\n");
$node->start;
$node->stop('immediate');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
like(refusal_to_start($node->data_dir), qr/FATAL:  invalid data in file "backup_label"/, 'nor after a crash: the label says no');

# Complete, it is a directory as any other.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pitr_ext'\npitr.fill_rate = 0\n");
$node->start;
is($node->safe_psql('postgres', 'SELECT state FROM pitr_complete_branch()'), 'done', 'complete');
# The default of initdb from 18 on.
my $mode = $node->safe_psql('postgres', 'SHOW data_checksums') eq 'on' ? '--check' : '--enable';
$node->stop;
$node->command_ok([ 'pg_checksums', $mode, '-D', $node->data_dir ], 'pg_checksums works then');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\narchive_mode = off\narchive_library = ''\n");
$node->start;
is(contents($node), $then, 'and all is there');
$node->stop;
done_testing();

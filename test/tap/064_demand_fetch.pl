# Demand loading from repositories that no session may read itself, an encrypted one and one on S3: fetch workers read for all, in recovery
# too; whoever waits can be cancelled and is told what is wrong; what was recorded at the target is there.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IPC::Run;
use lib $FindBin::RealBin;
use ArchiveTest;
use BranchTest;
use FaultProxy;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $proxy;
END { local $?; $proxy->stop if $proxy }
my $keys = PostgreSQL::Test::Utils::tempdir();
open(my $out, '>', "$keys/key") or die "$keys/key: $!";
print $out join('', map { sprintf '%02x', int rand 256 } 1 .. 32), "\n";
close $out;
chmod 0600, "$keys/key";

sub incomplete { my ($node) = @_; return $node->safe_psql('postgres', 'SELECT incomplete_bytes FROM pitr_branches WHERE is_self'); }
sub folder { my ($node) = @_; return -d $node->data_dir . '/pgsql_tmp_pitr'; }

sub fetch_workers { my ($node) = @_; return children_of($node, qr/: pitr fetch worker/); }

# A server with data, a snapshot and a target behind it.
sub prepared
{
	my ($name, $conf) = @_;
	my $node = pitr_node($name, conf => "fsync = on\nautovacuum = off\nmax_worker_processes = 16\npitr.fill_rate = '64kB'\n$conf");
	is($node->safe_psql('postgres', "SELECT ok, detail FROM pitr_check('0 s') WHERE item = 'demand loading'"),
		't|restored directories are served before all of them is laid out', "$name: pitr_check says that demand loading works here");
	is(scalar(my @pids = fetch_workers($node)), 4, "$name: four fetch workers");
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE big AS SELECT g AS id, md5(g::text) AS v, repeat('x', 60) AS pad FROM generate_series(1, 40000) g;
CREATE INDEX big_id ON big (id);
CREATE TABLE second AS SELECT * FROM big;
CREATE TABLE third AS SELECT * FROM big;
VACUUM FREEZE;
SQL
	$node->safe_psql('postgres', "SELECT id FROM pitr_create_snapshot('base')");
	# Replay reads pages that are missing: of those without an image.
	$node->safe_psql('postgres', "CHECKPOINT");
	$node->safe_psql('postgres', "UPDATE big SET v = 'changed' WHERE id % 400 = 7");
	$node->safe_psql('postgres', "UPDATE big SET v = 'twice' WHERE id % 800 = 7");
	return $node;
}

sub restored
{
	my ($node, $target, $what) = @_;
	my $row = restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)");
	is($row->{outcome}, 'done', "$what: restored") or diag(explain($row));
	ok(folder($node), "$what: the directory is incomplete");
	cmp_ok(incomplete($node), '>', 4 * 1024 * 1024, "$what: most of it is missing");
	my $io_workers = $node->safe_psql('postgres', "SELECT setting FROM pg_settings WHERE name = 'io_workers'");
	is($io_workers, 16, "$what: with more I/O workers than by default") if $io_workers ne '';
	return;
}

sub whole_way
{
	my ($name, $node) = @_;
	my $then = contents($node);
	my $target = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	$node->safe_psql('postgres', 'DELETE FROM big WHERE id > 100; DROP TABLE third');
	my $later = contents($node);
	restored($node, $target, $name);

	# Several at once want the same pages.
	my @sessions = map {
		my %session = (out => '');
		$session{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
			'SELECT count(*), sum(id) FROM third', '-c', 'SELECT count(*), sum(id) FROM second' ], '>', \$session{out});
		\%session
	} 1 .. 6;
	$_->{run}->finish foreach @sessions;
	is(join('', map { $_->{out} } @sessions), "40000|800020000\n40000|800020000\n" x 6, "$name: six sessions read the same at once");
	is(contents($node), $then, "$name: what was recorded at the target, while pages are missing");

	restored($node, $target, "$name, once more");
	my @before = fetch_workers($node);
	is(scalar(@before), 4, "$name: fetch workers are there after an exchange");
	kill 'TERM', $before[0];
	wait_until(10, sub { !is_alive($before[0]) });
	is($node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM second'), '40000|800020000', "$name: one fewer does no harm");
	ok(wait_until(20, sub { fetch_workers($node) == 4 }), "$name: it comes back");
	forget_hits();
	arm_only('demand.remote.fetched kill');
	$node->psql('postgres', 'SELECT count(*) FROM third');
	ok(wait_for_hit('demand.remote.fetched'), "$name: a fetch worker is killed with a page in its hands");
	clear_faults();
	ok(ensure_running($node), "$name: up again");
	is(contents($node), $then, "$name: with what it had");
	$node->stop('immediate');
	$node->start;
	is(contents($node), $then, "$name: after an immediate stop as well");

	my $row = undo($node);
	is($row->{outcome}, 'done', "$name: undo") or diag(explain($row));
	is(contents($node), $then, "$name: the directory of the first restore, incomplete as it was");
	$node->safe_psql('postgres', 'ALTER SYSTEM SET pitr.fill_rate = 0');
	$node->reload;
	is($node->safe_psql('postgres', 'SELECT state FROM pitr_complete_branch()'), 'done', "$name: complete");
	ok(!folder($node), "$name: a plain directory");
	is(contents($node), $then, "$name: and all is there");
	$node->safe_psql('postgres', "ALTER SYSTEM SET pitr.fill_rate = '64kB'");
	$node->reload;

	# In two steps: what was built is looked at and then takes the branch's place, with pages missing all the way.
	my $built = psql_row($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn, finalize => false)");
	is($built->{state}, 'built', "$name: built to look at") or diag(explain($built));
	is(branch_node($node, $built->{branch})->safe_psql('postgres', 'SELECT count(*), sum(id) FROM second'), '40000|800020000', "$name: one can look");
	$row = restore($node, "SELECT * FROM pitr_finalize_restore('main')");
	is($row->{outcome}, 'done', "$name: finalized") or diag(explain($row));
	ok(folder($node), "$name: still incomplete");
	is(contents($node), $then, "$name: what was recorded at the target");
	return ($target, $then);
}

# -- an encrypted folder
my $node = prepared('encrypted', "pitr.encryption_key_file = '$keys/key'\n");
my ($target, $then) = whole_way('encrypted', $node);
restored($node, $target, 'without repository');
my $repository = repository_of($node);
rename $repository, "$repository.away" or die;
my $failed = refusal($node, 'SELECT count(*) FROM second');
is($failed->{sqlstate}, '58030', 'without the repository a missing page is an I/O error');
like($failed->{text}, qr/could not read block.*DETAIL:  a page could not be loaded from repository "\Q$repository\E": /s, 'that names the repository');
is($node->safe_psql('postgres', 'SELECT 1'), 1, 'others go on');
rename "$repository.away", $repository or die;
rename "$keys/key", "$keys/key.away" or die;
my $from = -s $node->logfile;
$node->restart;
eval { $node->psql('postgres', 'SELECT count(*) FROM second') };    # a catalog may be missing too: psql is gone before it has read the statement
ok(wait_log($node, $from, qr/DETAIL:  a page could not be loaded from .*\Q$keys\E\/key/), 'without the key as well: the file is named');
rename "$keys/key.away", "$keys/key" or die;
is(contents($node), $then, 'all is well when both are back');
$node->stop;

# A place that is encrypted now and was not when the server started.
$node = pitr_node('plain', conf => "fsync = on\n");
is(scalar(my @none = fetch_workers($node)), 0, 'a plain folder needs no fetch workers');
$node->append_conf('postgresql.conf', "pitr.repository = '" . repository_of($node) . ", s3://pitr/nowhere?endpoint=http://127.0.0.1:9&mode=best_effort'\n");
$node->reload;
like($node->safe_psql('postgres', "SELECT detail FROM pitr_check('0 s') WHERE item = 'demand loading'"),
	qr/laid out whole: no fetch workers run/, 'pitr_check says that a restart is wanted');
$node->stop;

# -- S3, with a proxy between that fails
SKIP: {
	my $endpoint = $ENV{PITR_TEST_S3_ENDPOINT} // '';
	skip 'no S3 server', 1 if $endpoint eq '';
	my ($port) = $endpoint =~ /:(\d+)$/;
	my $lock = s3_shared();
	$proxy = FaultProxy->start("$ENV{TESTDATADIR}/fetch_proxy", $port);
	my $credentials = $ENV{PITR_TEST_S3_SERVER_CREDENTIALS};
	$node = prepared('s3', <<"CONF");
pitr.repository = 's3://pitr/tap/fetch'
pitr.s3_endpoint = '@{[ $proxy->endpoint ]}'
pitr.s3_credentials_file = '$credentials'
pitr.s3_retry_time = '2s'
CONF
	($target, $then) = whole_way('s3', $node);
	restored($node, $target, 's3 with faults');
	$proxy->rules('^GET.*/packs/ status 503 2', '^GET.*/packs/ reset_answer 1000 2');
	is($node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM second'), '40000|800020000', 'passing faults are not noticed');
	$proxy->rules('^GET.*/packs/ corrupt 2000 100000');
	like(refusal($node, 'SELECT count(*) FROM third')->{text}, qr/DETAIL:  the frame at offset \d+ of pack "[^"]+" in repository "[^"]+" is damaged/, 'damage is found');
	$proxy->rules('. hang - 100000');
	my $began = time;
	my $cancelled = refusal($node, "SET statement_timeout = '1s'; SELECT count(*) FROM third");
	like($cancelled->{text}, qr/DETAIL:  .*waiting for it was cancelled/, 'a store that hangs: who waits can be cancelled');
	cmp_ok(time - $began, '<', 10, 'at once');
	is($node->safe_psql('postgres', 'SELECT 1'), 1, 'others go on');
	$began = time;
	$node->stop;
	cmp_ok(time - $began, '<', 20, 'and it stops beside it');
	$proxy->rules();
	$node->start;
	is(contents($node), $then, 'all is well when the store is back');
	$node->stop;
}
done_testing();

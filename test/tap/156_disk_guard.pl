# A disk that fills: first the log and pitr_status say so, then servers of the past end, then those of branches stop; the server itself goes on,
# and all is back when there is room.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use BranchTest;
use FaultTest;
use IPC::Run;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pitr_node('main', conf => "autovacuum = off\nmax_worker_processes = 16\npitr.time_travel_idle_timeout = '1h'\n");
sub value { return $node->safe_psql('postgres', $_[0]); }
# The disk is what it is: what counts as full is moved instead. It is more than one percent full.
sub full_at
{
	my ($warn, $stop) = @_;
	value("ALTER SYSTEM SET pitr.disk_warn_percent = $warn");
	value("ALTER SYSTEM SET pitr.disk_stop_percent = $stop");
	$node->reload;
	return;
}
sub looks { return glob($node->data_dir . '.pitr/look-*'); }

value('CREATE TABLE stones AS SELECT g AS id FROM generate_series(1, 100) g');
my $then = value('SELECT pg_current_wal_insert_lsn()');
value('DELETE FROM stones WHERE id > 50');
is(psql_row($node, "SELECT * FROM pitr_create_branch('dev')")->{state}, 'running', 'a branch');
my $contents = contents(branch_node($node, 'dev'));
is(value("SELECT n FROM pitr_query_at('$then', 'SELECT count(*) FROM stones') AS t(n bigint)"), 100, 'and a look');
is(value('SELECT problem IS NULL FROM pitr_status'), 't', 'nothing is wrong');

my $from = -s $node->logfile;
full_at(1, 100);
ok(wait_log($node, $from, qr/WARNING:  pitr_ext: the file system of "[^"]+" is \d+ % full/), 'the log warns');
like(value('SELECT problem FROM pitr_status'), qr/^the file system of "[^"]+" is \d+ % full$/, 'so does pitr_status');
is(value('SELECT can_restore FROM pitr_status'), 't', 'which is all');
is(value("SELECT n FROM pitr_query_at('$then', 'SELECT count(*) FROM stones') AS t(n bigint)"), 100, 'looks work');
is(state_of($node, 'dev'), 'running', 'branches run');
is(() = slurp_file($node->logfile, $from) =~ /% full/g, 1, 'one line, not one a second');

# Somebody reads from the look meanwhile.
my ($out, $err) = ('', '');
my $reader = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
	"SELECT * FROM pitr_query_at('$then', 'SELECT pg_sleep(60)::text') AS t(v text)" ], '>', \$out, '2>', \$err);
my ($look) = looks();
ok(wait_until(20, sub { grep { (eval { slurp_file("/proc/$_/cmdline") } // '') =~ /SELECT|COPY/ } runs_in("$look/data") }), 'a session reads from the look');
$from = -s $node->logfile;
full_at(1, 1);
ok(wait_log($node, $from, qr/WARNING:  ending the servers at points of the past: there is no room/), 'full: first the servers of the past end');
$reader->finish;
isnt($err, '', 'whoever read from it is told');
ok(wait_log($node, $from, qr/WARNING:  stopping the servers of branches: there is no room/), 'then those of branches stop');
my $log = slurp_file($node->logfile, $from);
cmp_ok(index($log, 'ending the servers'), '<', index($log, 'stopping the servers'), 'in that order');
ok(wait_until(20, sub { !looks() }), 'the look is gone');
ok(wait_until(20, sub { !postmaster_in(branch_of($node, 'dev')->{directory}) }), 'the branch is down');
my $refused = refusal($node, "SELECT * FROM pitr_query_at('$then', 'SELECT 1') AS t(n int)");
is($refused->{sqlstate}, '53100', 'no look is made');
like($refused->{err}, qr/pitr\.disk_stop_percent/, 'the hint names the setting');
is(refusal($node, "SELECT * FROM pitr_create_branch('other')")->{sqlstate}, '53100', 'no branch either');
value('INSERT INTO stones VALUES (1000)');
is(value('SELECT count(*) FROM stones'), 51, 'the server itself goes on');

$from = -s $node->logfile;
full_at(100, 100);
ok(wait_log($node, $from, qr/there is room for branches again/), 'room again');
ok(poll_until(branch_node($node, 'dev'), 'SELECT true', 't', 60), 'the branch is back');
is(contents(branch_node($node, 'dev')), $contents, 'with what it had');
is(value("SELECT n FROM pitr_query_at('$then', 'SELECT count(*) FROM stones') AS t(n bigint)"), 100, 'looks as well');
like(slurp_file($node->logfile, $from), qr/there is room on disk again/, 'and the log says so');
is(value('SELECT problem IS NULL FROM pitr_status'), 't', 'nothing is wrong');
$node->stop;
done_testing();

# The main job: the running server goes back to points of its past, in any order, forth again and back, and every time holds exactly
# what was recorded when that point was live.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = pitr_node('main');
my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE moments (id int PRIMARY KEY, what text);
CREATE TABLE numbers AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 5000) g;
CREATE DATABASE other;
SQL
$node->safe_psql('other', 'CREATE TABLE elsewhere (id int)');

# Six points, each with what was there. Between two of them something of every kind changes.
my @points;
foreach my $n (1 .. 6)
{
	$node->safe_psql('postgres', <<"SQL");
INSERT INTO moments VALUES ($n, 'point $n');
DELETE FROM numbers WHERE id % 7 = $n;
UPDATE numbers SET v = v || '-$n' WHERE id % 5 = 1;
SQL
	$node->safe_psql('other', "INSERT INTO elsewhere SELECT g FROM generate_series(1, $n * 10) g");
	my $position = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	my $time = $node->safe_psql('postgres', "SELECT to_char(clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SS.USOF:00')");
	push @points, { lsn => $position, time => $time, contents => contents($node) };
	sleep 0.05;
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()') if $n == 3;
}

sub check_at
{
	my ($n, $how) = @_;
	is(contents($node), $points[ $n - 1 ]{contents}, "point $n by $how: contents are those of then");
	is((split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0], $postmaster, 'same postmaster');
}

# rules.md 2: six points, restored in the order 5 2 6 1 4, by time and LSN in turn.
my $timelines = 1;
my $by_time = 1;
foreach my $n (5, 2, 6, 1, 4)
{
	my $point = $points[ $n - 1 ];
	my $argument = $by_time ? "'$point->{time}'::timestamptz" : "'$point->{lsn}'::pg_lsn";
	my $how = $by_time ? 'time' : 'LSN';
	my $plan = psql_row($node, "SELECT * FROM pitr_plan_restore($argument)");
	is($plan->{possible}, 't', "point $n by $how: the plan says possible") or diag(explain($plan));
	my $row = restore($node, "SELECT * FROM pitr_restore_branch($argument)");
	is($row->{outcome}, 'done', "point $n by $how: done") or diag(explain($row));
	is($row->{state}, 'exchanging', 'the answer row came before sessions were cut');
	is($row->{restored_lsn}, $plan->{target_lsn}, 'plan and restore agree on the LSN');
	is($row->{commit_xid}, $plan->{commit_xid}, 'and on the commit');
	ok($row->{timeline} > $timelines, 'a timeline number that was never used');
	$timelines = $row->{timeline};
	check_at($n, $how);
	$by_time = !$by_time;
}

# Undo, and undo of the undo.
my $before = dump_of($node);
$node->safe_psql('postgres', "INSERT INTO moments VALUES (100, 'after the last restore')");
my $last = dump_of($node);
my $row = restore($node, "SELECT * FROM pitr_restore_branch('$points[2]{lsn}')");
is($row->{outcome}, 'done', 'restore by a bare literal LSN');
check_at(3, 'a literal');
like($row->{undo_branch}, qr/^main_old_\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(_\d+)?$/, 'automatic name of the undo branch');
$row = undo($node);
is($row->{outcome}, 'done', 'undo');
is(dump_of($node), $last, 'undo brings back the moment before the restore, dump for dump, last commit included');
$row = undo($node);
is($row->{outcome}, 'done', 'undo of the undo');
check_at(3, 'undo of the undo');

# "now" on an idle server.
my $idle = contents($node);
$row = restore($node, "SELECT * FROM pitr_restore_branch(now())");
is($row->{outcome}, 'done', 'an idle server is restored to now()') or diag(explain($row));
is(contents($node), $idle, 'with all that it had');

# From an undo branch by name, and under a name of one's own.
my $source = $node->safe_psql('postgres',
	"SELECT name FROM pitr_branches WHERE kind = 'undo' AND state <> 'deleted' ORDER BY created_at LIMIT 1");
$row = restore($node, "SELECT * FROM pitr_restore_branch('main', '$source', preserve_under_name => 'kept aside')");
is($row->{outcome}, 'done', 'restore from the head of an undo branch') or diag(explain($row));
is($row->{undo_branch}, 'kept aside', 'undo branch under the given name');

# Renaming and deleting undo branches.
is($node->safe_psql('postgres', "SELECT name FROM pitr_rename_branch('kept aside', 'renamed')"), 'renamed', 'rename');
my $directory = $node->safe_psql('postgres', "SELECT directory FROM pitr_branches WHERE name = 'renamed'");
ok(-d $directory, 'the undo branch has its directory');

# What they take on disk is measured by the launcher: allocated blocks, as du counts them.
ok( $node->poll_query_until('postgres', 'SELECT bool_and(size_bytes IS NOT NULL) FROM pitr_branches WHERE directory IS NOT NULL'),
	'the size of every directory is measured');
my $kib = (split ' ', `du -sk '$directory'`)[0];
is($node->safe_psql('postgres', "SELECT abs(size_bytes / 1024 - $kib) < 1000 FROM pitr_branches WHERE name = 'renamed'"), 't', 'as du counts it');
is($node->safe_psql('postgres', "SELECT abs(size_bytes - 1024 * " . (split ' ', `du -sk '@{[ $node->data_dir ]}'`)[0] . ") < 50000000 FROM pitr_branches WHERE is_self"),
	't', 'the connected branch: but for what changed since');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pitr_branches WHERE directory IS NULL AND size_bytes IS NOT NULL'),
	0, 'nothing is said where there is no directory');

is($node->safe_psql('postgres', "SELECT name FROM pitr_delete_branch('renamed', force => true)"), 'renamed', 'delete');
ok(!-d $directory, 'its directory is gone');

# The books: every restore in the audit, nothing left over, a clean bill of health.
is($node->safe_psql('postgres', "SELECT count(*) FROM pitr_audit WHERE outcome = 'done' AND function = 'pitr_restore_branch'"),
	8, 'eight restores in the audit');
is($node->safe_psql('postgres', "SELECT count(*) FROM pitr_check() WHERE NOT ok"), 0, 'pitr_check finds nothing wrong')
  or diag($node->safe_psql('postgres', 'SELECT * FROM pitr_check()'));
$node->command_ok([ 'pg_amcheck', '--all', '--install-missing' ], 'amcheck finds nothing wrong');
is( unexpected_log_lines(
		$node, 0,
		qr/terminating connection due to administrator command/,
		qr/terminating connection because of crash of another server process/,
		qr/the database system is (in recovery mode|not yet accepting|starting up)/,
		qr/being restored to another point in time/),
	'', 'nothing unexpected in the log');
$node->stop;
done_testing();

# A branch of a branch of a branch, each restored to a past of its grandparent, which has been restored itself meanwhile; and branches under
# load while their parent is restored in place, parents under load while a branch is, a branch that is restored under its own load.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IPC::Run ();
use lib $FindBin::RealBin;
use BranchTest;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 2;
my $node = pitr_node('main', conf => "pitr.branch_ports = '6250-6259'\nautovacuum = off\n");
my $serial = 0;

# Something is committed, and what there is then is recorded.
sub record
{
	my ($at, $what) = @_;
	$serial++;
	$at->safe_psql('postgres', "INSERT INTO stones VALUES ($serial, '$what'); DELETE FROM stones WHERE id = 1000 + $serial");
	my $moment = { lsn => $at->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()'), time => text_time($at), contents => contents($at) };
	sleep 0.05;
	return $moment;
}

sub branch
{
	my ($at, $name, $source) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $row = psql_row($at, "SELECT * FROM pitr_create_branch('$name', '$source')");
	is($row->{state}, 'running', "branch $name of $source") or diag($row->{_err});
	return branch_node($node, $name);
}

$node->safe_psql('postgres', 'CREATE TABLE stones AS SELECT 1000 + g AS id, md5(g::text) AS name FROM generate_series(1, 3000) g');
my %main = (1 => record($node, 'main 1'));
my $a = branch($node, 'a', '^self');
my %a = (1 => record($a, 'a 1'));
my $b = branch($a, 'b', '^self');
my %b = (1 => record($b, 'b 1'));
my $c = branch($node, 'c', 'b');
is(contents($c), $b{1}{contents}, 'the third generation holds what the second had');
record($c, 'c 1');
# Behind the forks: on no ancestry of the grandchild.
$main{2} = record($node, 'main 2');
$a{2} = record($a, 'a 2');
$a->safe_psql('postgres', 'TRUNCATE stones');
my $row = restore($a, "SELECT * FROM pitr_restore_branch('$a{1}{time}')");
is($row->{outcome}, 'done', 'the first generation is restored to a past of its own') or diag(explain($row));
is(contents($a), $a{1}{contents}, '... contents');
$a{3} = record($a, 'a 3');
my $a_before = $row->{undo_branch};

$row = restore($b, "SELECT * FROM pitr_restore_branch('b', 'main\@$main{2}{time}')");
is($row->{outcome}, 'done', "the second one, in place, to its grandparent's past behind the fork") or diag(explain($row));
is(contents($b), $main{2}{contents}, '... contents');
my $b_before = $row->{undo_branch};
is(branch_of($node, 'b')->{parent}, branch_of($node, $b_before)->{parent}, '... and has the parent that it had');
is(branch_of($node, 'c')->{parent}, $b_before, 'its child belongs to what was preserved');

# Behind the fork lies only what is called by the name that its restore has left.
foreach my $case ([ 'on the line that its restore has left', "$a_before\@$a{2}{time}", 2 ], [ 'that it no longer has', "a\@$a{2}{time}", 1 ],
	[ 'that it has made since', "a\@$a{3}{lsn}", 3 ])
{
	my ($what, $source, $n) = @$case;
	$row = psql_row($node, "SELECT * FROM pitr_restore_branch('c', '$source')");
	is($row->{state}, 'done', "the third one, from outside, to its grandparent's past $what") or diag($row->{_err});
	$c = branch_node($node, 'c');
	is(contents($c), $a{$n}{contents}, '... contents');
}
$row = restore($c, q{SELECT * FROM pitr_reset_branch('^self')});
is($row->{outcome}, 'done', 'and reset to the head of what its parent was, which has no server') or diag(explain($row));
is(contents($c), $b{1}{contents}, '... contents');
is(contents($a), $a{3}{contents}, 'the grandparent is as it was');
$node->safe_psql('postgres', q{SELECT pitr_stop_branch(name) FROM (VALUES ('a'), ('b'), ('c')) AS of (name)});

# --- under load ---
sub pgbench
{
	my ($at, $seconds) = @_;
	my %run = (out => '', err => '');
	$run{handle} = IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-T', $seconds, $at->connstr('postgres') ], '>', \$run{out}, '2>', \$run{err});
	return \%run;
}

# Transactions that it says are committed; none failed, and the exit status is 0.
sub finished
{
	my ($run, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$run->{handle}->finish;
	is($run->{handle}->result(0), 0, "$what: pgbench was not disturbed") or diag($run->{out}, $run->{err});
	return ($run->{out} =~ /transactions actually processed: (\d+)/)[0] // -1;
}

# Each transaction moves one amount on four tables.
sub balance
{
	my ($at) = @_;
	my @sums = split /\|/, $at->safe_psql('postgres', 'SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
		(SELECT sum(bbalance) FROM pgbench_branches), coalesce(sum(delta), 0), count(*) FROM pgbench_history');
	my $count = pop @sums;
	my %different = map { $_ => 1 } @sums;
	return { count => $count, sums => join(' ', keys %different) =~ /^-?\d+$/ ? 'agree' : "@sums" };
}

system_or_bail('pgbench', '-i', '-q', '-s', '1', $node->connstr('postgres'));
my $load = branch($node, 'load', '^self');
my $run = pgbench($load, 8);
ok(poll_until($load, 'SELECT count(*) > 20 FROM pgbench_history', 't'), 'a branch is under load');
$row = restore($node, "SELECT * FROM pitr_restore_branch('$main{1}{time}')");
is($row->{outcome}, 'done', 'its parent is restored in place') or diag(explain($row));
is(contents($node), $main{1}{contents}, '... contents');
my $done = finished($run, 'the parent was restored');
my $found = balance($load);
is($found->{count}, $done, '... and has every transaction of it');
is($found->{sums}, 'agree', '... whole') or diag($found->{sums});
$row = undo($node);
is($row->{outcome}, 'done', 'undone') or diag(explain($row));

# The load's own branch: until a time in the middle of it.
$run = pgbench($load, 60);
ok(poll_until($load, "SELECT count(*) > $done + 20 FROM pgbench_history", 't'), 'a branch is under load again');
my $in_the_middle = text_time($load);
my $at_least = balance($load)->{count};
sleep 0.3;
$row = restore($load, "SELECT * FROM pitr_restore_branch('$in_the_middle')");
is($row->{outcome}, 'done', 'it is restored to a moment under load, in place') or diag(explain($row));
eval { $run->{handle}->finish };
isnt($run->{handle}->result(0), 0, 'its sessions were cut');
$found = balance($load);
is($found->{sums}, 'agree', '... and every transaction is there as a whole, or not at all') or diag($found->{sums});
cmp_ok($found->{count}, '>', $done, '... some of them');
cmp_ok($found->{count}, '<=', $at_least, '... and none that came later');

$run = pgbench($node, 12);
ok(poll_until($node, 'SELECT count(*) > 20 FROM pgbench_history', 't'), 'the first server is under load');
$row = restore($load, q{SELECT * FROM pitr_restore_branch('load', 'main@} . text_time($node) . q{')});
is($row->{outcome}, 'done', "its branch is restored in place to a moment of that") or diag(explain($row));
$found = balance($load);
is($found->{sums}, 'agree', '... whole') or diag($found->{sums});
cmp_ok($found->{count}, '>', 20, '... with what had been done');
$row = psql_row($node, q{SELECT * FROM pitr_restore_branch('load', '^parent')});
is($row->{state}, 'done', 'and from outside to the head') or diag($row->{_err});
$load = branch_node($node, 'load');
my $at_head = balance($load);
is($at_head->{sums}, 'agree', '... whole') or diag($at_head->{sums});
cmp_ok($at_head->{count}, '>', $found->{count}, '... with more');
note('under load until ', $run->{handle}->pumpable ? 'here' : 'somewhere before');
$done = finished($run, 'the branch was restored');
$found = balance($node);
is($found->{count}, $done, '... and has every transaction of it');
is($found->{sums}, 'agree', '... whole') or diag($found->{sums});
is(unexpected_log_lines($node, 0, qr/terminating connection/, qr/the database system is/, qr/being restored/), '', 'nothing unexpected in the log');
$node->stop;
done_testing();

# What befalls servers of branches: the machine ends, a stop meets a start, one is killed with WAL that nobody has shipped, their disk is full.
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 1;
# A file system of their own, where there is one, with small segments to fit.
my $disk = $ENV{PITR_BRANCH_FS};
$disk = undef unless defined $disk && -w $disk;
my $node = pitr_node('main', init => { extra => ['--wal-segsize=1'] },
	conf => "pitr.branch_ports = '6270-6274'\n" . ($disk ? "pitr.branch_directory = '$disk/branches'\n" : ''));
sub value { return $node->safe_psql('postgres', $_[0]); }
value('CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 2000) g');

my %branch;
sub create
{
	my ($name, $more) = @_;
	$branch{$name} = psql_row($node, "SELECT * FROM pitr_create_branch('$name'" . ($more ? ", $more" : '') . ')');
	is($branch{$name}{state}, 'running', "branch $name") or diag($branch{$name}{_err});
	my $branch_node = branch_node($node, $name);
	$branch_node->safe_psql('postgres', "INSERT INTO stones VALUES (5001, 'of $name')");
	$branch{$name}{contents} = contents($branch_node);
	return;
}
create('on');
create('off');
create('idle', q{settings => '{"pitr.branch_idle_timeout": 1}'});
psql_row($node, q{SELECT * FROM pitr_stop_branch('off')});
ok(wait_until(30, sub { !runs_in($branch{idle}{directory}) && -e "$branch{idle}{directory}/pitr/idle" }), 'one is idle');

# --- the machine ends and comes back ---
my @directories = map { $branch{$_}{directory} } qw(on off idle);
sub supervisors { return grep { my $file = "/proc/$_/cmdline"; my $text = -r $file ? eval { slurp_file($file) } // '' : ''; grep { index($text, "\0$_\0") > 0 && $text =~ /\0compute\0/ } @directories } map { m{(\d+)$} } glob '/proc/[0-9]*'; }
is(scalar(my @held = supervisors()), 2, 'two are looked after');
kill 'KILL', postmaster_of($node), supervisors(), (map { runs_in($_) } @directories), (map { $_->{pid} } processes_of($node));
ok(wait_until(5, sub { !supervisors() && !grep { runs_in($_) } @directories }), 'everything was killed at once');
ok(ensure_running($node), 'the main server is started');
ok(poll_until(branch_node($node, 'on'), 'SELECT count(*) FROM stones', 2001, 30), 'the one that ran is back');
is(contents(branch_node($node, 'on')), $branch{on}{contents}, 'with what it had');
is(state_of($node, 'off'), 'stopped', 'the one that was stopped is not');
ok(!runs_in($branch{off}{directory}), 'nothing runs there');
ok(wait_until(30, sub { scalar(my @all = supervisors()) == 2 }), 'the idle one is held again');
is(state_of($node, 'idle'), 'stopped', 'and does not run');
ok(poll_until(branch_node($node, 'idle'), 'SELECT count(*) FROM stones', 2001, 10), 'until somebody connects');
is(contents(branch_node($node, 'idle')), $branch{idle}{contents}, 'with what it had');
psql_row($node, q{SELECT * FROM pitr_start_branch('off')});
is(contents(branch_node($node, 'off')), $branch{off}{contents}, 'and the stopped one when it is started');

# --- a stop that meets the launcher's start ---
forget_hits();
arm_only('branch.before_start stop');
kill 'KILL', postmaster_in($branch{off}{directory});
ok(wait_for_hit('branch.before_start', 30), 'the launcher is about to start a branch that was killed');
my $stop = begin_sql($node, q{SELECT * FROM pitr_stop_branch('off')});
ok(poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pitr_stop_branch%' AND pid <> pg_backend_pid()", 1), 'somebody stops it');
sleep 0.5;
clear_faults();
my ($rc, $out, $err) = end_sql($stop);
is($rc, 0, 'the stop succeeds') or diag($err);
ok(!runs_in($branch{off}{directory}), 'and nothing runs when it is over');
sleep 2.5;    # two looks of the launcher
ok(!runs_in($branch{off}{directory}), 'nor later');
is(state_of($node, 'off'), 'stopped', 'it is stopped');

# --- and one that meets a start that was given up ---
foreach my $milliseconds (30, 60, 90, 150)
{
	$node->psql('postgres', "SET statement_timeout = $milliseconds; SELECT * FROM pitr_start_branch('off')");
	value(q{SELECT pitr_stop_branch('off')});
	ok(!runs_in($branch{off}{directory}), "given up after $milliseconds ms, and stopped: nothing runs");
}
sleep 1;
ok(!runs_in($branch{off}{directory}), 'nor later');

# --- WAL of one that was killed, and is not started again ---
psql_row($node, q{SELECT * FROM pitr_start_branch('off')});
my $off = branch_node($node, 'off');
$off->safe_psql('postgres', q{ALTER SYSTEM SET pitr.tail_interval = 0});
$off->safe_psql('postgres', 'SELECT pg_reload_conf()');
ok(poll_until($off, 'SHOW pitr.tail_interval', '0'), 'nothing of the open segment is shipped');
$off->safe_psql('postgres', "INSERT INTO stones VALUES (5002, 'only on its disk')");
my $late = contents($off);
psql_row($node, q{SELECT * FROM pitr_stop_branch('off', 'immediate')});
create('copy', q{'off'});
is(branch_node($node, 'copy')->safe_psql('postgres', 'SELECT count(*) FROM stones WHERE id = 5002'), 1, 'what it had is in a branch of it');
psql_row($node, q{SELECT * FROM pitr_start_branch('off')});
is(contents($off), $late, 'and in itself');
value("SELECT pitr_delete_branch('copy', force => true)");

# --- their disk is full ---
SKIP:
{
	skip 'PITR_BRANCH_FS names no small file system', 11 unless $disk;
	my $filler = "$disk/filler";
	my $kb = (split ' ', (split /\n/, `df -Pk $disk`)[1])[3] - 40 * 1024;
	system_or_bail('dd', 'if=/dev/zero', "of=$filler", 'bs=1k', "count=$kb", 'status=none');
	my @running = map { $branch{$_}{directory} } qw(on off idle);
	cmp_ok(ends_within(30, @running) // 99, '<', 15, 'with 40 MB left the branches stop');
	like(slurp_file($node->logfile), qr/WARNING:  stopping the servers of branches: there is no room for branches/, 'the log says why');
	foreach my $call (q{pitr_start_branch('on')}, q{pitr_create_branch('more')})
	{
		my $refusal = refusal($node, "SELECT * FROM $call");
		is($refusal->{sqlstate}, '53100', "$call: 53100") or diag($refusal->{err});
	}
	value('INSERT INTO stones VALUES (3001, NULL)');
	is(value("SELECT count(*) FROM pitr_branches WHERE name = 'more'"), 0, 'the main server goes on');
	unlink $filler;
	foreach my $name (qw(on off))
	{
		ok(poll_until(branch_node($node, $name), 'SELECT count(*) > 2000 FROM stones', 't', 40), "with room again $name is back");
	}
	is(contents(branch_node($node, 'on')), $branch{on}{contents}, 'with what it had');
	is(contents($off), $late, 'the other too');

	# Filled to the last byte while it is written to: whatever becomes of that statement, nothing that was committed is lost. A server that died of it
	# may have left WAL and a file of the table, which nobody can tell from what is needed: it is back when somebody has made room.
	my $spare = "$disk/spare";
	system_or_bail('dd', 'if=/dev/zero', "of=$spare", 'bs=1M', 'count=120', 'status=none');
	# The launcher looks too late, when the server restarts after its PANIC: a fast stop that PostgreSQL may never finish.
	my $launcher = find_process($node, 'launcher');
	kill 'STOP', $launcher;
	end_sql(begin_sql(branch_node($node, 'on'), q{CREATE TABLE big AS SELECT repeat(md5(g::text), 50) FROM generate_series(1, 1000000) g}));
	kill 'CONT', $launcher;
	sleep 1.5;    # a look of it
	value('INSERT INTO stones VALUES (3002, NULL)');
	is(value('SELECT count(*) FROM stones WHERE id > 3000'), 2, 'a branch that fills the disk does not disturb the main server');
	unlink $spare;
	my $there = '';
	ok(wait_until(60, sub { ($there = eval { contents(branch_node($node, 'on')) } // $@) eq $branch{on}{contents} }), 'with room again it is back, with what it had and without the table that did not fit') or diag($there, `df $disk; ls -lR $disk | head -400; tail -n 40 $disk/branches/*.log`);
}
is(value(q{SELECT item, detail FROM pitr_check() WHERE NOT ok AND item <> 'in-place restore'}), '', 'pitr_check finds nothing wrong');
$node->stop;
cmp_ok(ends_within(20, @directories) // 99, '<', 5, 'all end with it');
done_testing();

# What clients see of a restore in place (rules.md 3 and 4): the answer, the cut, the time between, what is consistent afterwards; and
# every way to cancel one.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use IPC::Run;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = pitr_node('clients', conf => "autovacuum = off\nmax_connections = 40\n");
my $data = $node->data_dir;

sub value { return $node->safe_psql('postgres', $_[0]); }
sub position { return value('SELECT pg_current_wal_insert_lsn()'); }

# A psql of its own process: its three ends.
sub start_psql
{
	my ($sql) = @_;
	my %session = (out => '', err => '');
	$session{handle} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout(120));
	return \%session;
}

sub finish_psql
{
	my ($session) = @_;
	$session->{handle}->finish;
	$session->{rc} = $session->{handle}->full_result(0) >> 8;
	return $session;
}

# Until nothing of an exchange is left to do.
sub wait_closed
{
	my $give_up = time + 60;
	sleep 0.1 while -e "$data/pitr/intent.json" && time < $give_up;
}

# The balance of a TPC-B database: four sums that are equal at any commit.
my $sums = <<'SQL';
SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches),
  (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(delta) FROM pgbench_history)
SQL

$node->command_ok([ 'pgbench', '-i', '-q', '-s', '1', 'postgres' ], 'pgbench data');
value('CREATE TABLE marks (id int); CREATE UNLOGGED TABLE passing AS SELECT 1 AS id; CREATE SEQUENCE numbers; CREATE TABLE numbered (id bigint)');
value("INSERT INTO numbered SELECT nextval('numbers') FROM generate_series(1, 100)");
my $quiet_point = position();
my $quiet = contents($node);

# --- cancelled in each way: nothing is left, the server goes on ---
foreach my $way ('statement_timeout', 'pg_cancel_backend', 'pg_terminate_backend', 'pitr_cancel_operation')
{
	arm_only('build.lay_out.done stop');
	# One -c is one transaction, so the setting comes with the connection.
	local $ENV{PGOPTIONS} = $way eq 'statement_timeout' ? '-c statement_timeout=5s' : '';
	my $session = start_psql("SELECT * FROM pitr_restore_branch('$quiet_point'::pg_lsn)");
	delete $ENV{PGOPTIONS};
	ok(poll_until($node, "SELECT count(*) FROM pitr_operations WHERE kind = 'restore' AND state = 'running'", '1', 30),
		"$way: a restore is under way");
	my $id = value("SELECT id FROM pitr_operations WHERE kind = 'restore' AND state = 'running'");
	my $began = time;
	value("SELECT $way(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT * FROM pitr_restore_branch%'") if $way =~ /backend/;
	is(value("SELECT pitr_cancel_operation('$id')"), 't', 'cancelled by its id') if $way =~ /operation/;
	finish_psql($session);
	my $took = time - $began;
	isnt($session->{rc}, 0, "$way: the statement fails");
	like($session->{err}, $way eq 'pg_terminate_backend' ? qr/57P01/ : qr/57014/, "$way: with its SQLSTATE");
	ok($took < 15, "$way: answered soon ($took s)");
	is(wait_operation($node, $id, 30), 'cancelled', "$way: the operation is cancelled");
	clear_faults();
	is(join(' ', glob("$data.pitr/br-*")), '', "$way: nothing is left beside the server");
	is(value('SELECT count(*) FROM pitr_branches'), 1, "$way: nor in the catalogue");
}
is(contents($node), $quiet, 'the server is as it was');

# --- a restore under load ---
# First some transactions that the target has, then more that it has not.
sub start_bench
{
	my %bench = (out => '', err => '');
	$bench{handle} = IPC::Run::start([ 'pgbench', '-n', '-c', '8', '-j', '2', '-T', '120', $node->connstr('postgres') ],
		'<', \undef, '>', \$bench{out}, '2>', \$bench{err}, IPC::Run::timeout(180));
	return \%bench;
}

my $bench = start_bench();
ok(poll_until($node, 'SELECT count(*) > 200 FROM pgbench_history', 't'), 'pgbench is at work');
value('INSERT INTO marks VALUES (1)');
my $target = position();
value('INSERT INTO marks VALUES (2)');
ok(poll_until($node, 'SELECT count(*) > 600 FROM pgbench_history', 't'), 'and goes on');

my $log_offset = -s $node->logfile;
arm_only('exchange.after_cut stop');
my $idle = start_psql('SELECT pg_sleep(100)');
my $restore = start_psql("SELECT operation_id, state, restored_lsn, commit_xid, undo_branch FROM pitr_restore_branch('$target'::pg_lsn)");
finish_psql($restore);
is($restore->{rc}, 0, 'the session that asked got its answer before it was cut') or diag($restore->{err});
my ($id, $state, $restored) = split /\|/, $restore->{out};
is($state, 'exchanging', 'the state it was told');
finish_psql($idle);
like($idle->{err}, qr/FATAL:  57P01: terminating connection due to administrator command/, 'another session is cut with 57P01');
$bench->{handle}->finish;
like($bench->{err}, qr/terminating connection due to administrator command/, 'so is pgbench');
my $late = finish_psql(start_psql('SELECT 1'));
is($late->{rc}, 2, 'nobody gets in meanwhile');
like($late->{err}, qr/FATAL:  the server is being restored to another point in time/, 'and is told why');
like($late->{err}, qr/HINT:  Try again/, 'and what to do');

# From here on somebody tries again and again, as clients do.
clear_faults();
my (%seen, $back);
my $give_up = time + 60;
while (time < $give_up && !$back)
{
	my $try = finish_psql(start_psql('SELECT 1'));
	$back = $try->{rc} == 0;
	$seen{$1}++ if $try->{err} =~ /(FATAL:  .*|server closed the connection.*|could not connect.*|Connection refused.*)/;
}
ok($back, 'they get in again');
is( join(' ', grep { !/being restored to another point|is in recovery mode|is starting up|not yet accepting|server closed the connection/ } keys %seen),
	'', 'and saw nothing but that the server is not ready') or diag(explain(\%seen));
is(wait_operation($node, $id), 'done', 'the operation ends as done');

my @four = split /\|/, value($sums);
is("@four[1 .. 3]", "@four[0, 0, 0]", 'accounts, branches, tellers and history have the same sum');
is(value('SELECT array_agg(id ORDER BY id) FROM marks'), '{1}', 'what was committed at the target, and nothing later');
is(value("SELECT '$restored'::pg_lsn <= '$target'::pg_lsn + 1000"), 't', 'the answer named the target');
ok(value('SELECT count(*) FROM pgbench_history') >= 200, 'with the transactions of then');
is(value('SELECT count(*) FROM passing'), 0, 'unlogged tables are empty');
my $next = value("SELECT nextval('numbers')");
ok($next > 100 && $next <= 133, "a sequence is never behind and at most 32 ahead ($next)");

my $log = slurp_file($node->logfile, $log_offset);
is(scalar(() = $log =~ /LOG:  pitr_ext: restoring branch "main" in place: the restart of the server that follows is on purpose/g),
	1, 'one line before');
is(scalar(() = $log =~ /LOG:  pitr_ext: restore of branch "main" is done/g), 1, 'one line after');

# Sessions work as ever, and so does the next load.
my $more = value('SELECT count(*) + 300 FROM pgbench_history');
$bench = start_bench();
ok(poll_until($node, "SELECT count(*) > $more FROM pgbench_history", 't'), 'pgbench works on the restored server');

# --- wait => false ---
my $again = psql_row($node, "SELECT * FROM pitr_restore_branch('main', 'main\@$quiet_point', wait => false)");
is($again->{state}, 'running', 'wait => false answers at once') or diag(explain($again));
my $waited = psql_row($node, "SELECT * FROM pitr_wait_operation('$again->{operation_id}', '1 ms')");
like($waited->{state} // $waited->{_err}, qr/running|queued/, 'pitr_wait_operation gives up after its time');
is(wait_operation($node, $again->{operation_id}), 'done', 'the operation goes on without its session');
is(psql_row($node, "SELECT * FROM pitr_wait_operation('$again->{operation_id}')")->{state}, 'done', 'pitr_wait_operation of one that has ended');
$bench->{handle}->finish;
is(contents($node), $quiet, 'contents of then');
is(refusal($node, "SELECT * FROM pitr_wait_operation('op-none')")->{sqlstate}, '42704', 'pitr_wait_operation of an unknown one');

# --- interrupts that are no cancel: a session serves them while it waits, and its restore goes on (after ten seconds its own
# statistics are one of them) ---
value('INSERT INTO marks VALUES (5)');
arm_only('build.lay_out.done stop');
my $patient = start_psql("SELECT state FROM pitr_restore_branch('$quiet_point'::pg_lsn)");
my $waiting = "FROM pg_stat_activity WHERE query LIKE 'SELECT state FROM pitr_restore_branch%'";
ok(poll_until($node, "SELECT count(*) $waiting", '1'), 'a restore is under way');
sleep 0.5;
value("SELECT pg_log_backend_memory_contexts(pid) $waiting");
value('CREATE DATABASE passing');
value('DROP DATABASE passing');
sleep 1;
clear_faults();
finish_psql($patient);
is("$patient->{rc} $patient->{out}", "0 exchanging\n", 'it is not cancelled by an interrupt that is no cancel') or diag($patient->{err});
ok(poll_until($node, 'SELECT count(*) FROM marks', '0'), 'and brought the past back');
wait_closed();
is(contents($node), $quiet, 'contents of then');

# --- by the extended protocol, as drivers call it ---
my $script = $node->basedir . '/restore.sql';
open(my $file, '>', $script) or die;
print $file "SELECT * FROM pitr_restore_branch('$quiet_point'::pg_lsn, preserve => false);\n";
close $file;
foreach my $mode ('extended', 'prepared')
{
	value('INSERT INTO marks VALUES (3)');
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'pgbench', '-n', '-M', $mode, '-c', '1', '-t', '1', '-f', $script, $node->connstr('postgres') ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	is($?, 0, "-M $mode: the client has its answer") or diag($err);
	like($out, qr{number of transactions actually processed: 1/1}, "-M $mode: one answer");
	ok(poll_until($node, 'SELECT count(*) FROM marks', '0'), "-M $mode: restored");
	wait_closed();
	is(contents($node), $quiet, "-M $mode: contents of then");
}
is(value("SELECT count(*) FROM pitr_operations WHERE kind = 'restore' AND state = 'done'"), 5, 'five restores are done');
my $last = value('SELECT directory FROM pitr_branches WHERE is_self');
is($last, $data, 'the branch is where it was');
is(join(' ', grep { -e } map { "$data.pitr/$_" } split /\n/, value("SELECT id FROM pitr_branches WHERE state = 'deleted'")),
	'', 'preserve => false leaves no old directory');
is(value('SELECT count(*) FROM pitr_check() WHERE NOT ok'), 0, 'pitr_check finds nothing wrong') or diag(value('SELECT * FROM pitr_check()'));
$node->stop;
done_testing();

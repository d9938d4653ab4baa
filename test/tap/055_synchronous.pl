# Synchronous commits: what was acknowledged is in the repository. Nothing is lost with the machine; a store that is away makes commits
# wait, and holds neither the stop of the server nor a restore in place.
#
# PITR_SWEEP=full: more losses.
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use FaultTest;
use LossTest;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $full = ($ENV{PITR_SWEEP} // '') eq 'full';
my $quiet = "checkpoint_timeout = '1h'\nautovacuum = off\n";
my $on = "pitr.synchronous = on\nsynchronous_standby_names = 'pitr'\n";
my $node = pitr_node('main', conf => $quiet);
my $repository = repository_of($node);

sub value { return $node->safe_psql('postgres', $_[0]); }
sub check_row { return psql_row($node, "SELECT * FROM pitr_check() WHERE item = 'synchronous'"); }
sub is_synchronous { my ($of, $seconds) = @_; return poll_until($of, 'SELECT synchronous FROM pitr_archive', 't', $seconds // 60); }
sub sender { return value("SELECT pid FROM pg_stat_replication WHERE application_name = 'pitr'"); }
sub confirmer { return (ArchiveTest::children_of($node, qr/: pitr confirmer/))[0]; }
sub set { my ($of, @lines) = @_; $of->append_conf('postgresql.conf', join "\n", @lines); $of->reload; return; }

# A commit is in the repository when it is acknowledged. What is there is read in the same session, right behind it.
my $row_number = 0;
sub commits_are_durable
{
	my ($name, $of) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$row_number++;
	my $answer = ($of // $node)->safe_psql('postgres', <<"SQL");
BEGIN;
INSERT INTO rows VALUES ($row_number, 'durable');
SELECT pg_current_wal_insert_lsn() AS before \\gset
COMMIT;
SELECT tail_lsn > :'before'::pg_lsn FROM pitr_archive;
SQL
	return is($answer, 't', $name);
}

# A commit in a session of its own; whether it still waits after a while, seen by nobody.
sub begin_commit
{
	$row_number++;
	my $run = begin_sql($node, "INSERT INTO rows VALUES ($row_number, 'waits')");
	$run->{row} = $row_number;
	return $run;
}

sub still_waits
{
	my ($run, $seconds) = @_;
	sleep $seconds;
	return value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%($run->{row},%'") eq '1'
	  && value("SELECT count(*) FROM rows WHERE id = $run->{row}") eq '0';
}

# --- off, listed, on ----------------------------------------------------------------------------------------------------------------------
value('CREATE TABLE rows (id int, what text)');
is(value('SELECT synchronous FROM pitr_archive'), 'f', 'off: pitr_archive says so');
my $row = check_row();
is($row->{ok}, 't', 'off: nothing is missing') or diag(explain($row));
like($row->{detail}, qr/^off: /, 'off: pitr_check says what that means');
ok(!confirmer(), 'off: no process');
{
	set($node, "synchronous_standby_names = 'pitr'");
	# The checkpointer tells when the setting is in force.
	my $first;
	ok(wait_for('waiting', sub { $first = begin_commit(); still_waits($first, 1) }, 20), 'listed without being on: commits wait');
	is(check_row()->{ok}, 'f', 'listed without being on: pitr_check tells');
	like(value('SELECT problem FROM pitr_status'), qr/pitr\.synchronous is off/, 'pitr_status too');
	my $cancelled = begin_commit();
	ok(poll_until($node, "SELECT count(pg_cancel_backend(pid)) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%($row_number,%'", 't'),
		'one that waits is cancelled');
	my ($rc, $out, $err) = end_sql($cancelled);
	like($err, qr/WARNING: .*canceling wait for synchronous replication/, 'who cancels is warned');
	my $run = begin_commit();
	set($node, 'pitr.synchronous = on');
	is((end_sql($_))[0], 0, 'turned on: what waited is acknowledged') foreach $first, $run;
	ok(is_synchronous($node), 'on: pitr_archive says so');
	is(value("SELECT problem IS NULL FROM pitr_status"), 't', 'on: no problem');
}
$row = check_row();
is($row->{ok}, 't', 'on: nothing is missing') or diag(explain($row));
is(value("SELECT sync_state, state, usename = current_user FROM pg_stat_replication WHERE application_name = 'pitr'"), 'sync|streaming|t',
	'the server waits for it');
is(value('SELECT count(*) FROM pg_replication_slots'), '0', 'no slot is held');
commits_are_durable("commit $_ is durable when it is acknowledged") foreach 1 .. 5;
foreach my $level ('remote_write', 'remote_apply')
{
	set($node, "synchronous_commit = $level");
	commits_are_durable("synchronous_commit = $level: too");
}
set($node, 'synchronous_commit = local');
like(check_row()->{detail}, qr/synchronous_commit is local/, 'pitr_check tells of a synchronous_commit that does not wait');
set($node, 'synchronous_commit = on');
is(value("SELECT standbys FROM pitr_plan_restore(now())"), '0', 'the plan counts no standby');
{
	set($node, 'pitr.tail_interval = 0');
	commits_are_durable('without pitr.tail_interval as well');
	set($node, "pitr.tail_interval = '1s'");
}

# --- what is missing ----------------------------------------------------------------------------------------------------------------------
{
	my $hba = slurp_file($node->data_dir . '/pg_hba.conf');
	my $from = -s $node->logfile;
	append_to_file($node->data_dir . '/pg_hba.conf.new', "local all all trust\nlocal replication all reject\n");
	rename $node->data_dir . '/pg_hba.conf.new', $node->data_dir . '/pg_hba.conf' or die $!;
	$node->reload;
	value("SELECT pg_terminate_backend(${\sender()})");
	ok(wait_log($node, $from, qr/WARNING:  pitr confirmer: cannot connect to this server/), 'refused by pg_hba.conf: told');
	$row = check_row();
	my $user = value('SELECT rolname FROM pg_roles WHERE oid = 10');
	is($row->{ok}, 'f', 'pitr_check tells');
	like($row->{hint}, qr/"local replication \Q$user\E peer"/, 'and shows the line that is needed');
	like($row->{detail}, qr/pg_hba\.conf/, 'and what the server said');
	is(value('SELECT synchronous FROM pitr_archive'), 'f', 'pitr_archive tells');
	like(value('SELECT problem FROM pitr_status'), qr/no replication connection/, 'pitr_status too');
	my $run = begin_commit();
	ok(still_waits($run, 3), 'commits wait');
	is(scalar(my @told = log_lines($node, $from, qr/WARNING:  pitr confirmer: /)), 1, 'the log tells once');
	append_to_file($node->data_dir . '/pg_hba.conf.new', $hba);
	rename $node->data_dir . '/pg_hba.conf.new', $node->data_dir . '/pg_hba.conf' or die $!;
	$node->reload;
	is((end_sql($run))[0], 0, 'let in again: what waited is acknowledged');
	ok(wait_log($node, $from, qr/LOG:  pitr confirmer works again/), 'and the log tells');
	commits_are_durable('commits are durable again');
}

# --- the store is away, or slow -----------------------------------------------------------------------------------------------------------
{
	set($node, "wal_sender_timeout = '1500ms'");
	my $sender = sender();
	rename $repository, "$repository.away" or die $!;
	my @runs = map { begin_commit() } 1 .. 3;
	ok(still_waits($runs[0], 5), 'store away: commits wait');
	is(value('SELECT count(*) FROM rows'), value('SELECT count(*) FROM rows'), 'reading goes on');
	ok(poll_until($node, "SELECT problem LIKE 'commits wait for the repository%' FROM pitr_status", 't', 20), 'pitr_status tells');
	is(sender(), $sender, 'the connection stands all the time');
	rename "$repository.away", $repository or die $!;
	my $began = time;
	is((end_sql($_))[0], 0, 'store back: acknowledged') foreach @runs;
	cmp_ok(time - $began, '<', 15, 'soon');
	commits_are_durable('and durable');
}
SKIP:
{
	skip 'a build without fault points', 1 unless `pitr fault-points` =~ /archive\.tail/;
	my $sender = sender();
	forget_hits();
	arm_only('archive.tail.before_publish stop');
	my $run = begin_commit();
	ok(wait_for_hit('archive.tail.before_publish', 20), 'a put that hangs');
	ok(still_waits($run, 5), 'commits wait');
	is(sender(), $sender, 'keepalives are answered meanwhile');
	clear_faults();
	is((end_sql($run))[0], 0, 'it goes on: acknowledged');
	commits_are_durable('and durable');
	foreach my $point (grep { /^archive\.tail\./ } fault_points())
	{
		forget_hits();
		arm_only("$point error");
		my $waiting = begin_commit();
		ok(wait_for_hit($point, 20), "$point error: met");
		clear_faults();
		is((end_sql($waiting))[0], 0, "$point error: acknowledged afterwards");
		commits_are_durable("$point error: and durable");
	}
}
set($node, "wal_sender_timeout = '60s'");

# --- the ends of processes ----------------------------------------------------------------------------------------------------------------
{
	my $from = -s $node->logfile;
	value("SELECT pg_terminate_backend(${\sender()})");
	commits_are_durable('its WAL sender ended: connected again');
	is(join("\n", log_lines($node, $from, qr/WARNING:  pitr confirmer/)), '', 'nothing to tell');
	kill 'TERM', confirmer();
	commits_are_durable('SIGTERM: started again');
	kill 'KILL', confirmer();
	sleep 0.5;
	ok(ensure_running($node), 'kill -9: the server recovers');
	ok(is_synchronous($node), 'and commits are synchronous again');
	commits_are_durable('and durable');
}

# --- restored in place, under load ------------------------------------------------------------------------------------------------------------
{
	my $then = contents($node);
	my $moment = value('SELECT clock_timestamp()');
	sleep 0.1;
	value('DELETE FROM rows');
	my $load = start_writers($node, 4);
	sleep 2;
	my $answer = restore($node, "SELECT * FROM pitr_restore_branch('$moment'::timestamptz)");
	is($answer->{outcome}, 'done', 'restored in place under load, without force') or diag(explain($answer));
	stop_writers($load);
	is(contents($node), $then, 'with what was there then');
	is(value('SHOW synchronous_standby_names'), 'pitr', 'commits still wait');
	ok(is_synchronous($node), 'and are confirmed');
	commits_are_durable('and durable, on the new line');
	# What was acknowledged before the cut is in the branch that was left.
	my $left = value("SELECT name FROM pitr_branches WHERE kind = 'undo' AND deleted_at IS NULL ORDER BY updated_at DESC LIMIT 1");
	my $other = new_node($node->host, $repository, '--branch', $left);
	my @rows = acknowledged_rows($load);
	cmp_ok(scalar(@rows), '>', 10, scalar(@rows) . ' rows were acknowledged before the cut');
	is(join(', ', missing_rows($other, @rows)), '', 'all of them are in the branch that was left');
	$other->stop;
}

# --- stops --------------------------------------------------------------------------------------------------------------------------------------
# Seconds of a stop; sessions that wait are cut by it.
sub stop_takes
{
	my ($mode) = @_;
	my $began = time;
	$node->stop($mode);
	return time - $began;
}
foreach my $mode ('fast', 'smart', 'immediate')
{
	my $load = $mode eq 'smart' ? undef : start_writers($node, 4);
	sleep 2;
	my $took = stop_takes($mode);
	cmp_ok($took, '<', 25, sprintf '%s stop: %.1f s', $mode, $took);
	if ($load)
	{
		stop_writers($load);
		my @rows = acknowledged_rows($load);
		cmp_ok(scalar(@rows), '>', 10, "$mode stop: " . @rows . ' rows were acknowledged');
		my $other = new_node($node->host, $repository);
		is(join(', ', missing_rows($other, @rows)), '', "$mode stop: all of them are in the repository");
		$other->stop;
	}
	$node->start;
	ok(is_synchronous($node), "$mode stop: synchronous again after the start");
	commits_are_durable("$mode stop: and durable");
}
foreach my $mode ('fast', 'immediate')
{
	# For ten seconds after a crash the server has no archiver.
	ok(wait_for('an archiver', sub { archiver_pid($node) }, 75), 'there is an archiver');
	rename $repository, "$repository.away" or die $!;
	my $run = begin_commit();
	ok(still_waits($run, 2), 'store away: a commit waits');
	my $took = stop_takes($mode);
	cmp_ok($took, '<', 30, sprintf '%s stop with the store away: %.1f s', $mode, $took);
	$run->{handle}->kill_kill;
	rename "$repository.away", $repository or die $!;
	$node->start;
	ok(is_synchronous($node), "$mode stop with the store away: synchronous again");
	commits_are_durable('and durable');
}

# --- off again --------------------------------------------------------------------------------------------------------------------------------
{
	set($node, 'pitr.synchronous = off', "synchronous_standby_names = ''");
	ok(wait_for('the end of the connection', sub { sender() eq '' }, 20), 'off: the connection ends');
	is(value('SELECT synchronous FROM pitr_archive'), 'f', 'pitr_archive says so');
	value("INSERT INTO rows VALUES (-1, 'asynchronous')");
	set($node, 'pitr.synchronous = on', "synchronous_standby_names = 'pitr'");
	ok(is_synchronous($node), 'on again');
	commits_are_durable('and durable');
}
is( unexpected_log_lines(
		$node, 0,
		qr/pitr confirmer: /, qr/pitr tail shipper: /, qr/pitr launcher: /, qr/could not archive/, qr/failed too many times/,
		qr/what was written last before the stop/, qr/not the one that was opened/,
		qr/pg_hba\.conf (rejects|entry)|no pg_hba\.conf entry/, qr/canceling wait for synchronous replication/,
		qr/terminating connection due to administrator command/, qr/terminating connection because of crash/,
		qr/canceling the wait for synchronous replication/, qr/canceling statement due to/, qr/connection to client lost/,
		qr/the database system is (in recovery mode|not yet accepting|starting up|shutting down)/,
		qr/being restored to another point in time/),
	'', 'nothing unexpected in the log');
$node->stop;

# --- the server is lost whole, at a random moment under load ------------------------------------------------------------------------
sub lose_under_load
{
	my ($round, $synchronous) = @_;
	my $name = ($synchronous ? 'synchronous' : 'asynchronous') . " loss $round";
	my $victim = pitr_node(($synchronous ? 'sync' : 'async') . $round, conf => ($synchronous ? $on : '') . "autovacuum = off\n",
		$round % 2 ? (init => { extra => ['--wal-segsize=1'] }) : ());
	my $from = repository_of($victim);
	is_synchronous($victim) or die 'not synchronous' if $synchronous;
	my @connect = ('-h', $victim->host, '-p', $victim->port, 'postgres');
	system_or_bail('pgbench', '-i', '-s', '2', '-q', @connect);
	my $pgbench = IPC::Run::start([ 'pgbench', '-n', '-c', '3', '-T', '120', @connect ], '>', \my $out, '2>', \my $err);
	my $writers = start_writers($victim, 4);
	sleep 4 + rand(6);
	my $lost_at = time;
	lose($victim);
	$pgbench->kill_kill;
	stop_writers($writers);
	my @rows = acknowledged_rows($writers, $synchronous ? undef : $lost_at - 2);
	cmp_ok(scalar(@rows), '>', 20, "$name: " . @rows . ' acknowledged rows must be there');
	my $other = new_node($node->host, $from);
	my @missing = missing_rows($other, @rows);
	is(scalar(@missing), 0, "$name: all of them are") or diag("first missing: @missing[0 .. ($#missing > 5 ? 5 : $#missing)]");
	my @late = $synchronous ? () : missing_rows($other, acknowledged_rows($writers));
	note(sprintf '%s: %d acknowledged, %d restored, %d of the last moment lost', $name, scalar(acknowledged_rows($writers)), scalar(rows_of($other)), scalar(@late));
	is($other->safe_psql('postgres', 'SELECT count(*) FROM (SELECT client FROM acknowledged GROUP BY client HAVING max(n) <> count(*)) x'),
		'0', "$name: no client's rows have a hole");
	is($other->safe_psql('postgres', 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)'), 't',
		"$name: pgbench's sums agree");
	if ($synchronous)
	{
		ok(is_synchronous($other), "$name: the new server's commits wait as well");
		$other->safe_psql('postgres', 'CREATE TABLE goes_on AS SELECT 1 AS id');
	}
	$other->stop;
	system_or_bail('rm', '-rf', $other->data_dir, $victim->data_dir . '.lost', $from);
	return;
}
lose_under_load($_, 1) foreach 1 .. ($full ? 12 : 3);
lose_under_load($_, 0) foreach 1 .. ($full ? 3 : 1);

# --- on an S3 store -------------------------------------------------------------------------------------------------------------------------------
SKIP:
{
	my $endpoint = $ENV{PITR_TEST_S3_ENDPOINT} // '';
	skip 'no S3 server', 1 if $endpoint eq '';
	s3_shared();
	my $keys = $ENV{PITR_TEST_S3_SERVER_CREDENTIALS};
	my $bucket = 's3://pitr/tap/synchronous';
	my $victim = pitr_node('bucket', wait => 0, conf => <<"CONF");
$on
pitr.repository = '$bucket'
pitr.s3_endpoint = '$endpoint'
pitr.s3_credentials_file = '$keys'
CONF
	ok(poll_until($victim, 'SELECT can_restore FROM pitr_status', 't', 180), 'S3: the first snapshot');
	ok(is_synchronous($victim), 'S3: synchronous');
	$victim->safe_psql('postgres', 'CREATE TABLE rows (id int, what text)');
	commits_are_durable("S3: commit $_ is durable when it is acknowledged", $victim) foreach 1 .. 3;
	my $writers = start_writers($victim, 4);
	sleep rand(3);
	lose($victim);
	stop_writers($writers);
	my @rows = acknowledged_rows($writers);
	my $other = new_node($node->host, "$bucket?endpoint=$endpoint&credentials_file=$keys");
	is(join(', ', missing_rows($other, @rows)), '', 'S3: all of ' . @rows . ' acknowledged rows are there');
	$other->stop;
}
done_testing();

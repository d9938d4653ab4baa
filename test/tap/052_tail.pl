# The tail: what is flushed but not in a finished segment is in the repository a moment later, so that a server that is lost whole
# loses a second. Idle servers ship nothing; a clean stop leaves nothing behind; what is away comes back.
#
# PITR_SWEEP=full: more losses.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use FaultTest;
use IO::Socket::INET;
use JSON::PP;
use LossTest;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# Segments of 16 MB, and no archive_timeout: nothing but the tail brings what is tested here.
my $quiet = "checkpoint_timeout = '1h'\nautovacuum = off\n";
my $node = pitr_node('main', conf => $quiet);
my $repository = repository_of($node);

sub value { return $node->safe_psql('postgres', $_[0]); }
sub latest { my ($of) = @_; return $of->safe_psql('postgres', 'SELECT max(latest_lsn) FROM pitr_restore_window()'); }

# Tail pieces as they are in a folder: name => inode and size.
sub pieces
{
	my ($in) = @_;
	return { map { m{/([^/]+)$} ? ($1 => join ' ', (stat)[ 1, 7 ]) : () } glob("$in/branches/*/tail/*/*") };
}

# Everything flushed by now, or by a statement, is in the repository: how long that took by the server's own clock, or nothing.
sub tail_delay
{
	my ($of, $seconds, $statement) = @_;
	my ($flushed, $time) = split /\|/,
	  $of->safe_psql('postgres', ($statement // '') . ';SELECT pg_current_wal_flush_lsn(), clock_timestamp()');
	return undef unless wait_for("the tail at $flushed",
		sub { $of->safe_psql('postgres', "SELECT tail_lsn >= '$flushed' FROM pitr_archive") eq 't' }, $seconds // 30);
	return $of->safe_psql('postgres', "SELECT greatest(0, extract(epoch FROM tail_at - '$time'::timestamptz)) FROM pitr_archive");
}

# Of several tries: other tests run on the machine as well.
sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[ @sorted / 2 ]; }

# A server from the repository alone.
sub restored_node { my ($from, @arguments) = @_; return new_node($node->host, $from, @arguments); }

# --- commits can be restored without the end of a segment ---------------------------------------------------------------------------
value('CREATE TABLE rows (id int PRIMARY KEY, what text)');
my $segment = value('SELECT pg_walfile_name(pg_current_wal_lsn())');
my @took;
foreach my $n (1 .. 5)
{
	value("INSERT INTO rows VALUES ($n, 'row $n')");
	my $inserted = value('SELECT pg_current_wal_flush_lsn()');
	my $began = time;
	ok(wait_for("row $n", sub { value("SELECT max(latest_lsn) >= '$inserted' FROM pitr_restore_window()") eq 't' }, 10),
		"row $n can be restored");
	push @took, time - $began;
	is(value("SELECT kind FROM pitr_lsn_at(now())"), 'future', 'and a time is found in it');
	sleep 0.3;
}
cmp_ok(median(@took), '<', 2, 'within the interval and a second') or diag("@took");
is(value('SELECT pg_walfile_name(pg_current_wal_lsn())'), $segment, 'no segment ended meanwhile');
cmp_ok(scalar(keys %{ pieces($repository) }), '<=', 12, 'few pieces');
is(value("SELECT count(*) FROM pitr_check() WHERE NOT ok"), '0', 'pitr_check finds nothing');
like(value("SELECT detail FROM pitr_check() WHERE item = 'workers'"), qr/^6 of /, 'which counts the tail shipper');

# --- an idle server ---------------------------------------------------------------------------------------------------------------------
{
	ok(defined tail_delay($node), 'all is in the repository');
	sleep 2;    # a CHECKPOINT of the snapshots, and who else is late
	ok(defined tail_delay($node), 'all is in the repository');
	# Fifteen seconds after the last change the background writer notes the running transactions once more.
	my ($before, $flushed, @loss);
	foreach (1 .. 5)
	{
		tail_delay($node);
		sleep 1;    # what a new piece replaces goes behind it
		$before = pieces($repository);
		$flushed = value('SELECT pg_current_wal_flush_lsn()');
		@loss = ();
		foreach (1 .. 5)
		{
			sleep 1;
			push @loss, value('SELECT loss_if_crashed_now FROM pitr_status');
		}
		last if value('SELECT pg_current_wal_flush_lsn()') eq $flushed;
	}
	is("@loss", join(' ', ('00:00:00') x 5), 'idle: nothing would be lost');
	is(value('SELECT pg_current_wal_flush_lsn()'), $flushed, 'idle: nothing was flushed');
	is_deeply(pieces($repository), $before, 'idle: no object comes, goes or changes');
}

# The age of what is not durable, while nothing can be shipped.
{
	rename $repository, "$repository.away" or die $!;
	my $from = -s $node->logfile;
	value("INSERT INTO rows VALUES (100, 'while it is away')");
	ok(wait_log($node, $from, qr/WARNING:  pitr tail shipper: /), 'repository away: told');
	value("INSERT INTO rows VALUES (101, 'the server goes on')");
	sleep 4;
	is(scalar(my @told = log_lines($node, $from, qr/WARNING:  pitr tail shipper: /)), 1, 'repository away: once');
	rename "$repository.away", $repository or die $!;
	ok(wait_log($node, $from, qr/LOG:  pitr tail shipper works again/, 40), 'repository back: told');
	ok(defined tail_delay($node, 40), 'repository back: the tail is there');
	is(scalar(@told = log_lines($node, $from, qr/pitr tail shipper works again/)), 1, 'repository back: once');
}

# --- off, and on again --------------------------------------------------------------------------------------------------------------------
{
	$node->append_conf('postgresql.conf', "pitr.tail_interval = 0");
	$node->reload;
	sleep 1.5;
	my $before = pieces($repository);
	value("INSERT INTO rows VALUES (110, 'without the tail')");
	sleep 2.5;
	is_deeply(pieces($repository), $before, 'off: nothing is shipped');
	cmp_ok(value('SELECT extract(epoch FROM loss_if_crashed_now) FROM pitr_status'), '>', 1, 'off: the loss grows');
	is(value('SELECT count(*) FROM pitr_plan_restore(now()) WHERE possible'), '1', 'off: shipped when somebody asks');
	isnt(join(' ', sort keys %{ pieces($repository) }), join(' ', sort keys %$before), 'as a piece');
	$node->append_conf('postgresql.conf', "pitr.tail_interval = '100ms'");
	$node->reload;
	sleep 1;
	my @fast = map { tail_delay($node, 30, "INSERT INTO rows VALUES (110 + $_, 'fast')") // 99 } 1 .. 5;
	cmp_ok(median(@fast), '<', 0.8, 'each 100 ms') or diag("@fast");
}

# --- how long a commit takes to be durable in the repository ----------------------------------------------------------------------
{
	$node->append_conf('postgresql.conf', "pitr.tail_interval = '1s'");
	$node->reload;
	my @delays;
	foreach my $n (1 .. (($ENV{PITR_SWEEP} // '') eq 'full' ? 200 : 20))
	{
		push @delays, tail_delay($node, 30, "INSERT INTO rows VALUES (1000 + $n, 'delay')") // 99;
		sleep rand(0.5);
	}
	@delays = sort { $a <=> $b } @delays;
	note(sprintf 'commit to durable: median %.2f s, 99th percentile %.2f s', $delays[ @delays / 2 ], $delays[ int(@delays * 0.99) ]);
	cmp_ok(median(@delays), '<', 2, 'no longer than the interval and a second');
}

# --- the end of the process ---------------------------------------------------------------------------------------------------------------
sub tail_shipper { return (ArchiveTest::children_of($node, qr/: pitr tail shipper/))[0]; }
{
	my $pid = tail_shipper();
	ok($pid, 'there is a tail shipper');
	my $began = time;
	kill 'TERM', $pid;
	ok(wait_for('its end', sub { !is_alive($pid) }, 5), 'SIGTERM: it ends at once');
	ok(wait_for('another one', sub { tail_shipper() }, 20), 'and is started again');
	value("INSERT INTO rows VALUES (120, 'after a SIGTERM')");
	ok(defined tail_delay($node), 'which goes on');
	kill 'KILL', tail_shipper();
	sleep 0.5;
	ok(ensure_running($node), 'kill -9: the server recovers');
	value("INSERT INTO rows VALUES (121, 'after a SIGKILL')");
	ok(defined tail_delay($node), 'and the tail goes on');
}

# --- restored in place to a moment in the tail ------------------------------------------------------------------------------------
{
	my $then = contents($node);
	my $moment = value('SELECT clock_timestamp()');
	sleep 0.1;
	value('DELETE FROM rows WHERE id > 3');
	ok(defined tail_delay($node), 'the mistake is in the tail');
	my $later = contents($node);
	my $row = restore($node, "SELECT * FROM pitr_restore_branch('$moment'::timestamptz)");
	is($row->{outcome}, 'done', 'restored to a moment in the tail') or diag(explain($row));
	is(contents($node), $then, 'with what was there then');
	value("INSERT INTO rows VALUES (130, 'on the new line')");
	ok(defined tail_delay($node), 'the new line has its own tail');
	my $new_line = contents($node);
	$row = undo($node);
	is($row->{outcome}, 'done', 'undone') or diag(explain($row));
	is(contents($node), $later, 'the end of the old line was shipped');
	value("INSERT INTO rows VALUES (131, 'on the old line again')");
	ok(defined tail_delay($node), 'and its tail goes on');
	# The head of the line that was left, from the repository alone.
	my $left = value("SELECT name FROM pitr_branches WHERE kind = 'undo' AND deleted_at IS NULL ORDER BY updated_at DESC LIMIT 1");
	my $other = restored_node($repository, '--branch', $left);
	is(contents($other), $new_line, 'the line that was left is whole up to its end');
	$other->stop;
}

# --- a clean stop ----------------------------------------------------------------------------------------------------------------------------
{
	$node->append_conf('postgresql.conf', "pitr.tail_interval = 0");
	$node->reload;
	value("INSERT INTO rows VALUES (140, 'the last one'); CREATE TABLE made_last AS SELECT 1 AS id");
	my $last = contents($node);
	# For ten seconds after a crash cycle the server has no archiver, so nobody outlives its checkpoint.
	ok(wait_for('an archiver', sub { archiver_pid($node) }, 75), 'there is an archiver');
	$node->stop;
	my ($checkpoint) = `pg_controldata -D @{[ $node->data_dir ]}` =~ /^Latest checkpoint location: +(\S+)/m;
	my $windows = decode_json(scalar `pitr info --repository $repository --json`)->{windows};
	my ($end) = sort { $b cmp $a } map { $_->{latest_lsn} } @$windows;
	cmp_ok(lsn_value($end), '>', lsn_value($checkpoint), 'the shutdown checkpoint is in the repository');
	my $other = restored_node($repository);
	is(contents($other), $last, 'and exactly the last state');
	is($other->safe_psql('postgres', 'SELECT count(*) FROM rows WHERE id = 140'), '1', 'with the last row');
	$other->stop;
	$node->start;
	is(contents($node), $last, 'the server itself starts as ever');
	value("INSERT INTO rows VALUES (141, 'after the stop')");
	$node->append_conf('postgresql.conf', "pitr.tail_interval = '1s'");
	$node->reload;
	ok(defined tail_delay($node), 'and goes on behind that checkpoint');
}

# A store that hangs does not hold the stop for ever.
{
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50) or die "listen: $!";
	append_to_file($node->basedir . '/keys', "[default]\naws_access_key_id = AK\naws_secret_access_key = SK\n");
	chmod 0600, $node->basedir . '/keys';
	$node->append_conf('postgresql.conf', "pitr.repository = 's3://bucket/x'\npitr.s3_endpoint = 'http://127.0.0.1:"
		  . $listener->sockport . "'\npitr.s3_credentials_file = '" . $node->basedir . "/keys'");
	$node->reload;
	sleep 1.5;
	value("INSERT INTO rows VALUES (150, 'to a store that hangs')");
	my $began = time;
	$node->stop;
	my $took = time - $began;
	cmp_ok($took, '<', 30, "a hanging store: the server stops ($took s)");
	$node->append_conf('postgresql.conf', "pitr.repository = '$repository'");
	$node->start;
	close $listener;
	ok(wait_archived($node), 'what waited is archived afterwards');
	ok(defined tail_delay($node), 'and the tail is there');
}

# --- the heartbeat ---------------------------------------------------------------------------------------------------------------------------
{
	my $commits = sub { value("SELECT max(latest_time) FROM pitr_restore_window()") };
	ok(defined tail_delay($node), 'idle');
	my $before = $commits->();
	sleep 3;
	is($commits->(), $before, 'without a heartbeat the window ends with the last commit');
	$node->append_conf('postgresql.conf', "pitr.heartbeat_interval = '2s'");
	$node->reload;
	ok(poll_until($node, "SELECT max(latest_time) > '$before' FROM pitr_restore_window()", 't', 15), 'with one it goes on');
	my $xid = value('SELECT pg_snapshot_xmax(pg_current_snapshot())');
	sleep 6.5;
	my $beats = value('SELECT pg_snapshot_xmax(pg_current_snapshot())') - $xid;
	cmp_ok($beats, '>=', 2, "some in six seconds ($beats)");
	cmp_ok($beats, '<=', 4, 'and not more');
	# Commits of others make it needless.
	$xid = value('SELECT pg_snapshot_xmax(pg_current_snapshot())');
	foreach my $n (1 .. 10) { value("INSERT INTO rows VALUES (200 + $n, 'work')"); sleep 0.5; }
	is(value('SELECT pg_snapshot_xmax(pg_current_snapshot())') - $xid, 10, 'none while others commit');
	my $moment = value("SELECT clock_timestamp()");
	my $then = contents($node);
	sleep 4;
	is(value("SELECT count(*) FROM pitr_plan_restore('$moment'::timestamptz) WHERE possible AND next_commit_time > '$moment'"), '1',
		'a moment between two beats has a commit on each side');
	# Nobody's DROP DATABASE waits for the process that has a connection now.
	value('CREATE DATABASE dropped');
	my $began = time;
	value('DROP DATABASE dropped');
	cmp_ok(time - $began, '<', 10, 'DROP DATABASE');
	$node->append_conf('postgresql.conf', 'pitr.heartbeat_interval = 0');
	$node->reload;
	is(contents($node), $then, 'heartbeats change nothing');
}
is( unexpected_log_lines(
		$node, 0,
		qr/pitr tail shipper: /, qr/pitr launcher: /, qr/could not archive/, qr/failed too many times/,
		qr/what was written last before the stop/, qr/not the one that was opened/,
		qr/terminating connection due to administrator command/, qr/terminating connection because of crash/,
		qr/the database system is (in recovery mode|not yet accepting|starting up|shutting down)/,
		qr/being restored to another point in time/),
	'', 'nothing unexpected in the log');
$node->stop;

sub lsn_value { my ($high, $low) = map { hex } split '/', $_[0]; return $high * 2**32 + $low; }

# --- the server is lost whole, at a random moment under load ------------------------------------------------------------------------
# Acknowledged rows are written down with the time of the acknowledgement by their clients.
sub lose_under_load
{
	my ($round, $interval) = @_;
	my $name = "loss $round (interval $interval s)";
	my $victim = pitr_node("victim$round", conf => "pitr.tail_interval = '${interval}s'\nautovacuum = off\n", $round % 2 ? (init => { extra => ['--wal-segsize=1'] }) : ());
	my $from = repository_of($victim);
	my @connect = ('-h', $victim->host, '-p', $victim->port, 'postgres');
	PostgreSQL::Test::Utils::system_or_bail('pgbench', '-i', '-s', '2', '-q', @connect);
	my $pgbench = IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-T', '120', @connect ], '>', \my $out, '2>', \my $err);
	my $writers = start_writers($victim, 4);
	sleep 4 + rand(6);
	my $lost_at = time;
	lose($victim);
	$pgbench->kill_kill;
	stop_writers($writers);
	my @safe = acknowledged_rows($writers, $lost_at - $interval - 1);
	my $acknowledged = acknowledged_rows($writers);
	cmp_ok(scalar(@safe), '>', 50, "$name: " . @safe . " rows of $acknowledged were acknowledged early enough");
	my $other = restored_node($from);
	my @missing = missing_rows($other, @safe);
	is(scalar(@missing), 0, "$name: all of them are there") or diag("first missing: @missing[0 .. ($#missing > 5 ? 5 : $#missing)]");
	note(sprintf '%s: %d acknowledged, %d restored', $name, $acknowledged, scalar(rows_of($other)));
	# A client's rows have no holes: a state that once was.
	is($other->safe_psql('postgres', 'SELECT count(*) FROM (SELECT client FROM acknowledged GROUP BY client HAVING max(n) <> count(*)) x'),
		'0', "$name: no client's rows have a hole");
	is($other->safe_psql('postgres', 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)'), 't',
		"$name: pgbench's sums agree");
	$other->command_ok([ 'pg_amcheck', '--all', '--install-missing' ], "$name: amcheck finds nothing wrong");
	$other->stop;
	system_or_bail('rm', '-rf', $other->data_dir, $victim->data_dir . '.lost', $from);
}
lose_under_load($_, $_ == 2 ? 0.2 : 1) foreach 1 .. (($ENV{PITR_SWEEP} // '') eq 'full' ? 12 : 3);

# --- fault points -------------------------------------------------------------------------------------------------------------------------------
SKIP:
{
	my @points = grep { /^archive\.tail\./ } fault_points();
	skip 'a build without fault points', 1 unless `pitr fault-points` =~ /archive\.tail/;
	cmp_ok(scalar(@points), '>=', 4, 'fault points of the tail');
	my $faulty = pitr_node('faulty', conf => "pitr.tail_interval = '100ms'\n$quiet", init => { extra => ['--wal-segsize=1'] });
	$node = $faulty;
	value('CREATE TABLE rows (id serial, what text)');
	foreach my $point (@points)
	{
		foreach my $action ('error', 'kill')
		{
			my $name = "$point $action";
			ok(defined tail_delay($faulty), "$name: all is well before");
			forget_hits();
			arm_only("$point $action");
			value("INSERT INTO rows (what) SELECT repeat('x', 1000) FROM generate_series(1, 100)");
			ok(wait_for_hit($point, 20), "$name: met");
			clear_faults();
			ok(ensure_running($faulty), "$name: the server runs");
			value("INSERT INTO rows (what) VALUES ('$name')");
			ok(defined tail_delay($faulty, 60), "$name: the tail goes on");
		}
	}
	my $last = contents($faulty);
	cmp_ok(scalar(keys %{ pieces(repository_of($faulty)) }), '<', 12, 'no pieces are left over for ever');
	lose($faulty);
	my $other = restored_node(repository_of($faulty));
	is(contents($other), $last, 'after all faults: everything can be restored');
	$other->stop;
}

# --- on an S3 store -------------------------------------------------------------------------------------------------------------------------------
SKIP:
{
	my $endpoint = $ENV{PITR_TEST_S3_ENDPOINT} // '';
	skip 'no S3 server', 1 if $endpoint eq '';
	s3_shared();
	my $keys = $ENV{PITR_TEST_S3_SERVER_CREDENTIALS};
	my $bucket = 's3://pitr/tap/tail';
	my $victim = pitr_node('bucket', conf => <<"CONF");
pitr.repository = '$bucket'
pitr.s3_endpoint = '$endpoint'
pitr.s3_credentials_file = '$keys'
CONF
	$victim->safe_psql('postgres', 'CREATE TABLE rows AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 1000) g');
	foreach my $n (1 .. 3)
	{
		$victim->safe_psql('postgres', "INSERT INTO rows VALUES (-$n, 'piece')");
		my $took = tail_delay($victim);
		cmp_ok($took // 99, '<', 5, 'in the bucket after some ' . sprintf('%.1f s', $took // 99));
	}
	my $last = contents($victim);
	lose($victim);
	my $other = restored_node("$bucket?endpoint=$endpoint&credentials_file=$keys");
	is(contents($other), $last, 'S3: everything is there after a total loss');
	# A clean stop of the new server, and again from the bucket alone.
	$other->safe_psql('postgres', "INSERT INTO rows VALUES (-100, 'after the loss')");
	$last = contents($other);
	my $branch = $other->safe_psql('postgres', 'SELECT name FROM pitr_branches WHERE is_self');
	$other->stop;
	my $third = restored_node("$bucket?endpoint=$endpoint&credentials_file=$keys", '--branch', $branch);
	is(contents($third), $last, 'S3: everything is there after a clean stop');
	$third->stop;
}
done_testing();

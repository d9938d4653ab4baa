# Snapshots and restores that are killed, cancelled, meet damaged objects, a repository that is away, a full disk: a clear error,
# the server goes on as if nothing had been, nothing half-made is listed, what is left over goes, and the next call works.
#
# PITR_SMALL_FS: an empty, writable directory on a file system of some 100 MB, to be filled for real (test/run makes one as root).
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# What a killed snapshot leaves is collected after that long, an hour in a product.
$ENV{PITR_ABANDONED_SECONDS} = 3;
# And looked for that often, each half minute in a product.
$ENV{PITR_SWEEP_SECONDS} = 2;
# A machine that does other things as well is given this long for what takes a second.
my $promptly = $ENV{PITR_PROMPTLY} // 4;

my $node = pitr_node('snap', init => { extra => ['--wal-segsize=1'] }, conf => "max_wal_size = 64MB\nmin_wal_size = 4MB\n");
my $repository = repository_of($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE numbers AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 20000) g;
CREATE TABLE marks (what text);
SQL
my $target = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
my $then = contents($node);
$node->safe_psql('postgres', 'DELETE FROM numbers WHERE id > 500');
my $restore_sql = "SELECT operation_id FROM pitr_restore_branch('$target'::pg_lsn)";
my $number = 0;

sub value { return $node->safe_psql('postgres', $_[0]); }

# Snapshots that are listed as good, and packs that no manifest names.
sub good_snapshots { return value("SELECT string_agg(name, ' ' ORDER BY name) FROM pitr_snapshots WHERE state LIKE 'ok%'"); }

sub abandoned_packs
{
	# A folder without a file is none: two threads may make and remove it at the same time.
	my %ids = map { m{([^/]+)/[^/]+$} ? ($1 => 1) : () } glob("$repository/packs/*/*");
	return join ' ', grep { !-e "$repository/snapshots/$_/manifest" } sort keys %ids;
}

# After a failed call: the server as it was, nothing listed, nothing left.
sub unharmed
{
	my ($name, $before, $crashed) = @_;
	ok(ensure_running($node), "$name: the server runs");
	ok(no_operation_runs($node), "$name: the operation is over");
	is(good_snapshots(), $before->{snapshots}, "$name: no snapshot came to be");
	is(contents($node), $before->{contents}, "$name: the contents are untouched");
	is(value('SELECT pg_postmaster_start_time()'), $before->{started}, "$name: the server was not started anew");
	is($crashed ? '' : value("SELECT pg_backend_pid() IS NOT NULL FROM pg_stat_activity WHERE application_name = 'witness'"),
		$crashed ? '' : 't', "$name: nobody else was disconnected");
	my $stray = '';
	ok(wait_until(45, sub { ($stray = stray_directories($node)) eq '' }), "$name: no directory is left over") or diag($stray);
	ok(wait_until(20, sub { ($stray = stray_processes($node)) eq '' }), "$name: no process is left over") or diag($stray);
}

sub before
{
	$number++;
	value("INSERT INTO marks VALUES ('before fault $number')");
	return { contents => contents($node), snapshots => good_snapshots(), started => value('SELECT pg_postmaster_start_time()') };
}

sub snapshot_works
{
	my ($name) = @_;
	my $row = psql_row($node, "SELECT * FROM pitr_create_snapshot('after fault $number')");
	is($row->{state}, 'ok', "$name: the next snapshot works") or diag($row->{_err});
	$row = psql_row($node, "SELECT * FROM pitr_verify('after fault $number') WHERE NOT ok");
	is(join(' ', $row->{_err}, grep { !/^_/ } keys %$row), '', "$name: and is whole");
}

sub restore_works
{
	my ($name) = @_;
	my $row = restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)");
	is($row->{outcome}, 'done', "$name: a restore works") or diag(explain($row));
	is(contents($node), $then, "$name: and brings back what was there");
	forget_undo_branches($node);
}

# A session that must survive what does not concern it.
my $watcher;
sub watch
{
	$watcher = begin_sql($node, 'SELECT pg_sleep(600)', "SET application_name = 'witness'");
	poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'witness'", 1);
}

sub end_watch { $watcher->{handle}->kill_kill if $watcher; $watcher = undef; }

# Killed

my $snapshot_sql = "SELECT id FROM pitr_create_snapshot('never')";
watch();
foreach my $point ('snapshot.copy.before_pack', 'snapshot.copy.after_pack', 'snapshot.manifest.before_write', 'snapshot.manifest.after_write')
{
	my $name = "child killed at $point";
	my $before = before();
	forget_hits();
	arm_fault("$point kill");
	my ($rc, $out, $err) = end_sql(begin_sql($node, $snapshot_sql));
	clear_faults();
	ok(fault_hit($point), "$name: the point was met");
	like($err, qr/signal 9/, "$name: the caller is told");
	unharmed($name, $before);
}
ok(abandoned_packs() ne '', 'the killed ones have left packs') or diag('nothing to be collected');
ok(wait_until(60, sub { abandoned_packs() eq '' }), 'which are collected') or diag(abandoned_packs());
snapshot_works('killed child');

# An error at each point is the caller's, and leaves nothing at all.
foreach my $point ('snapshot.copy.before_pack', 'snapshot.copy.after_pack', 'snapshot.manifest.before_write')
{
	my $before = before();
	arm_fault("$point error");
	my ($rc, $out, $err) = end_sql(begin_sql($node, $snapshot_sql));
	clear_faults();
	like($err, qr/58030: injected fault at \Q$point\E/, "error at $point: the caller is told");
	unharmed("error at $point", $before);
	is(abandoned_packs(), '', "error at $point: no packs are left");
}

SKIP:
{
	my $prlimit = (grep { -x } '/usr/bin/prlimit', '/bin/prlimit')[0];
	skip 'prlimit is not installed', 1 unless $prlimit;
	my $name = 'child without memory';
	my $before = before();
	my $err = '';
	# It has to be caught while it works, which on a fast machine may want some attempts.
	foreach my $attempt (1 .. 10)
	{
		my $run = begin_sql($node, $snapshot_sql);
		my $child = 0;
		wait_until(20, sub { $child = find_process($node, 'child') });
		system("$prlimit --pid $child --as=1 2>/dev/null") if $child;
		(undef, undef, $err) = end_sql($run);
		last if $err ne '';
		value("SELECT pitr_delete_snapshot('never')");
	}
	like($err, qr/53200|ended (by signal|without a result)|memory|resource/i, "$name: the caller is told");
	unharmed($name, $before);
}

# The worker is a process of the server: its end by SIGKILL is a crash of the server, from which that recovers.
end_watch();
{
	my $name = 'worker killed';
	my $before = before();
	forget_hits();
	arm_fault('snapshot.copy.after_pack stop');
	my $run = begin_sql($node, $snapshot_sql);
	ok(wait_for_hit('snapshot.copy.after_pack'), "$name: the point was met");
	my $child = find_process($node, 'child');
	my $worker = find_process($node, 'worker');
	ok($worker, "$name: there is one") and kill 'KILL', $worker;
	sleep 0.3;
	clear_faults();
	end_sql($run);
	ok(wait_until(10, sub { !is_alive($child) }), "$name: its child ends with it");
	unharmed($name, $before, 1);
	ok(wait_until(60, sub { abandoned_packs() eq '' }), "$name: its packs are collected") or diag(abandoned_packs());
	snapshot_works($name);
}
watch();

# Cancelled

sub caller_pid
{
	return value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
		  . " AND (query LIKE '%pitr_create_snapshot%' OR query LIKE '%pitr_restore_branch%')");
}

my %way = (
	'Ctrl-C' => { do => sub { value('SELECT pg_cancel_backend(' . caller_pid() . ')') }, error => qr/57014: canceling statement due to user request/ },
	'statement_timeout' => { before => "SET statement_timeout = '2500ms'", error => qr/57014: canceling statement due to statement timeout/ },
	'pg_terminate_backend' => { do => sub { value('SELECT pg_terminate_backend(' . caller_pid() . ')') }, error => qr/57P01/ },
	'pitr_cancel_operation' => {
		do => sub {
			my $began = time;
			is(value("SELECT pitr_cancel_operation(id) FROM pitr_operations WHERE state = 'running'"), 't', 'pitr_cancel_operation says yes');
			cmp_ok(time - $began, '<', $promptly, 'at once');
		},
		error => qr/57014/ });

sub cancelled
{
	my ($sql, $point, $how) = @_;
	my $name = "$how at $point";
	my $before = before();
	forget_hits();
	arm_fault("$point stop");
	my $run = begin_sql($node, $sql, $way{$how}{before} // ());
	ok(wait_for_hit($point), "$name: the point was met");
	my $began = time;
	$way{$how}{do}->() if $way{$how}{do};
	# The one that stands there is let go, but only after the others have been told.
	sleep 0.2;
	sleep 0.1 while $way{$how}{before} && time - $run->{began} < 2.7;
	$began = $run->{began} + 2.5 if $way{$how}{before};
	clear_faults();
	my ($rc, $out, $err) = end_sql($run);
	my $took = time - $began;
	like($err, $way{$how}{error}, "$name: the caller is told");
	is($out, '', "$name: there is no row");
	cmp_ok($took, '<', $promptly, "$name: promptly");
	unharmed($name, $before);
	is(abandoned_packs(), '', "$name: no packs are left");
	is(value('SELECT state FROM pitr_operations ORDER BY started_at DESC LIMIT 1'), 'cancelled', "$name: the books say so");
	ok(!-e $node->data_dir . '/pitr/intent.json', "$name: there is no intent");
}

my @places = (
	[ $snapshot_sql, 'snapshot.copy.before_pack' ], [ $snapshot_sql, 'snapshot.manifest.before_write' ],
	[ $restore_sql, 'build.lay_out.frame' ], [ $restore_sql, 'build.at_target' ]);
my @ways = ('Ctrl-C', 'statement_timeout', 'pg_terminate_backend', 'pitr_cancel_operation');
my $full = ($ENV{PITR_SWEEP} // '') eq 'full';
foreach my $i (0 .. $#places)
{
	# Each way and each place once, or all of both.
	cancelled(@{ $places[$i] }, $_) foreach $full ? @ways : $ways[$i];
}
# Between the point from which nobody else may cancel and the commit of the statement that asked.
cancelled($restore_sql, 'exchange.before_intent', 'Ctrl-C') if $full;
cancelled($restore_sql, 'exchange.after_intent', $_) foreach $full ? ('Ctrl-C', 'pg_terminate_backend') : 'Ctrl-C';
snapshot_works('cancelled');

# A child that hears nothing keeps nobody waiting.
{
	my $name = 'a child that hears nothing';
	my $before = before();
	forget_hits();
	arm_fault('build.at_target stop');
	my $run = begin_sql($node, $restore_sql);
	ok(wait_for_hit('build.at_target'), "$name: the point was met");
	my $began = time;
	value('SELECT pg_cancel_backend(' . caller_pid() . ')');
	my ($rc, $out, $err) = end_sql($run);
	like($err, qr/57014/, "$name: the caller is told");
	cmp_ok(time - $began, '<', $promptly, "$name: promptly");
	# The worker gives it ten seconds before it kills it.
	ok(no_operation_runs($node), "$name: the operation ends all the same");
	clear_faults();
	unharmed($name, $before);
}

# Damaged objects

sub flip
{
	my ($path) = @_;
	my $offset = int((-s $path) / 2);
	open(my $file, '+<', $path) or die "$path: $!";
	binmode $file;
	seek $file, $offset, 0;
	read $file, my $byte, 1;
	seek $file, $offset, 0;
	print $file chr(ord($byte) ^ 0x10);
	close $file;
}

sub damaged
{
	my ($name, $object) = @_;
	my $before = before();
	my $path = "$repository/$object";
	chmod 0600, $path;
	flip($path);
	my ($rc, $out, $err) = end_sql(begin_sql($node, $restore_sql));
	like($err, qr/XX001/, "$name: the error is of damage");
	like($err, qr/\Q$object\E/, "$name: and names the object");
	is($out, '', "$name: nothing was exchanged");
	unharmed($name, $before);
	flip($path);
}

# Nothing but the first snapshot reaches back to the target, and the pack that it is in is one.
my $first = value("SELECT id FROM pitr_snapshots WHERE state LIKE 'ok%' ORDER BY started_at LIMIT 1");
my ($pack) = map { m{(packs/.*)$} } sort { -s $b <=> -s $a } glob("$repository/packs/$first/*");
damaged('one flipped byte in a pack', $pack);
my $branch = value('SELECT id FROM pitr_branches WHERE is_self');
my $segment = value("SELECT pg_walfile_name('$target'::pg_lsn)");
my ($object) = map { m{(branches/.*)$} } glob("$repository/branches/$branch/wal/*/$segment");
damaged('one flipped byte in a segment', $object);

# The repository is away while it is needed

foreach my $way ('renamed', 'unreadable')
{
	my $name = "repository $way during the restore";
	my $before = before();
	forget_hits();
	arm_fault('build.lay_out.frame stop');
	my $run = begin_sql($node, $restore_sql);
	ok(wait_for_hit('build.lay_out.frame'), "$name: the point was met");
	$way eq 'renamed' ? rename $repository, "$repository.away" : chmod 0, $repository;
	clear_faults();
	my ($rc, $out, $err) = end_sql($run);
	like($err, qr/ERROR:  (58030|08006)/, "$name: the caller is told");
	is(value('SELECT 1'), 1, "$name: the server answers");
	$node->safe_psql('postgres', "INSERT INTO marks VALUES ('without repository'); SELECT pg_switch_wal()");
	$before->{contents} = contents($node);
	# Kept until there is somewhere to keep it.
	sleep 0.5;
	$way eq 'renamed' ? rename "$repository.away", $repository : chmod 0700, $repository;
	poll_until($node, 'SELECT count(*) > 0 FROM pitr_branches', 't');
	unharmed($name, $before);
	ok(poll_until($node, 'SELECT ready_count FROM pitr_archive', 0), "$name: archiving has resumed by itself");
}

# A full disk

sub full_disk
{
	my ($name, $fill, $empty) = @_;
	my $before = before();
	$fill->();
	my ($rc, $out, $err) = end_sql(begin_sql($node, $snapshot_sql));
	like($err, qr/53100: no space|53100:.*No space left/, "$name: a snapshot says what is the matter");
	($rc, $out, $err) = end_sql(begin_sql($node, $restore_sql));
	like($err, qr/53100/, "$name: so does a restore");
	$node->safe_psql('postgres', "INSERT INTO marks VALUES ('on a full disk'); SELECT pg_switch_wal(); INSERT INTO marks VALUES ('and more')");
	ok(poll_until($node, "SELECT failed_count > 0 AND ready_count > 0 AND last_error ILIKE '%space%' FROM pitr_archive", 't'),
		"$name: archiving says it, too");
	$before->{contents} = contents($node);
	$empty->();
	ok(poll_until($node, 'SELECT ready_count FROM pitr_archive', 0), "$name: archiving resumes by itself");
	unharmed($name, $before);
	snapshot_works($name);
}

full_disk(
	'injected full disk',
	sub { arm_fault('store.put.before_sync enospc') },
	sub { clear_faults() });
restore_works('everything');
is(value('SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing');
end_watch();
$node->stop;

SKIP:
{
	my $small = $ENV{PITR_SMALL_FS};
	skip 'PITR_SMALL_FS names no small file system', 1 unless $small && -w $small;
	mkdir "$small/repository", 0700 or die "mkdir: $!";
	$repository = "$small/repository";
	$node = pitr_node('small', repository => $repository, init => { extra => ['--wal-segsize=1'] },
		conf => "max_wal_size = 64MB\nmin_wal_size = 4MB\n");
	value('CREATE TABLE marks (what text); CREATE TABLE numbers AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 20000) g');
	$target = value('SELECT pg_current_wal_insert_lsn()');
	$then = contents($node);
	$restore_sql = "SELECT operation_id FROM pitr_restore_branch('$target'::pg_lsn)";
	watch();
	full_disk(
		'a disk that is full',
		sub { system("dd if=/dev/zero of=$small/ballast bs=64k 2>/dev/null; dd if=/dev/zero of=$small/rest bs=1 2>/dev/null") },
		sub { unlink "$small/ballast", "$small/rest" });
	restore_works('small');
	end_watch();
	$node->stop;
}
done_testing();

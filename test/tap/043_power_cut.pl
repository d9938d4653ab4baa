# The power fails: everything that was not yet synced is gone. Data directory and repository lie on an XFS of their own that is shut down
# (xfs_io) at chosen moments; then every process is killed, the disk comes back, and the server is started like any other.
#
# PITR_SWEEP=full: at every point of the exchange and of what follows. Needs root to cut and to mount: see test/run.
use strict;
use warnings FATAL => 'all';

use Digest::SHA;
use FindBin;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'no disk whose power can be cut' unless $ENV{PITR_XFS} && -w $ENV{PITR_XFS_ORDERS};

# Data directories are made there; the logs of server and test stay where the power stays on.
$PostgreSQL::Test::Utils::tmp_check = $ENV{PITR_XFS};
my $node;

sub order
{
	my ($what) = @_;
	unlink $ENV{PITR_XFS_ANSWER};
	open(my $orders, '>', $ENV{PITR_XFS_ORDERS}) or die "$ENV{PITR_XFS_ORDERS}: $!";
	print $orders "$what\n";
	close $orders;
	wait_until(30, sub { -e $ENV{PITR_XFS_ANSWER} }) or die "nobody obeys: $what";
	like(slurp_file($ENV{PITR_XFS_ANSWER}), qr/^$what 0$/, "the disk: $what");
}

# Everything that keeps it from being taken off: its files cannot even be looked at any more.
sub on_the_disk
{
	my @found;
	foreach my $entry (glob '/proc/[0-9]*')
	{
		my $open = grep { (readlink($_) // '') =~ m{^\Q$ENV{PITR_XFS}\E(/|$)} } "$entry/cwd", glob("$entry/fd/*");
		push @found, $entry =~ /(\d+)$/ if $open;
	}
	return grep { $_ != $$ } @found;
}

# The power goes, and comes back.
sub power_cut
{
	order('cut');
	foreach (1 .. 100)
	{
		my @left = on_the_disk();
		last unless @left;
		kill 'KILL', @left;
		sleep 0.05;
	}
	order('back');
}

sub start_again
{
	my ($name) = @_;
	ok(ensure_running($node), "$name: the server starts") or BAIL_OUT("$name: it does not start");
}

sub sha { my ($path) = @_; return Digest::SHA->new(256)->addfile($path, 'b')->hexdigest; }

# WAL that the server was told to be archived is in the repository, byte for byte.
sub check_archived
{
	my ($name, $recorded) = @_;
	my $lost = 0;
	my $to = $node->basedir . '/fetched';
	foreach my $segment (sort keys %$recorded)
	{
		local $ENV{PITR_REPOSITORY} = repository_of($node);
		local $ENV{PITR_BRANCH} = $node->safe_psql('postgres', "SELECT id FROM pitr_branches WHERE is_default");
		my $got = system_log('pitr', 'wal-get', $segment, $to) == 0 && sha($to) eq $recorded->{$segment};
		$lost++ or diag("$name: $segment") unless $got;
	}
	is($lost, 0, "$name: " . keys(%$recorded) . ' archived segments are there and the same');
}

# --- while WAL is archived and pgbench writes --------------------------------------------------------------------------------------------------
$node = pitr_node('power', init => { extra => [ '--wal-segsize=1', '--data-checksums' ] }, conf => "fsync = on\nmax_wal_size = 64MB\nmin_wal_size = 4MB\nwal_keep_size = 200MB\n");
# Only initdb's files: it was told not to sync.
system_or_bail('sync', '-f', $ENV{PITR_XFS});
$node->safe_psql('postgres', 'CREATE TABLE counted (id serial PRIMARY KEY, v text)');
foreach my $round (1 .. (($ENV{PITR_SWEEP} // '') eq 'full' ? 5 : 2))
{
	my $name = "archiving, cut $round";
	my $run = begin_sql($node, 'DO $$ BEGIN FOR i IN 1..100000 LOOP INSERT INTO counted (v) SELECT repeat(md5(random()::text), 20) FROM generate_series(1, 50); COMMIT; END LOOP; END $$');
	sleep 1.5 + rand(1);
	my $committed = $node->safe_psql('postgres', 'SELECT max(id) FROM counted');
	my %recorded;
	my $wal = $node->data_dir . '/pg_wal';
	# Its name says that the archiver was told yes.
	foreach my $done (glob "$wal/archive_status/*.done")
	{
		my ($segment) = $done =~ m{/([0-9A-F]{24})\.done$} or next;
		$recorded{$segment} = sha("$wal/$segment") if -e "$wal/$segment";
	}
	cmp_ok(scalar keys %recorded, '>', 3, "$name: segments were archived");
	power_cut();
	end_sql($run);
	start_again($name);
	cmp_ok($node->safe_psql('postgres', 'SELECT max(id) FROM counted'), '>=', $committed, "$name: what was committed is there");
	check_archived($name, \%recorded);
	is($node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', "$name: pitr_check finds nothing");
	is($node->safe_psql('postgres', 'SELECT * FROM pitr_verify() WHERE NOT ok'), '', "$name: pitr_verify finds nothing");
}

# --- during a restore in place -------------------------------------------------------------------------------------------------------------------
$node->safe_psql('postgres', 'TRUNCATE counted; INSERT INTO counted (v) SELECT md5(g::text) FROM generate_series(1, 2000) g');
my $target = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
my $then = contents($node);
$node->safe_psql('postgres', 'DELETE FROM counted WHERE id % 2 = 0; CREATE TABLE later (id int)');
my @points = (($ENV{PITR_SWEEP} // '') eq 'full')
  ? grep { /^(build|exchange|finish)\./ } fault_points()
  : ('exchange.after_intent', 'exchange.after_rename', 'exchange.after_sync', 'exchange.confirmed', 'finish.after_rename');
foreach my $point (@points)
{
	my $before = contents($node);
	my $name = "cut at $point";
	forget_hits();
	arm_only("$point stop");
	my $run = begin_sql($node, "SELECT operation_id FROM pitr_restore_branch('$target'::pg_lsn)");
	if (!wait_for_hit($point, 60))
	{
		fail("$name: the point was met");
		clear_faults();
		end_sql($run);
		next;
	}
	power_cut();
	clear_faults();
	end_sql($run);
	start_again($name);
	my $now = '';
	ok(wait_until(60, sub { !-e $node->data_dir . '/pitr/intent.json' }), "$name: it is settled");
	$now = contents($node);
	ok($now eq $then || $now eq $before, "$name: the state is the old or the new one, whole") or diag("then:\n$then\nbefore:\n$before\nnow:\n$now");
	note($now eq $then ? 'the new one' : 'the old one');
	check_health($node, $name);
	if ($now eq $then)
	{
		my $row = undo($node);
		is($row->{outcome}, 'done', "$name: undo") or diag(explain($row));
		is(contents($node), $before, "$name: and the old state is whole as well");
	}
	forget_undo_branches($node);
}

# --- while an incomplete server is written to --------------------------------------------------------------------------------------------------
# Pages that were changed and checkpointed must never be fetched again as they were; with and without full page images.
$node->safe_psql('postgres', 'SELECT pitr_complete_branch()');
$node->safe_psql('postgres', "ALTER SYSTEM SET pitr.fill_rate = '32kB'");
$node->reload;
$node->safe_psql('postgres', 'CREATE TABLE wide WITH (fillfactor = 50) AS SELECT g AS id, 0 AS n, repeat(md5(g::text), 2) AS v FROM generate_series(1, 40000) g');
$node->safe_psql('postgres', "SELECT id FROM pitr_create_snapshot('wide')");
$target = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
foreach my $images ('on', 'off')
{
	my $name = "incomplete, full_page_writes $images";
	$node->safe_psql('postgres', "ALTER SYSTEM SET full_page_writes = $images");
	is(restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)")->{outcome}, 'done', "$name: restored");
	ok(-d $node->data_dir . '/pgsql_tmp_pitr', "$name: it is incomplete");
	foreach my $round (1, 2)
	{
		my $run = begin_sql($node, 'DO $$ BEGIN FOR i IN 1..100000 LOOP UPDATE wide SET n = n + 1 WHERE ctid = ANY (ARRAY(SELECT ctid FROM wide'
			  . ' WHERE id BETWEEN (i % 40) * 1000 + 1 AND (i % 40) * 1000 + 1000)); COMMIT; END LOOP; END $$');
		sleep 0.5 + rand(0.5);
		$node->safe_psql('postgres', 'CHECKPOINT');
		sleep rand(0.7);
		my $committed = $node->safe_psql('postgres', 'SELECT sum(n) FROM wide');
		power_cut();
		end_sql($run);
		start_again("$name, cut $round");
		is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT id), bool_and(v = repeat(md5(id::text), 2)) FROM wide}),
			'40000|40000|t', "$name, cut $round: each row once, as it was");
		is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT FROM wide GROUP BY (id - 1) / 1000 HAVING min(n) <> max(n)) s'),
			0, "$name, cut $round: transactions are whole");
		cmp_ok($node->safe_psql('postgres', 'SELECT sum(n) FROM wide'), '>=', $committed, "$name, cut $round: what was committed is there");
	}
}
$node->safe_psql('postgres', 'ALTER SYSTEM RESET pitr.fill_rate');
$node->reload;
is($node->safe_psql('postgres', 'SELECT state FROM pitr_complete_branch()'), 'done', 'it becomes complete');
$node->command_ok([ 'pg_amcheck', '--all', '--install-missing' ], 'amcheck finds nothing wrong');
$node->stop;
command_ok([ 'pg_checksums', '--check', '-D', $node->data_dir ], 'pg_checksums finds nothing wrong');
done_testing();

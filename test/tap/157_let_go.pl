# WAL that can not be archived is held; with pitr.on_archive_failure = 'drop' it is let go above a limit, never silently: the gap is noted before the
# server hears of it, splits what can be restored, is told everywhere, and a snapshot ends it.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pitr_node('main', init => { extra => ['--wal-segsize=1'] },
	conf => "autovacuum = off\nmin_wal_size = '2MB'\nmax_wal_size = '64MB'\npitr.archive_max_backlog = '4MB'\npitr.max_replay_bytes = 0\n");
my $repository = repository_of($node);
my $noted = $node->data_dir . '/pitr/dropped_wal.json';
sub value { return $node->safe_psql('postgres', $_[0]); }
sub waiting { return scalar(my @ready = glob($node->data_dir . '/pg_wal/archive_status/*.ready')); }
sub segments { my ($count) = @_; value("INSERT INTO stones SELECT g FROM generate_series(1, 10) g; SELECT pg_switch_wal()") foreach 1 .. $count; return; }
sub archived { return poll_until($node, 'SELECT ready_count = 0 FROM pitr_archive', 't'); }

value('CREATE TABLE stones (id int)');
segments(2);
archived();
my $before = { lsn => value('SELECT pg_current_wal_insert_lsn()'), contents => contents($node) };
segments(1);
archived();

# Held.
rename $repository, "$repository.away" or die;
segments(8);
ok(poll_until($node, q{SELECT archive_state = 'failing' FROM pitr_status}, 't'), 'archiving fails');
sleep 12;
cmp_ok(waiting(), '>=', 8, 'hold: all of it waits, above the limit');
ok(!-e $noted, 'nothing is let go');

# Let go.
my $from = -s $node->logfile;
my $lost = value('SELECT pg_current_wal_insert_lsn()');
value("ALTER SYSTEM SET pitr.on_archive_failure = 'drop'");
$node->reload;
ok(wait_until(60, sub { waiting() <= 4 }), 'drop: it is let go') or diag(waiting());
cmp_ok(waiting(), '>', 0, 'what is below the limit waits');
ok(-e $noted, 'and what was let go is noted');
my $log = slurp_file($node->logfile, $from);
is(() = $log =~ /WARNING:  WAL is let go without being archived, beginning with \w+/g, 1, 'the log says so, once');
like(value('SELECT problem FROM pitr_status'), qr/^WAL \S+ - \S+ of timeline 1 was let go/, 'pitr_status names it');

# Killed where it matters: what the server was told to forget is noted in any case.
foreach my $point ('drop.before_note', 'drop.noted')
{
	forget_hits();
	arm_only("$point kill");
	segments(3);
	ok(wait_for_hit($point), "$point: the archiver is killed");
	clear_faults();
	ok(ensure_running($node), 'the server runs');
	ok(wait_until(60, sub { waiting() <= 4 }), 'and goes on');
}

# The repository is back: it is told, and a snapshot is taken.
forget_hits();
arm_only('drop.published kill');
$from = -s $node->logfile;
rename "$repository.away", $repository or die;
ok(wait_for_hit('drop.published'), 'the launcher is killed when it has told the repository');
clear_faults();
ok(ensure_running($node), 'the server runs');
ok(wait_log($node, $from, qr/WARNING:  WAL \S+ - \S+ of timeline 1 was let go without being archived/), 'the log says which');
ok(poll_until($node, q{SELECT count(*) = 1 FROM pitr_snapshots WHERE name LIKE 'after_gap_%' AND state = 'ok'}, 't', 90), 'a snapshot is taken');
is(value(q{SELECT kind FROM pitr_snapshots WHERE name LIKE 'after_gap_%'}), 'full', 'a full one: nobody knows what changed in the gap');
archived();
ok(poll_until($node, 'SELECT problem IS NULL FROM pitr_status', 't'), 'nothing is wrong any more');
my @gaps = split /\n/, value(q{SELECT timeline, since IS NOT NULL, cause LIKE 'let go: %', begin_lsn, end_lsn FROM pitr_gaps()});
is(scalar(@gaps), 1, 'pitr_gaps shows one') or diag(explain(\@gaps));
like($gaps[0], qr/^1\|t\|t\|/, 'with its time and cause');
is(value('SELECT count(*) FROM pitr_restore_window()'), 2, 'which splits the window');
is(value("SELECT '$lost'::pg_lsn BETWEEN begin_lsn AND end_lsn FROM pitr_gaps()"), 't', 'it holds what was written then');
my $plan = psql_row($node, "SELECT possible, sqlstate FROM pitr_plan_restore('$lost'::pg_lsn)");
is("$plan->{possible} $plan->{sqlstate}", 'f PI002', 'a point in it is refused as one');

# Both sides can be restored.
segments(1);
my $after = { lsn => value('SELECT pg_current_wal_insert_lsn()'), contents => contents($node) };
value('DELETE FROM stones');
my $row = restore($node, "SELECT * FROM pitr_restore_branch('$after->{lsn}'::pg_lsn)");
is($row->{outcome}, 'done', 'behind it: restored') or diag(explain($row));
is(contents($node), $after->{contents}, 'with what there was');
$row = restore($node, "SELECT * FROM pitr_restore_branch('$before->{lsn}'::pg_lsn)");
is($row->{outcome}, 'done', 'before it: restored') or diag(explain($row));
is(contents($node), $before->{contents}, 'with what there was');
$node->stop;

done_testing();

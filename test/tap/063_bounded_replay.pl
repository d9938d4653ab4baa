# Replay is kept short: the server takes an increment when pitr.max_replay_bytes of WAL lie behind the newest snapshot, none when it is idle or
# told not to, and those become fewer by themselves. Deleting one takes nothing from the others.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

# What nobody refers to any more is collected soon.
$ENV{PITR_ABANDONED_SECONDS} = 3;
$ENV{PITR_SWEEP_SECONDS} = 1;
my $node = pitr_node('bound', init => { extra => ['--wal-segsize=1'] }, conf => <<'CONF');
autovacuum = off
max_wal_size = 64MB
min_wal_size = 4MB
pitr.max_replay_bytes = 0
CONF
my $repository = repository_of($node);
$node->safe_psql('postgres', 'CREATE TABLE numbers (id int, v text); CREATE TABLE still AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 20000) g');

sub value { return $node->safe_psql('postgres', $_[0]); }
sub replay_count { return value("SELECT count(*) FROM pitr_snapshots WHERE origin = 'replay'"); }
sub write_wal { my ($megabytes) = @_; return value("INSERT INTO numbers SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, $megabytes * 1000) g"); }
write_wal(3);
sleep 3;
is(replay_count(), 0, 'off: none');
value("ALTER SYSTEM SET pitr.max_replay_bytes = '2MB'; SELECT pg_reload_conf()");
ok(poll_until($node, "SELECT count(*) FROM pitr_snapshots WHERE origin = 'replay' AND kind = 'increment' AND state = 'ok'", 1), 'an increment is taken when the limit is set');
sleep 3;
is(replay_count(), 1, 'and none while the server is idle');

my @ids;
foreach my $round (1 .. 12)
{
	my $newest = value('SELECT max(start_lsn) FROM pitr_snapshots');
	write_wal(2.5);
	poll_until($node, "SELECT max(start_lsn) > '$newest' FROM pitr_snapshots", 't') or last;
}
ok(no_operation_runs($node), 'the last one is finished');
my ($left, $all) = split /\|/, value("SELECT count(*), (SELECT count(*) FROM pitr_operations WHERE kind = 'snapshot' AND state = 'done') FROM pitr_snapshots WHERE origin = 'replay'");
cmp_ok($all, '>=', 13, 'many were taken');
cmp_ok($left, '<', $all - 3, "fewer are left: $left of $all");
is(value("SELECT count(*) FROM pitr_snapshots WHERE origin = 'first'"), 1, 'the first snapshot, from which the oldest point is reached, is there');
is(value("SELECT string_agg(kind, ' ') FROM pitr_snapshots WHERE origin = 'first'"), 'full', 'the only full one');
is(value("SELECT count(*) FROM pitr_snapshots WHERE kind = 'full'"), 1, 'of all');
is(value('SELECT count(*) FROM pitr_verify() WHERE NOT ok'), 0, 'all that is left can be read');

# What a snapshot may cost: it reads no faster than it may, hears of a change, and stands back on the processors.
value("ALTER SYSTEM SET pitr.snapshot_read_rate = '200kB'; ALTER SYSTEM SET pitr.worker_nice = 7; ALTER SYSTEM SET pitr.max_replay_bytes = 0; SELECT pg_reload_conf()");
write_wal(4);
my $slow = psql_row($node, 'SELECT * FROM pitr_create_snapshot(wait => false)');
ok(poll_until($node, "SELECT count(*) FROM pitr_operations WHERE state = 'running' AND phase = 'copy' AND bytes_done > 0", 1), 'a snapshot is being copied');
my $worker = value("SELECT pid FROM pitr_operations WHERE state = 'running' AND phase = 'copy'");
my ($child) = grep { /^\d+$/ } split ' ', slurp_file("/proc/$worker/task/$worker/children");
my ($nice, $of_server) = map { (split ' ', slurp_file("/proc/$_/stat") =~ s/.*\) //r)[16] } $child, $worker;
is($nice, $of_server + 7 > 19 ? 19 : $of_server + 7, 'by a program with the nice value that was set');
my ($done, $total) = split /\|/, value("SELECT bytes_done, bytes_total FROM pitr_operations WHERE state = 'running' AND phase = 'copy'");
cmp_ok($done, '<', $total, 'it is under way');
cmp_ok($total, '>', 4 * 1024 * 1024, 'would need 20 seconds');
value("ALTER SYSTEM RESET pitr.snapshot_read_rate; SELECT pg_reload_conf()");
ok(no_operation_runs($node), 'and is soon ready when it may');
is(value("SELECT state || ' ' || kind FROM pitr_snapshots ORDER BY start_lsn DESC LIMIT 1"), 'ok increment', 'a good one');

# By time: no restore has measured anything yet, and 32 MB a second are assumed.
my $newest = value('SELECT max(start_lsn) FROM pitr_snapshots');
value("ALTER SYSTEM SET pitr.max_replay_bytes = 0; ALTER SYSTEM SET pitr.max_replay_time = '1s'; SELECT pg_reload_conf()");
write_wal(20);
sleep 2;
is(value('SELECT max(start_lsn) FROM pitr_snapshots'), $newest, 'less than a second of replay: none');
write_wal(20);
ok(poll_until($node, "SELECT max(start_lsn) > '$newest' FROM pitr_snapshots", 't'), 'more than a second: one is taken');
ok(no_operation_runs($node), 'and finished');
value('ALTER SYSTEM RESET ALL; SELECT pg_reload_conf()');

# The snapshot that everything was built on: its packs stay as far as others name them.
my ($lsn, $then) = (value('SELECT pg_current_wal_insert_lsn()'), contents($node));
my ($first, $stored) = split /\|/, value("SELECT id, stored_bytes FROM pitr_snapshots WHERE origin = 'first'");
my $packs = () = glob("$repository/packs/$first/*");
my $freed = value("SELECT freed_bytes FROM pitr_delete_snapshot('$first')");
cmp_ok($freed, '<', $stored / 2, "deleting the first frees $freed of $stored bytes");
cmp_ok(scalar(() = glob("$repository/packs/$first/*")), '>', 0, 'its packs are still needed');
sleep 5;    # several rounds of collection
is(value('SELECT count(*) FROM pitr_verify() WHERE NOT ok'), 0, 'everything can still be read');
value('DELETE FROM still');
is(restore($node, "SELECT * FROM pitr_restore_branch('$lsn'::pg_lsn)")->{outcome}, 'done', 'and restored');
is(contents($node), $then, 'with what was there then');

# On its new line, on another timeline, the restored server goes on with increments.
my $row = psql_row($node, "SELECT * FROM pitr_create_snapshot('after the restore')");
is("$row->{state} $row->{kind}", 'ok increment', 'a snapshot after a restore is an increment');
value('INSERT INTO still VALUES (1, 2)');
($lsn, $then) = (value('SELECT pg_current_wal_insert_lsn()'), contents($node));
value('TRUNCATE still');
is(restore($node, "SELECT * FROM pitr_restore_branch('$lsn'::pg_lsn)")->{outcome}, 'done', 'from which a restore begins');
is(contents($node), $then, 'that comes out right');

# Where nothing can be said for sure the snapshot is a full one, and the log says why.
my $from = -s $node->logfile;
my ($pack) = sort { -s $b <=> -s $a } glob("$repository/packs/*/*");
rename $pack, "$repository/aside" or die;
$row = psql_row($node, "SELECT * FROM pitr_create_snapshot('without a pack')");
is("$row->{state} $row->{kind}", 'ok full', 'a pack that is missing makes the next snapshot a full one');
like(slurp_file($node->logfile, $from), qr/is a full one: a pack of snapshot "\S+" is missing or too short/, 'and the log says so');
is(value("SELECT kind FROM pitr_create_snapshot('next')"), 'increment', 'the next one is an increment again');

is(unexpected_log_lines($node, 0, qr/terminating connection|the database system is|background worker|archive recovery|restoring branch|is being restored|connection to client lost/), '', 'nothing unexpected in the log');
$node->stop;
done_testing();

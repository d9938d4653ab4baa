# Relations of more than one file, and of more than 32 GB: the last row is where it was, from a demand-loaded directory and from one that is laid out.
# Most of them are holes: no machine has to have the room.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $full = ($ENV{PITR_SWEEP} // '') eq 'full';
my %files = (over_1_gb => 2, $full ? (over_32_gb => 34) : ());
my $node = pitr_node('large', init => { extra => ['--wal-segsize=1'] }, conf => <<'CONF');
fsync = on
max_wal_size = 32MB
min_wal_size = 4MB
autovacuum = off
pitr.demand_load = auto
pitr.fill_rate = '32kB'
pitr.max_replay_bytes = 0
CONF

sub value { return $node->safe_psql('postgres', $_[0]); }

# As if the table had grown so long: files of 1 GB are full of new pages, which the server reads as empty ones. The last one ends early.
sub lengthen
{
	my ($path, $count) = @_;
	truncate($path, 1 << 30) or die "$path: $!";
	foreach my $number (1 .. $count - 1)
	{
		open(my $file, '>', "$path.$number") or die "$path.$number: $!";
		truncate($file, $number == $count - 1 ? 8192 * 50 : 1 << 30) or die "$path.$number: $!";
		close $file;
	}
}

my %path;
foreach my $table (sort keys %files)
{
	value("CREATE TABLE $table (id int, v text); INSERT INTO $table VALUES (1, 'first')");
	$path{$table} = value("SELECT pg_relation_filepath('$table')");
}
$node->stop;
lengthen($node->data_dir . "/$path{$_}", $files{$_}) foreach keys %files;
$node->start;

# Rows at the end, in the last file: a new row goes to the last page.
my %row;
foreach my $table (sort keys %files)
{
	my $pages = ($files{$table} - 1) * 131072 + 50;
	is(value("SELECT pg_relation_size('$table') / 8192"), $pages, "$table: has $files{$table} files");
	value("INSERT INTO $table SELECT g, repeat(md5(g::text), 10) FROM generate_series(2, 500) g");
	cmp_ok(value("SELECT (max(ctid)::text::point)[0] FROM $table WHERE ctid > '($pages,0)'::tid OR ctid > '(" . ($pages - 1) . ",0)'::tid"), '>=', $pages - 1, "$table: rows at its end");
	$row{$table} = sub { return value("SELECT count(*), md5(string_agg(t::text || ctid::text, ',' ORDER BY ctid)) FROM $table t WHERE ctid > '(" . ($pages - 40) . ",0)'::tid") . ' ' . value("SELECT v FROM $table WHERE ctid = '(0,1)'") . ' ' . value("SELECT pg_relation_size('$table')"); };
}
value('CHECKPOINT');
my $began = time;
my $snapshot = psql_row($node, "SELECT * FROM pitr_create_snapshot('large')");
is($snapshot->{state}, 'ok', 'a snapshot') or diag($snapshot->{_err});
note(sprintf 'snapshot: %.1f s, %s bytes stored', time - $began, $snapshot->{stored_bytes} // '?');
value("UPDATE $_ SET v = v || '.' WHERE ctid >= '(131072,0)'::tid AND id % 7 = 0") foreach keys %files;
my %then = map { $_ => $row{$_}->() } keys %files;
my $target = value('SELECT pg_current_wal_insert_lsn()');

# What is not written needs no disk. 64 MB on top of all are for the server itself.
cmp_ok($snapshot->{database_bytes}, '>', 1 << 30, 'files of more than 1 GB');
cmp_ok(value("SELECT disk_needed_bytes FROM pitr_plan_restore('$target'::pg_lsn)"), '<', 256 << 20, 'a restore needs no disk for holes');

foreach my $way ('auto', 'off')
{
	value("ALTER SYSTEM SET pitr.demand_load = $way");
	$node->reload;
	value("TRUNCATE $_") foreach keys %files;
	$began = time;
	my $row = restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)");
	is($row->{outcome}, 'done', "demand_load = $way: restored") or diag(explain($row));
	note(sprintf 'restore: %.1f s', time - $began);
	is($row{$_}->(), $then{$_}, "demand_load = $way: $_ is what it was") foreach sort keys %files;
	last if !$full;
	value('ALTER SYSTEM SET pitr.fill_rate = 0');
	$node->reload;
	ok(poll_until($node, 'SELECT coalesce(incomplete_bytes, 0) FROM pitr_branches WHERE is_self', 0, 120), "demand_load = $way: complete");
	is($row{$_}->(), $then{$_}, "demand_load = $way: $_ is what it was, complete") foreach sort keys %files;
	my $blocks = (stat $node->data_dir . '/' . value("SELECT pg_relation_filepath('over_1_gb')"))[12];
	cmp_ok($blocks * 512, '<', 64 << 20, "demand_load = $way: and holes are holes");
}
$node->stop;
done_testing();

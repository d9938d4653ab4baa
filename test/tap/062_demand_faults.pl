# An incomplete directory under faults: a map that lost what was not synced, with full_page_writes off; processes killed at each of their
# steps; a damaged pack; a directory that somebody copied.
use strict;
use warnings FATAL => 'all';
use File::Copy qw(copy);
use FindBin;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = pitr_node('main',
	conf => "fsync = on\npitr.demand_load = auto\npitr.fill_rate = '32kB'\nautovacuum = off\nfull_page_writes = off\n");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE shrinks AS SELECT g AS id, repeat(md5(g::text), 3) AS v FROM generate_series(1, 60000) g;
CREATE TABLE stays AS SELECT * FROM shrinks;
CREATE TABLE waits AS SELECT * FROM shrinks;
CREATE TABLE more AS SELECT * FROM shrinks;
VACUUM FREEZE;
SQL
$node->safe_psql('postgres', "SELECT id FROM pitr_create_snapshot('base')");
my $then = contents($node);
my $target = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
my $map = $node->data_dir . '/pgsql_tmp_pitr/present';

sub restore_there
{
	my ($name) = @_;
	my $row = restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)");
	is($row->{outcome}, 'done', "$name: restored") or diag(explain($row));
	ok(-e $map, "$name: the directory is incomplete");
}

# internals 3: what was cut off does not come back, although the map is what it was at the last checkpoint and the file was extended since.
restore_there('cut');
$node->safe_psql('postgres', 'CHECKPOINT');
copy($map, "$map.before") or die "copy: $!";
$node->safe_psql('postgres', 'DELETE FROM shrinks WHERE id > 20000');
$node->safe_psql('postgres', 'VACUUM shrinks');
$node->safe_psql('postgres', 'COPY (SELECT * FROM shrinks WHERE id <= 5000) TO \'/tmp/' . "pitr_$$.copy'");
$node->safe_psql('postgres', "COPY shrinks FROM '/tmp/pitr_$$.copy'");
my $changed = $node->safe_psql('postgres', q{SELECT count(*), md5(string_agg(s::text, ',' ORDER BY s::text)) FROM shrinks s});
$node->stop('immediate');
rename "$map.before", $map or die "rename: $!";
$node->start;
my $sql = q{SELECT count(*), md5(string_agg(s::text, ',' ORDER BY s::text)) FROM shrinks s};
is($node->safe_psql('postgres', $sql), $changed, 'rows that were cut off stay away after recovery');
$node->safe_psql('postgres', "COPY shrinks FROM '/tmp/pitr_$$.copy'; DELETE FROM shrinks WHERE ctid IN (SELECT ctid FROM shrinks WHERE id = 1 LIMIT 1)");
$changed = $node->safe_psql('postgres', $sql);
$node->restart;
is($node->safe_psql('postgres', $sql), $changed, 'and after a COPY and a restart');
unlink "/tmp/pitr_$$.copy";

# A backend dies with a claim, or with a page that is written and not marked.
foreach my $point ('demand.fetch.claimed', 'demand.fetch.written')
{
	forget_hits();
	arm_only("$point kill");
	eval { $node->psql('postgres', 'SELECT count(*) FROM stays') };
	ok(wait_for_hit($point, 30), "$point was met");
	clear_faults();
	ok(ensure_running($node), "$point: the server is back");
}
like($node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM stays'), qr/^60000\|1800030000$/, 'every page is there');

# The map cannot be written: the control file must not be, and recovery makes up for it.
foreach my $point ('demand.bits.before_sync error', 'demand.bits.before_write kill')
{
	my ($name) = split / /, $point;
	forget_hits();
	# Each time a table that has not been there before.
	my $table = $name =~ /sync/ ? 'waits' : 'more';
	$node->safe_psql('postgres', "UPDATE $table SET v = v WHERE id % 1000 = 1");
	arm_only($point);
	eval { $node->psql('postgres', 'CHECKPOINT') };
	ok(wait_for_hit($name, 30), "$name was met");
	clear_faults();
	ok(ensure_running($node), "$name: the server is back");
	is($node->safe_psql('postgres', "SELECT count(*), sum(id) FROM $table"), '60000|1800030000', "$name: nothing is lost");
}

# All at once.
kill 'KILL', postmaster_of($node);
ok(ensure_running($node), 'up after the postmaster was killed');
is($node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM waits'), '60000|1800030000', 'with what it had');

# One damaged byte costs the pages of one frame.
restore_there('damage');
is($node->safe_psql('postgres', "SELECT encode(pg_read_binary_file(pg_relation_filepath('waits'), 8192 * 300, 64), 'hex') ~ '^0+\$'"),
	'f', 'a file that is read as such is loaded first');
my ($largest) = sort { -s $b <=> -s $a } glob(repository_of($node) . '/packs/*/*');
sub flip
{
	my ($offset) = @_;
	open(my $file, '+<:raw', $largest) or die "open: $!";
	seek $file, $offset, 0;
	read $file, my $byte, 1;
	seek $file, $offset, 0;
	print $file chr(ord($byte) ^ 0x10);
	close $file;
}
my %ok;
my $damaged = '';
# Somewhere in it is a table that is still missing.
my @offsets = map { int((-s $largest) * $_ / 10) } 1 .. 9;
flip($_) for @offsets;
foreach my $table ('shrinks', 'stays', 'more')
{
	my $result = refusal($node, "SELECT count(v), sum(id) FROM $table");
	$damaged .= $result->{text} if $result->{sqlstate} ne '';
}
like($damaged, qr/could not read block.*DETAIL:  the frame at offset \d+ of pack "packs.*is damaged/s, 'the error names the pack');
is($node->safe_psql('postgres', 'SELECT count(*) FROM waits'), 60000, 'others go on');
flip($_) for @offsets;
is(contents($node), $then, 'all is there when the pack is whole again');

# A copy is refused.
restore_there('copied');
$node->stop;
my $copy = $node->basedir . '/copy';
system_or_bail('cp', '-a', '--sparse=always', $node->data_dir, $copy);
isnt(system_log('pg_ctl', '-w', '-D', $copy, '-l', "$copy.log", '-o', "-c port=1 -c archive_mode=off", 'start'), 0, 'a copy does not start');
like(slurp_file("$copy.log"), qr/FATAL:  the incomplete data directory is not as pitr_ext left it/, 'and says why');
system_or_bail('rm', '-rf', $copy);
$node->start;

# Completion dies at its last steps.
foreach my $point ('demand.complete.before_marker', 'demand.complete.after_marker')
{
	restore_there($point) unless -e $map;
	forget_hits();
	arm_only("$point kill");
	$node->safe_psql('postgres', 'ALTER SYSTEM SET pitr.fill_rate = 0');
	$node->reload;
	ok(wait_for_hit($point, 60), "$point was met");
	clear_faults();
	ok(ensure_running($node), "$point: the server is back");
	ok(wait_until(30, sub { !-d $node->data_dir . '/pgsql_tmp_pitr' }), "$point: the folder goes");
	is(contents($node), $then, "$point: everything is there");
	ok(!-e $node->data_dir . '/backup_label', "$point: and no marker");
	$node->safe_psql('postgres', "ALTER SYSTEM SET pitr.fill_rate = '32kB'");
	$node->reload;
}
check_health($node, 'at the end');
$node->stop;
done_testing();

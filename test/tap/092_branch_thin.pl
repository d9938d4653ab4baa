# A branch takes little disk and little work to make, whatever the size of the database: what is not read yet is not there yet. On an XFS with
# reflink, where servers and branches stand on such a disk together; as root, since nobody else can mount one.
use strict;
use warnings FATAL => 'all';
use File::Find ();
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $disk = $ENV{PITR_REFLINK} // '';
plan skip_all => 'no XFS with reflink: only root can mount one' if $disk eq '';
$ENV{PITR_SWEEP_SECONDS} = 2;
mkdir "$disk/data", 0700 or die "$disk/data: $!";
my $node = pitr_node('main', place => "$disk/data", conf => "fsync = on\nautovacuum = off\npitr.fill_rate = '64kB'\npitr.branch_ports = '6260-6269'\n");

# MiB of blocks; holes count nothing.
sub on_disk
{
	my ($directory) = @_;
	my $bytes = 0;
	File::Find::find({ no_chdir => 1, wanted => sub { $bytes += 512 * ((lstat $_)[12] // 0) } }, $directory);
	return $bytes / 1024 / 1024;
}

sub length_of
{
	my ($directory) = @_;
	my $bytes = 0;
	File::Find::find({ no_chdir => 1, wanted => sub { $bytes += (lstat $_)[7] // 0 if -f $_ } }, $directory);
	return $bytes / 1024 / 1024;
}

# A branch of the head right behind a snapshot: its row, with what it has on disk at its first query.
sub branch_now
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->safe_psql('postgres', "SELECT id FROM pitr_create_snapshot('for $name')");
	my $row = psql_row($node, "SELECT * FROM pitr_create_branch('$name')");
	is($row->{state}, 'running', "$name: a branch") or diag($row->{_err});
	$row->{on_disk} = on_disk("$row->{directory}/base");
	note(sprintf '%s: %.1f MiB on disk of %.1f', $name, $row->{on_disk}, length_of("$row->{directory}/base"));
	return $row;
}

$node->safe_psql('postgres', "CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name, repeat('x', 100) AS pad FROM generate_series(1, 20000) g");
my $small = branch_now('small');
$node->safe_psql('postgres', "INSERT INTO stones SELECT g, md5(g::text), repeat('y', 100) FROM generate_series(20001, 400000) g; CREATE INDEX ON stones (id)");
my $head = contents($node);
my $large = branch_now('large');
cmp_ok(length_of("$large->{directory}/base"), '>', length_of("$small->{directory}/base") + 50, 'the database has grown by more than 50 MiB');
cmp_ok($large->{on_disk}, '<', $small->{on_disk} + 8, 'what a branch of it has on disk has not');
my $node_of_large = branch_node($node, 'large');
is($node_of_large->safe_psql('postgres', 'SELECT name FROM stones WHERE id = 333333'), $node->safe_psql('postgres', "SELECT md5('333333')"), 'a row is there at once');
cmp_ok(on_disk("$large->{directory}/base"), '<', $small->{on_disk} + 16, 'which loads little');
is(contents($node_of_large), $head, 'and so is everything else when it is asked for');

# Written to, restored in place, complete: the same on this file system as on any.
$node_of_large->safe_psql('postgres', 'DELETE FROM stones WHERE id % 2 = 0');
my $moment = { time => text_time($node_of_large), contents => contents($node_of_large) };
sleep 0.05;
$node_of_large->safe_psql('postgres', 'DROP TABLE stones');
my $row = restore($node_of_large, "SELECT * FROM pitr_restore_branch('$moment->{time}')");
is($row->{outcome}, 'done', 'restored in place') or diag(explain($row));
is(contents($node_of_large), $moment->{contents}, 'to what it held');
$node_of_large->safe_psql('postgres', 'ALTER SYSTEM SET pitr.fill_rate = 0');
$node_of_large->reload;
is($node_of_large->safe_psql('postgres', 'SELECT state FROM pitr_complete_branch()'), 'done', 'complete');
is(contents($node_of_large), $moment->{contents}, 'with the same');

# Deleted, they leave no block behind.
$node->safe_psql('postgres', q{SELECT pitr_delete_branch(id, force => true) FROM pitr_branches WHERE NOT is_self AND deleted_at IS NULL});
ok(wait_until(30, sub { !glob("$disk/data.pitr/br-*") }), 'deleted, they leave nothing') or diag(join ' ', glob("$disk/data.pitr/*"));
is(contents($node), $head, 'the first server has what it had');
$node->stop;
done_testing();

# Neon's page on instant restore, example by example: what stands there for the console, the CLI or the API is done by a call, on branches of
# the page's names. "Otherwise:" marks where we do something else on purpose.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 2;
my $node = pitr_node('main', conf => "pitr.branch_ports = '6270-6279'\n");

sub value { return $node->safe_psql('postgres', $_[0]); }
sub call { my ($statement) = @_; return psql_row($node, "SELECT * FROM $statement"); }
# A restore of another branch than the connected one, which is done when the call returns: the branch's server afterwards.
sub restored
{
	my ($name, $statement, $contents, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $connection = branch_of($node, $name)->{connection};
	my $row = call($statement);
	is($row->{state}, 'done', $what) or diag($row->{_err});
	is(branch_of($node, $name)->{connection}, $connection, '... its connection details do not change');
	my $there = branch_node($node, $name);
	is(contents($there), $contents, '... all its databases are those of then');
	return ($row, $there);
}
sub moment { my ($where) = @_; my $at = { time => text_time($where), lsn => $where->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()'), contents => contents($where) }; sleep 0.05; return $at; }

# The page's project: "production", a root with two databases, and "development", its child.
value("SELECT pitr_rename_branch('main', 'production')");
value('CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS what FROM generate_series(1, 500) g');
value('CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE TABLE goods AS SELECT g AS id FROM generate_series(1, 100) g');
my $then = moment($node);
my $development = call("pitr_create_branch('development')");
is($development->{parent}, 'production', 'development is a child of production') or diag($development->{_err});
my $dev = branch_node($node, 'development');
$dev->safe_psql('shop', 'INSERT INTO goods VALUES (1001)');
my $dev_early = moment($dev);
$dev->safe_psql('postgres', 'DROP TABLE orders');
$dev->safe_psql('shop', 'TRUNCATE goods');
my $dev_late = moment($dev);

# "Restore a branch to its own history":
#   neon branches restore development ^self@2024-01-01T00:00:00Z --preserve-under-name development_old
(my $row, $dev) = restored('development', "pitr_restore_branch('development', '^self\@$dev_early->{time}', preserve_under_name => 'development_old')",
	$dev_early->{contents}, 'development, ^self@time, --preserve-under-name');
is($row->{undo_branch}, 'development_old', '... the original state is preserved under the name');
my $backup = branch_of($node, 'development_old');
is($backup->{kind}, 'undo', 'which is among the other branches');
# "The backup branch becomes the parent of the restored branch." Otherwise: the restored branch keeps its parent, so that a reset goes on to
# mean production. parent_after => 'backup' is Neon's way, below.
is(branch_of($node, 'development')->{parent}, 'production', 'development is a child of production still');
# "You can connect to a backup branch just like any other branch." Otherwise: it has no server, and costs nothing; a branch of it has one.
is($backup->{port}, '', 'no server runs for it');
my $look = call("pitr_create_branch('look', 'development_old')");
is(contents(branch_node($node, 'look')), $dev_late->{contents}, 'a branch of it has what it holds') or diag($look->{_err});

# --preserve-under-name is mandatory there when resetting to self. Otherwise: the automatic name is used; a setting has the strict rule (086).
($row, $dev) = restored('development', "pitr_restore_branch('development', 'development_old')", $dev_late->{contents}, 'from the backup, without a name for what was before');
like($row->{undo_branch}, qr/^development_old_\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, '... {branch_name}_old_{head_timestamp}');

# "Restore from parent":
#   neon branches restore development ^parent
value("INSERT INTO orders VALUES (1001, 'latest')");
my $latest = moment($node);
($row, $dev) = restored('development', "pitr_restore_branch('development', '^parent')", $latest->{contents}, 'development, ^parent: the latest data of production');

# "Restore to another branch's history":
#   neon branches restore development production@0/12345
($row, $dev) = restored('development', "pitr_restore_branch('development', 'production\@$then->{lsn}')", $then->{contents}, 'development, production@lsn');
is(refusal($node, "SELECT * FROM pitr_restore_branch('development', 'production\@0/12345')")->{sqlstate}, 'PI003', "the page's own LSN lies before this production's window");
is(refusal($node, "SELECT * FROM pitr_restore_branch('development', '^self\@2024-01-01T00:00:00Z')")->{sqlstate}, 'PI003', 'and so does its time');
# Down to the millisecond. Otherwise: to the microsecond, and T and zone are compulsory all the same.
is(plan_of($node, "'development', 'production\@2024-01-01 00:00:00'")->{sqlstate}, '22P02', 'a time without T and zone is refused');

# API, "restoring to the latest data from another branch": POST /branches/{id of dev/alex}/restore {"source_branch_id": "{id of its parent}"}
my $alex = call("pitr_create_branch('dev/alex', 'production\@$then->{time}')");
is($alex->{state}, 'running', 'dev/alex') or diag($alex->{_err});
my $production = branch_of($node, 'production')->{id};
($row, my $alex_node) = restored('dev/alex', "pitr_restore_branch('$alex->{id}', '$production')", $latest->{contents}, 'by ids, to the latest data of its parent');
# "The id": Otherwise: it changes with a restore, since it is that of a line of history; the name and the connection stay.
isnt($row->{branch_id}, $alex->{id}, '... as another line of history');

# API, "restoring to the earlier state of another branch": {"source_branch_id": …, "source_timestamp": "2024-02-26T12:00:00Z"}
my $alex_early = moment($alex_node);
$alex_node->safe_psql('postgres', 'DELETE FROM orders');
($row, $dev) = restored('development', "pitr_restore_branch('development', '$row->{branch_id}\@$alex_early->{time}')", $alex_early->{contents}, 'by id and time, from another branch');
# The page calls 12:00:00Z "12:00:00.000 AM". Otherwise: it is noon (031).

# API, "restoring a branch to its own history": preserve_under_name "backup-before-restore", here of the root that we are connected to.
value('DELETE FROM orders');
$node->safe_psql('shop', 'DROP TABLE goods');
my $damaged = moment($node);
my $postmaster = postmaster_of($node);
$row = restore($node, "SELECT * FROM pitr_restore_branch('$production', '$production\@$then->{time}', preserve_under_name => 'backup-before-restore')");
is($row->{outcome}, 'done', 'production, by its id, to a time of its own') or diag(explain($row));
is(contents($node), $then->{contents}, 'all databases are those of then');
is(postmaster_of($node), $postmaster, 'by the same server, on the same port');
# "When restoring a root branch, both become separate root branches." Children move to the preserved one.
is(join(' ', map { branch_of($node, $_)->{parent} } 'production', 'backup-before-restore'), ' ', 'both have no parent');
is(branch_of($node, 'development')->{parent}, 'backup-before-restore', 'all child branches are moved to the newly created branch');

# "If you need to revert your changes": for root branches, restore again with the backup as the source.
$row = restore($node, "SELECT * FROM pitr_restore_branch('production', 'backup-before-restore')");
is($row->{outcome}, 'done', 'reverted from the backup') or diag(explain($row));
is(contents($node), $damaged->{contents}, 'with everything of before');
# For others, reset from parent reverts to the backup.
$dev->safe_psql('postgres', 'DROP TABLE orders');
$dev_late = moment($dev);
($row, $dev) = restored('development', "pitr_restore_branch('development', '^self\@$alex_early->{time}', parent_after => 'backup')", $alex_early->{contents}, 'the way of the page: the backup is the parent');
is(branch_of($node, 'development')->{parent}, $row->{undo_branch}, 'development is a child of its backup');
($row, $dev) = restored('development', "pitr_reset_branch('development')", $dev_late->{contents}, 'reset from parent');

# "Deleting backup branches": not with children. Otherwise: also where a root was restored from another branch, they can be deleted.
my $refused = refusal($node, q{SELECT * FROM pitr_delete_branch('backup-before-restore')});
is($refused->{sqlstate}, '2BP01', 'a backup with children is not deleted');
like($refused->{err}, qr/"dev\/alex"/, 'they are named');
is(value("SELECT name FROM pitr_rename_branch('development_old', 'z_development_old')"), 'z_development_old', 'one that is kept is renamed');
is(value("SELECT name FROM pitr_rename_branch('development_old', 'z_development_old')"), 'z_development_old', 'the same call again succeeds');
value("SELECT pitr_delete_branch('look')");
is(value("SELECT name FROM pitr_delete_branch('z_development_old')"), 'z_development_old', 'and deleted when nothing is below it');
$node->stop;
done_testing();

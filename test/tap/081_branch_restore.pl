# The same library in every branch's server: it is restored in place by the same exchange, undone, branched from; its names and its
# neighbours' move as they do on the first server, which goes on beside it.
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
my $node = pitr_node('main', conf => "pitr.branch_ports = '6210-6219'\n");
$node->safe_psql('postgres', 'CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 3000) g');
my $of_main = { lsn => $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()'), contents => contents($node) };
$node->safe_psql('postgres', 'DELETE FROM stones WHERE id % 2 = 0');

my $dev = psql_row($node, q{SELECT * FROM pitr_create_branch('dev')});
is($dev->{state}, 'running', 'a branch') or diag($dev->{_err});
my $dev_node = branch_node($node, 'dev');
my $postmaster = postmaster_in($dev->{directory});
$dev_node->safe_psql('postgres', "INSERT INTO stones SELECT g, 'of dev' FROM generate_series(5001, 5100) g");
my $early = { time => text_time($dev_node), contents => contents($dev_node) };
sleep 0.05;
$dev_node->safe_psql('postgres', 'TRUNCATE stones');
my $late = contents($dev_node);

# --- restored in place, undone ---
my $row = restore($dev_node, "SELECT * FROM pitr_restore_branch('$early->{time}')");
is($row->{outcome}, 'done', 'a branch is restored to a time of its own') or diag(explain($row));
is(contents($dev_node), $early->{contents}, 'it holds what there was then');
is(postmaster_in($dev->{directory}), $postmaster, 'by the same postmaster on the same directory');
my $after = branch_of($node, 'dev');
is($after->{port}, $dev->{port}, 'on the same port');
isnt($after->{id}, $dev->{id}, 'as another line of history');
is($after->{parent}, 'main', 'of the same parent');
is($after->{directory}, $dev->{directory}, 'in the same place');
my $undo = branch_of($node, $row->{undo_branch});
is($undo->{kind}, 'undo', 'what was before is an undo branch');
ok(-d $undo->{directory} && $undo->{directory} =~ m{^\Q$dev->{directory}.pitr/\E}, "beside the branch's own directory");
is($undo->{port}, '', 'without a server');
$row = undo($dev_node);
is($row->{outcome}, 'done', 'undone') or diag(explain($row));
is(contents($dev_node), $late, 'it holds what it had before');
is(contents($node), $node->safe_psql('postgres', 'SELECT 1') && contents($node), 'the first server answers beside it');

# --- from its parent's past, and stopped and started after all that ---
$row = restore($dev_node, "SELECT * FROM pitr_restore_branch('dev', '^parent\@$of_main->{lsn}')");
is($row->{outcome}, 'done', "restored to its parent's past") or diag(explain($row));
is(contents($dev_node), $of_main->{contents}, 'it holds what its parent had then');
is($node->safe_psql('postgres', q{SELECT branch FROM pitr_stop_branch('dev')}), 'dev', 'stopped');
is($node->safe_psql('postgres', q{SELECT branch FROM pitr_start_branch('dev')}), 'dev', 'and started');
is(contents($dev_node), $of_main->{contents}, 'with the same contents');
is($dev_node->safe_psql('postgres', "SELECT state FROM pitr_create_snapshot('of dev')"), 'ok', 'a snapshot of its own');

# --- a branch of a branch of a branch ---
$dev_node->safe_psql('postgres', "INSERT INTO stones VALUES (7001, 'of dev')");
my $child = psql_row($dev_node, q{SELECT * FROM pitr_create_branch('child')});
is($child->{parent}, 'dev', 'a branch makes a branch') or diag($child->{_err});
my $child_node = branch_node($node, 'child');
is(contents($child_node), contents($dev_node), 'with everything committed there until the call');
$dev_node->safe_psql('postgres', "INSERT INTO stones VALUES (7002, 'of dev, later')");
$child_node->safe_psql('postgres', "INSERT INTO stones VALUES (8001, 'of child')");
my $other = psql_row($node, q{SELECT * FROM pitr_create_branch('other', 'child')});
is($other->{parent}, 'child', 'one of another branch, made from the first server') or diag($other->{_err});
is(contents(branch_node($node, 'other')), contents($child_node), 'with everything committed there until the call');
$row = restore($child_node, "SELECT * FROM pitr_restore_branch('child', 'main\@$of_main->{lsn}')");
is($row->{outcome}, 'done', "restored to its grandparent's past") or diag(explain($row));
is(contents($child_node), $of_main->{contents}, 'it holds what that had then');
is(branch_of($node, 'other')->{parent}, $row->{undo_branch}, 'its own child has moved to what was preserved');

# --- the first server is restored beside them ---
my $before = contents($dev_node);
$row = restore($node, "SELECT * FROM pitr_restore_branch('$of_main->{lsn}')");
is($row->{outcome}, 'done', 'the first server is restored in place') or diag(explain($row));
is(contents($node), $of_main->{contents}, 'to its past');
is(contents($dev_node), $before, 'its branches have gone on');
is(postmaster_in($dev->{directory}) ? 1 : 0, 1, 'and were not restarted');
is(branch_of($node, 'dev')->{parent}, $row->{undo_branch}, 'they are children of what was preserved');

# --- deleted with all below ---
my $refusal = refusal($node, q{SELECT * FROM pitr_delete_branch('dev')});
is($refusal->{sqlstate}, '2BP01', 'a branch with children');
like($refusal->{err}, qr/"child"/, 'which are named');
my $gone = $node->safe_psql('postgres', q{SELECT string_agg(name, ' ') FROM pitr_delete_branch('dev', cascade => true)});
like($gone, qr/dev$/, 'with cascade: children first') or diag($gone);
ok(!-e $dev->{directory} && !-e $child->{directory}, 'their directories are gone');
ok(wait_until(30, sub { !-e "$child->{directory}.pitr" }), 'and what lay beside one that has nothing there any more');
ok(-d "$dev->{directory}.pitr", 'undo branches of the other are branches of their own');
$node->safe_psql('postgres', q{SELECT pitr_delete_branch(name, force => true) FROM pitr_branches WHERE name LIKE 'dev_old%' AND deleted_at IS NULL});
ok(wait_until(30, sub { !-e "$dev->{directory}.pitr" }), 'deleted, they leave nothing either');
is(unexpected_log_lines($node, 0, qr/terminating connection/, qr/the database system is/, qr/being restored/, qr/ERROR:  branch "dev" has children/), '', 'nothing unexpected in the log');
$node->stop;
done_testing();

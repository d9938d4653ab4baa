# Another branch than the connected one is restored, from its own past, from another one's, to the head of its parent: its server has what
# was recorded there, on the port it had.
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
my $node = pitr_node('main', conf => "pitr.branch_ports = '6230-6239'\n");
$node->safe_psql('postgres', 'CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 2000) g');
my $dev = psql_row($node, q{SELECT * FROM pitr_create_branch('dev', expires_at => now() + interval '2 hours')});
is($dev->{state}, 'running', 'a branch') or diag($dev->{_err});
my $dev_node = branch_node($node, 'dev');
$dev_node->safe_psql('postgres', "INSERT INTO stones VALUES (5001, 'of dev')");
my $early = { time => text_time($dev_node), contents => contents($dev_node) };
sleep 0.05;
$dev_node->safe_psql('postgres', 'DROP TABLE stones');
my $late = contents($dev_node);

# --- its own past, from the first server ---
my $plan = plan_of($node, "'dev', '^self\@$early->{time}'");
is($plan->{possible}, 't', 'the plan says possible') or diag(explain($plan));
is($plan->{branch}, 'dev', 'of that branch');
my $row = psql_row($node, "SELECT * FROM pitr_restore_branch('dev', '^self\@$early->{time}')");
is($row->{state}, 'done', 'another branch is restored to its own past') or diag($row->{_err});
# Its newest WAL is brought to the repository by the restore; the plan tells what is there.
is($node->safe_psql('postgres', "SELECT '$row->{restored_lsn}'::pg_lsn >= '$plan->{target_lsn}'::pg_lsn"), 't', 'not before where the plan said');
like($row->{undo_branch}, qr/^dev_old_/, 'what it was is preserved');
my $after = branch_of($node, 'dev');
is($after->{port}, $dev->{port}, 'on the port that it had');
is($after->{state}, 'running', 'it runs');
is($after->{parent}, 'main', 'its parent is the same');
isnt($after->{directory}, $dev->{directory}, 'in another directory');
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $early->{contents}, 'with what was there then');
is($dev_node->safe_psql('postgres', 'SHOW shared_buffers'), '128MB', 'and the settings of a branch');
is($dev_node->safe_psql('postgres', 'SELECT name FROM pitr_branches WHERE is_self'), 'dev', 'under its name');

# --- from what was preserved, stopped meanwhile ---
$node->safe_psql('postgres', q{SELECT pitr_stop_branch('dev')});
$row = psql_row($node, "SELECT * FROM pitr_restore_branch('dev', '$row->{undo_branch}', preserve_under_name => 'aside')");
is($row->{state}, 'done', 'a stopped branch is restored from the head of an undo branch') or diag($row->{_err});
is(branch_of($node, 'dev')->{state}, 'stopped', 'it is stopped still');
$node->safe_psql('postgres', q{SELECT pitr_start_branch('dev')});
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $late, 'with everything that had been committed there');

# --- the head of its parent ---
$node->safe_psql('postgres', "INSERT INTO stones VALUES (3001, 'of main')");
my $head = contents($node);
my $expiry = branch_of($node, 'dev')->{expires_at};
sleep 1.1;
$row = psql_row($node, q{SELECT * FROM pitr_reset_branch('dev')});
is($row->{state}, 'done', 'reset to the head of the parent') or diag($row->{_err});
is($row->{undo_branch}, '', 'nothing is preserved without a name');
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $head, 'with everything committed there until the call');
isnt(branch_of($node, 'dev')->{expires_at}, $expiry, 'its time to live begins anew');
$dev_node->safe_psql('postgres', 'TRUNCATE stones');
$row = restore($dev_node, q{SELECT * FROM pitr_reset_branch('^self', 'before reset')});
is($row->{outcome}, 'done', 'reset from within') or diag(explain($row));
is(contents($dev_node), $head, 'the same');
is(branch_of($node, 'before reset')->{kind}, 'undo', 'preserved under the name');

# --- what is refused ---
foreach my $case (
	[ q{pitr_reset_branch('main')}, '55000', qr/Branch has no parent/ ],
	[ q{pitr_restore_branch('before reset', 'main')}, '0A000', qr/no server here/ ],
	[ q{pitr_restore_branch('dev', 'nobody')}, '42704', qr/nobody/ ],
	[ q{pitr_restore_branch('dev', 'main@FFFF/0')}, 'PI001', qr/./ ],
	[ q{pitr_restore_branch('dev', 'main', preserve_under_name => 'main')}, '42710', qr/exists already/ ])
{
	my $refusal = refusal($node, "SELECT * FROM $case->[0]");
	is($refusal->{sqlstate}, $case->[1], "$case->[0]: $case->[1]") or diag($refusal->{err});
	like($refusal->{text}, $case->[2], '... and says so');
}
$node->safe_psql('postgres', q{SELECT pitr_set_branch_expiration('dev'); SELECT pitr_protect_branch('dev')});
is(refusal($node, q{SELECT * FROM pitr_reset_branch('dev')})->{sqlstate}, 'PI005', 'a protected branch is not reset');
is(refusal($node, q{SELECT * FROM pitr_restore_branch('dev', 'main')})->{sqlstate}, 'PI005', 'nor restored over');
$node->safe_psql('postgres', q{SELECT pitr_protect_branch('dev', false)});

# --- an expired one is deleted ---
my $short = psql_row($node, q{SELECT * FROM pitr_create_branch('short', start => false, expires_at => now() + interval '6 seconds')});
is($short->{state}, 'stopped', 'a branch that expires in a moment') or diag($short->{_err});
ok(poll_until($node, "SELECT count(*) FROM pitr_branches WHERE name = 'short' AND deleted_at IS NULL", 0, 30), 'is deleted then');
ok(wait_until(20, sub { !-e $short->{directory} }), 'with its directory');
is(contents($dev_node), $head, 'the other one is as it was');
$node->stop;
done_testing();

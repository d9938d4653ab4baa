# Rules of restores: in two steps, with a look in between; whose child is whose afterwards; undo of another branch, with and without its
# directory; from listed snapshots of any branch; two servers that want the same branch. Contents are those that were recorded, every time.
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 1;
my $node = pitr_node('main', conf => "pitr.branch_ports = '6260-6269'\n");
my $place = abs_path($node->data_dir) . '.pitr';
my $began = time;

sub value { return $node->safe_psql('postgres', $_[0]); }
sub call { my ($statement) = @_; return psql_row($node, "SELECT * FROM $statement"); }
sub refused
{
	my ($where, $statement, $sqlstate, $text) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $refusal = refusal($where, "SELECT * FROM $statement");
	is($refusal->{sqlstate}, $sqlstate, "$statement: $sqlstate") or diag($refusal->{err});
	like($refusal->{err}, $text, '... and says so');
	return;
}
sub took { my ($what) = @_; note(sprintf '%6.1f s: %s', time - $began, $what); return; }

value('CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 1000) g');
value("CREATE ROLE app LOGIN PASSWORD 'of then'; CREATE ROLE dropped LOGIN PASSWORD 'x'");
my $early = { lsn => value('SELECT pg_current_wal_insert_lsn()'), contents => contents($node) };
value("DELETE FROM stones WHERE id % 2 = 0; DROP ROLE dropped; ALTER ROLE app PASSWORD 'of today'");
my $inc = call("pitr_create_snapshot('inc')");
is($inc->{kind}, 'increment', 'an increment') or diag($inc->{_err});
my $at_inc = contents($node);
value("INSERT INTO stones VALUES (2001, 'after the snapshot')");
my $dev = call("pitr_create_branch('dev')");
is($dev->{state}, 'running', 'a branch') or diag($dev->{_err});
my $kid = call("pitr_create_branch('kid', 'dev', start => false)");
is($kid->{parent}, 'dev', 'and one below it') or diag($kid->{_err});
took('prepared');

# --- in two steps: the connected branch ---
my $buffers = value('SHOW shared_buffers');
my $postmaster = postmaster_of($node);
my $built = call("pitr_restore_branch('$early->{lsn}', finalize => false, preserve_under_name => 'before')");
is($built->{state}, 'built', 'the first step builds') or diag($built->{_err});
like($built->{branch}, qr/^main_at_\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'a branch with a name of its own');
is($built->{undo_branch}, '', 'nothing is preserved yet');
my $row = branch_of($node, $built->{branch});
is("$row->{state} $row->{kind} $row->{parent}", 'built root ', 'it is listed as built, a root like what it is for');
my $look = branch_node($node, $built->{branch});
is(contents($look), $early->{contents}, 'one can connect and look: it holds what there was then');
is($look->safe_psql('postgres', q{SELECT string_agg(current_setting(s), ' ' ORDER BY s) FROM unnest(ARRAY['max_logical_replication_workers', 'shared_buffers']) s}),
	'0 128MB', 'with the settings of a branch');
is($look->safe_psql('postgres', "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'dropped'"), 'f', 'a role dropped since may not log in');
is(postmaster_of($node), $postmaster, 'nothing was restarted');
refused($look, "pitr_finalize_restore('^self')", '55006', qr/connected to/);
refused($node, "pitr_finalize_restore('dev')", '55000', qr/nothing that was built for branch "dev"/);
refused($node, "pitr_finalize_restore('nobody')", '42704', qr/Branch nobody not found/);
is(refusal($node, "BEGIN; SELECT * FROM pitr_finalize_restore('main'); COMMIT")->{sqlstate}, '25001', 'not in a transaction block');

# What happens in between: on the branch, on what was built, and to the machine.
$look->safe_psql('postgres', "INSERT INTO stones VALUES (3001, 'while it was looked at')");
my $wanted = contents($look);
value("INSERT INTO stones VALUES (3002, 'between the steps'); ALTER ROLE app PASSWORD 'of the last moment'");
my $password = value(q{SELECT rolpassword FROM pg_authid WHERE rolname = 'app'});
my $second = call("pitr_restore_branch('main', '^self\@$early->{lsn}', finalize => false)");
is($second->{state}, 'built', 'another one beside it') or diag($second->{_err});
like($second->{branch}, qr/^main_at_.*Z_2$/, 'with another name');
refused($node, "pitr_finalize_restore('main')", 'PI006', qr/\Q$built->{branch}\E.*\Q$second->{branch}\E/s);
my $directory = branch_of($node, $second->{branch})->{directory};
is(call("pitr_delete_branch('$second->{branch}')")->{name}, $second->{branch}, 'one of them is given up');
ok(!-e $directory && !runs_in($directory), 'and leaves nothing');
arm_only('finalize.stopped error');
refused($node, "pitr_finalize_restore('main')", '58030', qr/injected fault/);
clear_faults();
ok(poll_until($look, 'SELECT count(*) FROM stones WHERE id = 3001', 1, 30), 'the second step fails: what was built is back');
is(state_of($node, $built->{branch}), 'built', 'and waits');
my $before = contents($node);
kill 'KILL', postmaster_of($node);
ok(ends_within(20, $row->{directory}) // 0, 'the machine dies between the steps');
ok(ensure_running($node), 'started again');
is(contents($node), $before, 'the branch is as it was');
ok(poll_until($look, 'SELECT count(*) FROM stones WHERE id = 3001', 1, 30), 'and so is what was built');
if (($ENV{PITR_SWEEP} // '') eq 'full')
{
	foreach my $point (qw(finalize.held finalize.stopped exchange.before_intent exchange.after_intent exchange.after_cut))
	{
		arm_only("$point kill");
		end_sql(begin_sql($node, "SELECT * FROM pitr_finalize_restore('main')"));
		ok(wait_for_hit($point, 20), "$point kill: met");    # the statement ends with its session, at the cut
		clear_faults();
		ok(ensure_running($node), "$point kill: the server answers");
		ok(poll_until($look, 'SELECT count(*) FROM stones WHERE id = 3001', 1, 60), "$point kill: what was built is back");
		is(contents($node), $before, "$point kill: the branch is as it was");
	}
}
took('looked at');
my $done = restore($node, "SELECT * FROM pitr_finalize_restore('main')");
is($done->{outcome}, 'done', 'the second step') or diag(explain($done));
is("$done->{branch} $done->{undo_branch} $done->{restored_lsn}", "main before $built->{restored_lsn}", 'says what became of what');
is(contents($node), $wanted, 'with what was there then and what was written while it was looked at');
is(value('SHOW shared_buffers'), $buffers, 'with the settings of the server');
is(value(q{SELECT rolpassword FROM pg_authid WHERE rolname = 'app'}), $password, 'and the password of the last moment');
is(value(qq{SELECT count(*) FROM pitr_branches WHERE deleted_at IS NULL AND (state = 'built' OR name = '$built->{branch}')}), 0, 'nothing waits any more');
is(branch_of($node, 'main')->{id}, $built->{branch_id}, 'main is what was built');
is(branch_of($node, 'before')->{kind}, 'undo', 'what it was is preserved under the name');
is(branch_of($node, 'dev')->{parent}, 'before', 'and has the children');
$done = undo($node);
is($done->{outcome}, 'done', 'undone') or diag(explain($done));
is(contents($node), $before, 'what was committed between the steps was in the undo branch');
is(value(q{SELECT count(*) FROM pitr_audit WHERE function = 'pitr_finalize_restore' AND outcome = 'done'}), 1, 'the audit has it');
took('finalized and undone');

# --- in two steps: another branch, which becomes a child of its backup ---
my $dev_node = branch_node($node, 'dev');
$dev_node->safe_psql('postgres', "INSERT INTO stones VALUES (4001, 'of dev')");
my $of_dev = { time => text_time($dev_node), contents => contents($dev_node) };
sleep 0.05;
$dev_node->safe_psql('postgres', 'TRUNCATE stones');
my $late = contents($dev_node);
$built = call("pitr_restore_branch('dev', '^self\@$of_dev->{time}', finalize => false, parent_after => 'backup')");
is($built->{state}, 'built', 'another branch: built') or diag($built->{_err});
is(contents(branch_node($node, $built->{branch})), $of_dev->{contents}, 'to look at');
is(contents($dev_node), $late, 'the branch goes on');
$done = call("pitr_finalize_restore('$built->{branch_id}')");
is($done->{state}, 'done', 'finalized, by its id') or diag($done->{_err});
my $after = branch_of($node, 'dev');
is("$after->{id} $after->{port} $after->{state}", "$built->{branch_id} $dev->{port} running", 'on the port that the branch had');
is($after->{parent}, $done->{undo_branch}, 'a child of its backup');
is(branch_of($node, 'kid')->{parent}, $done->{undo_branch}, 'as are those that it had');
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $of_dev->{contents}, 'with what was there then');
refused($node, "pitr_delete_branch('$done->{undo_branch}')", '2BP01', qr/"dev"/);
my $reset = call("pitr_reset_branch('dev', 'aside')");
is($reset->{state}, 'done', 'reset goes to the backup') or diag($reset->{_err});
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $late, 'whose head it has then');
took('another one');

# --- undo of another branch: its directory is beside it, in another place, gone ---
$done = restore($dev_node, "SELECT * FROM pitr_restore_branch('dev', '$done->{undo_branch}\@$of_dev->{time}')");
is($done->{outcome}, 'done', 'restored in place by its own server') or diag(explain($done));
my $undo = branch_of($node, $done->{undo_branch});
like($undo->{directory}, qr{\.pitr/br-[^/]+\.pitr/}, 'the undo directory is beside it');
if (($ENV{PITR_SWEEP} // '') eq 'full')
{
	foreach my $point (qw(undo_other.before_move undo_other.moved))
	{
		arm_only("$point kill");
		end_sql(begin_sql($node, q{SELECT * FROM pitr_undo_restore('dev')}));
		clear_faults();
		ok(fault_hit($point), "$point kill: met");
		ok(ensure_running($node), "$point kill: the server answers");
		ok(poll_until($dev_node, 'SELECT 1', 1, 60), "$point kill: and so does the branch");
		is(contents($dev_node), $of_dev->{contents}, "$point kill: which is as it was");
		forget_hits();
		ok(wait_until(30, sub { -e branch_of($node, $undo->{name})->{directory} }), "$point kill: the undo directory is found where it is");
	}
}
$done = call("pitr_undo_restore('dev')");
is($done->{state}, 'done', 'undone from the first server') or diag($done->{_err});
$after = branch_of($node, 'dev');
is("$after->{id} $after->{port} $after->{parent}", "$undo->{id} $dev->{port} $undo->{parent}", 'it is what it was, on its port, of its parent');
like($after->{directory}, qr{^\Q$place\E/br-[a-z0-9-]+$}, 'its directory has moved to where servers of branches have theirs');
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $late, 'with what it had');
$done = call("pitr_undo_restore('dev')");
is($done->{state}, 'done', 'and back') or diag($done->{_err});
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $of_dev->{contents}, 'with the other contents');
my $gone = branch_of($node, $done->{undo_branch});
system_or_bail('rm', '-rf', $gone->{directory});
$done = call("pitr_undo_restore('dev')");
is($done->{state}, 'done', 'the directory is gone: built again') or diag($done->{_err});
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $late, 'with what there was');
refused($node, "pitr_undo_restore('kid')", '42704', qr/no undo branch/);
value("SELECT pitr_protect_branch('dev')");
refused($node, "pitr_undo_restore('dev')", 'PI005', qr/protected/);
value("SELECT pitr_protect_branch('dev', false)");
took('undone');

# --- from listed snapshots, with a history of one's own at once ---
my $first = value("SELECT name FROM pitr_snapshots WHERE kind = 'full' AND branch IN ('main', 'before') LIMIT 1");
my $of_inc = call("pitr_create_branch('of_inc', 'main\@snapshot:inc')");
is($of_inc->{state}, 'running', 'a branch off an increment') or diag($of_inc->{_err});
my $inc_node = branch_node($node, 'of_inc');
is(contents($inc_node), $at_inc, 'with what it holds');
$inc_node->safe_psql('postgres', "INSERT INTO stones VALUES (5001, 'of its own')");
my $own = { time => text_time($inc_node), contents => contents($inc_node) };
sleep 0.05;
$inc_node->safe_psql('postgres', 'DROP TABLE stones');
$done = restore($inc_node, "SELECT * FROM pitr_restore_branch('$own->{time}')");
is($done->{outcome}, 'done', 'restored to its own history at once') or diag(explain($done));
is(contents($inc_node), $own->{contents}, 'which it holds');
$done = call("pitr_restore_branch('dev', 'main\@snapshot:$first')");
is($done->{state}, 'done', "a full one, for another branch") or diag($done->{_err});
is(branch_node($node, 'dev')->safe_psql('postgres', "SELECT to_regclass('stones') IS NULL"), 't', 'from before the first table');
is($inc_node->safe_psql('postgres', "SELECT state FROM pitr_create_snapshot('of a child')"), 'ok', 'a snapshot of a branch');
$inc_node->safe_psql('postgres', 'TRUNCATE stones');
refused($node, "pitr_restore_branch('dev', 'main\@snapshot:of a child')", '42704', qr/snapshot "of a child" of branch "main" not found/);
$done = restore($node, "SELECT * FROM pitr_restore_branch('main', 'of_inc\@snapshot:of a child')");
is($done->{outcome}, 'done', 'a root restored from the snapshot of a child') or diag(explain($done));
is(contents($node), $own->{contents}, 'with what it holds');
is(branch_of($node, 'main')->{parent}, '', 'and still a root');
took('snapshots');

# --- two servers, one branch ---
my $times = qr/operation "op-\S+" \(\w+\) of another server is still running on branch "of_inc"/;
arm_only('build.lay_out.done stop');
my $theirs = psql_row($inc_node, "SELECT * FROM pitr_restore_branch('$own->{time}', wait => false)");
ok(wait_for_hit('build.lay_out.done'), 'a branch is restored by its own server');
my $impatient = "SET pitr.operation_lock_timeout = '300ms'; SELECT * FROM";
my $refusal = refusal($node, "$impatient pitr_reset_branch('of_inc')");
is($refusal->{sqlstate}, '55P03', 'another server waits for it, but not for ever');
like($refusal->{err}, $times, 'and names it');
my $waits = begin_sql($node, "SELECT state FROM pitr_restore_branch('of_inc', '^self\@$own->{time}')");
clear_faults();
is(wait_operation($inc_node, $theirs->{operation_id}), 'done', 'which ends');
my ($rc, $out, $err) = end_sql($waits);
is($out, "done\n", 'then whoever waited has it') or diag($err);
$inc_node = branch_node($node, 'of_inc');
is(contents($inc_node), $own->{contents}, 'with the contents');
forget_hits();
arm_only('build.lay_out.done stop');
my $ours = psql_row($node, "SELECT * FROM pitr_restore_branch('of_inc', '^self\@$own->{time}', wait => false)");
ok(wait_for_hit('build.lay_out.done'), 'it is restored from the first server');
$refusal = refusal($inc_node, "$impatient pitr_restore_branch('$own->{time}')");
is($refusal->{sqlstate}, '55P03', 'its own server waits as well');
like($refusal->{err}, $times, 'and names it');
clear_faults();
is(wait_operation($node, $ours->{operation_id}), 'done', 'which goes on');
took('two servers');

# --- names and what is refused ---
my $long = 'k' x 256;
value("SELECT pitr_rename_branch('kid', '$long')");
like(plan_of($node, "'$long', '^parent'")->{undo_branch}, qr/^k{231}_old_\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'a long name is cut');
value("SELECT pitr_create_branch('last', 'dev', start => false)");
refused($node, "pitr_restore_branch('dev', '^parent', preserve => false)", '2BP01', qr/"last"/);
refused($node, "pitr_restore_branch('dev', '^parent', preserve => false, parent_after => 'backup')", '22023', qr/exclude each other/);
value("ALTER SYSTEM SET pitr.require_preserve_name = on");
value('SELECT pg_reload_conf()');
ok(poll_until($node, 'SHOW pitr.require_preserve_name', 'on'), "Neon's rule");
refused($node, "pitr_restore_branch('main', '^self\@$early->{lsn}')", '22023', qr/preserve_under_name is required.*own history/s);
refused($node, "pitr_restore_branch('dev', 'main')", '22023', qr/preserve_under_name is required.*children/s);
is(plan_of($node, "'of_inc', 'main'")->{possible}, 't', 'not for one without children from another');
is(plan_of($node, "'dev', 'main', preserve_under_name => 'x'")->{possible}, 't', 'nor with a name');
is(value('SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing wrong');
my %owned = map { $_ => 1 } split /\n/, value('SELECT directory FROM pitr_branches WHERE directory IS NOT NULL AND deleted_at IS NULL');
ok(wait_until(20, sub { !grep { !$owned{$_} } glob("$place/br-*[0-9a-f]") }), 'no directory is left that nobody owns') or diag(join ' ', grep { !$owned{$_} } glob("$place/br-*[0-9a-f]"));
$node->stop;
took('done');
done_testing();

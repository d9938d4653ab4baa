# Care of branches: deleted ones come back with all that they had, one branch is the default one, and what may not be is refused and changes nothing.
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
my $node = pitr_node('main', conf => "pitr.branch_ports = '6400-6439'\n");
my $place = abs_path($node->data_dir) . '.pitr';
sub value { return $node->safe_psql('postgres', $_[0]); }
sub refused
{
	my ($statement, $sqlstate, $text) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $refusal = refusal($node, "SELECT * FROM $statement");
	is($refusal->{sqlstate}, $sqlstate, "$statement: $sqlstate") or diag($refusal->{err});
	like($refusal->{err}, $text, '... and says so');
	return $refusal;
}

value('CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 2000) g');
my $dev = psql_row($node, q{SELECT * FROM pitr_create_branch('dev', settings => '{"work_mem": "7MB"}')});
is($dev->{state}, 'running', 'a branch') or diag($dev->{_err});
my $dev_node = branch_node($node, 'dev');

# --- brought back: everything committed, id, port, configuration ---
$dev_node->safe_psql('postgres', "INSERT INTO stones VALUES (5001, 'of dev')");
$dev_node->safe_psql('postgres', "ALTER SYSTEM SET maintenance_work_mem = '33MB'");
append_to_file("$dev->{directory}/pg_hba.conf", "# kept\n");
my $middle = { time => text_time($dev_node), contents => contents($dev_node) };
sleep 0.05;
$dev_node->safe_psql('postgres', "DELETE FROM stones WHERE id % 2 = 0");
my $head = contents($dev_node);
my $gone = psql_row($node, q{SELECT *, gone_at - deleted_at AS left FROM pitr_delete_branch('dev')});
is($gone->{left}, '7 days', 'deleted, for seven days') or diag($gone->{_err});
ok(!-e $dev->{directory}, 'its directory is gone');
refused(q{pitr_start_branch('dev')}, '42704', qr/dev/);
my $back = psql_row($node, q{SELECT * FROM pitr_undelete_branch('dev')});
is($back->{id}, $dev->{id}, 'brought back, the same line') or diag($back->{_err});
is($back->{state}, 'running', 'it runs, as it did');
is($back->{port}, $dev->{port}, 'on the port that it had');
is($back->{deleted_at}, '', 'and is not deleted');
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $head, 'with everything that was committed');
is($dev_node->safe_psql('postgres', q{SELECT current_setting('work_mem') || ' ' || current_setting('maintenance_work_mem') || ' ' || current_setting('shared_buffers')}), '7MB 33MB 128MB', 'settings of its own');
like(slurp_file("$back->{directory}/pg_hba.conf"), qr/^# kept$/m, 'its own pg_hba.conf');
ok(!glob("$place/*.kept"), 'nothing of what was kept is left');
is(psql_row($node, q{SELECT * FROM pitr_undelete_branch('dev')})->{id}, $dev->{id}, 'the same call again succeeds');
$dev_node->safe_psql('postgres', "INSERT INTO stones VALUES (6001, 'of dev, later')");
is(restore($dev_node, "SELECT * FROM pitr_restore_branch('$middle->{time}')")->{outcome}, 'done', 'it is restored to a time before its deletion');
is(contents($dev_node), $middle->{contents}, 'with what there was then');
is(undo($dev_node)->{outcome}, 'done', 'and back');
is($dev_node->safe_psql('postgres', 'SELECT count(*) FROM stones WHERE id = 6001'), 1, 'with what was written since it came back');

# --- a server that was killed, stopped for the launcher: its last commits are in no archive when it is deleted ---
value(q{SELECT pitr_delete_branch(name, force => true) FROM pitr_branches WHERE name LIKE 'dev_old%' AND deleted_at IS NULL});
$dev_node->safe_psql('postgres', "INSERT INTO stones VALUES (7001, 'last words')");
arm_only('branch.before_start error');
kill 'KILL', postmaster_in($dev->{directory});
ok(wait_until(20, sub { !runs_in($dev->{directory}) }), 'its server is killed');
is(value(q{SELECT name FROM pitr_delete_branch('dev')}), 'dev', 'it is deleted in that state');
clear_faults();
is(value(q{SELECT state FROM pitr_undelete_branch('dev', 'dev again')}), 'running', 'and brought back under another name');
is(value(q{SELECT name FROM pitr_undelete_branch('dev', 'dev again')}), 'dev again', 'twice');
$dev_node = branch_node($node, 'dev again');
is($dev_node->safe_psql('postgres', 'SELECT count(*) FROM stones WHERE id = 7001'), 1, 'with its last words');

my $of_first = contents($dev_node);

# --- the name is taken; several of one name; with children, a stopped one ---
value(q{SELECT pitr_rename_branch('dev again', 'dev')});
my $child = psql_row($node, q{SELECT * FROM pitr_create_branch('child', 'dev', start => false)});
is($child->{state}, 'stopped', 'a child, stopped') or diag($child->{_err});
is(value(q{SELECT string_agg(name, ' ') FROM pitr_delete_branch('dev', cascade => true)}), 'child dev', 'deleted with its child');
my $second = psql_row($node, q{SELECT * FROM pitr_create_branch('dev', start => false)});
is($second->{state}, 'stopped', 'another one of that name') or diag($second->{_err});
like(refused(q{pitr_undelete_branch('dev')}, '42710', qr/"dev" exists already/)->{err}, qr/new_name/, 'with a hint');
is(value(q{SELECT name FROM pitr_delete_branch('dev')}), 'dev', 'two deleted ones');
is(psql_row($node, q{SELECT * FROM pitr_undelete_branch('dev')})->{id}, $second->{id}, 'the newest by name');
is(psql_row($node, "SELECT * FROM pitr_undelete_branch('$dev->{id}', 'first')")->{name}, 'first', 'the other one by id');
$dev_node = branch_node($node, 'first');
is(contents($dev_node), $of_first, 'with its own data');
my $with_parent = psql_row($node, q{SELECT * FROM pitr_undelete_branch('child')});
is("$with_parent->{parent} $with_parent->{state}", 'first stopped', 'its child, below it and stopped as it was') or diag($with_parent->{_err});

# --- one that never had a server: what was preserved ---
my $undo_name = restore($dev_node, "SELECT * FROM pitr_restore_branch('$middle->{time}')")->{undo_branch};
value("SELECT pitr_delete_branch('$undo_name', cascade => true)");
is(value("SELECT kind || ' ' || (port IS NULL) FROM pitr_undelete_branch('$undo_name')"), 'undo true', 'an undo branch comes back');
is(value("SELECT name FROM pitr_create_branch('of undo', '$undo_name')"), 'of undo', 'and can be branched from');
is(branch_node($node, 'of undo')->safe_psql('postgres', 'SELECT count(*) FROM stones WHERE id = 7001'), 1, 'with what it had');

# --- too late ---
value(q{SELECT pitr_delete_branch('of undo', force => true)});
refused(q{pitr_undelete_branch('of undo')}, '55000', qr/with force/);
is(value(q{SELECT count(*) FROM pitr_branches WHERE name = 'child' AND deleted_at IS NULL}), 0, 'its child went with it');
value(q{SELECT pitr_delete_branch('child', force => true)});
refused(q{pitr_undelete_branch('child')}, '55000', qr/with force/);
refused(q{pitr_undelete_branch('nobody')}, '42704', qr/no deleted branch "nobody"/);
refused(q{pitr_undelete_branch(NULL)}, '22023', qr/null/);
refused(q{pitr_undelete_branch('dev', '^x')}, '42602', qr/\^x/);
like(value(q{SELECT string_agg(name, ' ') FROM (SELECT DISTINCT name FROM pitr_branches WHERE state = 'deleted') d}), qr/child/, 'deleted ones are listed');

# --- dies on the way: deleted as before, nothing left, and the same call works ---
foreach my $case ([ 'undelete.reserved', 'kill' ], [ 'build.at_target', 'kill' ], [ 'undelete.before_publish', 'kill' ], [ 'undelete.before_publish', 'error' ])
{
	my ($point, $action) = @$case;
	value(q{SELECT pitr_delete_branch('dev')}) if value(q{SELECT count(*) FROM pitr_branches WHERE name = 'dev' AND deleted_at IS NULL});
	forget_hits();
	arm_only("$point $action");
	my ($rc) = end_sql(begin_sql($node, q{SELECT * FROM pitr_undelete_branch('dev', 'dev two')}));
	clear_faults();
	ok($rc && fault_hit($point), "$point $action: fails there");
	ok(ensure_running($node), '... the server answers');
	ok(wait_until(40, sub { eval { value("SELECT count(*) FROM pitr_branches WHERE id = '$second->{id}' AND name = 'dev' AND state = 'deleted'") == 1 && !-e "$place/$second->{id}" } }),
		'... it is deleted as before') or diag(value(q{SELECT name, id, state, deleted_at FROM pitr_branches}));
}
is(value(q{SELECT state FROM pitr_undelete_branch('dev')}), 'stopped', 'the same call works after all that');

# --- the snapshot that it needs ---
value(q{SELECT pitr_delete_branch('dev')});
my $only = value(q{SELECT string_agg(id, ' ') FROM pitr_snapshots WHERE branch = 'main'});
SKIP: {
	skip "more than one snapshot: $only", 1 if $only =~ / /;
	refused("pitr_delete_snapshot('$only')", '55006', qr/could not be brought back without snapshot/);
}

# --- the default branch ---
is(value(q{SELECT name FROM pitr_set_default_branch('first')}), 'first', 'another default branch');
is(value(q{SELECT string_agg(name, ' ') FROM pitr_branches WHERE is_default}), 'first', 'the only one');
refused(q{pitr_delete_branch('first')}, '55006', qr/default branch/);
refused(q{pitr_set_branch_expiration('first', ttl => '1 day')}, '55000', qr/default branch/);
like(refusal($dev_node, q{SELECT * FROM pitr_delete_branch('main')})->{err}, qr/55000.*root/, 'a root is not deleted, default or not');
value(q{SELECT pitr_undelete_branch('dev'); SELECT pitr_set_branch_expiration('dev', ttl => '1 hour')});
refused(q{pitr_set_default_branch('dev')}, '55000', qr/expires/);
refused(q{pitr_set_default_branch('nobody')}, '42704', qr/nobody/);
refused(q{pitr_set_default_branch(NULL)}, '22023', qr/null/);
my $lsn = branch_node($node, 'first')->safe_psql('postgres', 'SELECT pg_switch_wal(); SELECT pg_current_wal_insert_lsn()') =~ s/.*\n//sr;
is(value("SELECT parent FROM pitr_create_branch('of default', '$middle->{time}', start => false)"), 'first', 'a point without a branch is one of it');
is(value(q{SELECT name FROM pitr_set_default_branch('main')}), 'main', 'and back');
is(value(q{SELECT name FROM pitr_set_default_branch('main')}), 'main', 'twice');
is(value(q{SELECT string_agg(name, ' ') FROM pitr_branches WHERE is_default}), 'main', 'one default branch');

# --- expiry: an expired one that is brought back stays ---
value(q{SELECT pitr_set_branch_expiration('dev', ttl => '2 seconds')});
ok(poll_until($node, q{SELECT count(*) FROM pitr_branches WHERE name = 'dev' AND deleted_at IS NULL}, 0, 30), 'one that expired is deleted');
is(value(q{SELECT state || ' ' || (expires_at IS NULL) FROM pitr_undelete_branch('dev')}), 'stopped true', 'brought back it does not expire any more');
refused(q{pitr_set_branch_expiration('dev', '2026-11-20T10:00:00Z')}, '22023', qr/past/);
refused(q{pitr_set_branch_expiration('dev', ttl => '31 days')}, '22023', qr/30 days/);
refused(q{pitr_set_branch_expiration('dev', now() + interval '1 day', '1 day')}, '22023', qr/only one/);

# --- one catalogue, many writers: three servers at once ---
foreach my $n (1, 2)
{
	is(value("SELECT state FROM pitr_create_branch('writer $n')"), 'running', "writer $n");
}
my @writers = ($node, branch_node($node, 'writer 1'), branch_node($node, 'writer 2'));
value("SELECT name FROM pitr_create_branch('t$_', start => false)") foreach 0 .. 2;
my $audit_before = value(q{SELECT count(*) FROM pitr_audit WHERE outcome = 'done'});
my @running;
foreach my $n (0 .. 2)
{
	my @made = map { ("SELECT name FROM pitr_create_branch('w${n}_$_', 'main', start => false)", "SELECT name FROM pitr_protect_branch('w${n}_$_')",
		"SELECT name FROM pitr_rename_branch('w${n}_$_', 'w${n}_$_ x')", "SELECT name FROM pitr_protect_branch('w${n}_$_ x', false)") } 1 .. 2;
	push @running, begin_sql($writers[$n], "SELECT name FROM pitr_delete_branch('w${n}_1 x')", @made);
	my @touched = map { ("SELECT name FROM pitr_rename_branch('t$n', 'u$n')", "SELECT name FROM pitr_set_branch_expiration('u$n', ttl => '$_ days')",
		"SELECT name FROM pitr_rename_branch('u$n', 't$n')") } 1 .. 15;
	push @running, begin_sql($writers[$n], pop @touched, @touched);
}
my ($calls, $failed) = (0, '');
foreach my $run (@running)
{
	my ($rc, $out, $err) = end_sql($run);
	$calls += () = $out =~ /\n/g;
	$failed .= $err;
}
is($failed, '', 'every call of six sessions on three servers succeeds');
is($calls, 3 * (9 + 45), 'all of them');
is(value(q{SELECT string_agg(name || ' ' || state || ' ' || protected || ' ' || coalesce(round(extract(epoch FROM ttl) / 86400)::text, ''), ', ' ORDER BY name) FROM pitr_branches WHERE name ~ '^[wut]\d' AND deleted_at IS NULL}),
	join(', ', (map { "t$_ stopped false 15" } 0 .. 2), map { "w${_}_2 x stopped false " } 0 .. 2), 'no update is lost, no branch is half made');
is(value(q{SELECT count(*) FROM pitr_branches WHERE state IN ('creating', 'restoring')}), 0, 'nothing is under way');
is(value(q{SELECT count(*) FROM pitr_audit WHERE outcome = 'done'}) - $audit_before, $calls, 'each call left its row');
my %owned = map { $_ => 1 } split /\n/, value(q{SELECT directory FROM pitr_branches WHERE directory IS NOT NULL AND deleted_at IS NULL});
is(join(' ', grep { !$owned{$_} } grep { m{/br-[a-z0-9-]+$} } glob("$place/br-*")), '', 'and no directory is left over');
is(join(' ', grep { !-d $_ } keys %owned), '', 'nor is one missing');
value(q{SELECT pitr_delete_branch(name, force => true) FROM pitr_branches WHERE name ~ '^([wt]\d|writer)' AND deleted_at IS NULL});

# --- every call leaves a row, a good one and a bad one, and a restore does not take them back ---
value(q{SELECT pitr_create_snapshot('of audit'); SELECT pitr_create_branch('audited')});
my $audited = branch_node($node, 'audited');
$audited->safe_psql('postgres', 'CREATE TABLE kept (a int)');
my $point = text_time($audited);
sleep 0.05;
my %calls = (    # on a branch: what succeeds, what does not
	pitr_create_branch => [ q{('audited two', start => false)}, q{('x', 'nobody')} ],
	pitr_rename_branch => [ q{('audited two', 'audited 2')}, q{('nobody', NULL)} ],
	pitr_protect_branch => [ q{('audited 2')}, q{(NULL)} ],
	pitr_set_branch_expiration => [ q{('audited 2')}, q{('audited 2', now(), '1 day')} ],
	pitr_set_default_branch => [ q{('main')}, q{('nobody')} ],
	pitr_start_branch => [ q{('audited 2')}, q{(NULL)} ],
	pitr_stop_branch => [ q{('audited 2')}, q{('audited 2', 'gently')} ],
	pitr_reset_branch => [ q{('audited 3')}, q{('main')} ],
	pitr_delete_branch => [ q{('audited 3')}, q{(NULL)} ],
	pitr_undelete_branch => [ q{('audited 3')}, q{('nobody')} ],
	pitr_recover_table => [ "('kept', '^self\@$point')", q{('kept', 'main', mode => 'over')} ],
	pitr_recover_database => [ q{('postgres', 'main', 'audited_copy')}, q{('nowhere', 'main')} ],
	pitr_restore_branch => [ "('$point')", q{('audited', 'nobody')} ],
	pitr_undo_restore => [ q{()}, q{('nobody')} ],
	pitr_create_snapshot => [ q{('audit 2')}, q{('audit 2')} ],
	pitr_keep_snapshot => [ q{('audit 2')}, q{(NULL)} ],
	pitr_set_restore_window => [ q{('audited 2', '8 days')}, q{('audited 2', '59 min')} ],
	pitr_set_retention => [ q{('audited 2', daily => 7)}, q{('audited 2', weekly => 0)} ],
	pitr_delete_snapshot => [ q{('of audit')}, q{(NULL)} ],
	pitr_take_over_branch => [ q{('audited')}, q{('main')} ],
	pitr_cancel_operation => [ undef, q{('op-nothing')} ],
	pitr_rewrap_keys => [ undef, q{()} ],
	pitr_run_drill => [ undef, q{('nothing@0/1')} ],    # done: 160
	pitr_set_backup_schedule => [ q{('audited', '[{"frequency": "daily"}]')}, q{('audited', '[5]')} ],
	pitr_set_backup_preset => [ q{('none', 'audited')}, q{('gold')} ],
	pitr_schedule_dump => [ q{('postgres', '0 3 * * *')}, q{('nobody')} ],
	pitr_delete_schedule => [ undef, q{('sc-nothing')} ],    # done: 140
	pitr_attach_schema => [ undef, q{(NULL)} ],    # done: 125
	pitr_detach_schema => [ undef, q{(NULL)} ],
	pitr_create_dump => [ undef, q{('nobody')} ],    # done: 150
	pitr_delete_dump => [ undef, q{(NULL)} ],
	pitr_restore_dump => [ undef, q{(NULL, 'x')} ]);
# They change nothing, or not what is restored: pitr_complete_branch waits, the others look.
my %look = map { $_ => 1 } qw(pitr_branch_tree pitr_check pitr_close_at pitr_complete_branch pitr_data_diff pitr_find_events pitr_gaps pitr_lsn_at pitr_metrics pitr_open_at pitr_plan_restore pitr_query_at pitr_query_json_at pitr_restore_window
  pitr_retention_preview pitr_schema_diff pitr_schema_of pitr_time_of pitr_verify pitr_wait_operation);
my @all = split /\n/, value(q{SELECT DISTINCT p.proname FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pitr_ext' WHERE p.proname !~ '^pitr_internal_' ORDER BY 1});
# A restore that is not finalized has tests of its own.
is(join(' ', grep { !$calls{$_} && !$look{$_} && $_ ne 'pitr_finalize_restore' } @all), '', 'every function is here');
value(q{SELECT pitr_create_branch('audited 3', start => false)});
my @order = qw(pitr_create_snapshot pitr_keep_snapshot pitr_create_branch pitr_rename_branch pitr_protect_branch pitr_set_default_branch pitr_set_restore_window pitr_set_retention pitr_start_branch pitr_stop_branch pitr_reset_branch
  pitr_delete_branch pitr_undelete_branch pitr_take_over_branch pitr_cancel_operation pitr_rewrap_keys pitr_run_drill pitr_set_backup_schedule pitr_set_backup_preset pitr_schedule_dump pitr_delete_schedule pitr_attach_schema pitr_detach_schema pitr_create_dump pitr_delete_dump pitr_restore_dump pitr_recover_table pitr_recover_database pitr_restore_branch pitr_undo_restore);
foreach my $function (@order, qw(pitr_set_branch_expiration pitr_delete_snapshot))
{
	my $count = sub { my ($done) = @_; return value("SELECT count(*) FROM pitr_audit WHERE function = '$function' AND outcome " . ($done ? "= 'done'" : "IN ('refused', 'failed')")); };
	my ($good, $bad) = @{ $calls{$function} };
	my $server = $function eq 'pitr_delete_snapshot' ? $node : $audited;
	if (defined $good)
	{
		my $was = $count->(1);
		$good = q{('audited 2', ttl => '1 day')} if $function eq 'pitr_set_branch_expiration' && value(q{SELECT pitr_protect_branch('audited 2', false) IS NOT NULL});
		my ($rc, $out, $err) = $server->psql('postgres', "SELECT * FROM $function$good");
		diag($err) if $rc && $function !~ /restore/;
		ok(poll_until($node, "SELECT count(*) > $was FROM pitr_audit WHERE function = '$function' AND outcome = 'done'", 't', 60), "$function$good leaves a row");
		ok(poll_until($audited, 'SELECT 1', 1, 60), '... and the server answers') if $function =~ /restore/;
	}
	my $was = $count->(0);
	isnt(refusal($server, "SELECT * FROM $function$bad")->{sqlstate}, '', "$function$bad is refused");
	cmp_ok($count->(0), '>', $was, '... which leaves a row too');
}
is($audited->safe_psql('postgres', q{SELECT count(*) FROM pitr_audit WHERE function = 'pitr_rename_branch' AND branch = 'audited 2'}), 1, 'what was done behind the point of the restore is still there');
# Cancelled by its own session: the worker writes of it.
my $cancelled = begin_sql($node, q{SELECT * FROM pitr_create_branch('late')}, q{SET statement_timeout = '300ms'});
my ($cancel_rc, undef, $cancel_err) = end_sql($cancelled);
like($cancel_err, qr/57014/, 'a call that takes too long');
ok(poll_until($node, q{SELECT count(*) FROM pitr_audit WHERE function = 'pitr_create_branch' AND outcome = 'cancelled' AND arguments LIKE '%late%'}, 1, 30), 'leaves a row as well');
is(unexpected_log_lines($node, 0, qr/ERROR:/, qr/terminating connection/, qr/the database system is/, qr/pitr operation/, qr/pitr_ext: .*kill/, qr/server process|terminating any other|all server processes/, qr/could not start the server of branch/), '', 'nothing unexpected in the log');
$node->stop;
done_testing();

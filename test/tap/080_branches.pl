# Branches with a server of their own: made from the head, a past time and an LSN, each holding what was recorded there; started, stopped,
# protected, renamed, deleted; they end with the server beside which they run and come back with it; no stranger is ever signalled.
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

$ENV{PITR_SWEEP_SECONDS} = 2;
my $node = pitr_node('main', conf => "pitr.branch_ports = '6200-6203'\nwork_mem = '5MB'\n");
my $place = abs_path($node->data_dir) . '.pitr';

sub value { return $node->safe_psql('postgres', $_[0]); }
sub create { my ($arguments) = @_; return psql_row($node, "SELECT * FROM pitr_create_branch($arguments)"); }
sub refused
{
	my ($statement, $sqlstate, $text) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $refusal = refusal($node, "SELECT * FROM $statement");
	is($refusal->{sqlstate}, $sqlstate, "$statement: $sqlstate") or diag($refusal->{err});
	like($refusal->{text}, $text, '... and says so');
	return $refusal;
}

# Three moments.
value('CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 5000) g');
value("ALTER SYSTEM SET maintenance_work_mem = '33MB'");
my %at;
sub record { my ($n) = @_; $at{$n} = { lsn => value('SELECT pg_current_wal_insert_lsn()'), time => text_time($node), contents => contents($node) }; sleep 0.05; return; }
record(1);
value('DELETE FROM stones WHERE id % 3 = 0');
record(2);
value("CREATE DATABASE other; ");
value("UPDATE stones SET name = name || '-' WHERE id % 5 = 0");
record(3);

# --- from the head, a time, an LSN ---
my $began = time;
my $dev = create("'dev'");
note(sprintf 'a branch from the head after %.2f s', time - $began);
is($dev->{state}, 'running', 'a branch from the head runs') or diag($dev->{_err});
is($dev->{parent}, 'main', 'it has its parent');
is($dev->{kind}, 'child', 'and is a child');
is($dev->{port}, 6200, 'on the first port');
is(join(' ', grep { /:/ } map { s{.*/}{}r } glob("$dev->{directory}/*")), '', 'the type of a keytab is not taken for a file');
like($dev->{connection}, qr/^host=\S+ port=6200$/, 'reached by a connection text');
is($dev->{directory}, "$place/$dev->{id}", 'below the branch directory');
my $dev_node = branch_node($node, 'dev');
is(contents($dev_node), $at{3}{contents}, 'with everything committed until the call');
is($dev_node->safe_psql('postgres', 'SELECT name FROM pitr_branches WHERE is_self'), 'dev', 'there it is the connected branch');
is($dev_node->safe_psql('postgres', q{SELECT string_agg(current_setting(s), ' ' ORDER BY s) FROM unnest(ARRAY['maintenance_work_mem', 'max_connections', 'shared_buffers', 'work_mem']) s}),
	'33MB 50 128MB 5MB', 'settings of the source, small memory');
value('INSERT INTO stones VALUES (10001, NULL)');
$dev_node->safe_psql('postgres', "INSERT INTO stones VALUES (20001, 'of dev')");
is($dev_node->safe_psql('postgres', 'SELECT count(*) FROM stones WHERE id > 10000'), 1, 'from here on the two go their own ways');

my $past = create("'past', 'main\@$at{1}{time}', start => false, settings => '{\"work_mem\": \"7MB\"}'");
is($past->{state}, 'stopped', 'a branch of a past time, not started') or diag($past->{_err});
ok(!postmaster_in($past->{directory}), 'and no server in its directory');
my $started = psql_row($node, q{SELECT * FROM pitr_start_branch('past')});
is($started->{port}, 6201, 'started on its port') or diag($started->{_err});
my $past_node = branch_node($node, 'past');
is(contents($past_node), $at{1}{contents}, 'it holds what there was then');
is($past_node->safe_psql('postgres', 'SHOW work_mem'), '7MB', 'a setting of its own');
is(psql_row($node, q{SELECT * FROM pitr_start_branch('past')})->{port}, 6201, 'started again: it runs already');

my $mark = create("'mark', '$at{2}{lsn}'");
is($mark->{state}, 'running', 'a branch of an LSN; a bare point is of the default branch') or diag($mark->{_err});
is(contents(branch_node($node, 'mark')), $at{2}{contents}, 'it holds what there was there');
is(create("'mark', '$at{2}{lsn}'")->{id}, $mark->{id}, 'the same call again succeeds');

is(value(q{SELECT string_agg(regexp_replace(tree, '  .*', ''), ' ' ORDER BY n) FROM pitr_branch_tree() WITH ORDINALITY AS t (tree, state, created_at, head_time, size_bytes, n)}),
	'main ├─ dev ├─ past └─ mark', 'the tree');
is(value(q{SELECT count(*) FROM pitr_branch_tree() JOIN pitr_branches b ON tree ~ ('\m' || b.name || ' +\d+ (s|min), from ' || b.fork_lsn || '$') AND b.state = pitr_branch_tree.state}), 3, 'what it says of each');

# --- what is refused ---
refused("pitr_create_branch('dev', 'past')", '42710', qr/"dev" exists already/);
refused("pitr_create_branch('')", '42602', qr/empty/);
refused("pitr_create_branch('^x')", '42602', qr/begins with/);
refused("pitr_create_branch(repeat('x', 257))", '42622', qr/257/);
like(refused("pitr_create_branch('x', 'nobody')", '42704', qr/Branch nobody not found/)->{err}, qr/"dev", "main"/, 'existing ones are listed');
refused("pitr_create_branch('x', 'main\@yesterday')", '22P02', qr/Invalid source branch format - main\@yesterday/);
refused("pitr_create_branch('x', 'main\@2999-01-01T00:00:00Z')", '22023', qr/Timestamp can not be in future/);
refused("pitr_create_branch('x', 'main\@2001-01-01T00:00:00Z')", 'PI003', qr/./);
refused("pitr_create_branch('x', 'main\@FFFF/0')", 'PI001', qr/./);
refused("pitr_create_branch('x', '^parent')", 'PI009', qr/Branch has no parent/);
refused("pitr_create_branch('x', settings => '{\"port\": 1}')", '22023', qr/"port"/);
refused("pitr_create_branch('x', settings => '{\"no_such\": 1}')", '22023', qr/"no_such"/);
refused("pitr_create_branch('x', expires_at => now() - interval '1 day')", '22023', qr/past/);
refused("pitr_create_branch('x', expires_at => now() + interval '31 days')", '22023', qr/30 days/);
refused("pitr_start_branch('nobody')", '42704', qr/nobody/);
refused("pitr_stop_branch('main')", '55006', qr/connected/);
refused("pitr_stop_branch('dev', 'gently')", '22023', qr/gently/);
my $rich = refusal($node, "SELECT * FROM pitr_create_branch('x', settings => '{\"max_connections\": 1000000}')");
like($rich->{err}, qr/does not start.*max_connections/s, 'a server that does not start is told of') or diag($rich->{err});
is(value("SELECT count(*) FROM pitr_branches WHERE name = 'x'"), 0, 'and nothing is left of that branch');
ok(create("'last'")->{port} == 6203, 'the last port');
refused("pitr_create_branch('x')", '53400', qr/ports/);
is(join(' ', sort map { s{.*/}{}r } glob("$place/br-*[0-9a-f]")), join(' ', sort map { s{.*/}{}r } split /\n/, value("SELECT directory FROM pitr_branches WHERE port IS NOT NULL AND NOT is_self")),
	'and no directory of what was refused');

# --- stop, start, and a stale postmaster.pid ---
is(psql_row($node, q{SELECT * FROM pitr_stop_branch('dev')})->{branch}, 'dev', 'stopped');
is(state_of($node, 'dev'), 'stopped', 'the view says so');
ok(!runs_in($dev->{directory}), 'no process is left');
my $stranger = fork;
if (!$stranger) { chdir $dev->{directory}; exec 'sleep', '300'; }
append_to_file("$dev->{directory}/postmaster.pid", "$stranger\n$dev->{directory}\n" . time . "\n6200\n");
sleep 0.1;
is(psql_row($node, q{SELECT * FROM pitr_stop_branch('dev', 'immediate')})->{branch}, 'dev', 'stopped again, with a pid file that names somebody else');
ok(kill(0, $stranger), 'who is left alone');
is(psql_row($node, q{SELECT * FROM pitr_start_branch('dev')})->{port}, 6200, 'the server starts over that file');
ok(kill(0, $stranger), 'and still nobody was harmed');
kill 'KILL', $stranger;
waitpid $stranger, 0;
is($dev_node->safe_psql('postgres', 'SELECT count(*) FROM stones WHERE id > 10000'), 1, 'with what it had');

# --- one that dies comes back, all end with their host, and come back with it ---
psql_row($node, q{SELECT * FROM pitr_stop_branch('last')});
my @running = map { $_->{directory} } $dev, $past, $mark;
kill 'KILL', postmaster_in($dev->{directory});
ok(poll_until($dev_node, 'SELECT count(*) FROM stones WHERE id > 10000', 1, 30), 'a branch whose postmaster was killed is started again');
kill 'KILL', find_process($node, 'launcher'), postmaster_of($node);
my $took = ends_within(20, @running);
cmp_ok($took // 99, '<', 5, 'postmaster and launcher killed: the branches have ended') or diag(explain([ map { [ runs_in($_) ] } @running ]));
note(sprintf 'after %.2f s', $took // 99);
ok(ensure_running($node), 'started again');
foreach my $name (qw(dev past mark))
{
	ok(poll_until(branch_node($node, $name), 'SELECT 1', 1, 30), "branch $name is back");
}
is(state_of($node, 'last'), 'stopped', 'but not the one that was stopped');
is(contents($past_node), $at{1}{contents}, 'with what it had');
$node->restart;
ok(poll_until($dev_node, 'SELECT count(*) FROM stones WHERE id > 10000', 1, 30), 'back after a restart as well');

# --- rename, protect, delete ---
is(value("SELECT state FROM pitr_rename_branch('mark', 'marked')"), 'running', 'renamed while it runs');
is(value("SELECT protected FROM pitr_protect_branch('marked')"), 't', 'protected');
refused("pitr_delete_branch('marked')", 'PI005', qr/protected/);
is(value("SELECT protected FROM pitr_protect_branch('marked', false)"), 'f', 'not any more');
is(value("SELECT name FROM pitr_delete_branch('marked')"), 'marked', 'deleted while it runs');
ok(!-e $mark->{directory} && !runs_in($mark->{directory}), 'its server and its directory are gone');
is(value("SELECT name FROM pitr_delete_branch('last', force => true)"), 'last', 'a stopped one');
is(create("'again', 'main\@$at{2}{time}', expires_at => now() + interval '1 day'")->{port}, 6202, 'its port is free again');
like(refused("pitr_protect_branch('again')", '55000', qr/expires/)->{text}, qr/again/, 'one that expires');
is(value(q{SELECT round(extract(epoch FROM ttl) / 3600) FROM pitr_branches WHERE name = 'again'}), 24, 'it knows its time to live');
is(value(q{SELECT count(*) FROM pitr_audit WHERE function = 'pitr_create_branch' AND outcome = 'done'}), 5, 'five branches in the audit');
is(value(q{SELECT count(*) FROM pitr_audit WHERE function = 'pitr_create_branch' AND outcome = 'refused' AND sqlstate = '42710'}), 1, 'and what was refused');
is(value('SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing wrong');
is($dev_node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'nor in a branch');
$node->stop;
cmp_ok(ends_within(20, @running) // 99, '<', 5, 'a clean stop ends the branches as well');
done_testing();

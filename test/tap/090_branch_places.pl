# Branches of a server with tablespaces whose repository is encrypted and, where test/run could start an S3 server, on S3: made from the
# head and a past, written to, restored in place and from outside, deleted. Each directory has tablespace targets of its own and takes them
# along when it goes; keys show nowhere. The server is configured on its command line alone, as in a container.
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use File::Find ();
use FindBin;
use IPC::Run ();
use lib $FindBin::RealBin;
use BranchTest;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 2;
my $endpoint = $ENV{PITR_TEST_S3_ENDPOINT} // '';
my $keys = PostgreSQL::Test::Utils::tempdir();
my $key = join '', map { sprintf '%02x', int rand 256 } 1 .. 32;
append_to_file("$keys/key", "$key\n");
chmod 0600, "$keys/key";
my $secrets = qr/\Q$key\E/i;
my %options = ('pitr.encryption_key_file' => "$keys/key");
if ($endpoint ne '')
{
	s3_shared();
	my ($secret) = slurp_file($ENV{PITR_TEST_S3_SERVER_CREDENTIALS}) =~ /aws_secret_access_key = (\S+)/;
	$secrets = qr/\Q$key\E|\Q$secret\E/i;
	%options = (
		%options,
		'pitr.repository' => 's3://pitr/tap/branches',
		'pitr.s3_endpoint' => $endpoint,
		'pitr.s3_credentials_file' => $ENV{PITR_TEST_S3_SERVER_CREDENTIALS});
}

my $node = PostgreSQL::Test::Cluster->new('main');
$ENV{PITR_FAULT_FILE} = fault_file();
$node->init;
mkdir repository_of($node), 0700;
my $base = abs_path($node->basedir);
$node->append_conf('postgresql.conf', "max_wal_senders = 5\nrestart_after_crash = on\nfsync = on\nautovacuum = off\nlog_line_prefix = '%m [%p] %b '\n");
%options = (
	'pitr.repository' => repository_of($node),
	%options,
	shared_preload_libraries => 'pitr_ext',
	wal_level => 'replica',
	archive_mode => 'on',
	archive_library => 'pitr_ext',
	max_worker_processes => 16,
	unix_socket_permissions => '0770',
	'pitr.branch_ports' => '6240-6249',
	'pitr.fill_rate' => '256kB');
system_or_bail('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o',
	join(' ', '--cluster-name=main', map { "-c $_=$options{$_}" } sort keys %options), 'start');
$node->_update_pid(1);
$node->safe_psql('postgres', 'CREATE EXTENSION pitr_ext');

# What processes are called and have in their environment, all the time.
my $titles_file = PostgreSQL::Test::Utils::tempdir() . '/titles';
my $watcher = IPC::Run::start([ $^X, '-e', <<'PERL', $titles_file ], '>', '/dev/null');
use strict; use warnings; use Time::HiRes qw(sleep);
open(my $out, '>', $ARGV[0]) or die; select((select($out), $| = 1)[0]);
my %seen;
while (getppid() != 1)
{
	foreach my $file (glob '/proc/[0-9]*/cmdline /proc/[0-9]*/environ')
	{
		open(my $handle, '<', $file) or next;
		my $text = do { local $/; <$handle> } // next;
		print $out "$text\n" unless $seen{$text}++;
	}
	sleep 0.1;
}
PERL

sub value { return $node->safe_psql('postgres', $_[0]); }
# oid => target of the links of a directory
sub links { my ($directory) = @_; return { map { m{/(\d+)$} ? ($1 => readlink $_) : () } grep { -l } glob("$directory/pg_tblspc/*") }; }
# What tablespaces of branches have on disk: <location>/<branch id>.
sub targets { return join ' ', sort map { s{^\Q$base\E/}{}r } glob("$base/{one,two,three}/br-*"); }

mkdir "$base/$_" or die foreach qw(one two three);
value("CREATE TABLESPACE one LOCATION '$base/one'");
value('CREATE DATABASE away TABLESPACE one');
$node->safe_psql('away', 'CREATE TABLE far AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 3000) g');
value('CREATE TABLE stones TABLESPACE one AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 20000) g');
ok(poll_until($node, 'SELECT can_restore FROM pitr_status', 't'), 'a server that has its repository on the command line archives');
value("SELECT id FROM pitr_create_snapshot('base')");
value("CREATE TABLESPACE two LOCATION '$base/two'");
value('CREATE TABLE pebbles TABLESPACE two AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 2000) g');
value("UPDATE stones SET name = 'then' WHERE id % 500 = 3");
my $then = { time => text_time($node), contents => contents($node) };
sleep 0.05;
value('DELETE FROM stones WHERE id > 15000; TRUNCATE pebbles');
my $head = contents($node);
my ($one, $two) = split /\|/, value("SELECT max(oid) FILTER (WHERE spcname = 'one'), max(oid) FILTER (WHERE spcname = 'two') FROM pg_tablespace");
my $main_links = links($node->data_dir);
is_deeply($main_links, { $one => "$base/one", $two => "$base/two" }, 'two tablespaces');

# --- from the head and from a past ---
my $dev = psql_row($node, q{SELECT * FROM pitr_create_branch('dev')});
is($dev->{state}, 'running', 'a branch from the head') or diag($dev->{_err});
my $dev_node = branch_node($node, 'dev');
is(contents($dev_node), $head, 'with everything committed until the call');
is_deeply(links($dev->{directory}), { $one => "$base/one/$dev->{id}/$one", $two => "$base/two/$dev->{id}/$two" }, 'and tablespaces of its own');
is($dev_node->safe_psql('postgres', q{SELECT string_agg(current_setting(s), ' ' ORDER BY s) FROM unnest(ARRAY['cluster_name', 'max_worker_processes', 'unix_socket_permissions', 'wal_level']) s}),
	'main 16 0770 replica', "what its source has on the command line");
my $past = psql_row($node, "SELECT * FROM pitr_create_branch('past', 'main\@$then->{time}')");
is($past->{state}, 'running', 'a branch from a past') or diag($past->{_err});
my $past_node = branch_node($node, 'past');
is(contents($past_node), $then->{contents}, 'with what was there then');

# --- written to, restored in place ---
$dev_node->safe_psql('postgres', "CREATE TABLESPACE three LOCATION '$base/three'");
$dev_node->safe_psql('postgres', 'CREATE TABLE sand TABLESPACE three AS SELECT g AS id FROM generate_series(1, 1000) g; DELETE FROM stones WHERE id < 100');
$dev_node->safe_psql('away', 'DELETE FROM far WHERE id % 2 = 0');
my $early = { time => text_time($dev_node), contents => contents($dev_node) };
sleep 0.05;
$dev_node->safe_psql('postgres', 'DROP TABLE sand, stones');
$dev_node->safe_psql('postgres', 'DROP DATABASE away');
my $late = contents($dev_node);
my $row = restore($dev_node, "SELECT * FROM pitr_restore_branch('$early->{time}')");
is($row->{outcome}, 'done', 'the branch is restored in place') or diag(explain($row));
is(contents($dev_node), $early->{contents}, 'to what it held then');
my $restored = $row->{branch_id};
my $three = $dev_node->safe_psql('postgres', "SELECT oid FROM pg_tablespace WHERE spcname = 'three'");
is_deeply(links($dev->{directory}), { $one => "$base/one/$restored/$one", $two => "$base/two/$restored/$two", $three => "$base/three/$restored/$three" },
	'with tablespaces of its own again');
is(contents($node), $head, 'the first server has what it had');
is_deeply(links($node->data_dir), $main_links, 'where it had it');
is($dev_node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing wrong in the branch');

# --- from outside ---
$row = psql_row($node, "SELECT * FROM pitr_restore_branch('dev', 'main\@$then->{time}')");
is($row->{state}, 'done', "restored from outside to its parent's past") or diag($row->{_err});
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $then->{contents}, 'it holds what that had then');
$row = psql_row($node, "SELECT * FROM pitr_restore_branch('dev', '$row->{undo_branch}\@$early->{time}', preserve => false)");
is($row->{state}, 'done', 'and to a past of what that has preserved') or diag($row->{_err});
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $early->{contents}, 'it holds what it had then');
my $child = psql_row($dev_node, q{SELECT * FROM pitr_create_branch('child')});
is($child->{state}, 'running', 'a branch makes a branch') or diag($child->{_err});
is(contents(branch_node($node, 'child')), $early->{contents}, 'with the same');

# --- complete, stopped, started ---
$past_node->safe_psql('postgres', 'ALTER SYSTEM SET pitr.fill_rate = 0');
$past_node->reload;
is($past_node->safe_psql('postgres', 'SELECT state FROM pitr_complete_branch()'), 'done', 'all of a branch is loaded');
ok(!-d "$past->{directory}/pgsql_tmp_pitr", 'a plain directory');
is($node->safe_psql('postgres', q{SELECT branch FROM pitr_stop_branch('past')}), 'past', 'stopped');
is($node->safe_psql('postgres', q{SELECT branch FROM pitr_start_branch('past')}), 'past', 'and started');
is(contents($past_node), $then->{contents}, 'with what it had');

# --- keys show nowhere ---
sub files_with
{
	my ($pattern, @places) = @_;
	my @found;
	File::Find::find({ no_chdir => 1, wanted => sub {
		$File::Find::prune = 1 if m{/(base|pg_wal|PG_\d+_\d+)$};    # tables
		push @found, $_ if -f $_ && slurp_file($_) =~ $pattern;
	} }, @places);
	return join ' ', @found;
}
$watcher->kill_kill;
my $titles = slurp_file($titles_file);
like($titles, qr/$_/, "processes: $_ was seen") foreach qr/pitr\0compute/, qr/pitr\0job/;
unlike($titles, $secrets, 'no key on a command line, in a title or in an environment');
my $shown = join '', map { value("SELECT string_agg(x::text, chr(10)) FROM $_ x") } qw(pg_settings pitr_audit pitr_operations pitr_branches);
unlike($shown, $secrets, 'none in a view');
is(files_with($secrets, $base), '', 'none in a file, log or directory of server and branches');

# --- deleted ---
like(targets(), qr{one/$past->{id} }, 'there are tablespaces of branches');
value(q{SELECT pitr_delete_branch('dev', cascade => true, force => true), pitr_delete_branch('past', force => true)});
value(q{SELECT pitr_delete_branch(id, force => true) FROM pitr_branches WHERE kind = 'undo' AND deleted_at IS NULL});
my $left = '';
ok(wait_until(60, sub { ($left = join ' ', targets(), glob(abs_path($node->data_dir) . '.pitr/br-*')) =~ /^\s*$/ }), 'deleted, branches leave nothing on disk, nor where tablespaces are')
  or diag($left, value('SELECT name, id, state, directory FROM pitr_branches'));
is(join(' ', glob("$base/three/*")), '', 'nor in the one that was created in a branch');
is(contents($node), $head, 'the first server has what it had');
is(unexpected_log_lines($node, 0, qr/terminating connection/, qr/the database system is/), '', 'nothing unexpected in the log');
$node->stop;
done_testing();

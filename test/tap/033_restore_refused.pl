# Servers that cannot be restored in place say so before anything is touched, the plan with the same reason; arrangements that
# only look difficult work (rules.md 3, issue "Bad input and faults").
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 2;
# The first snapshot fails as long as this line stands.
arm_fault('snapshot.manifest.before_write error');
my $node = pitr_node('refusing', conf => "max_replication_slots = 5\npitr.operation_lock_timeout = 0\n", wait => 0);
my $repository = repository_of($node);

sub value { return $node->safe_psql('postgres', $_[0]); }

sub set_to
{
	my ($setting, $new) = @_;
	value("ALTER SYSTEM SET $setting = '$new'");
	$node->reload;
	poll_until($node, "SELECT current_setting('$setting')", $new);
}

sub set_back
{
	my ($setting) = @_;
	value("ALTER SYSTEM RESET $setting");
	$node->reload;
}

sub hint_of { return $_[0]{err} =~ /HINT:  (.*)/ ? $1 : ''; }

value('CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 1000) g');
is(value('SELECT can_restore FROM pitr_status'), 'f', 'pitr_status says that nothing can be restored');
ok(poll_until($node, "SELECT count(*) FROM pitr_operations WHERE state IN ('queued', 'running')", '0'), 'the attempt at a first snapshot is over');
refused_alike($node, 'now()', 'PI003', qr/snapshot/, 'no snapshot yet');
clear_faults();
ok(poll_until($node, 'SELECT can_restore FROM pitr_status', 't', 90), 'the first snapshot is taken again by itself');

my $contents = contents($node);
my $lsn = value('SELECT pg_current_wal_insert_lsn()');
my $target = "'$lsn'::pg_lsn";
value('DELETE FROM stones WHERE id > 500');
my $later = contents($node);
is(plan_of($node, $target)->{possible}, 't', 'nothing is in the way');

# --- a branch directory that another server uses ---
my $mark = abs_path($node->data_dir) . '.pitr/server';
my $ours = slurp_file($mark);
append_to_file($mark . '.new', "7000000000000000001\n");
rename "$mark.new", $mark or die;
my $theirs = abs_path($node->data_dir) . '.pitr/br-some-one-else';
mkdir $theirs or die;
refused_alike($node, $target, '55000', qr/belongs to another server/, "another server's branch directory");
sleep 3;
ok(-d $theirs, 'and nothing is removed there');
append_to_file($mark . '.new', $ours);
rename "$mark.new", $mark or die;
is(plan_of($node, $target)->{possible}, 't', 'it is ours again');
my $patience = time + 40;
sleep 0.1 while -d $theirs && time < $patience;
ok(!-d $theirs, 'where what nobody owns is removed');

# --- rights and the shape of the call ---
value('CREATE ROLE nobody LOGIN; CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher');
foreach my $call ("pitr_restore_branch($target)", 'pitr_undo_restore()', "pitr_plan_restore($target)", "pitr_delete_branch('x')")
{
	is(refusal($node, "SET ROLE nobody; SELECT * FROM $call")->{sqlstate}, '42501', "$call by a role without the right");
}
is(refusal($node, "SET ROLE watcher; SELECT * FROM pitr_restore_branch($target)")->{sqlstate}, '42501', 'pg_monitor may not restore');
is(value("SET ROLE watcher; SELECT possible FROM pitr_plan_restore($target)"), 't', 'but may plan');

value("CREATE FUNCTION wrapped() RETURNS text LANGUAGE sql AS 'SELECT state FROM pitr_restore_branch($target)'"
	  =~ s/'(\S+)'::pg_lsn\)'$/''$1''::pg_lsn)'/r);
foreach my $statement (
	"BEGIN; SELECT * FROM pitr_restore_branch($target); COMMIT",
	"BEGIN; SAVEPOINT s; SELECT * FROM pitr_restore_branch($target); COMMIT",
	'SELECT wrapped()',
	"DO \$\$ BEGIN PERFORM * FROM pitr_restore_branch($target); END \$\$",
	'BEGIN; SELECT * FROM pitr_undo_restore(); COMMIT')
{
	is(refusal($node, $statement)->{sqlstate}, '25001', "25001: $statement");
}
is(refusal($node, 'SELECT * FROM pitr_undo_restore()')->{sqlstate}, '42704', 'nothing to undo');

# --- settings of the server ---
set_to('restart_after_crash', 'off');
like(hint_of(refused_alike($node, $target, '55000', qr/restart_after_crash is off/, 'restart_after_crash = off')),
	qr/restart_after_crash = on/, 'with a hint');
set_back('restart_after_crash');
poll_until($node, 'SHOW restart_after_crash', 'on');

# --- the repository ---
set_to('pitr.repository', '');
like(hint_of(refused_alike($node, $target, '55000', qr/pitr\.repository is not set/, 'no pitr.repository')),
	qr/Set pitr\.repository/, 'with a hint');
set_back('pitr.repository');
poll_until($node, 'SHOW pitr.repository', $repository);

rename $repository, "$repository.away" or die;
refused_alike($node, $target, '58030', qr/\Q$repository\E/, 'the folder of the repository is missing');
ok(!-e $repository, 'and was not made by that');
rename "$repository.away", $repository or die;

my $about = slurp_file("$repository/repository.json");
(my $newer = $about) =~ s/("(?:format|version)"\s*:\s*)(\d+)/$1 . ($2 + 1000)/e or diag("no version in $about");
open(my $file, '>', "$repository/repository.json") or die;
print $file $newer;
close $file;
refused_alike($node, $target, 'PI004', qr/format|version|newer/, 'a repository of a newer format');
open($file, '>', "$repository/repository.json") or die;
print $file $about;
close $file;
is(plan_of($node, $target)->{possible}, 't', 'usable again');

SKIP:
{
	skip 'root writes everywhere', 4 if $> == 0;
	my @folders = ($repository, grep { -d } map { glob($_) } "$repository/*", "$repository/*/*", "$repository/*/*/*", "$repository/*/*/*/*");
	chmod 0500, @folders;
	value('DELETE FROM stones WHERE id = 500');
	$later = contents($node);
	refused_alike($node, $target, '58030', qr/\Q$repository\E.*Permission denied/, 'a folder that cannot be written');
	chmod 0700, grep { !m{/branches} } @folders;
	my $began = time;
	refused_alike($node, $target, '58030', qr/could not be brought into the repository/, 'folders in it that cannot be written');
	ok(time - $began < 60, 'nobody is kept waiting for them');
	chmod 0700, @folders;
	ok(poll_until($node, "SELECT possible FROM pitr_plan_restore($target)", 't'), 'usable again as soon as it can be');
}

# --- who depends on the server ---
value("SELECT pg_create_physical_replication_slot('for_a_standby', true)");
like(refused_alike($node, $target, '55000', qr/depends on this server/, 'a replication slot')->{err},
	qr/replication slots: "for_a_standby".*force => true/s, 'it is named, with a hint');
is(plan_of($node, $target)->{replication_slots}, '{for_a_standby}', 'the plan lists it');
is(plan_of($node, "$target, force => true")->{possible}, 't', 'possible with force');
value("SELECT pg_drop_replication_slot('for_a_standby')");

value("CREATE SUBSCRIPTION elsewhere CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)");
like(refused_alike($node, $target, '55000', qr/depends on this server/, 'a subscription')->{err}, qr/subscriptions: "elsewhere"/, 'it is named');
value('DROP SUBSCRIPTION elsewhere');

$node->backup('of_primary');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'of_primary', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
like(refused_alike($node, $target, '55000', qr/depends on this server/, 'an attached standby')->{err},
	qr/attached standbys or receivers: 1/, 'it is counted');
is(plan_of($node, $target)->{standbys}, 1, 'by the plan too');
refused_alike($standby, $target, '55000', qr/standby cannot be restored in place/, 'on the standby itself');
$standby->stop;
poll_until($node, 'SELECT count(*) FROM pg_stat_replication', '0');

# --- the layout of the data directory ---
mkdir $node->data_dir . '/space' or die;
value("CREATE TABLESPACE away LOCATION '" . abs_path($node->data_dir) . "/space'");
refused_alike($node, $target, '55000', qr/tablespace location .* inside the data directory/, 'a tablespace inside the data directory');
value('DROP TABLESPACE away');
rmdir $node->data_dir . '/space' or die;

my $data = $node->data_dir;
my $sockets = value('SHOW unix_socket_directories');
$node->append_conf('postgresql.conf', "unix_socket_directories = '$sockets, $data'");
$node->restart;
refused_alike($node, $target, '55000', qr/socket directory .* is inside the data directory/, 'sockets inside the data directory');
$node->append_conf('postgresql.conf', "unix_socket_directories = '$sockets'\nexternal_pid_file = 'other.pid'");
$node->restart;
refused_alike($node, $target, '55000', qr/external_pid_file .* is inside the data directory/, 'external_pid_file inside');
$node->append_conf('postgresql.conf', "external_pid_file = ''");
$node->stop;
my $wal = $node->basedir . '/wal';
rename "$data/pg_wal", $wal or die;
symlink $wal, "$data/pg_wal" or die;
$node->start;
refused_alike($node, $target, '55000', qr/pg_wal is a symbolic link/, 'pg_wal elsewhere');
$node->stop;
unlink "$data/pg_wal" or die;
rename $wal, "$data/pg_wal" or die;
$node->start;

# --- one at a time ---
arm_fault('build.lay_out.done stop');
my $running = psql_row($node, "SELECT * FROM pitr_restore_branch($target, wait => false)");
is($running->{state}, 'running', 'one restore is under way');
my $second = refusal($node, "SELECT * FROM pitr_restore_branch($target)");
is($second->{sqlstate}, '55P03', 'a second one is refused');
like($second->{err}, qr/\Q$running->{operation_id}\E/, 'the first one is named');
is(refusal($node, "SET pitr.operation_lock_timeout = '300ms'; SELECT * FROM pitr_restore_branch($target)")->{sqlstate}, '55P03',
	'after pitr.operation_lock_timeout');
is(value("SELECT pitr_cancel_operation('$running->{operation_id}')"), 't', 'the first one is cancelled');
is(wait_operation($node, $running->{operation_id}), 'cancelled', 'and ends');
clear_faults();
is(join(' ', glob("$data.pitr/br-*")), '', 'nothing is left of it');
is(contents($node), $later, 'nothing of all this has changed anything');

# The same server, with nothing in the way.
my $row = restore($node, "SELECT * FROM pitr_restore_branch($target)");
is($row->{outcome}, 'done', 'restored in the end') or diag(explain($row));
is(contents($node), $contents, 'contents of then');
$node->stop;

# --- not preloaded ---
my $plain = PostgreSQL::Test::Cluster->new('plain');
$plain->init;
$plain->start;
$plain->safe_psql('postgres', 'CREATE EXTENSION pitr_ext');
foreach my $call ("pitr_restore_branch('0/1000000')", "pitr_plan_restore('0/1000000')", 'pitr_undo_restore()', 'pitr_check()', 'pitr_restore_window()')
{
	my $refused = refusal($plain, "SELECT * FROM $call");
	is($refused->{sqlstate}, '55000', "$call without shared_preload_libraries");
	like($refused->{err}, qr/shared_preload_libraries/, 'which it says');
}
$plain->stop;

# --- somebody else's repository ---
my $foreign = pitr_node('foreign', repository => $repository, wait => 0);
$foreign->safe_psql('postgres', 'CREATE TABLE mine (id int); SELECT pg_switch_wal()');
ok(poll_until($foreign, "SELECT failed_count > 0 FROM pg_stat_archiver", 't'), 'archiving into the repository of another server fails');
my $refused = refusal($foreign, 'SELECT * FROM pitr_restore_branch(now())');
is($refused->{sqlstate}, 'PI004', 'a restore is refused as foreign') or diag(explain($refused));
is(plan_of($foreign, 'now()')->{sqlstate}, 'PI004', 'the plan says so');
my $own = $foreign->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()');
like($refused->{err}, qr/\Q$own\E/, 'it names the system identifier');
like(slurp_file($foreign->logfile), qr/archive\w* (worker )?WARNING:  could not archive.*belongs to another server/, 'so does the archiver');
ok(-e $foreign->data_dir . '/pg_wal/archive_status/000000010000000000000001.ready', 'its WAL is kept');
$foreign->stop('immediate');

# --- looks difficult, works: data directory behind a symlink, configuration elsewhere, keys inside, a logging collector ---
my $debian = pitr_node('debian', start => 0, conf => <<'CONF');
logging_collector = on
log_directory = 'log'
log_filename = 'server.log'
listen_addresses = '127.0.0.1'
CONF
my $link = $debian->data_dir;
my $real = abs_path($debian->basedir) . '/var/real';
my $etc = abs_path($debian->basedir) . '/etc';
mkdir $_ or die foreach (abs_path($debian->basedir) . '/var', $etc);
rename $link, $real or die;
symlink $real, $link or die;
rename "$real/$_", "$etc/$_" or die foreach qw(postgresql.conf pg_hba.conf pg_ident.conf);
open($file, '>>', "$etc/postgresql.conf") or die;
print $file "data_directory = '$link'\nhba_file = '$etc/pg_hba.conf'\nident_file = '$etc/pg_ident.conf'\n";
my $has_ssl = system('openssl version >/dev/null 2>&1') == 0;
if ($has_ssl)
{
	system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '3650', '-subj', '/CN=pitr-test',
		'-keyout', "$real/own.key", '-out', "$real/own.crt");
	chmod 0600, "$real/own.key";
	print $file "ssl = on\nssl_cert_file = 'own.crt'\nssl_key_file = 'own.key'\n";
}
close $file;
command_ok([ 'pg_ctl', '-w', '-D', $etc, '-l', $debian->logfile, '-o', '--cluster-name=debian', 'start' ], 'configured as Debian does');
$debian->_update_pid(1);
$debian->safe_psql('postgres', 'CREATE EXTENSION pitr_ext');
ok(poll_until($debian, 'SELECT can_restore FROM pitr_status', 't'), 'its snapshot');
$debian->safe_psql('postgres', 'CREATE TABLE stones AS SELECT g AS id FROM generate_series(1, 1000) g');
my $then = contents($debian);
$lsn = $debian->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
$debian->safe_psql('postgres', 'DROP TABLE stones');
my $dump = dump_of($debian);

sub works_as_before
{
	my ($name) = @_;
	is(readlink $link, $real, "$name: the data directory is still a link to the same place");
	is($debian->safe_psql('postgres', 'SHOW config_file'), "$etc/postgresql.conf", "$name: configured from where it was");
	is($debian->safe_psql('postgres', 'SHOW hba_file'), "$etc/pg_hba.conf", "$name: and pg_hba.conf");
	ok(-d "$real/log" && !-l "$real/log", "$name: log/ is in the data directory of now");
	ok(poll_until($debian, "SELECT pg_current_logfile()", 'log/server.log', 10), "$name: pg_current_logfile()");
	$debian->safe_psql('postgres', "DO \$\$ BEGIN RAISE LOG 'a line after $name'; END \$\$");
	my $give_up = time + 10;
	my $log = '';
	while (time < $give_up && $log !~ /a line after $name/)
	{
		$log = slurp_file("$real/log/server.log");
		sleep 0.05;
	}
	like($log, qr/a line after $name/, "$name: what is logged now is there");
	like($log, qr/the restart of the server that follows is on purpose/, "$name: with what was logged before");
	my @processes = grep { (readlink("/proc/$_/cwd") // '') =~ m{^\Q$real\E\.pitr/} } map { m{(\d+)$} } glob('/proc/[0-9]*');
	is("@processes", '', "$name: no process stands in the old directory");
  SKIP:
	{
		skip 'no openssl', 1 unless $has_ssl;
		$debian->reload;
		my $connect = "host=127.0.0.1 port=" . $debian->port . ' dbname=postgres sslmode=require';
		my ($out, $err);
		IPC::Run::run([ 'psql', '-XAtc', 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()', $connect ], '>', \$out, '2>', \$err);
		is($out, "t\n", "$name: certificate and key are there") or diag($err);
	}
}
$row = restore($debian, "SELECT * FROM pitr_restore_branch('$lsn')");
is($row->{outcome}, 'done', 'restored') or diag(explain($row));
is(contents($debian), $then, 'contents of then');
works_as_before('restore');
$row = undo($debian);
is($row->{outcome}, 'done', 'undone') or diag(explain($row));
is(dump_of($debian), $dump, 'dump of before');
works_as_before('undo');
$debian->stop;

# --- a data directory that is a mount point ---
SKIP:
{
	my $mounted = $ENV{PITR_MOUNTED};
	skip 'PITR_MOUNTED names no mount point', 1 unless $mounted && -w $mounted;
	my $inside = pitr_node('mounted', place => $mounted, init => { extra => ['--wal-segsize=1'] }, conf => "max_wal_size = 64MB\nmin_wal_size = 4MB\n");
	my $here = $inside->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	$inside->safe_psql('postgres', 'CREATE TABLE later (id int)');
	my $refused = refused_alike($inside, "'$here'::pg_lsn", '55000', qr/is a mount point/, 'a data directory that is a mount point');
	like(hint_of($refused), qr/one level below/, 'with a hint');
	is($inside->safe_psql('postgres', 'SELECT count(*) FROM later'), '0', 'nothing was touched');
	$inside->stop;
}
done_testing();

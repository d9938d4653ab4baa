# Tablespaces in a restore in place: the replacement has targets of its own beside those of the live server, replay of CREATE TABLESPACE
# does not touch the live ones, each directory keeps its links over exchange and undo, and what goes leaves nothing behind.
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 2;
my $node = pitr_node('main', conf => "fsync = on\npitr.demand_load = auto\npitr.fill_rate = '64kB'\nautovacuum = off\nallow_in_place_tablespaces = on\n");
my $base = abs_path($node->basedir);

sub value { return $node->safe_psql('postgres', $_[0]); }
# oid => target of the links of a directory
sub links { my ($directory) = @_; return { map { m{/(\d+)$} ? ($1 => readlink $_) : () } grep { -l } glob("$directory/pg_tblspc/*") }; }
sub folders { return join ' ', sort map { s{^\Q$base\E/}{}r } map { glob("$base/$_/*/*") } qw(one two three); }

foreach my $name (qw(one two three))
{
	mkdir "$base/$name" or die;
}
value("CREATE TABLESPACE one LOCATION '$base/one'");
value("CREATE TABLESPACE inside LOCATION ''");
my $oid = value("SELECT oid FROM pg_tablespace WHERE spcname = 'one'");
value(<<'SQL');
CREATE TABLE stones TABLESPACE one AS SELECT g AS id, md5(g::text) AS v, repeat('x', 60) AS pad FROM generate_series(1, 40000) g;
CREATE INDEX ON stones (id) TABLESPACE one;
CREATE TABLE within TABLESPACE inside AS SELECT g AS id FROM generate_series(1, 5000) g;
CREATE DATABASE away TABLESPACE one;
SQL
$node->safe_psql('away', 'CREATE TABLE far AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 20000) g');
value("SELECT id FROM pitr_create_snapshot('base')");
value("CREATE TABLESPACE two LOCATION '$base/two'");
value("CREATE TABLE pebbles TABLESPACE two AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 5000) g");
value("UPDATE stones SET v = 'then' WHERE id % 500 = 3");
my $two = value("SELECT oid FROM pg_tablespace WHERE spcname = 'two'");
my $then = contents($node);
my $target = value('SELECT pg_current_wal_insert_lsn()');
value("DELETE FROM stones WHERE id > 100; UPDATE pebbles SET v = 'later'; CHECKPOINT");
value("CREATE TABLESPACE three LOCATION '$base/three'");
value('CREATE TABLE sand TABLESPACE three AS SELECT g AS id FROM generate_series(1, 1000) g');
my $later = contents($node);
my $first_links = links($node->data_dir);
is(scalar(keys %$first_links), 3, 'three tablespaces have links');

my $plan = plan_of($node, "'$target'::pg_lsn");
is($plan->{possible}, 't', 'possible') or diag(explain($plan));

# A build that fails, and one that dies, leave nothing where tablespaces are.
foreach my $fault ('build.done error', 'build.lay_out.frame kill', 'tablespace.before_create error', 'build.promoted kill')
{
	arm_fault("$fault once");
	my $row = restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)");
	isnt($row->{outcome}, 'done', "$fault: not restored");
	clear_faults();
	ok(poll_until($node, "SELECT count(*) FROM pitr_operations WHERE state IN ('queued', 'running')", 0), "$fault: over");
	wait_until(30, sub { !glob("$base/*/br-*") });
	is(join(' ', glob("$base/*/br-*")), '', "$fault: nothing is left in the tablespaces");
	is(contents($node), $later, "$fault: the live server has what it had");
}

my $row = restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)");
is($row->{outcome}, 'done', 'restored') or diag(explain($row));
ok(-d $node->data_dir . '/pgsql_tmp_pitr', 'the directory is incomplete');
cmp_ok(value('SELECT incomplete_bytes FROM pitr_branches WHERE is_self'), '>', 4 * 1024 * 1024, 'most of it is missing');
my $id = $row->{branch_id};
is_deeply(links($node->data_dir), { $oid => "$base/one/$id/$oid", $two => "$base/two/$id/$two" },
	'the tablespace of the snapshot and the one that replay made have targets of their own');
is(value("SELECT pg_tablespace_location($oid)"), "$base/one/$id/$oid", 'which the server names');
is_deeply(links("$base/" . ($node->data_dir =~ m{([^/]+)$})[0] . ".pitr/$row->{undo_branch_id}"), $first_links, 'the old directory has its own');

# The server names the files of a tablespace by the link's target when it sends them.
$node->backup('whole', backup_options => [ map { ('--tablespace-mapping', "$_->[0]=$base/copy_$_->[1]") } [ "$base/one/$id/$oid", 'one' ], [ "$base/two/$id/$two", 'two' ] ]);
my $copy = PostgreSQL::Test::Cluster->new('copy');
system_or_bail('cp', '-a', $node->backup_dir . '/whole', $copy->basedir . '/whole') if !mkdir($copy->basedir) || 1;
rename $copy->basedir . '/whole', $copy->data_dir or die;
chmod 0700, $copy->data_dir;
$copy->append_conf('postgresql.conf', "port = " . $copy->port . "\nunix_socket_directories = '" . $copy->host . "'\nshared_preload_libraries = ''\narchive_mode = off\narchive_library = ''\n");
$copy->start;
is(contents($copy), $then, 'a base backup while it is incomplete holds everything');
$copy->stop;
is(contents($node), $then, 'what was recorded at the target');

# Back and forth.
$row = undo($node);
is($row->{outcome}, 'done', 'undo') or diag(explain($row));
is(contents($node), $later, 'what was before');
is_deeply(links($node->data_dir), $first_links, 'with the links from before');
$row = undo($node);
is($row->{outcome}, 'done', 'undo of the undo') or diag(explain($row));
is(contents($node), $then, 'what was recorded at the target, again');
my $first = $row->{undo_branch};

# The next replacement stands beside, not below; everything is laid out.
value('ALTER SYSTEM SET pitr.fill_rate = 0');
$node->reload;
is(value('SELECT state FROM pitr_complete_branch()'), 'done', 'complete');
$node->command_ok([ 'pg_amcheck', '-d', 'postgres', '--install-missing', '--heapallindexed' ], 'amcheck finds nothing wrong');
value("UPDATE stones SET v = 'second' WHERE id % 700 = 1; SELECT id FROM pitr_create_snapshot('next')");
value("INSERT INTO pebbles VALUES (-1, 'after the snapshot'); ALTER SYSTEM SET pitr.demand_load = off");
$node->reload;
my $second = contents($node);
my $second_target = value('SELECT pg_current_wal_insert_lsn()');
value('DROP TABLE pebbles; DROP TABLESPACE two; TRUNCATE stones');
$row = restore($node, "SELECT * FROM pitr_restore_branch('$second_target'::pg_lsn)");
is($row->{outcome}, 'done', 'restored to a snapshot of the restored line') or diag(explain($row));
ok(!-d $node->data_dir . '/pgsql_tmp_pitr', 'all of it is laid out');
my $next = $row->{branch_id};
is_deeply(links($node->data_dir), { $oid => "$base/one/$next/$oid", $two => "$base/two/$next/$two" }, 'its targets stand beside the others');
is(contents($node), $second, 'what was recorded there');

# What goes takes its files with it, and nothing else.
value("SELECT pitr_delete_branch('$first', cascade => true, force => true)");
is(join(' ', glob("$base/one/PG_* $base/two/PG_* $base/three/PG_*")), '', "the first directory's files are gone from the administrator's directories");
ok(-d "$base/one" && -d "$base/three", 'which are there still');
ok(-d "$base/one/$id/$oid", "the second directory's are there");
value("SELECT pitr_delete_branch('$row->{undo_branch}', force => true)");
ok(!-e "$base/one/$id", 'and gone when that one is');
is(contents($node), $second, 'the live server has what it had');
$row = restore($node, "SELECT * FROM pitr_restore_branch('$second_target'::pg_lsn, preserve => false)");
is($row->{outcome}, 'done', 'restored without keeping what was') or diag(explain($row));
wait_until(30, sub { !-e "$base/one/$next" });
is(folders(), join(' ', "one/$row->{branch_id}/$oid", "two/$row->{branch_id}/$two"), 'only the live tablespaces are left');
is(contents($node), $second, 'and hold what was recorded');
$node->restart;
is(contents($node), $second, 'after a restart as well');
$node->stop;
done_testing();

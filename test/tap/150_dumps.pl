# Logical dumps: of all databases and of one, now and then, in both formats; that they have what was there then, by any pg_restore; that a dump is listed
# when it is whole and nothing is left of one that is not, whatever ended it.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use ContentJudge;
use Cwd qw(abs_path);
use FaultTest;
use LookTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = pitr_node('main', conf => "pitr.time_travel_idle_timeout = 20\npitr.snapshot_workers = 1\n");
my $repository = repository_of($node);
my $place = abs_path($node->data_dir) . '.pitr';
my $files = PostgreSQL::Test::Utils::tempdir;
sub value { my ($sql, $database) = @_; return $node->safe_psql($database // 'postgres', $sql); }
sub dump_row { my ($arguments, $setup) = @_; return psql_row($node, ($setup // '') . "SELECT * FROM pitr_create_dump($arguments)"); }
sub objects_of { my ($id) = @_; my @there = glob "$repository/dumps/$id/*"; return scalar @there; }
sub pitr
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'pitr', @arguments, '--repository', $repository ], '>', \$out, '2>', \$err);
	return { rc => $? >> 8, out => $out, err => $err };
}
# What a plain pg_restore makes of a file or a directory, in a database of its own.
sub by_pg_restore
{
	my ($database, @arguments) = @_;
	value("CREATE DATABASE $database TEMPLATE template0");
	my $err = '';
	my $ok = IPC::Run::run([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($database), @arguments ], '>', '/dev/null', '2>', \$err);
	ok($ok, "pg_restore into $database") or diag($err);
	return;
}
my $large = q{SELECT string_agg(md5(lo_get(oid)), ' ' ORDER BY oid) FROM pg_largeobject_metadata};
sub everything { my ($database) = @_; return rows_of_database($node, $database) . "\n" . value($large, $database); }

value('CREATE ROLE clerk LOGIN PASSWORD \'secret\'; CREATE DATABASE shop; CREATE TABLE here AS SELECT g AS id FROM generate_series(1, 100) g');
value(<<'SQL', 'shop');
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, how mood, raw bytea, note text, twice numeric GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO orders (how, raw, note) SELECT (ARRAY['sad', 'glad', NULL])[g % 3 + 1]::mood, decode('0a5c2e0a00', 'hex') || sha256(g::text::bytea), repeat(md5(g::text), 2) || E'\n\\.\n\t' || g FROM generate_series(1, 20000) g;
CREATE INDEX ON orders (note);
CREATE TABLE nothing (a int);
CREATE TABLE zero ();
INSERT INTO zero SELECT FROM generate_series(1, 3);
CREATE SCHEMA "odd s";
CREATE TABLE "odd s"."t.1 (""x"")" (a int, "b c" text);
INSERT INTO "odd s"."t.1 (""x"")" VALUES (1, NULL), (2, '');
CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (50);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (50) TO (1000);
INSERT INTO parted SELECT g, 'v' || g FROM generate_series(1, 100) g;
CREATE TABLE mother (a int);
CREATE TABLE child () INHERITS (mother);
INSERT INTO mother VALUES (1); INSERT INTO child VALUES (2), (3);
CREATE UNLOGGED TABLE forgotten AS SELECT 1 AS a;
CREATE MATERIALIZED VIEW counted AS SELECT how, count(*) FROM orders GROUP BY 1;
SELECT lo_from_bytea(0, sha256(g::text::bytea)) FROM generate_series(1, 3) g;
ALTER TABLE orders OWNER TO clerk;
GRANT SELECT ON nothing TO clerk;
SQL
value('ANALYZE', 'shop');
my $then = everything('shop');
my $point = 'main@' . text_time($node);
sleep 0.01;
value(q{DELETE FROM orders WHERE id % 4 = 0; DROP TABLE parted; SELECT lo_unlink(min(oid)) FROM pg_largeobject_metadata; CREATE TABLE later AS SELECT 1 AS a; REFRESH MATERIALIZED VIEW counted}, 'shop');
my $now = everything('shop');

# --- all of it, as it is now ---
my $all = dump_row('');
is($all->{state}, 'verified', 'a dump of everything') or diag($all->{_err});
is($all->{database} . $all->{format}, 'custom', 'of all databases');
is($all->{detail}, 'databases postgres, shop', 'which are these');
is($all->{row_count}, 100 + 15000 + 3 + 2 + 1 + 2 + 1, 'with every row');
cmp_ok($all->{objects}, '>', 20, 'and its entries');
is(value("SELECT id || ' ' || state || ' ' || (duration > '0') || ' ' || (point_time < now()) || ' ' || (repository = '$repository') FROM pitr_dumps"), "$all->{id} verified true true true", 'in pitr_dumps');
is(value("SELECT kind || ' ' || state FROM pitr_operations WHERE kind = 'dump'"), 'dump done', 'an operation');
is(value("SELECT outcome FROM pitr_audit WHERE function = 'pitr_create_dump'"), 'done', 'with its row in pitr_audit');
is(psql_row($node, "SELECT * FROM pitr_restore_dump('$all->{id}/shop', 'shop now')")->{state}, 'done', 'one of its databases is restored');
is(everything('shop now'), $now, 'with what was there');
is(value(q{SELECT (SELECT relowner::regrole::text FROM pg_class WHERE relname = 'orders') || ' ' || has_table_privilege('clerk', 'nothing', 'SELECT')}, 'shop now'), 'clerk true', 'and whose it was');
is(value("SELECT outcome FROM pitr_audit WHERE function = 'pitr_restore_dump'"), 'done', 'that has one as well');

# --- one of them, as it was, by the program alone ---
my $past = dump_row("'shop', at => '$point', no_owner => true, no_privileges => true, globals => false");
is($past->{state} . ' ' . $past->{database}, 'verified shop', 'a dump of the past') or diag($past->{_err});
is($past->{row_count}, 20000 + 3 + 2 + 100 + 1 + 2, 'with the rows of then');
cmp_ok(value("SELECT '$past->{point_lsn}'::pg_lsn < '$all->{point_lsn}'::pg_lsn"), 'eq', 't', 'and its point');
like(pitr('dump-list')->{out}, qr/^$past->{id}  verified +custom .*  shop  20108 rows/m, 'pitr dump-list shows it');
like(pitr('info')->{out}, qr/^  $past->{id}  verified, 1 databases of main at /m, 'as does pitr info');
is(pitr('dump-get', $past->{id}, '--output', "$files/past.dump")->{rc}, 0, 'pitr dump-get');
by_pg_restore('past', '--no-owner', "$files/past.dump");
is(everything('past'), $then, 'everything of then is there');
is(value(q{SELECT relowner::regrole FROM pg_class WHERE relname = 'orders'}, 'past'), value('SELECT current_user'), 'and nobody else owns it');
is(pitr('dump-get', $past->{id}, '--output', "$files/past.dump")->{rc}, 200, 'a file is not overwritten');
like(pitr('dump-get', $all->{id})->{err}, qr/several databases\nDETAIL: They are "postgres", "shop"/, 'which database of several?');
like(pitr('dump-get', $all->{id}, '--globals')->{out}, qr/^CREATE ROLE clerk;.*^ALTER ROLE clerk WITH .* PASSWORD 'SCRAM/ms, 'roles with their passwords');
like(pitr('dump-get', $past->{id}, '--globals')->{err}, qr/without globals/, 'not of every dump');
is(pitr('dump-get')->{rc}, 2, 'wrong usage');

is(psql_row($node, "SELECT * FROM pitr_restore_dump('$past->{id}', 'nobodys')")->{state}, 'done', 'a dump without owners');
is(value(q{SELECT relowner::regrole FROM pg_class WHERE relname = 'orders'}, 'nobodys'), value('SELECT current_user'), '... is restored without');

# --- as a directory ---
my $folder = dump_row("'shop', at => '$point', format => 'directory', jobs => 2");
is($folder->{state} . ' ' . $folder->{format}, 'verified directory', 'a directory') or diag($folder->{_err});
is(join(' ', glob "$place/op-*"), '', 'of which nothing is left here');
like(pitr('dump-get', $folder->{id})->{err}, qr/--output/, 'it wants a place');
is(pitr('dump-get', $folder->{id}, '--output', "$files/folder")->{rc}, 0, 'has one');
by_pg_restore('foldered', '-j', '2', "$files/folder");
is(everything('foldered'), $then, 'and everything of then');
is(psql_row($node, "SELECT * FROM pitr_restore_dump('$all->{id}/shop', 'two jobs', jobs => 2, no_owner => true)")->{state}, 'done', 'two jobs restore a dump');
is(everything('two jobs'), $now, 'with what was there');
is(join(' ', glob "$place/op-*"), '', 'and leave nothing here');
my $schema = dump_row("'shop', at => '$point', schema_only => true");
is("$schema->{state} $schema->{row_count}", 'verified 0', 'schemas alone') or diag($schema->{_err});


# --- in a repository of its own ---
mkdir "$files/apart", 0700;
my $apart = dump_row("'shop', at => '$point', repository => '$files/apart'");
is("$apart->{state} $apart->{repository}", "verified $files/apart", 'a dump in another repository') or diag($apart->{_err});
is(objects_of($apart->{id}), 0, 'which alone has it');
is(value("SELECT string_agg(repository, ' ' ORDER BY repository = '$repository' DESC) FROM (SELECT DISTINCT repository FROM pitr_dumps) d"), "$repository $files/apart", 'pitr_dumps shows both');
is(psql_row($node, "SELECT * FROM pitr_restore_dump('$apart->{id}', 'apart')")->{state}, 'done', 'it is restored by its id');
is(everything('apart'), $then, 'with everything of then');
is(value("SELECT freed_bytes > 0 FROM pitr_delete_dump('$apart->{id}')"), 't', 'and deleted by it');

# --- what is refused ---
foreach my $case (
	[ q{pitr_create_dump('nobody')}, '42704', qr/database "nobody" does not exist/ ],
	[ qq{pitr_create_dump('nobody', at => '$point')}, '42704', qr/does not exist at that point/ ],
	[ q{pitr_create_dump(at => '@@')}, '22P02', undef ],
	[ q{pitr_create_dump(format => 'plain')}, '22023', qr/custom and directory/ ],
	[ q{pitr_create_dump(jobs => 2)}, '22023', qr/directory/ ],
	[ q{pitr_create_dump(jobs => 0)}, '22023', undef ],
	[ q{pitr_create_dump(repository => 'elsewhere')}, '22023', undef ],
	[ qq{pitr_create_dump('shop', at => '$point', repository => '$files')}, 'PI004', undef ],
	[ qq{pitr_restore_dump('$past->{id}', 'shop')}, '42710', qr/"shop" already exists/ ],
	[ qq{pitr_restore_dump('$all->{id}', 'x')}, '22023', qr/several databases/ ],
	[ qq{pitr_restore_dump('$all->{id}/nobody', 'x')}, '42704', undef ],
	[ q{pitr_restore_dump('dp-nothing', 'x')}, '42704', undef ],
	[ qq{pitr_restore_dump('$past->{id}', repeat('x', 64))}, '42622', undef ],
	[ q{pitr_delete_dump('dp-nothing')}, '42704', undef ])
{
	my ($call, $sqlstate, $like) = @$case;
	my $refusal = refusal($node, "SELECT * FROM $call");
	is($refusal->{sqlstate}, $sqlstate, "refused: $call") or diag($refusal->{err});
	like($refusal->{err}, $like, '... in these words') if $like;
}
value('ALTER ROLE clerk RENAME TO gone');
my $lacks = refusal($node, "SELECT * FROM pitr_restore_dump('$folder->{id}', 'x')");
is($lacks->{sqlstate}, '58030', 'a role that is not there');
like($lacks->{err}, qr/role "clerk" does not exist.*HINT:.*no_owner/s, 'is named, with what to do');
is(value(q{SELECT count(*) FROM pg_database WHERE datname ~ '^(x$|pitr_restoring)'}), 0, 'nothing is left of that');
value('ALTER ROLE gone RENAME TO clerk');

# --- what pg_dump says ---
value('CREATE DATABASE broken');
value(q{CREATE TABLE whole AS SELECT 1 AS a; CREATE TABLE torn (a int, b int); DELETE FROM pg_attribute WHERE attrelid = 'torn'::regclass AND attname = 'a'}, 'broken');
my $torn = refusal($node, q{SELECT * FROM pitr_create_dump('broken')});
is($torn->{sqlstate}, '58030', 'a catalog that pg_dump does not like');
like($torn->{err}, qr/pg_dump of database "broken" failed.*torn/s, 'is told in its own words');
my $failed = psql_row($node, q{SELECT id, state, detail FROM pitr_dumps WHERE database = 'broken'});
is($failed->{state}, 'failed', 'that dump is one that failed');
like($failed->{detail}, qr/torn/, 'with its words');
is(objects_of($failed->{id}), 0, 'and without an object');
value('DROP DATABASE broken');
is(value("SELECT freed_bytes FROM pitr_delete_dump('$failed->{id}')"), 0, 'its row can go');

# --- what ends it in the middle ---
# pg_dump stands still with more to say: the child waits for it.
sub stand_still
{
	arm_only('dump.before_object stop');
	forget_hits();
	my $run = begin_sql($node, "SELECT * FROM pitr_create_dump('shop', at => '$point')");
	ok(wait_for_hit('dump.before_object', 30), 'a dump is under way');
	my ($dumper) = grep { $_->{arguments} =~ m{/pg_dump } } processes_of($node);
	kill 'STOP', $dumper->{pid};
	clear_faults();
	return ($run, $dumper->{pid}, value(q{SELECT id FROM pitr_dumps WHERE state = 'running'}));
}
sub nothing_is_left
{
	my ($id, $pid, $what) = @_;
	ok(wait_until(10, sub { !is_alive($pid) }), "$what: pg_dump is gone");
	is(objects_of($id), 0, "$what: no object is left");
	is(value("SELECT state FROM pitr_dumps WHERE id = '$id'"), 'failed', "$what: pitr_dumps says so");
	return;
}
my ($run, $pid, $id) = stand_still();
my $began = time;
is(value('SELECT pitr_cancel_operation(' . "'" . ($id =~ s/^dp/op/r) . "')"), 't', 'cancelled');
my ($rc, $out, $err) = end_sql($run);
like($err, qr/57014/, 'which is what the caller hears');
cmp_ok(time - $began, '<', 2.5, 'soon');
nothing_is_left($id, $pid, 'cancel');

($run, $pid, $id) = stand_still();
kill 'KILL', $pid;
($rc, $out, $err) = end_sql($run);
like($err, qr/58030.*pg_dump was ended by signal 9/s, 'pg_dump is killed');
nothing_is_left($id, $pid, 'pg_dump killed');

($run, $pid, $id) = stand_still();
kill 'KILL', find_process($node, 'child');
($rc, $out, $err) = end_sql($run);
like($err, qr/XX000.*signal 9/s, 'the child is killed');
kill 'CONT', $pid;
nothing_is_left($id, $pid, 'child killed');

($run, $pid, $id) = stand_still();
rename $repository, "$repository.away" or die "rename: $!";
kill 'CONT', $pid;
($rc, $out, $err) = end_sql($run);
rename "$repository.away", $repository or die "rename: $!";
like($err, qr/ERROR:  (58030|08006|55000)/, 'the repository goes away');
unlike($err, qr/pg_dump of database/, '... which is not the fault of pg_dump');
is(value("SELECT state FROM pitr_dumps WHERE id = '$id'"), 'failed', '... and no dump');

my $good = value(q{SELECT count(*) FROM pitr_dumps WHERE state = 'verified'});
foreach my $fault (qw(dump.after_object dump.before_manifest dump.after_manifest))
{
	arm_only("$fault kill");
	my $refusal = refusal($node, "SELECT * FROM pitr_create_dump('shop', at => '$point')");
	is($refusal->{sqlstate}, 'XX000', "$fault kill") or diag($refusal->{err});
	clear_faults();
	is(value(q{SELECT count(*) || ' ' || count(*) FILTER (WHERE state NOT IN ('verified', 'failed')) FROM pitr_dumps WHERE state <> 'failed'}), "$good 0", '... is no dump');
}
is(scalar(grep { my @in = glob "$_/*"; @in && !-e "$_/manifest" } glob "$repository/dumps/*"), 0, 'no object without a manifest');
arm_only('dump.before_object enospc');
is(refusal($node, "SELECT * FROM pitr_create_dump('shop', at => '$point')")->{sqlstate}, '53100', 'a repository that is full');
clear_faults();
arm_only('dump.restored kill');
is(refusal($node, "SELECT * FROM pitr_restore_dump('$past->{id}', 'x')")->{sqlstate}, 'XX000', 'the child of a restore is killed');
clear_faults();
is(value(q{SELECT count(*) FROM pg_database WHERE datname ~ '^(x$|pitr_restoring)'}), 0, 'there is no database then');

# --- one byte ---
my ($object) = "$repository/dumps/$past->{id}/000001";
my $byte = sub { open(my $file, '+<', $object) or die "$object: $!"; seek($file, 4000, 0); read($file, my $was, 1); seek($file, 4000, 0); print $file chr(ord($was) ^ 1); close $file; };
$byte->();
my $damaged = pitr('dump-get', $past->{id}, '--output', "$files/damaged");
is($damaged->{rc}, 200, 'a damaged object is not given out');
like($damaged->{err}, qr{dumps/$past->{id}/000001}, '... and named');
ok(!-e "$files/damaged" && !-e "$files/damaged.part", '... and no file is left');
my $refused = refusal($node, "SELECT * FROM pitr_restore_dump('$past->{id}', 'x')");
is($refused->{sqlstate}, 'XX001', 'nor restored') or diag($refused->{err});
like($refused->{err}, qr{dumps/$past->{id}/000001}, '... and named');
like(value(q{SELECT string_agg(kind || ' ' || object, ', ') FROM pitr_verify() WHERE NOT ok}), qr/^dump $past->{id}$/, 'pitr_verify finds it');
$byte->();
is(value(q{SELECT count(*) FROM pg_database WHERE datname ~ '^(x$|pitr_restoring)'}), 0, 'nothing is left of that');

# --- less than there was ---
value('DELETE FROM orders WHERE id > 100', 'shop');
my $small = dump_row("'shop', wait => false");
is($small->{state}, 'running', 'not waited for');
value("SELECT pitr_wait_operation('" . ($small->{id} =~ s/^dp/op/r) . "')");
is(value("SELECT state || ': ' || detail FROM pitr_dumps WHERE id = '$small->{id}'") =~ s/ bytes, \d+/ bytes, n/r =~ s/\d+ bytes/n bytes/r,
	"suspicious: database \"shop\" has 84 rows, 15009 in dump $all->{id}; database \"shop\" has n bytes, n in dump $all->{id}", 'a dump that shrank is flagged') or diag($small->{_err});
($rc, $out, $err) = $node->psql('postgres', "SELECT freed_bytes > 0 FROM pitr_delete_dump('$past->{id}')");
is($out, 't', 'one that others are newer than');
unlike($err, qr/NOTICE/, '... goes without words');
($rc, $out, $err) = $node->psql('postgres', "SELECT freed_bytes > 0 FROM pitr_delete_dump('$all->{id}')");
like($err, qr/NOTICE:  it was the newest verified dump of database "postgres", "shop"/, 'the last good one not');
is(objects_of($past->{id}) + objects_of($all->{id}), 0, 'nothing is left of them');
is(value("SELECT outcome FROM pitr_audit WHERE function = 'pitr_delete_dump' ORDER BY at DESC LIMIT 1"), 'done', 'in pitr_audit');
arm_only('dump.before_remove error');
isnt(refusal($node, "SELECT * FROM pitr_delete_dump('$folder->{id}')")->{sqlstate}, '', 'a deletion that dies');
clear_faults();
is(value("SELECT count(*) FROM pitr_dumps WHERE id = '$folder->{id}'"), 0, '... has deleted it');
ok(no_look_is_left($node, $place), 'no server of the past is left');
is(unexpected_log_lines($node, 0, qr/ERROR:/, qr/could not (remove|note|record)/, qr/terminating connection/, qr/connection to client lost/), '', 'nothing unexpected in the log');
$node->stop;

# --- nothing can be read in an encrypted repository, although nothing is compressed ---
mkdir "$files/keys", 0700;
append_to_file("$files/keys/key", '0a' x 32 . "\n");
chmod 0600, "$files/keys/key";
$node = pitr_node('sealed', conf => "pitr.encryption_key_file = '$files/keys/key'\npitr.snapshot_compression_level = 0\npitr.demand_load = off\n");
$repository = repository_of($node);
value(q{CREATE TABLE secrets AS SELECT 'unmistakable' || g AS word FROM generate_series(1, 1000) g});
my $sealed = dump_row(q{'postgres'});
is($sealed->{state}, 'verified', 'a dump into an encrypted repository') or diag($sealed->{_err});
is(scalar(grep { slurp_file($_) =~ /unmistakable|PITRobj1|PGDMP|CREATE/ } glob "$repository/dumps/*/*"), 0, 'shows nothing');
is(pitr('dump-get', $sealed->{id}, '--output', "$files/sealed")->{rc}, 200, 'nor without the key');
is(pitr('dump-get', $sealed->{id}, '--output', "$files/sealed", '--encryption-key-file', "$files/keys/key")->{rc}, 0, 'with it');
like(slurp_file("$files/sealed"), qr/\APGDMP.*unmistakable1000/s, '... all of it');
ok(no_look_is_left($node, abs_path($node->data_dir) . '.pitr'), 'no server of the past is left');
$node->stop;
done_testing();

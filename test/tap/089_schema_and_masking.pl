# Branches without rows, a root line of their own; branches whose data a script has changed before anybody could connect.
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
my $node = pitr_node('main', conf => "pitr.branch_ports = '6440-6459'\nmax_prepared_transactions = 4\n", init => { extra => ['--data-checksums'] });
my $place = abs_path($node->data_dir) . '.pitr';
my $tablespace = PostgreSQL::Test::Utils::tempdir('stones');
sub value { return $node->safe_psql('postgres', $_[0]); }
sub create { my ($arguments) = @_; return psql_row($node, "SELECT * FROM pitr_create_branch($arguments)"); }

# pg_dumpall without what differs: where tablespaces are.
sub schema_of
{
	my ($server) = @_;
	my ($out, $err);
	IPC::Run::run([ 'pg_dumpall', '--schema-only', '-d', $server->connstr('postgres') ], '>', \$out, '2>', \$err) or die "pg_dumpall: $err";
	$out =~ s{^(CREATE TABLESPACE \S+ OWNER \S+ LOCATION) .*}{$1}mg;
	return join "\n", grep { !/^\\(un)?restrict|^-- (Started|Completed|Dumped)/ } split /\n/, $out;
}

# Roles, databases and schemas of all sorts.
value("CREATE TABLESPACE aside LOCATION '$tablespace'");
value($_) foreach (
	q{CREATE ROLE owner LOGIN PASSWORD 'secret' CONNECTION LIMIT 5},
	q{CREATE ROLE "odd ""role" IN ROLE owner}, q{CREATE ROLE reader}, q{GRANT pg_read_all_data TO reader},
	q{ALTER ROLE owner SET work_mem = '9MB'},
	q{CREATE DATABASE shop OWNER owner ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0 TABLESPACE aside},
	q{CREATE DATABASE "odd 'db" TEMPLATE template0}, q{CREATE DATABASE german TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de'},
	(value('SHOW server_version_num') >= 170000 ? q{CREATE DATABASE built_in TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'} : ()),
	q{ALTER DATABASE shop SET search_path = inner_things, public}, q{ALTER ROLE owner IN DATABASE shop SET maintenance_work_mem = '99MB'},
	q{ALTER DATABASE postgres SET default_transaction_read_only = off}, q{COMMENT ON DATABASE postgres IS 'ours'},
	q{REVOKE CONNECT ON DATABASE shop FROM PUBLIC}, q{GRANT CONNECT ON DATABASE shop TO reader});
$node->safe_psql('shop', $_) foreach (
	q{CREATE SCHEMA inner_things AUTHORIZATION owner},
	q{CREATE TABLE inner_things.people (id serial PRIMARY KEY, email text UNIQUE NOT NULL, born date CHECK (born > '1800-01-01')) TABLESPACE aside},
	q{ALTER TABLE inner_things.people OWNER TO owner},
	q{CREATE TABLE inner_things.parted (at date, v int) PARTITION BY RANGE (at)}, q{CREATE TABLE inner_things.parted_a PARTITION OF inner_things.parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')},
	q{CREATE INDEX lower_email ON inner_things.people (lower(email))},
	q{CREATE FUNCTION inner_things.count_people() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM inner_things.people; END},
	q{CREATE VIEW inner_things.emails AS SELECT email FROM inner_things.people}, q{CREATE MATERIALIZED VIEW inner_things.many AS SELECT count(*) FROM inner_things.people},
	q{GRANT SELECT ON inner_things.people TO reader}, q{CREATE EXTENSION pg_trgm SCHEMA inner_things}, q{CREATE PUBLICATION news FOR TABLE inner_things.people},
	q{ALTER TABLE inner_things.people ENABLE ROW LEVEL SECURITY}, q{CREATE POLICY own ON inner_things.people TO reader USING (id > 0)},
	q{CREATE COLLATION inner_things.mine (provider = icu, locale = 'de')},
	q{CREATE DOMAIN inner_things.small AS int CHECK (VALUE < 10)}, q{CREATE TYPE inner_things.mood AS ENUM ('good', 'bad')},
	q{DO $$ BEGIN FOR i IN 1..200 LOOP EXECUTE format('CREATE TABLE inner_things.t%s (a int PRIMARY KEY, b text DEFAULT %L)', i, 'x''y' || i); END LOOP; END $$},
	q{INSERT INTO inner_things.people (email) SELECT 'person' || g || '@example.com' FROM generate_series(1, 3000) g}, q{ANALYZE});
my $early = { time => text_time($node), schema => schema_of($node) };
sleep 0.05;
$node->safe_psql('shop', q{CREATE TABLE inner_things.later (x int); INSERT INTO inner_things.later VALUES (1)});

# --- schema only ---
# A transaction that holds a lock at that moment, and one that is prepared, keep nobody waiting.
my $holder = begin_sql($node, q{BEGIN; LOCK inner_things.people; SELECT pg_sleep(600)}, '\c shop');
ok(poll_until($node, q{SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = 'shop')}, 1), 'somebody has locked a table');
$node->safe_psql('shop', q{BEGIN; DROP TABLE inner_things.t1; PREPARE TRANSACTION 'waits'});
my $shape = create(q{'shape', schema_only => true});
is($shape->{state}, 'running', 'a branch without rows') or diag($shape->{_err});
is("$shape->{kind}|$shape->{parent}|$shape->{fork_lsn}", 'schema_only||', 'of its own kind, without a parent');
my $shape_node = branch_node($node, 'shape');
is(value(q{SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND pid IN (SELECT pid FROM pg_stat_activity WHERE query LIKE '%LOCK inner_things%')}), 1, 'the lock was held all the while');
$holder->{handle}->kill_kill;
value(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LOCK inner_things%' AND pid <> pg_backend_pid()});
$node->safe_psql('shop', q{ROLLBACK PREPARED 'waits'});
is(schema_of($shape_node), schema_of($node), 'roles, databases, schemas: as the source says') or do { write_file_of('a', schema_of($node)); write_file_of('b', schema_of($shape_node)); };
sub write_file_of { my ($name, $text) = @_; open(my $f, '>', "$ENV{TESTDATADIR}/$name") or return; print $f $text; close $f; diag(scalar `diff $ENV{TESTDATADIR}/a $ENV{TESTDATADIR}/b | head -40`) if $name eq 'b'; return; }
is($shape_node->safe_psql('shop', 'SELECT count(*) FROM inner_things.people'), 0, 'and no rows');
is($shape_node->safe_psql('shop', q{SELECT nextval('inner_things.people_id_seq')}), 1, 'sequences begin anew');
is($shape_node->safe_psql('postgres', 'SHOW data_checksums'), 'on', 'checksums as there');
is($shape_node->safe_psql('postgres', q{SELECT rolpassword FROM pg_authid WHERE rolname = 'owner'}), value(q{SELECT rolpassword FROM pg_authid WHERE rolname = 'owner'}), 'passwords as there');
isnt($shape_node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()'), value('SELECT system_identifier FROM pg_control_system()'), 'a cluster of its own');
is($shape_node->safe_psql('postgres', q{SELECT string_agg(spcname, ' ') FROM pg_tablespace WHERE pg_tablespace_location(oid) LIKE '%/' || (SELECT id FROM pitr_branches WHERE is_self) || '/%'}), 'aside', 'a place of its own for the tablespace');
is(join(' ', glob("$place/*.pitr/br-*")), '', 'nothing of the server at the point is left');
is($shape_node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing wrong there');

# Restorable at once, branched from, by itself and from the other side.
$shape_node->safe_psql('shop', q{INSERT INTO inner_things.people (email) VALUES ('first@example.com')});
my $filled = { time => text_time($shape_node), contents => contents($shape_node) };
sleep 0.05;
$shape_node->safe_psql('shop', 'TRUNCATE inner_things.people');
is(restore($shape_node, "SELECT * FROM pitr_restore_branch('$filled->{time}')")->{outcome}, 'done', 'it is restored in place');
is(contents($shape_node), $filled->{contents}, 'with what there was then');
my $leaf = create(q{'leaf', 'shape'});
is("$leaf->{parent} $leaf->{state}", 'shape running', 'branched from') or diag($leaf->{_err});
is(contents(branch_node($node, 'leaf')), $filled->{contents}, 'with its rows');
is(refusal($node, q{SELECT * FROM pitr_restore_branch('leaf', 'main')})->{sqlstate}, 'PI004', 'it is another root line: nothing of main is restored into it');
is(refusal($node, q{SELECT * FROM pitr_reset_branch('shape')})->{sqlstate}, '55000', 'nor is a root reset');
is($shape_node->safe_psql('postgres', q{SELECT state FROM pitr_stop_branch('leaf'), pitr_branches WHERE name = 'leaf'}) ne '', 1, 'its server stops others');
is($shape_node->safe_psql('postgres', q{SELECT name FROM pitr_delete_branch('leaf')}), 'leaf', 'and deletes them');
is(value(q{SELECT name FROM pitr_delete_branch('shape')}), 'shape', 'it is deleted');
is(value(q{SELECT state FROM pitr_undelete_branch('shape')}), 'running', 'and brought back');
is(contents(branch_node($node, 'shape')), $filled->{contents}, 'with what it had');
value(q{SELECT pitr_delete_branch('shape', force => true)});
my $past = create("'past shape', 'main\@$early->{time}', schema_only => true, start => false");
is($past->{state}, 'stopped', 'of a past point, not started') or diag($past->{_err});
value(q{SELECT pitr_start_branch('past shape')});
is(schema_of(branch_node($node, 'past shape')), $early->{schema}, 'as it was then');
value(q{SELECT pitr_delete_branch('past shape', force => true)});

# --- masked ---
my $secret = 'person17@example.com';
my $script = <<'SQL';
-- two databases
CREATE TABLE masked_marker (at timestamptz DEFAULT now());
\connect shop
UPDATE inner_things.people
   SET email = 'masked' || id;
TRUNCATE inner_things.later;
VACUUM FULL inner_things.people;
REFRESH MATERIALIZED VIEW inner_things.many;
SQL
my $masked = create("'masked', masking_script => \$mask\$$script\$mask\$");
is($masked->{state}, 'running', 'a masked branch') or diag($masked->{_err});
is($masked->{parent}, 'main', 'a child');
my $masked_node = branch_node($node, 'masked');
is($masked_node->safe_psql('shop', q{SELECT count(*) || ' ' || count(*) FILTER (WHERE email ~ '^masked\d+$') FROM inner_things.people}), '3000 3000', 'every row is masked');
is($masked_node->safe_psql('postgres', 'SELECT count(*) FROM masked_marker'), 0, 'the script began in the database of the call');
is($masked_node->safe_psql('shop', q{SELECT count(*) FROM pg_stats WHERE schemaname = 'inner_things' AND tablename = 'people'}), 0, 'statistics hold nothing of before');
is($node->safe_psql('shop', q{SELECT count(*) FROM inner_things.people WHERE email LIKE 'person%'}), 3000, 'the source is as it was');
ok(poll_until($masked_node, q{SELECT count(*) > 0 FROM pitr_snapshots s JOIN pitr_branches b ON b.name = s.branch WHERE b.is_self AND s.state = 'ok'}, 't', 60), 'it has a snapshot of its own');
my $hits = 0;
foreach my $file (glob("$masked->{directory}/pg_wal/0000*"))
{
	$hits++ if -f $file && slurp_file($file) =~ /\Q$secret\E/;
}
is($hits, 0, 'its WAL holds nothing of before');
my $wal_of = sub { my ($id) = @_; return glob(repository_of($node) . "/branches/$id/wal/0*/*"); };
is(scalar(grep { /\.partial$/ } $wal_of->($masked->{id})), 0, 'nor does its archive');

# Its past begins behind the script; nobody brings what is not masked into it, nor takes it from there.
$masked_node->safe_psql('shop', q{INSERT INTO inner_things.people (email) VALUES ('of masked')});
my $own = { time => text_time($masked_node), contents => contents($masked_node) };
sleep 0.05;
$masked_node->safe_psql('shop', q{DELETE FROM inner_things.people});
foreach my $case (
	[ $masked_node, "pitr_restore_branch('masked', '^self\@$early->{time}')", 'PI003' ], [ $masked_node, "pitr_restore_branch('$early->{time}')", 'PI003' ],
	[ $masked_node, q{pitr_restore_branch('masked', '^parent')}, '42501' ], [ $masked_node, q{pitr_reset_branch('masked')}, '42501' ],
	[ $masked_node, q{pitr_create_branch('x', '^parent')}, '42501' ], [ $masked_node, "pitr_create_branch('x', 'main\@$early->{time}')", '42501' ],
	[ $masked_node, q{pitr_create_branch('x', 'main', schema_only => true)}, '42501' ],
	[ $node, q{pitr_restore_branch('masked', 'main')}, '42501' ], [ $node, q{pitr_reset_branch('masked')}, '42501' ], [ $node, q{pitr_restore_branch('main', 'masked')}, '55000' ])
{
	my ($server, $call, $sqlstate) = @$case;
	my $refusal = refusal($server, "SELECT * FROM $call");
	is($refusal->{sqlstate}, $sqlstate, "$call: $sqlstate") or diag($refusal->{err});
}
is(plan_of($masked_node, q{'masked', '^parent'})->{sqlstate}, '42501', 'the plan says the same');
my $back = restore($masked_node, "SELECT * FROM pitr_restore_branch('$own->{time}')");
is($back->{outcome}, 'done', 'its own past it has') or diag($back->{_err});
is(contents($masked_node), $own->{contents}, 'with what there was then');
is(undo($masked_node)->{outcome}, 'done', 'undone');
# Who attaches a schema there sees no more than that.
if ($masked_node->safe_psql('shop', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'}))
{
	$masked_node->safe_psql('shop', 'CREATE EXTENSION postgres_fdw; CREATE EXTENSION IF NOT EXISTS pitr_ext');
	is(refusal($masked_node, "SELECT * FROM pitr_attach_schema('$_', 'then', 'inner_things')", 'shop')->{sqlstate}, '42501', "$_ is not masked") foreach '^parent', "main\@$early->{time}";
	$masked_node->safe_psql('shop', "SELECT * FROM pitr_attach_schema('^self\@$own->{time}', 'then', 'inner_things')");
	is($masked_node->safe_psql('shop', q{SELECT count(*) || ' ' || count(*) FILTER (WHERE email ~ '^(masked\d+|of masked)$') FROM "then".people}), '3001 3001', 'its own past is');
	$masked_node->safe_psql('shop', q{SELECT pitr_detach_schema('then')});
}
my $second = psql_row($masked_node, q{SELECT * FROM pitr_create_branch('masked child', 'masked')});
is($second->{state}, 'running', 'a branch of it') or diag($second->{_err});
is(refusal($node, q{SELECT * FROM pitr_restore_branch('masked child', 'main')})->{sqlstate}, '42501', 'is masked as well');
is(restore(branch_node($node, 'masked child'), "SELECT * FROM pitr_restore_branch('masked child', 'masked\@$own->{time}')")->{outcome}, 'done', 'but has the past of what it was made from');
value(q{SELECT pitr_delete_branch('masked', cascade => true)}) if value(q{SELECT count(*) FROM pitr_branches WHERE parent = 'masked' AND deleted_at IS NULL}) == 1;

# --- a script that fails: no branch, its line and SQLSTATE ---
foreach my $case (
	[ "SELECT 1;\n\nSELECT *\nFROM nowhere", qr/line 4: relation "nowhere" does not exist.*42P01/s ],
	[ "SELECT 1;\nDO \$\$ BEGIN RAISE 'no' USING ERRCODE = 'XY123'; END \$\$", qr/line 2: no.*XY123/s ],
	[ "BEGIN;\nSELECT 1", qr/line 2: a transaction is left open/ ], [ "SELECT 1;\n\\connect nobody", qr/line 2: .*"nobody" does not exist/ ],
	[ "COPY pg_class TO STDOUT", qr/line 1: COPY/ ])
{
	my ($bad, $text) = @$case;
	my $refusal = refusal($node, "SELECT * FROM pitr_create_branch('bad', masking_script => \$mask\$$bad\$mask\$)");
	is($refusal->{sqlstate}, '22023', 'a script that fails') or diag($refusal->{err});
	like($refusal->{err}, $text, '... says where and why');
}
foreach my $bad ("\\! true", "SELECT 'open")
{
	is(refusal($node, "SELECT * FROM pitr_create_branch('bad', masking_script => \$mask\$$bad\$mask\$)")->{sqlstate}, '22023', 'a script that is none');
}
is(refusal($node, q{SELECT * FROM pitr_create_branch('bad', schema_only => true, masking_script => 'SELECT 1')})->{sqlstate}, '22023', 'nothing to mask without rows');
is(value(q{SELECT count(*) FROM pitr_branches WHERE name = 'bad'}), 0, 'no branch of it');
is(join(' ', glob($node->data_dir . '/pitr/cache/masking-*')), '', 'and no script lies about');
# With the rights of who asked, not with the server's.
value(q{CREATE ROLE operator LOGIN; GRANT EXECUTE ON FUNCTION pitr_create_branch(text, text, boolean, boolean, text, timestamptz, boolean, jsonb, boolean) TO operator});
my ($rc, $out, $err) = $node->psql('postgres', q{SET SESSION AUTHORIZATION operator; SELECT name FROM pitr_create_branch('bad', masking_script => 'RESET SESSION AUTHORIZATION; COPY (SELECT 1) TO PROGRAM ''true''')}, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($err, qr/42501/, 'the script runs as the role that asked for it');
# A death on the way leaves nothing.
foreach my $case ([ 'masking.done', q{'bad', masking_script => 'SELECT 1'} ], [ 'schema.loaded', q{'bad', schema_only => true} ])
{
	my ($point, $arguments) = @$case;
	my $before = join ' ', glob("$place/*");
	forget_hits();
	arm_only("$point kill");
	end_sql(begin_sql($node, "SELECT * FROM pitr_create_branch($arguments)"));
	clear_faults();
	ok(fault_hit($point), "$point kill: met");
	ok(ensure_running($node), '... the server answers');
	ok(wait_until(30, sub { value(q{SELECT count(*) FROM pitr_branches WHERE name = 'bad'}) == 0 && join(' ', glob("$place/*")) eq $before }), '... nothing is left') or diag("$before\n" . join ' ', glob("$place/*"));
}
$node->stop;
done_testing();

# Schemas and rows of two points side by side: pitr_schema_of, pitr_schema_diff, pitr_data_diff. pg_dump of the live server is what texts are compared with.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use FaultTest;
use LookTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 1;
my $node = pitr_node('main', conf => "pitr.branch_ports = '6480-6483'\npitr.time_travel_idle_timeout = 60\n");
sub value { return $node->safe_psql('postgres', $_[0]); }
sub in_shop { return $node->safe_psql('shop', $_[0]); }
sub refused
{
	my ($statement, $sqlstate, $text, $role, $database) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $refusal = refusal($node, '\c ' . ($database // 'postgres') . "\n" . ($role ? "SET ROLE $role; " : '') . "SELECT * FROM $statement");
	is($refusal->{sqlstate}, $sqlstate, "$statement: $sqlstate") or diag($refusal->{err});
	like($refusal->{err}, $text, '... and says so');
	return;
}
# Without what is of each run its own.
sub text_of
{
	my ($database) = @_;
	my ($out, $err);
	IPC::Run::run([ 'pg_dump', '--schema-only', '-d', $node->connstr($database) ], '>', \$out, '2>', \$err) or die "pg_dump: $err";
	return join '', map { "$_\n" } grep { !/^\\(un)?restrict |^-- Dumped / } split /\n/, $out;
}

value('CREATE ROLE clerk; CREATE ROLE reader; CREATE DATABASE shop');
value('GRANT pg_read_all_data TO reader');
value("GRANT EXECUTE ON FUNCTION $_ TO clerk, reader") foreach ('pitr_schema_of(text, text, text)', 'pitr_schema_diff(text, text, text)', 'pitr_data_diff(text, text, text, text)');
in_shop('CREATE EXTENSION pitr_ext');
in_shop("GRANT EXECUTE ON FUNCTION $_ TO clerk, reader") foreach ('pitr_schema_of(text, text, text)', 'pitr_schema_diff(text, text, text)', 'pitr_data_diff(text, text, text, text)');
in_shop(q{CREATE TABLE goods (id int, kind text, name text, price numeric(8,2), seen timestamptz DEFAULT '2026-01-01 00:00Z', PRIMARY KEY (kind, id));
	CREATE TABLE loose (a int); CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY HASH (id); CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0);
	CREATE TABLE unique_only (a int NOT NULL, b text); CREATE UNIQUE INDEX unique_only_a ON unique_only (a); ALTER TABLE unique_only REPLICA IDENTITY USING INDEX unique_only_a;
	CREATE TABLE rekeyed (a int PRIMARY KEY, b int NOT NULL); CREATE VIEW cheap AS SELECT * FROM goods WHERE price < 1;
	CREATE TABLE "odd ""one" ("the 'key" text PRIMARY KEY, "va lue" bytea);
	INSERT INTO goods SELECT g, CASE WHEN g % 2 = 0 THEN 'Äpfel' ELSE 'birnen' END, 'n' || g, g FROM generate_series(1, 3000) g;
	INSERT INTO parted SELECT g, 'v' || g FROM generate_series(1, 100) g; INSERT INTO unique_only SELECT g, 'b' FROM generate_series(1, 10) g;
	INSERT INTO "odd ""one" VALUES ('it''s \ "quoted"', '\x00ff'), (E'a\tb', NULL)});
my %schema = map { $_ => text_of($_) } qw(postgres shop);
my $early = text_time($node);
sleep 0.05;
my $dev = psql_row($node, q{SELECT * FROM pitr_create_branch('dev')});
is($dev->{state}, 'running', 'a branch') or diag($dev->{_err});

# --- a schema ---
is(value(qq{SELECT rtrim(schema_text, E'\\n') FROM pitr_schema_of('main\@$early', database => 'shop')}), $schema{shop} =~ s/\n+\z//r, 'the schema of a point is what pg_dump said then');
is(value(q{SELECT string_agg(database, ' ') FROM pitr_schema_of()}), 'postgres shop', 'of all databases without a name');
is(value(qq{SELECT string_agg(t->>'schema' || '.' || (t->>'name') || '(' || (SELECT string_agg((c->>'name') || ' ' || (c->>'type'), ', ') FROM jsonb_array_elements(t->'columns') c) || ')', ' ') FROM pitr_schema_of('dev', 'json', 'shop'), jsonb_array_elements(schema_text::jsonb->'tables') t WHERE t->>'name' IN ('goods', 'loose')}),
	'public.goods(id integer, kind text, name text, price numeric(8,2), seen timestamp with time zone) public.loose(a integer)', 'as JSON: tables, columns, types; of a branch');
is(value(q{SELECT count(*) FROM pitr_schema_diff('^self', 'dev')}), 0, 'nothing differs: no row');

# --- what differs ---
in_shop(q{ALTER TABLE goods ADD COLUMN later int DEFAULT 5; DROP TABLE loose; CREATE TABLE fresh (id bigint PRIMARY KEY); ALTER TABLE rekeyed DROP CONSTRAINT rekeyed_pkey, ADD PRIMARY KEY (a, b)});
value('CREATE DATABASE added');
my $id = value(q{SELECT id FROM pitr_branches WHERE is_self});
my $dev_id = branch_of($node, 'dev')->{id};
my $diff = in_shop(qq{SELECT diff FROM pitr_schema_diff('main\@$early', 'main', 'shop')});
like($diff, qr/^--- Database: shop \(Branch: \Q$id\E at \Q$early\E\)\n\+\+\+ Database: shop \(Branch: \Q$id\E\)\n\@\@/, 'with Neon\'s headers');
my @lines = grep { /^[-+] *(CREATE TABLE|later| +later)/ } split /\n/, $diff;
is(join('|', map { s/ +/ /gr } sort @lines), '+ later integer DEFAULT 5|+CREATE TABLE public.fresh (|-CREATE TABLE public.loose (', 'what came and what went') or diag($diff);
is(value(qq{SELECT string_agg(database, ' ') FROM pitr_schema_diff('main\@$early', 'main')}), 'shop added', 'of all databases: where something differs, also one that only the second has');
is(branch_node($node, 'dev')->safe_psql('postgres', q{SELECT string_agg(database, ' ') FROM pitr_schema_diff()}), 'added shop', 'without arguments: the parent against the branch');
my $seen = value(q{SELECT diff FROM pitr_schema_diff('dev', '^parent', 'shop')});
like($seen, qr/^--- Database: shop \(Branch: \Q$id\E\)\n\+\+\+ Database: shop \(Branch: \Q$dev_id\E\)/, 'the parent is the base, wherever it stands');
refused('pitr_schema_diff()', 'PI009', qr/Branch has no parent/);
refused(q{pitr_schema_diff('nobody')}, '42704', qr/Branch nobody not found/);
refused(q{pitr_schema_diff('main@yesterday')}, '22P02', qr/Invalid source branch format - main\@yesterday/);
refused(qq{pitr_schema_diff('main\@$early', 'main', 'added')}, '3D000', qr/"added" did not exist at that point/);
refused(q{pitr_schema_of('main', 'xml')}, '22023', qr/'sql' or 'json', not 'xml'/);
refused(q{pitr_schema_of('main', database => 'shop')}, '42501', qr/permission denied for table/, 'clerk');
is(value(q{SET ROLE reader; SELECT count(*) FROM pitr_schema_of('main', database => 'shop')}), 1, 'who may read all tables gets it');
my $holder = begin_sql($node, q{BEGIN; LOCK goods; SELECT pg_sleep(600)}, '\c shop');
ok(poll_until($node, q{SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = 'shop')}, 1), 'somebody has locked a table');
in_shop('CREATE TABLE flushes (a int)');    # and with it the lock is in the WAL
my $began = time;
is(refusal($node, q{SET statement_timeout = '900ms'; SELECT * FROM pitr_schema_of('main', database => 'shop')})->{sqlstate}, '57014', 'which is waited for, cancelled');
cmp_ok(time - $began, '<', 10, 'at once');
refused(q{pitr_schema_of('main', database => 'shop')}, '42501', qr/canceling statement due to statement timeout.*HINT:.*going on at that point/s);
$holder->{handle}->kill_kill;
value(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LOCK goods%' AND pid <> pg_backend_pid()});

# --- rows ---
in_shop(q{DELETE FROM goods WHERE id IN (5, 6); UPDATE goods SET price = 0.5 WHERE id IN (8, 9, 2999); INSERT INTO goods (id, kind, name) VALUES (3001, 'zwetschgen', NULL);
	UPDATE parted SET v = 'other' WHERE id = 7; DELETE FROM unique_only WHERE a = 3; UPDATE "odd ""one" SET "va lue" = '\x01' WHERE "va lue" IS NULL});
sub differences { my ($arguments) = @_; return in_shop("SELECT op, key, old_row->>'price', new_row->>'price', new_row->>'later' FROM pitr_data_diff($arguments) ORDER BY (key->>'id')::int"); }
is(differences(qq{'goods', 'main\@$early'}), join("\n", 'delete|{"id": 5, "kind": "birnen"}|5.00||', 'delete|{"id": 6, "kind": "Äpfel"}|6.00||', 'update|{"id": 8, "kind": "Äpfel"}|8.00|0.50|5', 'update|{"id": 9, "kind": "birnen"}|9.00|0.50|5',
		'update|{"id": 2999, "kind": "birnen"}|2999.00|0.50|5', 'insert|{"id": 3001, "kind": "zwetschgen"}|||5'), 'deleted, changed and new rows; a column that is new changes none');
is(differences(qq{'goods', 'main', 'main\@$early'}) =~ s/\|.*//gr, join("\n", qw(insert insert update update update delete)), 'the other way round');
is(differences(q{'goods', 'main', '^self'}), '', 'nothing differs: no row');
is(in_shop(qq{SELECT op, key, old_row->>'v', new_row->>'v' FROM pitr_data_diff('public.parted', 'dev')}), 'update|{"id": 7}|v7|other', 'a partitioned table; of a branch');
is(in_shop(qq{SELECT op, key FROM pitr_data_diff('unique_only', 'dev')}), 'delete|{"a": 3}', 'by the replica identity');
is(in_shop(qq{SELECT op, key->>'the ''key', old_row->>'va lue', new_row->>'va lue' FROM pitr_data_diff('"odd ""one"', 'dev')}), "update|a\tb||\\x01", 'any name');
is(value(q{SELECT count(*) FROM pitr_data_diff('parted', 'dev', database => 'shop')}), 1, 'of another database');
# What is told makes one side of the other.
in_shop(qq{CREATE TABLE told AS SELECT * FROM pitr_data_diff('goods', 'main\@$early')});
is(in_shop(qq{SELECT count(*), md5(string_agg(r::text, ',' ORDER BY id)) FROM (SELECT id, to_jsonb(g) - 'later' AS r FROM goods g WHERE NOT EXISTS (SELECT 1 FROM told t WHERE t.key = jsonb_build_object('id', g.id, 'kind', g.kind)) UNION ALL SELECT (key->>'id')::int, old_row FROM told WHERE old_row IS NOT NULL) q}),
	in_shop(qq{SELECT count(*), md5(string_agg(r::text, ',' ORDER BY id)) FROM pitr_query_at('main\@$early', 'SELECT id, to_jsonb(g) FROM goods g') AS q(id int, r jsonb)}), 'the past is the present without what differs, and what it was');
refused(qq{pitr_data_diff('fresh', 'main\@$early')}, '42P01', qr/"fresh" does not exist at ".*\Q$early\E"/, undef, 'shop');
refused(q{pitr_data_diff('loose', 'dev', 'dev')}, '55000', qr/"loose" has no primary key/, undef, 'shop');
refused(q{pitr_data_diff('cheap', 'dev')}, '42809', qr/"cheap" is not a table/, undef, 'shop');
refused(q{pitr_data_diff('rekeyed', 'dev')}, '55000', qr/another key/, undef, 'shop');
refused(q{pitr_data_diff('goods', 'dev')}, '42501', qr/permission denied for table goods/, 'clerk', 'shop');
refused(q{pitr_data_diff('goods', NULL)}, '22023', qr/must not be null/, undef, 'shop');
is(refusal($node, qq{SET temp_file_limit = '1MB'; SELECT count(*) FROM pitr_data_diff('parted', 'main', 'main\@$early', 'shop')})->{sqlstate} // '', '', 'small results need no file');
my @left = glob($node->data_dir . '.pitr/look-*/texts-*');
is("@left", '', 'no text is left anywhere');
$node->stop;
done_testing();

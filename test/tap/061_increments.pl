# Increments: after each one of a random workload a restore that begins from it is compared with what was recorded, and at the end the
# directory with the server's own, page by page. The judges are those of rules.md 1: hashes of rows, index-only against sequential scans
# (a visibility bit that was not cleared shows nowhere else), amcheck, pg_checksums.
#
# PITR_SEED repeats a workload. PITR_SWEEP=full: many rounds, and PostgreSQL's regression suite among them.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PageCompare;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $sweep = ($ENV{PITR_SWEEP} // '') eq 'full';
my $seed = $ENV{PITR_SEED} // ($sweep ? time : 4061);
srand $seed;
diag("PITR_SEED=$seed");

my $node;
my $has_amcheck;
my @tables = map { "t$_" } 1 .. 4;
my @databases;
my $names = 0;
my $restored = 0;
my $tablespace;    # its oid

sub sql { my ($sql, $database) = @_; return $node->safe_psql($database // 'postgres', $sql); }
sub table { return $tables[ rand @tables ]; }

sub fill
{
	my ($table, $storage) = @_;
	return sql("CREATE $storage TABLE $table (id serial PRIMARY KEY, k int, v text) WITH (autovacuum_enabled = off);"
		  . "INSERT INTO $table (k, v) SELECT g % 100, repeat(md5(g::text), 3) FROM generate_series(1, 2000) g;"
		  . "CREATE INDEX ON $table (k)");
}

sub snapshot
{
	my ($kind) = @_;
	my $row = psql_row($node, 'SELECT * FROM pitr_create_snapshot()');
	is(($row->{state} // '') . ' ' . ($row->{kind} // ''), "ok $kind", "snapshot: $kind") or diag($row->{_err});
	return $row;
}

# Each changes files in a way of its own.
my %steps = (
	insert => sub { sql('INSERT INTO ' . table() . " (k, v) SELECT g % 100, md5(g::text) FROM generate_series(1, " . int(500 + rand 3000) . ') g') },
	update => sub { sql('UPDATE ' . table() . ' SET v = md5(v) WHERE k = ' . int rand 100) },
	update_key => sub { sql('UPDATE ' . table() . ' SET k = k + 1 WHERE id % ' . int(2 + rand 20) . ' = 0') },
	delete => sub { sql('DELETE FROM ' . table() . ' WHERE k < ' . int rand 50) },
	# The rows are frozen and all visible when the snapshot is taken: the delete clears bits of the visibility map.
	delete_frozen => sub
	{
		my $table = table();
		sql("VACUUM (FREEZE, ANALYZE) $table");
		snapshot('increment');
		sql("DELETE FROM $table WHERE id % 3 = 0");
	},
	cut_tail => sub { my $table = table(); sql("DELETE FROM $table WHERE id > (SELECT max(id) / 2 FROM $table)"); sql("VACUUM $table") },
	# Cut and grown again: the same page numbers with other contents, and pages of zeroes that are in no WAL.
	cut_and_grow => sub
	{
		my $table = table();
		sql("DELETE FROM $table WHERE id > 100");
		sql("VACUUM $table");
		sql("INSERT INTO $table (k, v) SELECT g % 7, repeat('grown', 20) FROM generate_series(1, 4000) g");
	},
	rolled_back => sub { sql('BEGIN; INSERT INTO ' . table() . " (v) SELECT repeat('x', 200) FROM generate_series(1, 2000); ROLLBACK") },
	truncate => sub { my $table = table(); sql("TRUNCATE $table; INSERT INTO $table (k, v) SELECT g, 'new' FROM generate_series(1, 300) g") },
	recreate => sub { my $table = table(); sql("DROP TABLE $table"); fill($table, '') },
	vacuum_full => sub { sql('VACUUM FULL ' . table()) },
	cluster => sub { my $table = table(); sql("CLUSTER $table USING ${table}_pkey") },
	vacuum => sub { sql('VACUUM ' . table()) },
	index => sub { sql('CREATE INDEX ON ' . table() . ' USING ' . (qw(btree hash brin))[ rand 3 ] . ' (k)') },
	reindex => sub { sql('REINDEX TABLE ' . table()) },
	unlogged => sub { sql('CREATE UNLOGGED TABLE u' . ++$names . ' AS SELECT g AS id FROM generate_series(1, 3000) g') },
	logged => sub { fill('l' . ++$names, 'UNLOGGED'); sql("ALTER TABLE l$names SET LOGGED") },
	tablespace => sub { sql('ALTER TABLE ' . table() . ' SET TABLESPACE ' . (rand() < 0.5 ? 'aside' : 'pg_default')) },
	large_object => sub { sql("SELECT lo_from_bytea(0, repeat('large', 20000)::bytea)") },
	database => sub
	{
		my ($name, $strategy) = ('d' . ++$names, (qw(file_copy wal_log))[ rand 2 ]);
		my $template = @databases && rand() < 0.5 ? $databases[-1] : 'template0';
		sql("CREATE DATABASE $name STRATEGY $strategy TEMPLATE $template");
		push @databases, $name;
		sql('CREATE TABLE IF NOT EXISTS inside AS SELECT g AS id FROM generate_series(1, 2000) g', $name);
	},
	in_database => sub { sql('UPDATE inside SET id = id + 1 WHERE id % 5 = 0', $databases[ rand @databases ]) if @databases },
	drop_database => sub { my ($name) = splice @databases, rand @databases, 1; sql("DROP DATABASE $name") if defined $name },
	move_database => sub { sql("ALTER DATABASE $databases[-1] SET TABLESPACE " . (rand() < 0.5 ? 'aside' : 'pg_default')) if @databases },
	crash => sub { $node->stop('immediate'); $node->start },
	checkpoint => sub { sql('CHECKPOINT') });

# What is asked of every table by its index alone and by its heap alone.
sub check_scans
{
	my ($new, $name) = @_;
	my $bad = '';
	foreach my $table (@tables)
	{
		my ($index, $heap) = map { $new->safe_psql('postgres',
				"SET enable_bitmapscan = off; SET $_ = off; SELECT count(id), sum(id) FROM $table WHERE id > 0") } qw(enable_seqscan enable_indexscan);
		$bad .= "$table: $index by index, $heap by heap\n" if $index ne $heap;
	}
	is($bad, '', "$name: index-only and sequential scans agree");
	return;
}

sub check_structures
{
	my ($new, $name) = @_;
	return unless $has_amcheck;
	$new->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS amcheck');
	my ($rc, $out, $err) = $new->psql('postgres', <<'SQL');
SELECT count(bt_index_check(i.indexrelid, true)) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
  WHERE a.amname = 'btree' AND c.relpersistence = 'p' AND i.indisvalid;
SELECT c.oid::regclass, v.* FROM pg_class c, verify_heapam(c.oid) v WHERE c.relkind = 'r' AND c.relpersistence = 'p';
SQL
	is($rc == 0 ? $out =~ s/\A\d+\n?//r : $err, '', "$name: amcheck finds nothing");
	return;
}

sub pitr_restore
{
	my (@arguments) = @_;
	my $new = PostgreSQL::Test::Cluster->new('restored' . ++$restored);
	mkdir $new->basedir;
	my ($out, $err) = ('', '');
	my @where = ('--directory', $new->data_dir, '--tablespace', "$tablespace=" . $new->basedir . '/aside');
	IPC::Run::run([ 'pitr', 'restore', '--repository', repository_of($node), @where, @arguments ], '>', \$out, '2>', \$err);
	is($?, 0, "restore @arguments") or diag($err);
	return $new;
}

# A restore that begins from the increment that was just taken.
sub check_restore
{
	my ($name) = @_;
	my ($lsn, $contents) = (sql('SELECT pg_current_wal_insert_lsn()'), contents($node));
	sql('SELECT pg_switch_wal()');
	poll_until($node, "SELECT latest_lsn >= '$lsn' FROM pitr_restore_window() ORDER BY latest_lsn DESC LIMIT 1", 't');
	my $new = pitr_restore('--target-lsn', $lsn);
	$new->append_conf('postgresql.conf', 'port = ' . $new->port . "\nunix_socket_directories = '" . $node->host . "'\narchive_mode = off\n");
	$new->start;
	is(contents($new), $contents, "$name: contents are those of then");
	check_scans($new, $name);
	check_structures($new, $name);
	$new->stop;
	if ($node->safe_psql('postgres', 'SHOW data_checksums') eq 'on')
	{
		command_ok([ 'pg_checksums', '--check', '-D', $new->data_dir ], "$name: pg_checksums");
	}
	system_or_bail('rm', '-rf', $new->basedir);
	return;
}

sub run_kind
{
	my ($kind, $initdb, $conf, $rounds) = @_;
	note("$kind");
	@databases = ();
	$node = pitr_node($kind, init => { extra => [ '--wal-segsize=1', @$initdb ] }, conf => <<"CONF" . $conf);
autovacuum = off
max_wal_size = 64MB
min_wal_size = 4MB
fsync = off
CONF
	$has_amcheck = sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'");
	sql("CREATE TABLESPACE aside LOCATION '" . PostgreSQL::Test::Utils::tempdir() . "'");
	$tablespace = sql("SELECT oid FROM pg_tablespace WHERE spcname = 'aside'");
	fill($_, '') foreach @tables;
	my @all = sort keys %steps;
	for my $round (1 .. $rounds)
	{
		# In the short run each step comes once.
		my @chosen = $sweep ? map { $all[ rand @all ] } 1 .. 8 : splice @all, 0, (@all + $rounds - $round) / ($rounds - $round + 1);
		@chosen = sort { rand() <=> 0.5 } @chosen;
		note("$kind round $round: @chosen");
		$steps{$_}->() foreach @chosen;
		regression_suite() if $sweep && $round == $rounds;
		my $row = snapshot('increment');
		check_restore("$kind round $round (@chosen)");
	}
	my ($bytes, $new_bytes, $stored) = split /\|/, sql("SELECT sum(database_bytes), sum(new_bytes), max(stored_bytes) FROM pitr_snapshots WHERE kind = 'increment'");
	note("$kind: increments of $bytes bytes in all wrote $new_bytes; one refers to $stored at most");
	is(sql("SELECT count(*) FROM pitr_verify() WHERE NOT ok"), 0, "$kind: everything in the repository can be read");
	# With the shutdown checkpoint shipped both directories stand at the same record.
	$node->stop;
	my ($end) = `pg_controldata -D @{[ $node->data_dir ]}` =~ /^Latest checkpoint location:\s*(\S+)/m;
	my $new = pitr_restore();
	is(differing_pages($node->data_dir, $new->data_dir, $end), '', "$kind: page by page the same as the server's own directory");
	cmp_ok(scalar(() = relation_files($new->data_dir)), '>', 500, "$kind: in hundreds of files");
	system_or_bail('rm', '-rf', $new->data_dir);
	return;
}

sub regression_suite
{
	my $regress = `pg_config --pgxs` =~ s{/makefiles/pgxs\.mk\s*$}{}r . '/test/regress';
	return unless -e "$regress/parallel_schedule" && -x "$regress/pg_regress";
	system("$regress/pg_regress", "--inputdir=$regress", '--outputdir=' . PostgreSQL::Test::Utils::tempdir(), "--schedule=$regress/parallel_schedule",
		'--host=' . $node->host, '--port=' . $node->port, '--dbname=regression', '--max-concurrent-tests=4', '--use-existing');
	note("the regression suite ended with $?");
	return;
}

run_kind('plain', [], "wal_log_hints = off\n", $sweep ? 20 : 3);
run_kind('checksums', ['--data-checksums'], '', $sweep ? 20 : 3);

done_testing();

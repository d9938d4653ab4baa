# Increments: after each one of a random workload a restore that begins from it is compared with what was recorded, and at the end the
# directory with the server's own, page by page. The judges are those of rules.md 1: hashes of rows, index-only against sequential scans
# (a visibility bit that was not cleared shows nowhere else), amcheck, pg_visibility, pg_checksums.
#
# PITR_SEED repeats a workload. PITR_SWEEP=full: many rounds, and PostgreSQL's regression suite among them when PITR_REGRESS names it
# (RegressionSuite.pm), and a repository on S3 where there is one. PITR_ROUNDS and PITR_KINDS ("plain checksums") say how many rounds, and of what.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use ContentJudge;
use FaultTest;
use PageCompare;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RegressionSuite;
use Test::More;

my $sweep = ($ENV{PITR_SWEEP} // '') eq 'full';
my $seed = $ENV{PITR_SEED} // ($sweep ? time : 4061);
srand $seed;
diag("PITR_SEED=$seed");

my $node;
my $repository;
my $has_amcheck;
my @tables = map { "t$_" } 1 .. 4;
my @databases;
my $names = 0;
my $restored = 0;
my $tablespace;    # its oid
my $next_kind;     # of the next snapshot
my @points;        # to which restores may go
my $has_suite;     # there is a database "regression"

sub sql { my ($sql, $database) = @_; return $node->safe_psql($database // 'postgres', $sql); }
sub table { return $tables[ rand @tables ]; }

sub fill
{
	my ($table, $storage) = @_;
	return sql("CREATE $storage TABLE $table (id serial PRIMARY KEY, k int, v text) WITH (autovacuum_enabled = off);"
		  . "INSERT INTO $table (k, v) SELECT g % 100, repeat(md5(g::text), 3) FROM generate_series(1, 2000) g;"
		  . "CREATE INDEX ON $table (k)");
}

sub write_wal { my ($megabytes) = @_; return sql("SELECT pg_logical_emit_message(false, 'wal', repeat('wal ', 262144)) FROM generate_series(1, $megabytes)"); }

sub snapshot
{
	my $row = psql_row($node, 'SELECT * FROM pitr_create_snapshot()');
	is(($row->{state} // '') . ' ' . ($row->{kind} // ''), "ok $next_kind", "snapshot: $next_kind") or diag($row->{_err});
	$next_kind = 'increment';
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
		snapshot();
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
	tablespace_in_place => sub
	{
		my $name = 'in_place' . ++$names;
		sql("SET allow_in_place_tablespaces = on; CREATE TABLESPACE $name LOCATION ''");
		sql("CREATE TABLE in_$name TABLESPACE $name AS SELECT g AS id FROM generate_series(1, 2000) g");
	},
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
	catalogs => sub { sql('VACUUM FULL pg_class'); sql('REINDEX TABLE pg_attribute') },
	checkpoint => sub { sql('CHECKPOINT') });

# Goes on while a snapshot is taken: pages are copied before, between and after their changes.
sub begin_writing
{
	my ($table, $other) = (table(), table());
	return begin_sql($node, "UPDATE $other SET k = k + 1 WHERE id % 5 = 0", <<"SQL", "VACUUM $table");
DO \$\$ BEGIN
  FOR i IN 1 .. 150 LOOP
    UPDATE $table SET v = md5(v || i) WHERE k = i % 100;
    INSERT INTO $other (k, v) SELECT i, repeat(md5(g::text), 4) FROM generate_series(1, 40) g;
    DELETE FROM $table WHERE k = i * 7 % 100 AND id % 3 = 0;
    COMMIT;
  END LOOP;
END \$\$;
SQL
}

sub this_point { return { lsn => sql('SELECT pg_current_wal_insert_lsn()'), contents => contents($node), databases => [@databases] }; }

sub restore_in_place
{
	my ($point) = @_;
	my $row = restore($node, "SELECT * FROM pitr_restore_branch('$point->{lsn}'::pg_lsn)");
	is($row->{outcome}, 'done', "restored in place to $point->{lsn}") or diag(explain($row));
	is(contents($node), $point->{contents}, 'restored in place: contents are those of then');
	@databases = @{ $point->{databases} };
	sql('SELECT * FROM pitr_complete_branch()');
	forget_undo_branches($node);
	return;
}

sub start_standby
{
	my $name = 'standby' . ++$names;
	$node->backup($name);
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$standby->init_from_backup($node, $name, has_streaming => 1);
	$standby->start;
	return $standby;
}

sub promote
{
	my ($standby, $contents) = @_;
	$standby->promote;
	$node = $standby;
	is(contents($node), $contents, 'a standby was promoted: contents are those of its primary');
	return;
}

# What comes between two snapshots of the kinds that are about it.
my %switches = (
	# Rewrites every page, and no WAL says so.
	checksums => sub
	{
		my $is_on = sql('SHOW data_checksums') eq 'on';
		$node->stop;
		command_ok([ 'pg_checksums', $is_on ? '--disable' : '--enable', '-D', $node->data_dir ], 'checksums are switched ' . ($is_on ? 'off' : 'on'));
		$node->start;
		$next_kind = 'full';
	},
	# A new line, on a directory that was made from an older snapshot. The newest one is of the history that is left behind.
	restore_in_place => sub
	{
		my $point = this_point();
		$steps{truncate}->();
		snapshot();
		$steps{insert}->();
		restore_in_place($point);
	},
	restore_back => sub { restore_in_place($points[ rand @points ]) if @points },
	# A new timeline, on a copy that did not take part until then.
	promote => sub
	{
		my $standby = start_standby();
		$steps{$_}->() foreach qw(update_key truncate);
		my $contents = contents($node);
		$node->wait_for_catchup($standby);
		$node->stop;
		promote($standby, $contents);
	},
	# It did not get everything: its primary has a snapshot and WAL in the repository that are of no history any more.
	promote_behind => sub
	{
		my $standby = start_standby();
		my $contents = contents($node);
		$node->wait_for_catchup($standby);
		$standby->stop('immediate');
		$steps{$_}->() foreach qw(delete recreate);
		write_wal(8);
		snapshot();
		$steps{$_}->() foreach qw(update truncate);
		$node->stop;
		$standby->start;
		promote($standby, $contents);
		# Neither does it count for how much would have to be replayed.
		my $before = sql('SELECT count(*) FROM pitr_snapshots');
		sql("ALTER SYSTEM SET pitr.max_replay_bytes = '3MB'");
		$node->reload;
		write_wal(4);
		ok(poll_until($node, "SELECT count(*) > $before FROM pitr_snapshots WHERE state = 'ok'", 't'), 'an increment is taken for replay');
		sql('ALTER SYSTEM RESET pitr.max_replay_bytes');
		$node->reload;
		ok(no_operation_runs($node), 'and done');
	});

sub check_scans
{
	my ($new, $name) = @_;
	foreach my $database ('postgres', $has_suite ? 'regression' : ())
	{
		my ($count, $bad) = scans_of_database($new, $database);
		is($bad, '', "$name: index-only and sequential scans of $database agree");
		cmp_ok($count, '>=', $database eq 'regression' ? 500 : @tables, "$name: index-only scans were made");
	}
	return;
}

sub check_structures
{
	my ($new, $name) = @_;
	return unless $has_amcheck;
	is(structures_of_database($new, $_), '', "$name: amcheck and pg_visibility find nothing in $_") foreach 'postgres', $has_suite ? 'regression' : ();
	return;
}

sub pitr_restore
{
	my (@arguments) = @_;
	my $new = PostgreSQL::Test::Cluster->new('restored' . ++$restored);
	mkdir $new->basedir;
	my ($out, $err) = ('', '');
	my @where = ('--directory', $new->data_dir, $tablespace ? ('--tablespace', "$tablespace=" . $new->basedir . '/aside') : ());
	IPC::Run::run([ 'pitr', 'restore', '--repository', $repository, @where, @arguments ], '>', \$out, '2>', \$err);
	is($?, 0, "restore @arguments") or diag($err);
	return $new;
}

# The suite fills the catalogs of its database as well.
sub all_rows { my ($server) = @_; return contents($server) . ($has_suite ? rows_of_database($server, 'regression', catalogs => 1) : ''); }

sub check_pages
{
	my ($new, $name) = @_;
	return if $node->safe_psql('postgres', 'SHOW data_checksums') ne 'on';
	command_ok([ 'pg_checksums', '--check', '-D', $new->data_dir ], "$name: pg_checksums");
	return;
}

# A running server on what the program restores.
sub start_restored
{
	my ($lsn) = @_;
	my $new = pitr_restore('--target-lsn', $lsn);
	$new->append_conf('postgresql.conf', 'port = ' . $new->port . "\nunix_socket_directories = '" . $node->host . "'\narchive_mode = off\n");
	$new->start;
	return $new;
}

# A restore that begins from the increment that was just taken.
sub check_restore
{
	my ($name) = @_;
	my ($lsn, $contents) = (sql('SELECT pg_current_wal_insert_lsn()'), all_rows($node));
	push @points, this_point();
	# A record behind it, or an LSN at the beginning of a segment is reached only when the server writes one by itself.
	sql("SELECT pg_logical_emit_message(false, 'mark', ''), pg_switch_wal()");
	poll_until($node, "SELECT latest_lsn >= '$lsn' FROM pitr_restore_window() ORDER BY latest_lsn DESC LIMIT 1", 't');
	my $new = start_restored($lsn);
	is(all_rows($new), $contents, "$name: contents are those of then");
	check_scans($new, $name);
	check_structures($new, $name);
	$new->stop;
	check_pages($new, $name);
	system_or_bail('rm', '-rf', $new->basedir);
	return;
}

# A restore of an increment that the launcher took while the suite was running: nobody knows what was in it then, but all of it must agree.
sub check_moment
{
	my ($lsn) = @_;
	my $new = start_restored($lsn);
	my $name = "in the middle of the regression suite, $lsn";
	my $databases = $new->safe_psql('postgres', "SELECT datname FROM pg_database WHERE datallowconn AND datconnlimit <> -2 AND datname <> 'template1' ORDER BY 1");
	foreach my $database (split /\n/, $databases)
	{
		my ($count, $bad) = scans_of_database($new, $database);
		is($bad, '', "$name: index-only and sequential scans of $database agree ($count)");
		is(structures_of_database($new, $database), '', "$name: amcheck and pg_visibility find nothing in $database") if $has_amcheck;
	}
	$new->stop;
	check_pages($new, $name);
	system_or_bail('rm', '-rf', $new->basedir);
	return;
}

sub begin_kind
{
	my ($kind, %options) = @_;
	note("$kind");
	@databases = ();
	@points = ();
	$has_suite = $tablespace = undef;
	$next_kind = 'increment';
	$node = pitr_node($kind, init => { extra => [ '--wal-segsize=1', @{ $options{initdb} // [] } ] }, conf => <<'CONF' . ($options{conf} // ''));
autovacuum = off
max_wal_size = 64MB
min_wal_size = 4MB
fsync = off
CONF
	$repository = $options{repository} // repository_of($node);
	$has_amcheck = sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'");
	return if $options{switches};    # a standby on the same machine would need places of its own for them
	sql("CREATE TABLESPACE aside LOCATION '" . PostgreSQL::Test::Utils::tempdir() . "'");
	$tablespace = sql("SELECT oid FROM pg_tablespace WHERE spcname = 'aside'");
	return;
}

# In the short run each step comes once.
sub choose_steps
{
	my ($all, $round, $rounds) = @_;
	my @chosen = $sweep ? map { $all->[ rand @$all ] } 1 .. 8 : splice @$all, 0, (@$all + $rounds - $round) / ($rounds - $round + 1);
	return sort { rand() <=> 0.5 } @chosen;
}

sub run_suite
{
	my $before = sql('SELECT max(stop_lsn) FROM pitr_snapshots');
	sql("ALTER SYSTEM SET pitr.max_replay_bytes = '32MB'");
	$node->reload;
	my ($passed, $failed) = run_regression_suite($node);
	note("regression suite: $passed passed, not as expected: @$failed");
	cmp_ok($passed, '>', 150, 'the regression suite ran');
	sql('ALTER SYSTEM RESET pitr.max_replay_bytes');
	$node->reload;
	ok(no_operation_runs($node), 'no increment is under way');
	$has_suite = 1;
	my @taken = split /\n/, sql("SELECT stop_lsn FROM pitr_snapshots WHERE stop_lsn > '$before' AND kind = 'increment' ORDER BY 1");
	cmp_ok(scalar(@taken), '>=', 3, 'increments were taken while it ran');
	note('increments while it ran: ' . @taken);
	check_moment($_) foreach @taken[ 0, @taken / 2, -1 ];
	return;
}

sub run_kind
{
	my ($kind, %options) = @_;
	return if $ENV{PITR_KINDS} && " $ENV{PITR_KINDS} " !~ / $kind /;
	begin_kind($kind, %options);
	fill($_, '') foreach @tables;
	my $rounds = $options{rounds};
	my @all = grep { !$options{switches} || !/tablespace|move_database/ } sort keys %steps;
	@all = grep { /^(?:insert|update|delete_frozen|cut_and_grow|recreate)$/ } @all if $options{switches} && !$sweep;
	my @switches = sort keys %switches;
	for my $round (1 .. $rounds)
	{
		my @chosen = choose_steps(\@all, $round, $rounds);
		splice @chosen, 1 + rand @chosen, 0, $switches[ ($round - 1) % @switches ] if $options{switches};
		note("$kind round $round: @chosen");
		($steps{$_} // $switches{$_})->() foreach @chosen;
		run_suite() if $sweep && $round == $rounds && has_regression_suite();
		my $writing = begin_writing();
		snapshot();
		my ($rc, undef, $err) = end_sql($writing);
		is($rc, 0, 'what was written meanwhile') or diag($err);
		check_restore("$kind round $round (@chosen)");
	}
	end_kind($kind);
	return;
}

sub end_kind
{
	my ($kind) = @_;
	my ($bytes, $new_bytes, $stored) = split /\|/, sql("SELECT sum(database_bytes), sum(new_bytes), max(stored_bytes) FROM pitr_snapshots WHERE kind = 'increment'");
	note("$kind: increments of $bytes bytes in all wrote $new_bytes; one refers to $stored at most");
	is(sql("SELECT count(*) FROM pitr_verify() WHERE NOT ok"), 0, "$kind: everything in the repository can be read");
	# With the shutdown checkpoint shipped both directories stand at the same record.
	# It is the archiver that ships it; there is none in the first ten seconds after a restore in place.
	ok(poll_until($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'archiver'", 1), "$kind: the server has an archiver");
	$node->stop;
	my ($end) = `pg_controldata -D @{[ $node->data_dir ]}` =~ /^Latest checkpoint location:\s*(\S+)/m;
	my $new = pitr_restore();
	is(differing_pages($node->data_dir, $new->data_dir, $end), '', "$kind: page by page the same as the server's own directory");
	cmp_ok(scalar(() = relation_files($new->data_dir)), '>', 500, "$kind: in hundreds of files");
	system_or_bail('rm', '-rf', $new->data_dir);
	return;
}

my $rounds = $ENV{PITR_ROUNDS} // ($sweep ? 20 : 3);
note('the regression suite is left out: PITR_REGRESS names none') if $sweep && !has_regression_suite();
run_kind('plain', rounds => $rounds, conf => "wal_log_hints = off\n");
run_kind('checksums', rounds => $rounds, initdb => ['--data-checksums']);
run_kind('hints', rounds => $rounds, conf => "wal_log_hints = on\n") if $sweep;
if ($sweep && ($ENV{PITR_TEST_S3_ENDPOINT} // '') ne '')
{
	s3_shared();
	my $address = "s3://pitr/tap/increments-$$?endpoint=$ENV{PITR_TEST_S3_ENDPOINT}&credentials_file=$ENV{PITR_TEST_S3_SERVER_CREDENTIALS}";
	run_kind('s3', rounds => $rounds, repository => $address, conf => "pitr.repository = '$address'\n");
}
run_kind('switches', rounds => $ENV{PITR_ROUNDS} // ($sweep ? 20 : 5), switches => 1, conf => "wal_log_hints = on\nfsync = on\npitr.lease_timeout = 10s\nwal_keep_size = 64MB\n");

done_testing();

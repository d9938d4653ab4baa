# The WAL reader and the WAL index against pg_waldump, record by record, over real WAL: pgbench, DDL, databases of both
# strategies, prepared transactions, restore points, records longer than a segment, truncations, switches, an aborted record
# after a crash, a timeline that begins inside a segment; with segments of 1 MiB (records run over borders all the time) and of
# 16 MiB.
#
# PITR_WAL_DUMP names the program test/support/wal_dump.cpp; without it the outputs of CMake are looked through.
# PITR_REGRESS_SQL names src/test/regress of PostgreSQL's sources: then its SQL is run as well.
use strict;
use warnings;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($wal_dump) = grep { defined && -x }
  ($ENV{PITR_WAL_DUMP}, glob("$FindBin::RealBin/../../build*/wal_dump $FindBin::RealBin/../../build*/*/wal_dump"),
	"$FindBin::RealBin/../support/wal_dump");
plan skip_all => 'wal_dump is not built (test/support/wal_dump.cpp); set PITR_WAL_DUMP' unless $wal_dump;

# What pg_waldump says, read once per stretch of WAL

# 0/0154E9E8 of pg_waldump and the leading zeroes that we do not print
sub lsn { my ($hi, $lo) = split m{/}, $_[0]; return sprintf '%X/%X', hex $hi, hex $lo }
sub number { my ($hi, $lo) = split m{/}, $_[0]; return (hex($hi) << 32) + hex $lo }
sub position { return sprintf '%X/%X', $_[0] >> 32, $_[0] & 0xFFFFFFFF }

# base/5/16384_vm as tablespace/database/relation and fork
sub relation
{
	my ($path) = @_;
	my $fork = $path =~ s/_(fsm|vm|init)$// ? $1 : 'main';
	return "1664/0/$1 $fork" if $path =~ m{^global/(\d+)$};
	return "1663/$1/$2 $fork" if $path =~ m{^base/(\d+)/(\d+)$};
	return "$1/$2/$3 $fork" if $path =~ m{^pg_tblspc/(\d+)/[^/]+/(\d+)/(\d+)$};
	die "what is $path?";
}

# Where a record ended: where its successor begins, but page headers belong to neither. The successor may be one that was
# aborted: the record written in its place says where it was. Unknown for the last record.
sub end_before
{
	my ($r, $segment_size) = @_;
	return '?' unless $r;
	my $next = $r->{aborted} // $r->{number};
	my $header = $next % $segment_size < 8192 ? 40 : 24;
	return position($next % 8192 == $header ? $next - $header : $next);
}

my $date = qr/(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{6}) UTC/;

# Facts of one record besides its blocks, as wal_dump prints them.
sub facts
{
	my ($r, $end) = @_;
	my ($desc, $at) = ($r->{desc}, $r->{lsn});
	my @facts;
	if ($r->{rmgr} eq 'Transaction')
	{
		if ($desc =~ /^(COMMIT|ABORT|COMMIT_PREPARED|ABORT_PREPARED) (?:(\d+): )?$date/)
		{
			push @facts, "event $at " . lc($1) . " end=$end xid=" . ($2 // $r->{xid}) . " time=$3T$4Z name=";
			push @facts, map { "drop $at " . relation($_) } split / /, $1 if $desc =~ /; rels: ([^;]*)/;
		}
		elsif ($desc =~ /^PREPARE gid (.*?): $date/)
		{
			push @facts, "event $at prepare end=$end xid=$r->{xid} time=$2T$3Z name=$1";
		}
	}
	elsif ($r->{rmgr} eq 'XLOG')
	{
		if ($desc =~ /^RESTORE_POINT (.*)$/)
		{
			push @facts, "event $at restore_point end=$end xid=0 time= name=$1";
		}
		elsif ($desc =~ /^PARAMETER_CHANGE (.*)$/)
		{
			my %set = map { split /=/ } split / /, $1;
			my %level = (minimal => 0, replica => 1, logical => 2);
			push @facts,
			  "parameters $at $set{max_connections} $set{max_worker_processes} $set{max_wal_senders} $set{max_prepared_xacts}"
			  . " $set{max_locks_per_xact} level $level{$set{wal_level}} "
			  . join ' ', map { $set{$_} eq 'on' ? 1 : 0 } qw(wal_log_hints track_commit_timestamp);
		}
		elsif ($desc =~ /^CHECKPOINT_(SHUTDOWN|ONLINE) redo (\S+); tli (\d+); prev tli (\d+);/)
		{
			push @facts, "checkpoint $at redo " . lsn($2) . " tli $3 prev $4" . ($1 eq 'SHUTDOWN' ? ' shutdown' : '');
		}
		elsif ($desc =~ /^END_OF_RECOVERY tli (\d+); prev tli (\d+);/)
		{
			push @facts, "checkpoint $at redo 0/0 tli $1 prev $2 end_of_recovery";
		}
	}
	elsif ($r->{rmgr} eq 'Storage')
	{
		push @facts, "create $at " . relation($1) if $desc =~ /^CREATE (\S+)$/;
		push @facts, "truncate $at " . relation($1) . " to $2 flags $3" if $desc =~ /^TRUNCATE (\S+) to (\d+) blocks flags (\d+)/;
	}
	elsif ($r->{rmgr} eq 'Database')
	{
		push @facts, "database $at create_file_copy $1" if $desc =~ m{^CREATE_FILE_COPY copy dir \S+ to (\d+/\d+)};
		push @facts, "database $at create_wal_log $1" if $desc =~ m{^CREATE_WAL_LOG create dir (\d+/\d+)};
		if ($desc =~ /^DROP dir (.*)$/)
		{
			push @facts, map { "database $at drop $_" } split / /, $1;
		}
	}
	return @facts;
}

# What the index of each segment must say, gathered record by record.
sub add_expected
{
	my ($expected, $segment_size, $r, $end) = @_;
	my $in = int($r->{number} / $segment_size);
	my $segment = $expected->{segments}{$in} //= { first => $r->{lsn}, records => 0 };
	$segment->{first} //= $r->{lsn};
	@$segment{qw(last end)} = ($r->{lsn}, $end);
	$segment->{records}++;
	if (defined $r->{aborted} && int($r->{aborted} / $segment_size) != $in)
	{
		# What runs into the next segment and is not continued there stays open for ever.
		$expected->{segments}{ int($r->{aborted} / $segment_size) }{ending} = ' open';
	}
	$expected->{lines}{$_}++ for facts($r, $end);
	$expected->{blocks}{"$in $_->{relation} $_->{block}"} = 1 for @{ $r->{blocks} };
	return;
}

sub judge_index
{
	my ($name, $segment_size, $expected, $last_segment, @paths) = @_;
	my ($lines, %got) = ($expected->{lines});
	for my $line (split /\n/, run_dump('index', @paths))
	{
		# Not to be had from pg_waldump: times of restore points, names of prepared transactions at their end, the end of
		# the last record.
		$line =~ s/ time=\S+/ time=/ if $line =~ / restore_point /;
		$line =~ s/ name=.*/ name=/ if $line =~ / (?:commit|abort)_prepared /;
		$line =~ s/ end=\S+/ end=?/ if $line =~ /^event \Q$expected->{last}\E /;
		if ($line =~ /^block ([0-9A-F]{24}) (.*)$/)
		{
			$line = 'block ' . segment_number($1, $segment_size) . " $2";
		}
		elsif ($line =~ /^segment ([0-9A-F]{24}) first=\S+ last=\S+ end=(\S+) records=\d+/)
		{
			my ($file, $end) = ($1, $2);
			my $seen = $expected->{segments}{ segment_number($file, $segment_size) };
			my ($first, $last, $records) = map { $seen->{$_} // '0/0' } qw(first last records);
			$records = 0 if $records eq '0/0';
			$end = $seen->{end} // '0/0' unless ($seen->{end} // '') eq '?';
			$line =~ s/ partial// if $file eq $last_segment;
			my $ending = $seen->{ending} // '';
			$lines->{"segment $file first=$first last=$last end=$end records=$records$ending"}++;
		}
		$got{$line}++;
	}
	$lines->{"block $_"} = 1 for keys %{ $expected->{blocks} };
	my %kinds;
	my $wrong = 0;
	for my $line (sort keys %{ { %$lines, %got } })
	{
		my ($kind) = $line =~ /^(\w+)/;
		($kind) = $line =~ /^event \S+ (\w+)/ if $kind eq 'event';
		$kinds{$kind}++;
		my ($wanted, $found) = ($lines->{$line} // 0, $got{$line} // 0);
		next if $wanted == $found;
		diag("pg_waldump $wanted times, index $found times: $line") if $wrong++ < 10;
	}
	is($wrong, 0, "$name: the indexes say what pg_waldump says");
	note("$name: " . join ', ', map { "$kinds{$_} $_" } sort keys %kinds);
	return \%kinds;
}

sub segment_number
{
	my ($file, $segment_size) = @_;
	return hex(substr $file, 8, 8) * (4294967296 / $segment_size) + hex substr $file, 16, 8;
}

# One record of pg_waldump; a line that is none continues the record before (a message or name that holds a line break).
sub next_record
{
	my ($in) = @_;
	my $r;
	while (defined(my $line = $in->{line} // readline $in->{pipe}))
	{
		$in->{line} = undef;
		chomp $line;
		if ($line !~ m{^rmgr: (\S+)\s+len \(rec/tot\):\s+\d+/\s*(\d+), tx:\s+(\d+), lsn: (\S+), prev (\S+), desc: (.*)$})
		{
			$r->{desc} .= "\n$line" if $r;
			next;
		}
		if ($r)
		{
			$in->{line} = $line;
			last;
		}
		$r = { rmgr => $1, len => $2, xid => $3, lsn => lsn($4), number => number($4), prev => lsn($5), desc => $6 };
	}
	return unless $r;
	while ($r->{desc} =~ m{, blkref #\d+: rel (\d+/\d+/\d+)(?: fork (\w+))? blk (\d+)( FPW)?}g)
	{
		push @{ $r->{blocks} }, { relation => "$1 " . ($2 // 'main'), block => $3, image => $4 // '' };
	}
	$r->{aborted} = number($1) if $r->{desc} =~ m{^OVERWRITE_CONTRECORD lsn ([0-9A-F/]+);};
	return $r;
}

# Consecutive segments of one timeline: both programs print, we compare line by line, since WAL is long; then the indexes.
sub judge
{
	my ($name, $dir, $segment_size, @segments) = @_;
	local $ENV{TZ} = 'UTC';
	my @paths = map { "$dir/$_" } @segments;
	open my $pipe, '-|', 'pg_waldump', '-p', $dir, $segments[0], $segments[-1] or die "pg_waldump: $!";
	open my $ours, '-|', $wal_dump, 'records', @paths or die "$wal_dump: $!";
	my $in = { pipe => $pipe };
	my %expected;
	my ($compared, $wrong) = (0, 0);
	for (my $r = next_record($in), my $next; $r; $r = $next)
	{
		$next = next_record($in);
		my $end = end_before($next, $segment_size);
		add_expected(\%expected, $segment_size, $r, $end);
		$expected{last} = $r->{lsn};
		my $line = readline($ours) // 'nothing';
		chomp $line;
		$end = $1 if $end eq '?' && $line =~ / end=(\S+)/;
		my $wanted = "$r->{lsn} end=$end prev=$r->{prev} rmgr=$r->{rmgr} xid=$r->{xid} len=$r->{len}" . join '',
		  map { " [$_->{relation} $_->{block}$_->{image}]" } @{ $r->{blocks} };
		$compared++;
		diag("pg_waldump: $wanted\nours:       $line") if $line ne $wanted && $wrong++ < 5;
	}
	my $more = readline $ours;
	close $pipe;    # it complains about the end of WAL
	ok(close($ours), "$name: wal_dump records");
	is($wrong, 0, "$name: $compared records are read as pg_waldump reads them");
	is($more, undef, "$name: and no more");
	return judge_index($name, $segment_size, \%expected, $segments[-1], @paths);
}

sub run_dump
{
	my (@command) = @_;
	my ($out, $err);
	my $ok = IPC::Run::run([ $wal_dump, @command ], '>', \$out, '2>', \$err);
	ok($ok, "wal_dump $command[0]") or diag($err);
	return $out // '';
}

# Real WAL

sub regression_sql
{
	my ($node) = @_;
	my $dir = $ENV{PITR_REGRESS_SQL};
	return unless $dir && -f "$dir/parallel_schedule";
	$node->safe_psql('postgres', 'CREATE DATABASE regression TEMPLATE template0 LC_COLLATE \'C\' LC_CTYPE \'C\'');
	local $ENV{PG_ABS_SRCDIR} = $dir;
	local $ENV{PG_ABS_BUILDDIR} = PostgreSQL::Test::Utils::tempdir();
	local $ENV{PG_LIBDIR} = '/nonexistent';
	local $ENV{PG_DLSUFFIX} = '.so';
	open my $schedule, '<', "$dir/parallel_schedule" or die $!;
	# Without regress.so some statements fail, some change settings of the cluster: WAL is all that is wanted.
	for my $test (map { /^test: (.*)/ ? split(' ', $1) : () } <$schedule>)
	{
		next if $test =~ /^(tablespace|stats|psql_crosstab)$/;
		my $out = '';
		IPC::Run::run([ 'psql', '-XqAt', '-d', $node->connstr('regression'), '-f', "$dir/sql/$test.sql" ],
			'>', '/dev/null', '2>', '/dev/null', IPC::Run::timeout(300));
	}
	return;
}

sub workload
{
	my ($node) = @_;
	$node->safe_psql('postgres', 'CREATE DATABASE bench');
	$node->command_ok([ 'pgbench', '-i', '-q', '-s', '5', 'bench' ], 'pgbench -i');
	$node->command_ok([ 'pgbench', '-c', '4', '-t', '2500', 'bench' ], 'pgbench');
	$node->safe_psql('bench', 'CHECKPOINT');
	$node->safe_psql('bench', q{SELECT pg_create_restore_point('first point')});
	$node->safe_psql('bench', q{
		CREATE TABLE wide (id int PRIMARY KEY, body text, tags int[]);
		ALTER TABLE wide ALTER body SET STORAGE EXTERNAL;
		INSERT INTO wide SELECT i, repeat(md5(i::text), 8000), ARRAY[i, i % 10] FROM generate_series(1, 40) i;
		CREATE INDEX ON wide USING gin (tags);
		CREATE INDEX ON wide USING hash (body);
		CREATE INDEX ON wide USING brin (id);
		CREATE TABLE points (p point, b box, r int4range);
		INSERT INTO points SELECT point(i, i % 77), box(point(i, i), point(i + 1, i + 1)), int4range(i, i + 10) FROM generate_series(1, 3000) i;
		CREATE INDEX ON points USING gist (p);
		CREATE INDEX ON points USING spgist (b);
		CREATE INDEX ON points USING gist (r);
		CREATE UNLOGGED TABLE unlogged (i int PRIMARY KEY);
		INSERT INTO unlogged SELECT generate_series(1, 1000);
		CREATE SEQUENCE numbers;
		SELECT nextval('numbers') FROM generate_series(1, 200);
		CREATE MATERIALIZED VIEW seen AS SELECT * FROM points;
		REFRESH MATERIALIZED VIEW seen;
		ALTER TABLE wide ADD COLUMN more timestamptz DEFAULT clock_timestamp();
		DELETE FROM points WHERE p[0] > 100;
	});
	$node->safe_psql('bench', 'VACUUM (FREEZE, TRUNCATE) points');
	$node->safe_psql('bench', 'VACUUM FULL wide; CLUSTER points USING points_p_idx; TRUNCATE unlogged; TRUNCATE wide');
	$node->safe_psql('bench', 'SELECT pg_switch_wal()');

	# 5,000 subtransactions; thousands of dropped relations in one commit and in one abort
	$node->safe_psql('bench', q{
		CREATE TABLE sub (i int);
		DO $$ BEGIN FOR i IN 1..5000 LOOP BEGIN INSERT INTO sub VALUES (i); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$;
		CREATE SCHEMA many;
		DO $$ BEGIN FOR i IN 1..700 LOOP EXECUTE format('CREATE TABLE many.t%s (i serial PRIMARY KEY, t text)', i); END LOOP; END $$;
		BEGIN; SAVEPOINT s; CREATE TABLE gone (i int PRIMARY KEY); ROLLBACK TO s; INSERT INTO sub VALUES (1); ROLLBACK;
		DO $$ BEGIN FOR i IN 1..20 LOOP EXECUTE format('DROP TABLE many.t%s', i); END LOOP; END $$;
	});
	$node->safe_psql('bench', 'BEGIN; SET client_min_messages = error; SET LOCAL lock_timeout = 0; DROP SCHEMA many CASCADE; COMMIT');
	$node->safe_psql('bench', q{SELECT length(pg_logical_emit_message(true, 'judge', repeat('x', 3500000))::text);});
	$node->safe_psql('bench', q{SELECT pg_logical_emit_message(false, 'judge', E'line one\nline two')});

	# Prepared transactions
	$node->safe_psql('bench', q{BEGIN; INSERT INTO sub VALUES (0); CREATE TABLE prepared_away (i int); DROP MATERIALIZED VIEW seen; DROP TABLE points; PREPARE TRANSACTION 'to commit'});
	$node->safe_psql('bench', q{BEGIN; SAVEPOINT a; INSERT INTO sub VALUES (0); RELEASE a; CREATE TABLE prepared_gone (i int); PREPARE TRANSACTION 'to abort: really'});
	$node->safe_psql('bench', q{COMMIT PREPARED 'to commit'});
	$node->safe_psql('bench', q{ROLLBACK PREPARED 'to abort: really'});

	# Databases of both strategies, and one that is moved
	my $place = PostgreSQL::Test::Utils::tempdir();
	$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$place'");
	$node->safe_psql('postgres', 'CREATE DATABASE by_log TEMPLATE template0 STRATEGY wal_log');
	$node->safe_psql('postgres', 'CREATE DATABASE by_copy TEMPLATE template0 STRATEGY file_copy');
	$node->safe_psql('by_copy', 'CREATE TABLE far (i int PRIMARY KEY) TABLESPACE elsewhere; INSERT INTO far SELECT generate_series(1, 100)');
	$node->safe_psql('postgres', 'ALTER DATABASE by_log SET TABLESPACE elsewhere');
	$node->safe_psql('postgres', "DROP DATABASE $_") for qw(by_log by_copy);
	$node->safe_psql('postgres', 'DROP TABLESPACE elsewhere');

	$node->safe_psql('postgres', q{ALTER SYSTEM SET max_connections = 60; ALTER SYSTEM SET track_commit_timestamp = on});
	$node->restart;
	for my $i (1 .. 3)
	{
		$node->safe_psql('bench', "SELECT pg_create_restore_point('point $i')");
		$node->safe_psql('bench', 'SELECT pg_switch_wal()');
	}
	$node->command_ok([ 'pgbench', '-c', '2', '-t', '500', 'bench' ], 'pgbench once more');
	return;
}

# A record that runs over the end of a segment whose successor a crash swallows (as src/test/recovery/t/026 does): the server
# writes another record in its place.
sub lose_continuation
{
	my ($node) = @_;
	my $file = q{SELECT pg_walfile_name(pg_current_wal_insert_lsn())};
	$node->safe_psql('postgres', 'CHECKPOINT');
	my $first = $node->safe_psql('postgres', $file);
	my $next = $node->safe_psql('postgres', q{SELECT pg_logical_emit_message(true, 'lost', repeat('y', 1200000)); } . $file);
	($next) = $next =~ /([0-9A-F]{24})\s*$/;
	isnt($next, $first, 'the record to be lost runs into another segment');
	$node->stop('immediate');
	unlink $node->data_dir . "/pg_wal/$next" or die "$next: $!";
	$node->start;
	$node->safe_psql('bench', 'INSERT INTO sub VALUES (7)');
	return;
}

# The segments of the timeline from the first to the one that holds the end of WAL. REQUIRES: the server is stopped.
sub segments
{
	my ($node, $timeline, $last) = @_;
	my $dir = $node->data_dir . '/pg_wal';
	return grep { /^$timeline/ && length == 24 && $_ le $last } sort(PostgreSQL::Test::Utils::slurp_dir($dir));
}

sub last_segment
{
	my ($node) = @_;
	return $node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())');
}

my %seen;
for my $megabytes (1, 16)
{
	my $size = $megabytes * 1024 * 1024;
	my $name = "segments of $megabytes MiB";
	my $node = PostgreSQL::Test::Cluster->new("size$megabytes");
	$node->init(allows_streaming => $megabytes == 1 ? 'logical' : 1, extra => ["--wal-segsize=$megabytes"]);
	$node->append_conf('postgresql.conf', <<"EOF");
max_prepared_transactions = 5
max_locks_per_transaction = 256
max_wal_size = 16GB
min_wal_size = 64MB
wal_keep_size = 16GB
autovacuum = on
synchronous_commit = off
fsync = off
EOF
	$node->start;
	workload($node);
	regression_sql($node) if $megabytes == 16;
	lose_continuation($node) if $megabytes == 1;

	# A timeline that begins inside a segment
	my $standby;
	if ($megabytes == 16)
	{
		$node->backup('base');
		$standby = PostgreSQL::Test::Cluster->new('standby');
		$standby->init_from_backup($node, 'base', has_streaming => 1);
		$standby->start;
		$node->safe_psql('bench', 'INSERT INTO sub SELECT generate_series(1, 1000)');
		$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
		$standby->promote;
		$standby->safe_psql('bench', 'INSERT INTO sub SELECT generate_series(1, 1000); CHECKPOINT');
		$standby->safe_psql('bench', 'SELECT pg_switch_wal()');
		$standby->safe_psql('bench', 'DELETE FROM sub');
	}
	for my $one (grep { defined } ($node, $standby))
	{
		my $last = last_segment($one);
		$one->stop;
		my $timeline = $one == $node ? '00000001' : '00000002';
		my @segments = segments($one, $timeline, $last);
		my $what = $one == $node ? $name : "$name, timeline 2";
		cmp_ok(scalar @segments, '>', 1, "$what: " . scalar(@segments) . ' segments');
		my $kinds = judge($what, $one->data_dir . '/pg_wal', $size, @segments);
		$seen{$_} += $kinds->{$_} for keys %$kinds;
		my $sizes = run_dump('size', map { $one->data_dir . "/pg_wal/$_" } @segments);
		my ($total) = $sizes =~ /^(total: .*)$/m;
		note("$what: $total");
		# Of small segments the fragments at both ends are a larger part.
		my ($percent) = $total =~ /index ([\d.]+) %/;
		cmp_ok($percent, '<', 2, "$what: the indexes are less than 2 % of the WAL") if $megabytes == 16;
	}
}

# A judge that compared nothing would be content too.
for my $kind (
	qw(block commit abort prepare commit_prepared abort_prepared restore_point truncate drop create database parameters checkpoint))
{
	cmp_ok($seen{$kind} // 0, '>', 0, "the WAL had: $kind");
}

done_testing();

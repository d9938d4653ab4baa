# What the TAP tests share: servers with the extension, recording and comparing their contents, restores, faults, log scans.
package PitrTest;

use strict;
use warnings FATAL => 'all';
use ContentJudge;
use Cwd qw(abs_path);
use Exporter 'import';
use Fcntl qw(:flock);
use File::Temp ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(pitr_node poll_until no_operation_runs contents restore undo wait_operation dump_of arm_fault arm_only clear_faults fault_file
  s3_alone s3_shared s3_own repository_of unexpected_log_lines psql_row plan_of refusal refused_alike);

my $faults = File::Temp->newdir('pitr-faults-XXXXXX', TMPDIR => 1);
chmod 0755, "$faults";

# The file that every server started from here on reads at its fault points.
sub fault_file { return "$faults/armed"; }

# arm_fault('exchange.before_cut kill') adds a line; the format is that of src/core/base/fault.h.
sub arm_fault
{
	my @lines = @_;
	my $old = -e fault_file() ? PostgreSQL::Test::Utils::slurp_file(fault_file()) : '';
	_write_faults($old . join('', map { "$_\n" } @lines));
}

# As arm_fault, instead of what was armed before, in one step.
sub arm_only { _write_faults(join '', map { "$_\n" } @_); }

sub clear_faults { _write_faults(''); }

sub _write_faults
{
	my ($text) = @_;
	my $new = fault_file() . '.new';
	open(my $file, '>', $new) or die "$new: $!";
	print $file $text;
	close $file;
	rename $new, fault_file() or die "rename: $!";
}

# Until this test ends nobody kills the S3 server (s3_shared), or nobody else uses it (s3_alone), since this test will.
my $s3_lock;
sub s3_shared { return _lock_s3(LOCK_SH); }
sub s3_alone { return _lock_s3(LOCK_EX); }

sub _lock_s3
{
	my ($how) = @_;
	open($s3_lock, '>>', "$ENV{PITR_TEST_RGW_DIR}/alone") or die "$ENV{PITR_TEST_RGW_DIR}/alone: $!";
	flock($s3_lock, $how) or die "flock: $!";
	return;
}

# An S3 server for this test alone, which has long work for it; the environment names it from here on. Options: those of test/rgw.
my $s3_own;
sub s3_own
{
	my (%options) = @_;
	local @ENV{ keys %options } = values %options;
	my $directory = "$ENV{TESTDATADIR}/s3own";
	my $tries = 0;
	until (system($ENV{PITR_TEST_RGW}, 'start', $directory, 30_000 + 4 * int rand 600) == 0)
	{
		die 'the S3 server does not start' if ++$tries == 5;
		system_or_bail($ENV{PITR_TEST_RGW}, 'stop', $directory);
		system_or_bail('rm', '-rf', $directory);
	}
	$s3_own = $directory;
	$ENV{PITR_TEST_RGW_DIR} = $directory;
	$ENV{PITR_TEST_S3_SERVER_CREDENTIALS} = "$directory/credentials";
	($ENV{PITR_TEST_S3_ENDPOINT}) = slurp_file("$directory/env") =~ /^PITR_TEST_S3_ENDPOINT=(\S+)/m;
	return;
}
END { local $?; system($ENV{PITR_TEST_RGW}, 'stop', $s3_own) if defined $s3_own }

sub repository_of { my ($node) = @_; return abs_path($node->basedir) . '/repository'; }

# pitr_node('name', conf => "…", wait => 1): a running server that archives to its own repository, with the extension in database
# postgres; by default its first snapshot is waited for. place => an empty directory, to which the data directory becomes a link.
sub pitr_node
{
	my ($name, %options) = @_;
	$ENV{PITR_FAULT_FILE} = fault_file();
	my $node = PostgreSQL::Test::Cluster->new($name);
	if ($options{place})
	{
		mkdir $node->basedir unless -d $node->basedir;
		symlink $options{place}, $node->data_dir or die "symlink: $!";
	}
	$node->init(%{ $options{init} // {} });
	my $repository = $options{repository} // repository_of($node);
	mkdir $repository, 0700 unless -d $repository;
	$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = 'pitr_ext'
wal_level = replica
archive_mode = on
archive_library = 'pitr_ext'
max_wal_senders = 5
pitr.repository = '$repository'
restart_after_crash = on
log_line_prefix = '%m [%p] %b '
# However full the disk is that tests run on.
pitr.disk_warn_percent = 100
pitr.disk_stop_percent = 100
CONF
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	return $node if defined $options{start} && !$options{start};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION pitr_ext');
	if (!defined $options{wait} || $options{wait})
	{
		poll_until($node, 'SELECT can_restore FROM pitr_status', 't') or die 'no first snapshot';
	}
	return $node;
}

# Waits until every operation of the server is over.
sub no_operation_runs { return poll_until($_[0], "SELECT count(*) FROM pitr_operations WHERE state IN ('queued', 'running')", 0); }

# Asks until the answer is $wanted; connection failures count as another answer.
sub poll_until
{
	my ($node, $sql, $wanted, $seconds) = @_;
	my $give_up = time + ($seconds // 60);
	my $answer = '';
	while (time < $give_up)
	{
		my ($rc, $out) = eval { $node->psql('postgres', $sql) };    # psql may be gone before it has read the statement
		return 1 if defined $rc && $rc == 0 && $out eq $wanted;
		$answer = $out // '';
		sleep 0.05;
	}
	diag("waited for \"$wanted\" from: $sql\nlast answer: \"$answer\"");
	return 0;
}

# Every user table and view that is stored, of every database: its row count and a hash of its ordered rows. Compared as text.
sub contents
{
	my ($node) = @_;
	my $text = '';
	my $databases = $node->safe_psql('postgres', 'SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1');
	foreach my $database (split /\n/, $databases)
	{
		$text .= join '', map { "$database $_\n" } split /\n/, rows_of_database($node, $database);
	}
	return $text;
}

# pg_dumpall without what any recovery may change.
sub dump_of
{
	my ($node) = @_;
	my ($out, $err);
	IPC::Run::run([ 'pg_dumpall', '-d', $node->connstr('postgres') ], '>', \$out, '2>', \$err) or die "pg_dumpall: $err";
	# Tokens against injected restrictions are random in newer minors.
	return join "\n", grep { !/setval|^\\(un)?restrict|^-- (Started|Completed|Dumped)/ } split /\n/, $out;
}

# One row as a hash, columns by name.
sub psql_row
{
	my ($node, $sql, $database) = @_;
	my ($rc, $out, $err) = $node->psql($database // 'postgres', $sql, extra_params => [ '-x', '-A', '-F', "\x01" ]);
	my %row = map { split /\x01/, $_, 2 } grep { /\x01/ } split /\n/, ($out // '');
	return { %row, _rc => $rc, _err => $err };
}

# Runs a restore statement and waits until its operation has ended: the hash of the answer row, with `outcome`.
sub restore
{
	my ($node, $sql) = @_;
	my $row = psql_row($node, $sql);
	return { %$row, outcome => 'refused' } unless $row->{operation_id};
	$row->{outcome} = wait_operation($node, $row->{operation_id});
	return $row;
}

sub undo { my ($node) = @_; return restore($node, 'SELECT * FROM pitr_undo_restore()'); }

# State of an operation when it has ended (and, for an exchange, everything after it).
sub wait_operation
{
	my ($node, $id, $seconds) = @_;
	my $give_up = time + ($seconds // 120);
	my $state = '';
	while (time < $give_up)
	{
		my ($rc, $out) = eval { $node->psql('postgres', "SELECT state FROM pitr_operations WHERE id = '$id'") };
		$state = $out if defined $rc && $rc == 0;
		my $closed = !-e $node->data_dir . '/pitr/intent.json';
		return $state if $closed && $state =~ /^(done|failed|cancelled)$/;
		sleep 0.05;
	}
	diag("operation $id is still \"$state\"");
	return $state;
}

# The plan for the arguments of a restore.
sub plan_of
{
	my ($node, $arguments, $settings) = @_;
	return psql_row($node, ($settings // '') . "SELECT * FROM pitr_plan_restore($arguments)");
}

# How a statement fails: its SQLSTATE ('' when it did not) and the text of the error.
sub refusal
{
	my ($node, $sql, $database) = @_;
	my ($rc, $out, $err) = $node->psql($database // 'postgres', $sql, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	my ($state, $text) = ($err // '') =~ /ERROR:  (\w{5}): (.*)/s;
	return { sqlstate => $state // '', text => $text // '', out => $out, err => $err };
}

# The restore is refused with that SQLSTATE and text, the plan says so before, and nothing of it is left.
sub refused_alike
{
	my ($node, $arguments, $sqlstate, $text, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $beside = abs_path($node->data_dir) . '.pitr';
	my %there = map { $_ => 1 } glob("$beside/*");
	my $plan = plan_of($node, $arguments);
	my $restore = refusal($node, "SELECT * FROM pitr_restore_branch($arguments)");
	# Positions and times move on between the two.
	my ($message) = split /\n/, $restore->{text};
	my ($said, $planned) = map { s/[0-9A-F]+/0/gr } $message // '?', $plan->{reason} // '';
	my $agrees = ($plan->{possible} // '') eq 'f' && $plan->{sqlstate} eq $sqlstate && $restore->{sqlstate} eq $sqlstate
	  && $restore->{text} =~ $text && index($planned, $said) == 0;
	# "server" marks the directory as this server's.
	my $left = join ' ', grep { !$there{$_} && !m{/server$} } glob("$beside/*");
	ok($agrees && $left eq '', "refused with $sqlstate by plan and restore: $name")
	  or diag('plan: ', explain($plan), 'restore: ', explain($restore), "left behind: $left");
	return $restore;
}

# Lines of WARNING or worse that the test did not announce with patterns. $from: offset in the log.
sub unexpected_log_lines
{
	my ($node, $from, @announced) = @_;
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $from // 0);
	my @bad;
	foreach my $line (split /\n/, $log)
	{
		next unless $line =~ / (WARNING|ERROR|FATAL|PANIC):  /;
		next if grep { $line =~ $_ } @announced;
		push @bad, $line;
	}
	return join "\n", @bad;
}

1;

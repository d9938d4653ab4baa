# What the fault tests share beside PitrTest: processes of a server, faults that were met, statements in the background, a server
# that is brought up again, and what must hold after whatever happened to it.
package FaultTest;

use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use Exporter 'import';
use IPC::Run ();
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(processes_of find_process postmaster_of fault_hit wait_for_hit forget_hits begin_sql end_sql ensure_running
  wait_until is_alive stray_directories stray_processes check_health forget_undo_branches fault_points);

# The names in fault_points.h, which stands beside the tests wherever they run.
sub fault_points
{
	my ($here) = abs_path(__FILE__) =~ m{^(.*)/test/tap/};
	my $text = slurp_file("$here/src/core/base/fault_points.h");
	return $text =~ /^\s+"([a-z0-9_.]+)",$/mg;
}

sub wait_until
{
	my ($seconds, $what) = @_;
	my $give_up = time + $seconds;
	while (1)
	{
		return 1 if $what->();
		return 0 if time > $give_up;
		sleep 0.02;
	}
}

sub is_alive
{
	my ($pid) = @_;
	open(my $file, '<', "/proc/$pid/stat") or return 0;
	my $stat = <$file> // '';
	return $stat =~ /\) [^ZX]/ ? 1 : 0;
}

# Everything that works in or on the server's directories: pid, parent, command line.
sub processes_of
{
	my ($node) = @_;
	my $base = abs_path($node->basedir);
	my @found;
	foreach my $entry (glob '/proc/[0-9]*')
	{
		my ($pid) = $entry =~ /(\d+)$/;
		next if $pid == $$;
		my $cwd = readlink "$entry/cwd" or next;
		open(my $file, '<', "$entry/cmdline") or next;
		my $arguments = do { local $/; <$file> } // '';
		$arguments =~ tr/\0/ /;
		next unless $cwd =~ m{^\Q$base\E/} || $arguments =~ m{(^|[ =])\Q$base\E/};
		next if $arguments =~ m{^(\S*/)?(psql|pg_ctl|sh|perl) };
		open(my $stat, '<', "$entry/stat") or next;
		my ($state, $parent) = (<$stat> // '') =~ /\) (\S) (\d+)/ or next;
		next if $state eq 'Z';
		push @found, { pid => $pid, parent => $parent, arguments => $arguments, cwd => $cwd };
	}
	return @found;
}

sub postmaster_of
{
	my ($node) = @_;
	my $path = $node->data_dir . '/postmaster.pid';
	open(my $file, '<', $path) or return 0;
	my $pid = <$file>;
	return 0 unless defined $pid && $pid =~ /^(\d+)$/;
	$pid = $1;
	my $cwd = readlink "/proc/$pid/cwd" or return 0;
	return $cwd eq abs_path($node->data_dir) && is_alive($pid) ? $pid : 0;
}

# Pid of the process of this kind, 0 when there is none.
sub find_process
{
	my ($node, $kind) = @_;
	return postmaster_of($node) if $kind eq 'postmaster';
	my %pattern = (
		worker => qr/: pitr operation worker/,
		child => qr/^pitr job/,
		launcher => qr/: pitr launcher/,
		archiver => qr/: archiver/,
		'archive worker 1' => qr/: pitr archive worker 1/,
		'archive worker 2' => qr/: pitr archive worker 2/,
		staging => qr{/postgres -D \S+\.pitr/},
		guard => qr/^pitr guard/);
	my $wanted = $pattern{$kind} or die "what is a $kind?";
	my ($found) = grep { $_->{arguments} =~ $wanted } processes_of($node);
	return $found ? $found->{pid} : 0;
}

sub forget_hits { unlink fault_file() . '.hits'; }

# Pid of the process that met the point first, 0 if none did.
sub fault_hit
{
	my ($point) = @_;
	open(my $file, '<', fault_file() . '.hits') or return 0;
	while (my $line = <$file>)
	{
		return $1 if $line =~ /^\Q$point\E (\d+)$/;
	}
	return 0;
}

sub wait_for_hit
{
	my ($point, $seconds) = @_;
	wait_until($seconds // 60, sub { fault_hit($point) });
	return fault_hit($point);
}

# A statement in a session of its own; end_sql waits for it and gives (exit status, output, errors).
sub begin_sql
{
	my ($node, $sql, @more) = @_;
	my %run = (out => '', err => '', began => time);
	my $in = '';
	$run{handle} = IPC::Run::start(
		[ 'psql', '-X', '-A', '-t', '-q', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), map { ('-c', $_) } @more, $sql ],
		'<', \$in, '>', \$run{out}, '2>', \$run{err}, IPC::Run::timeout(180));
	return \%run;
}

sub end_sql
{
	my ($run) = @_;
	eval { $run->{handle}->finish; 1 } or do { diag("statement: $@"); $run->{handle}->kill_kill; };
	$run->{seconds} = time - $run->{began};
	return ($run->{handle}->result(0) // 255, $run->{out}, $run->{err});
}

# Whatever happened: the server answers, by itself or started as anybody would.
sub ensure_running
{
	my ($node) = @_;
	my $give_up = time + 90;
	my $dead_since = 0;
	while (time < $give_up)
	{
		# psql may be gone before it has read its statement, which the caller's library dies of.
		my ($rc, $out) = eval { $node->psql('postgres', 'SELECT 1', timeout => 20) };
		if (defined $rc && $rc == 0)
		{
			$node->_update_pid(-1) if $node->can('_update_pid');
			return 1;
		}
		if (postmaster_of($node)) { $dead_since = 0; }
		elsif (!$dead_since) { $dead_since = time; }
		elsif (time - $dead_since > 1)
		{
			# It fails when the guard is faster, which is as good.
			PostgreSQL::Test::Utils::system_log('pg_ctl', '-w', '-t', '30', '-D', $node->data_dir, '-l', $node->logfile,
				'-o', '--cluster-name=' . $node->name, 'start');
			$dead_since = 0;
		}
		sleep 0.1;
	}
	return 0;
}

# Directories beside the data directory that no listed branch owns.
sub stray_directories
{
	my ($node) = @_;
	my $listed = $node->safe_psql('postgres', 'SELECT directory FROM pitr_branches WHERE directory IS NOT NULL AND deleted_at IS NULL');
	my %owned = map { $_ => 1 } split /\n/, $listed;
	return join ' ', grep { -d $_ && !$owned{$_} } glob(abs_path($node->data_dir) . '.pitr/br-*');
}

# Processes on the server's directories that are not below its postmaster.
sub stray_processes
{
	my ($node) = @_;
	my $postmaster = postmaster_of($node);
	my @all = processes_of($node);
	my %parent = map { $_->{pid} => $_->{parent} } @all;
	my @stray;
	foreach my $process (@all)
	{
		my $pid = $process->{pid};
		$pid = $parent{$pid} while $pid != $postmaster && $parent{$pid};
		push @stray, "$process->{pid} $process->{arguments} (in $process->{cwd})" if $pid != $postmaster;
	}
	return join "\n", @stray;
}

# What holds after every fault, once it is over.
sub check_health
{
	my ($node, $name, $seconds) = @_;
	my $stray = '';
	ok(wait_until($seconds // 60, sub { ($stray = stray_directories($node)) eq '' }), "$name: no directory is left over") or diag($stray);
	ok(wait_until(20, sub { ($stray = stray_processes($node)) eq '' }), "$name: no process is left over") or diag($stray);
	is($node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', "$name: pitr_check finds nothing");
}

# Undo directories cost disk, and the next fault does not need them.
sub forget_undo_branches
{
	my ($node) = @_;
	$node->safe_psql('postgres',
		"SELECT pitr_delete_branch(name, cascade => true, force => true) FROM pitr_branches WHERE kind = 'undo' AND deleted_at IS NULL");
}

1;

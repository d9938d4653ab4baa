# A server that is lost whole, clients that write down what was acknowledged, and a new server from the repository alone.
package LossTest;

use strict;
use warnings FATAL => 'all';
use ArchiveTest;
use Cwd qw(abs_path);
use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(lose new_node start_writers stop_writers acknowledged_rows missing_rows rows_of);

# kill -9 of all processes of a server, and its directory is gone.
sub lose
{
	my ($of) = @_;
	my $data = abs_path($of->data_dir);
	# Stopped first, so that nobody starts another one.
	foreach my $signal ('STOP', 'KILL')
	{
		foreach my $entry (glob '/proc/[0-9]*')
		{
			next unless (readlink("$entry/cwd") // '') =~ m{^\Q$data\E(/|$)};
			kill $signal, $entry =~ /(\d+)$/;
		}
	}
	wait_for('the end of all', sub { !grep { (readlink("$_/cwd") // '') =~ m{^\Q$data\E(/|$)} } glob '/proc/[0-9]*' }, 20);
	rename $of->data_dir, $of->data_dir . '.lost' or die "rename: $!";
	$of->_update_pid(-1);
	return;
}

# A running server on "another machine": from the repository alone.
my $made = 0;
sub new_node
{
	my ($host, $repository, @arguments) = @_;
	my $new = PostgreSQL::Test::Cluster->new('restored' . ++$made);
	mkdir $new->basedir;
	command_ok([ 'pitr', 'restore', '--repository', $repository, '--directory', $new->data_dir, @arguments ], "pitr restore @arguments");
	$new->append_conf('postgresql.conf', 'port = ' . $new->port . "\nunix_socket_directories = '$host'\n");
	$new->start;
	return $new;
}

# Each client inserts (client, n) with n from 1 on, and writes "client n time" to the file when that was acknowledged.
# Returns when all of them are at work.
my $script = <<'PERL';
use strict; use warnings; use Time::HiRes qw(time); use IPC::Open2; $| = 1;
my ($client, $log, @psql) = @ARGV;
open(my $out, '>>', $log) or die; select((select($out), $| = 1)[0]);
my $pid = open2(my $from, my $to, @psql);
select((select($to), $| = 1)[0]);
for (my $n = 1; ; $n++) {
	print $to "INSERT INTO acknowledged VALUES ($client, $n);\n\\echo done $n\n" or last;
	my $line = <$from>;
	last unless defined $line && $line =~ /^done $n$/;
	printf $out "%d %d %.6f\n", $client, $n, time;
}
PERL

sub start_writers
{
	my ($node, $clients) = @_;
	my %writers = (log => $node->basedir . '/acknowledged', runs => []);
	unlink $writers{log};
	$node->safe_psql('postgres', 'DROP TABLE IF EXISTS acknowledged; CREATE TABLE acknowledged (client int, n int, PRIMARY KEY (client, n))');
	foreach my $client (1 .. $clients)
	{
		my ($out, $err);
		push @{ $writers{runs} }, IPC::Run::start(
			[ $^X, '-e', $script, $client, $writers{log}, 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ],
			'>', \$out, '2>', \$err);
	}
	wait_for('acknowledged rows', sub { -e $writers{log} && scalar(my @rows = acknowledged_rows(\%writers)) > 10 * $clients }, 60)
	  or die 'nothing is acknowledged';
	return \%writers;
}

sub stop_writers { my ($writers) = @_; $_->kill_kill foreach @{ $writers->{runs} }; return; }

# "client n" of what was acknowledged before a time, or at any time.
sub acknowledged_rows
{
	my ($writers, $before) = @_;
	my @rows;
	foreach my $line (split /\n/, slurp_file($writers->{log}))
	{
		my ($client, $n, $time) = split / /, $line;
		next unless defined $time && $time =~ /^\d+\.\d{6}$/;
		push @rows, "$client $n" if !defined $before || $time < $before;
	}
	return @rows;
}

sub rows_of { my ($node) = @_; return split /\n/, $node->safe_psql('postgres', "SELECT client || ' ' || n FROM acknowledged"); }

sub missing_rows
{
	my ($node, @rows) = @_;
	my %there = map { $_ => 1 } rows_of($node);
	return grep { !$there{$_} } @rows;
}

1;

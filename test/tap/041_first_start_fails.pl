# A replacement whose first start fails after the exchange (internals 9): the old server is back with all its data, the operation
# says that it failed, nothing of the replacement is left. Up to 17 the postmaster ends by itself, 18 hangs until the guard ends it.
#
# PITR_SWEEP=full: every kind of damage, with and without the logging collector.
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

# The guard's patience, which decides on 18.
$ENV{PITR_GUARD_SECONDS} = 8;

my $node;

sub intent { return $node->data_dir . '/pitr/intent.json'; }

sub overwrite
{
	my ($path, $offset, $bytes) = @_;
	open(my $file, '+<', $path) or die "$path: $!";
	binmode $file;
	seek $file, $offset, 0;
	print $file $bytes;
	close $file;
}

# What is done to the staged directory once nothing of the restore looks at it any more. `happens`: the exchange is made, and undone.
my %damage = (
	'no commit log' => { happens => 1, do => sub { unlink glob("$_[0]/pg_xact/*") or die "unlink: $!" } },
	'a control file of nothing but zeros' => { happens => 1, do => sub { overwrite("$_[0]/global/pg_control", 0, "\0" x 8192) } },
	'a control file with a flipped byte' => { happens => 1, do => sub { overwrite("$_[0]/global/pg_control", 40, "\xa5") } },
	'no WAL to start from' => {
		happens => 1,
		do => sub {
			unlink grep { m{/[0-9A-F]{24}$} } glob("$_[0]/pg_wal/*") or die "unlink: $!";
		} },
	'an unreadable control file' => { happens => 0, do => sub { chmod 0, "$_[0]/global/pg_control" or die "chmod: $!" } },
	'a short control file' => { happens => 0, do => sub { truncate "$_[0]/global/pg_control", 100 or die "truncate: $!" } });
my @default = ('no commit log', 'a control file with a flipped byte', 'an unreadable control file');
my $full = ($ENV{PITR_SWEEP} // '') eq 'full';

sub start_server
{
	my ($name, $conf) = @_;
	$node = pitr_node($name, init => { extra => ['--wal-segsize=1'] }, conf => "max_wal_size = 64MB\nmin_wal_size = 4MB\n$conf");
	$node->safe_psql('postgres', "CREATE TABLE numbers AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 2000) g");
	my $target = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	my $then = contents($node);
	$node->safe_psql('postgres', 'DELETE FROM numbers WHERE id > 100');
	return ($target, $then);
}

sub fails_to_start
{
	my ($kind, $target, $killed) = @_;
	my $name = $killed ? "$kind, postmaster killed" : $kind;
	$node->safe_psql('postgres', "INSERT INTO numbers VALUES (100000 + (random() * 1e6)::int, '$name')");
	my $now = contents($node);
	my $identity = slurp_file($node->data_dir . '/pitr/identity.json');
	my $log_from = -s $node->logfile;
	forget_hits();
	arm_fault('exchange.before_cut stop');
	my $run = begin_sql($node, "SELECT operation_id FROM pitr_restore_branch('$target'::pg_lsn)");
	ok(wait_for_hit('exchange.before_cut'), "$name: the replacement is ready");
	my ($staged) = slurp_file(intent()) =~ /"staged_directory":"([^"]+)"/;
	$damage{$kind}{do}->($staged);
	# The commit of this moment belongs to the old state, too.
	$node->safe_psql('postgres', "INSERT INTO numbers VALUES (-(random() * 1e9)::int, 'as late as can be')");
	$now = contents($node);
	$killed ? arm_only('exchange.after_rename kill') : clear_faults();
	my ($rc, $out, $err) = end_sql($run);
	like($out, qr/^op-/, "$name: the restore was under way") or diag($err);
	my ($operation) = $out =~ /^(\S+)/;

	my $began = time;
	if ($killed)
	{
		ok(wait_for_hit('exchange.after_rename'), "$name: it died right after the exchange");
		clear_faults();
	}
	ok(wait_until(90, sub { !-e intent() && postmaster_of($node) && ensure_running($node) }), "$name: the server is back");
	note(sprintf 'after %.1f s', time - $began);
	is(contents($node), $now, "$name: with everything that it had");
	is(slurp_file($node->data_dir . '/pitr/identity.json'), $identity, "$name: it is the same directory");
	is(wait_operation($node, $operation), 'failed', "$name: the operation failed");
	like($node->safe_psql('postgres', "SELECT error FROM pitr_operations WHERE id = '$operation'"), qr/as it was/, "$name: and says so");
	my $log = slurp_file($node->logfile, $log_from) . join '', map { slurp_file($_) } glob($node->data_dir . '/log/*');
	my $guard = join '', map { slurp_file($_) } glob(abs_path($node->data_dir) . ".pitr/$operation.guard.json.log");
	my $wanted = $damage{$kind}{happens} ? qr/the old data directory is back|data directory from before the restore is back/ : qr/no exchange: /;
	like($log . $guard, $wanted, "$name: the log tells") or diag($guard);
	ok(!-e $staged, "$name: the replacement is gone");
	check_health($node, $name);
}

sub works_again
{
	my ($name, $target, $then) = @_;
	my $row = restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)");
	is($row->{outcome}, 'done', "$name: a restore without damage") or diag(explain($row));
	is(contents($node), $then, "$name: brings back what was there");
	$row = undo($node);
	is($row->{outcome}, 'done', "$name: undo") or diag(explain($row));
}

# The guard starts the server on the new directory; until its launcher has confirmed it could still go back.
sub unconfirmed
{
	my ($target, $then) = @_;
	my $name = 'started anew, not confirmed';
	my $now = contents($node);
	forget_hits();
	arm_fault('exchange.after_rename kill', 'exchange.before_confirm stop');
	my ($rc, $out, $err) = end_sql(begin_sql($node, "SELECT operation_id FROM pitr_restore_branch('$target'::pg_lsn)"));
	my ($operation) = $out =~ /^(op-\S+)/ or diag($err);
	ok(wait_for_hit('exchange.before_confirm'), "$name: it stands");
	my $answer = '';
	ok(wait_until(20, sub { (undef, undef, $answer) = $node->psql('postgres', 'SELECT 1'); $answer =~ /being restored/ }),
		"$name: nobody is let in") or diag($answer);
	clear_faults();
	ok(wait_until(60, sub { !-e intent() && ensure_running($node) }), "$name: confirmed then");
	is(wait_operation($node, $operation), 'done', "$name: done");
	is(contents($node), $then, "$name: contents of then");
	my $row = undo($node);
	is($row->{outcome}, 'done', "$name: undo") or diag(explain($row));
	is(contents($node), $now, "$name: contents of before");
	check_health($node, $name);
}

my ($target, $then) = start_server('plain', '');
fails_to_start($_, $target) foreach $full ? sort keys %damage : @default;
# Twice unlucky: nobody is left in the postmaster to go back, so the guard does.
fails_to_start('no commit log', $target, 1);
unconfirmed($target, $then);
works_again('plain', $target, $then);
$node->stop;

# The collector's folder moves with the exchange, so it has to come back as well.
($target, $then) = start_server('collector', "logging_collector = on\nlog_directory = 'log'\n");
fails_to_start($_, $target) foreach $full ? sort keys %damage : ('no commit log');
my $log = $node->data_dir . '/log';
ok(-d $log && !-l $log, 'the folder of the log is a folder again');
fails_to_start('no commit log', $target, 1);
works_again('collector', $target, $then);
ok(-d $log && !-l $log, 'and after a restore and its undo');
my $current = $node->safe_psql('postgres', 'SELECT pg_current_logfile()');
ok(-f $node->data_dir . "/$current", 'the collector writes where the server says') or diag($current);
$node->stop;
done_testing();

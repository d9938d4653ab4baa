# Events: what goes wrong is told to a command and by NOTIFY, once, and so is its end.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use FaultTest;
use JSON::PP;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir();
my $told = "$folder/told";
my $node = pitr_node('main', conf => "autovacuum = off\nmax_worker_processes = 16\npitr.event_command = 'cat >> $told'\n");
my $repository = repository_of($node);
sub value { return $node->safe_psql('postgres', $_[0]); }
sub told { return -e $told ? map { decode_json($_) } split /\n/, slurp_file($told) : (); }
sub told_of { my ($event, $count) = @_; return wait_until(30, sub { ($count // 1) <= grep { $_->{event} eq $event } told() }); }

my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN pitr_events');
my $heard = '';
sub heard_of
{
	my ($event) = @_;
	return wait_until(30, sub { $heard .= $listener->query('SELECT 1'); $heard .= $listener->{stderr} // ''; $heard =~ /"event":"$event"/ });
}

# Archiving fails.
rename $repository, "$repository.away" or die;
value('CREATE TABLE stones (id int); SELECT pg_switch_wal()');
ok(told_of('archive_failing'), 'the command hears that archiving fails') or diag(slurp_file($node->logfile));
my ($event) = grep { $_->{event} eq 'archive_failing' } told();
is(join(' ', sort keys %$event), 'at branch event hint message operation_id severity', 'one JSON object');
is("$event->{severity} $event->{branch}", 'error main', 'how bad, and of which branch');
like($event->{message}, qr/^archiving fails: .*\Q$repository\E/, 'what');
like($event->{at}, qr/^\d{4}-\d\d-\d\dT.*Z$/, 'when');
ok(heard_of('archive_failing'), 'who listens hears it as well') or diag($heard);
sleep 3;
is(scalar(grep { $_->{event} eq 'archive_failing' } told()), 1, 'once, not every second');
rename "$repository.away", $repository or die;
ok(told_of('archive_recovered'), 'and that it is over');
ok(heard_of('archive_recovered'), 'who listens too');

# An operation that fails; quotes and shell characters in a message are text.
arm_only('snapshot.manifest.before_write error');
my $failed = refusal($node, q{SELECT pitr_create_snapshot('it''s $(touch /tmp/no) `x`')});
clear_faults();
isnt($failed->{sqlstate}, '', 'a snapshot fails');
ok(told_of('operation_failed'), 'the command hears of it');
($event) = grep { $_->{event} eq 'operation_failed' } told();
like($event->{message}, qr/^snapshot of branch "main" failed: /, 'which');
is($event->{operation_id}, value(q{SELECT id FROM pitr_operations WHERE state = 'failed' ORDER BY started_at DESC LIMIT 1}), 'by its id');

# A disk that fills.
value("ALTER SYSTEM SET pitr.disk_warn_percent = 1");
$node->reload;
ok(told_of('disk_filling'), 'a disk that fills');
value("ALTER SYSTEM SET pitr.disk_warn_percent = 100");
$node->reload;
ok(told_of('disk_recovered'), 'and that there is room again');

my $nap = "1000.$$";    # seconds, and nobody else's
# A command that fails, one that hangs: the log has it, the launcher goes on.
my $from = -s $node->logfile;
value("ALTER SYSTEM SET pitr.event_command = 'exit 7'; ALTER SYSTEM SET pitr.disk_warn_percent = 1");
$node->reload;
ok(wait_log($node, $from, qr/WARNING:  pitr\.event_command: the command exited with status 7/), 'a command that fails is told of');
value("ALTER SYSTEM SET pitr.event_command = 'sleep $nap'; ALTER SYSTEM SET pitr.disk_warn_percent = 100");
$node->reload;
ok(wait_until(20, sub { grep { (eval { slurp_file("/proc/$_/cmdline") } // '') =~ /sleep.*\Q$nap\E/ } map { m{(\d+)$} } glob '/proc/[0-9]*' }), 'one that hangs');
ok(psql_row($node, "SELECT * FROM pitr_create_snapshot('beside')")->{id}, 'everything else goes on');
my $began = time;
$node->stop;
cmp_ok(time - $began, '<', 20, 'a stop does not wait for it');
ok(wait_until(10, sub { !grep { (eval { slurp_file("/proc/$_/cmdline") } // '') =~ /sleep.*\Q$nap\E/ } map { m{(\d+)$} } glob '/proc/[0-9]*' }), 'and it is gone');
done_testing();

# pitr_metrics: text that an independent parser reads, with the values of the views; what dashboards, alerts and recipes name is there.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use FaultTest;
use IPC::Run;
use JSON::PP;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pitr_node('main', conf => "autovacuum = off\n");
my $repository = repository_of($node);
my $contrib = "$FindBin::RealBin/../../contrib";
my $folder = PostgreSQL::Test::Utils::tempdir();
sub value { return $node->safe_psql('postgres', $_[0]); }

# By Prometheus' own library: "name{labels}" => value.
sub parsed
{
	my ($text) = @_;
	my $program = <<'PYTHON';
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
out = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation, family.name
    for sample in family.samples:
        key = sample.name + (json.dumps(sample.labels, sort_keys=True) if sample.labels else "")
        assert key not in out, key
        out[key] = sample.value
json.dump(out, sys.stdout)
PYTHON
	my ($out, $err) = ('', '');
	IPC::Run::run([ '/usr/bin/python3', '-c', $program ], '<', \$text, '>', \$out, '2>', \$err) or die $err;
	return decode_json($out);
}
sub metrics { return parsed(value('SELECT pitr_metrics()')); }

ok(poll_until($node, 'SELECT can_restore FROM pitr_status', 't'), 'a snapshot');
value("CREATE TABLE t AS SELECT 1; SELECT pg_switch_wal()");
ok(poll_until($node, 'SELECT ready_count = 0 AND archived_count > 0 FROM pitr_archive', 't'), 'archived');
value('SELECT count(*) FROM pitr_verify(byte_budget => 1)');
is(value('SELECT last_verified_at IS NULL FROM pitr_status'), 't', 'what was read in part is not verified');
value('SELECT count(*) FROM pitr_verify()');
my $now = metrics();
is($now->{pitr_can_restore}, 1, 'it can be restored');
is($now->{pitr_has_problem}, 0, 'nothing is wrong');
my $views = psql_row($node, <<'SQL');
SELECT archived_count, raw_bytes, stored_bytes, extract(epoch FROM last_archived_at)::text AS archived_at,
	extract(epoch FROM last_snapshot_at)::text AS snapshot_at, extract(epoch FROM last_verified_at)::text AS verified_at,
	extract(epoch FROM window_start)::text AS window_start
FROM pitr_archive, pitr_status
SQL
my %same = (
	pitr_archived_segments_total => 'archived_count', pitr_archive_raw_bytes_total => 'raw_bytes', pitr_archive_stored_bytes_total => 'stored_bytes',
	pitr_last_archived_timestamp_seconds => 'archived_at', pitr_last_snapshot_timestamp_seconds => 'snapshot_at',
	pitr_last_verified_timestamp_seconds => 'verified_at', pitr_window_start_timestamp_seconds => 'window_start');
is($now->{$_} + 0, $views->{ $same{$_} } + 0, "$_ is what the view says") foreach sort keys %same;
is($now->{qq(pitr_repository_reachable{"repository": "$repository"})}, 1, 'the repository is labelled by its place');
cmp_ok($now->{qq(pitr_repository_free_bytes{"repository": "$repository"})}, '>', 0, 'with its free space');

# What is named elsewhere exists: absent values are the exception, and known. By the text itself, which has families without a sample not.
my %absent = map { $_ => 1 } qw(pitr_operations_running);
my $names = join "\n", map { /^(\w+)/ } keys %$now;
foreach my $file ("$contrib/prometheus/pitr_ext.rules.yml", "$contrib/grafana/pitr_ext.json")
{
	my $text = slurp_file($file);
	my %named = map { $_ => 1 } grep { !/^pitr_(?:ext|status|archive|repositories|operations|branches|verify|metrics|delete_branch)$/ } $text =~ /\b(pitr_\w+)\b/g;
	cmp_ok(scalar(keys %named), '>', 8, "$file names metrics");
	is(join(' ', grep { $names !~ /^\Q$_\E$/m && !$absent{$_} } sort keys %named), '', '... that exist');
}
decode_json(slurp_file("$contrib/grafana/pitr_ext.json"));

# The recipe for postgres_exporter: its queries run, and give the same names.
my $recipe = slurp_file("$contrib/prometheus/postgres_exporter.yml");
my $queries = 0;
while ($recipe =~ /^(pitr\w*):\n  query: \|\n((?:    .*\n)+)  metrics:\n((?:    - .*\n)+)/mg)
{
	my ($prefix, $query, $listed) = ($1, $2, $3);
	$queries++;
	my $row = psql_row($node, $query);
	my %columns = map { $_ => 1 } grep { !/^_/ } keys %$row;
	my @listed = $listed =~ /- (\w+):/g;
	is(join(' ', sort @listed), join(' ', sort grep { $_ ne 'outcome' } keys %columns), "$prefix: the columns are those that are described") or diag(explain($row));
	is(join(' ', grep { $_ ne 'repository' && $names !~ /^\Q${prefix}_$_\E$/m && "${prefix}_$_" !~ /loss_if_crashed/ } @listed), '', "$prefix: and the names of pitr_metrics");
}
is($queries, 2, 'both queries');

# The recipe for the textfile collector.
my @psql = ('-d', $node->connstr('postgres'));
system("$contrib/prometheus/textfile.sh", $folder, @psql) == 0 or die 'textfile.sh';
is(parsed(slurp_file("$folder/pitr_ext.prom"))->{pitr_can_restore}, 1, 'textfile.sh writes them');
isnt(system("$contrib/prometheus/textfile.sh '$folder' -d 'host=/nowhere dbname=x' 2>/dev/null"), 0, 'a server that is away is an error');
is(parsed(slurp_file("$folder/pitr_ext.prom"))->{pitr_can_restore}, 1, 'and the file stays as it was');
is(join(' ', glob "$folder/.pitr_ext.*"), '', 'nothing else is left');

# Who may.
value('CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; CREATE ROLE nobody LOGIN');
like($node->safe_psql('postgres', 'SELECT pitr_metrics()', extra_params => [ '-U', 'watcher' ]), qr/^pitr_can_restore 1$/m, 'pg_monitor may call it');
my ($rc, undef, $err) = $node->psql('postgres', '\set VERBOSITY sqlstate' . "\nSELECT pitr_metrics()", extra_params => [ '-U', 'nobody' ]);
like($err, qr/42501/, 'others may not');

# An operation that runs is seen.
value("ALTER SYSTEM SET pitr.snapshot_read_rate = '64kB'; SELECT pg_reload_conf()");
value("SELECT pitr_create_snapshot('slow', wait => false)");
ok(poll_until($node, q{SELECT pitr_metrics() ~ 'pitr_operations_running\{kind="snapshot"\} 1'}, 't'), 'an operation');
value("SELECT pitr_cancel_operation(id) FROM pitr_operations WHERE state IN ('running', 'queued')");
no_operation_runs($node);

# The repository is away: it answers, and tells.
rename $repository, "$repository.away" or die;
value('INSERT INTO t VALUES (2); SELECT pg_switch_wal()');
ok(poll_until($node, q{SELECT archive_state = 'failing' FROM pitr_status}, 't'), 'archiving fails');
my $away = metrics();
is("$away->{pitr_archive_failing} $away->{pitr_has_problem} $away->{pitr_can_restore}", '1 1 0', 'the metrics say so');
cmp_ok($away->{pitr_archive_failures_total}, '>', 0, 'and how often');
cmp_ok($away->{pitr_archive_backlog_segments}, '>', 0, 'and what waits');
cmp_ok($away->{pitr_repository_seen_timestamp_seconds}, '<', value('SELECT extract(epoch FROM clock_timestamp())'), 'and as of when the rest is');
is($away->{pitr_last_snapshot_timestamp_seconds} + 0, $views->{snapshot_at} + 0, 'which is what was seen last');
is($away->{qq(pitr_repository_reachable{"repository": "$repository"})}, 0, 'of which repository');
rename "$repository.away", $repository or die;
ok(poll_until($node, q{SELECT pitr_metrics() ~ '\npitr_archive_failing 0\n'}, 't'), 'all is well again');
$node->stop;
done_testing();

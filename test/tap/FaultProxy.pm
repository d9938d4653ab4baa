# A proxy before an S3 server that breaks what it is told to break. One process for each connection; each request is looked up in
# the rules, so that a fault hits the request it is meant for.
#
# A rule is "REGEX ACTION ARGUMENT TIMES": the first whose regex matches "METHOD target" and that was not used up acts.
#   refuse            the connection is reset before anything of the request goes on
#   reset_request N   the server gets N bytes of the body, then both sides are reset
#   lost_answer -     the server carries it out, the client sees a reset
#   reset_answer N    the client gets N bytes of the body, then a reset        cut_answer N   the same, but an orderly end
#   corrupt N         byte N of the answer's body is changed
#   status CODE[:NAME] answered here                                           status_after CODE   carried out, then answered so
#   slow N            bodies go at N bytes a second                            hang -         no answer at all
#   kill PID          ends a process when the server has got half of the body
#   late_conditions 0  as if If-None-Match were looked at when a request begins: one that was overtaken is told that it succeeded
#   no_conditions CODE  requests with If-None-Match alone: 200 says that a taken name was taken once more, anything else is answered here
package FaultProxy;

use strict;
use warnings FATAL => 'all';
use Digest::MD5 qw(md5_hex);
use Fcntl qw(:flock SEEK_SET);
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep);

# NAME of the error when the rule gives none.
my %reason = (500 => 'InternalError', 503 => 'SlowDown', 403 => 'AccessDenied', 501 => 'NotImplemented');

sub start
{
	my ($class, $directory, $server_port) = @_;
	mkdir $directory or die "$directory: $!";
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64, ReuseAddr => 1) or die "listen: $!";
	my $self = bless { directory => $directory, server => $server_port, port => $listener->sockport }, $class;
	$self->rules();
	my $pid = fork() // die "fork: $!";
	if (!$pid)
	{
		$SIG{CHLD} = 'IGNORE';
		$SIG{PIPE} = 'IGNORE';
		setpgrp(0, 0);
		# Whoever reads the test's output must not wait for us.
		open(STDOUT, '>', '/dev/null') or POSIX::_exit(1);
		open(STDERR, '>', '/dev/null') or POSIX::_exit(1);
		while (1)
		{
			my $client = $listener->accept or next;
			my $child = fork();
			if (defined $child && !$child)
			{
				eval { $self->_serve($client) };
				POSIX::_exit(0);
			}
			close $client;
		}
	}
	$self->{pid} = $pid;
	return $self;
}

sub stop { my ($self) = @_; kill 'KILL', -$self->{pid}; waitpid $self->{pid}, 0; return; }
sub endpoint { my ($self) = @_; return "http://127.0.0.1:$self->{port}"; }

# Instead of the rules before; none: everything passes. Starts the count of hits anew.
sub rules
{
	my ($self, @rules) = @_;
	open(my $lock, '>>', "$self->{directory}/lock") or die "$!";
	flock($lock, LOCK_EX);
	foreach my $file ('rules', 'hits')
	{
		open(my $out, '>', "$self->{directory}/$file") or die "$!";
		print $out map { "$_\n" } @rules if $file eq 'rules';
	}
	return;
}

# Requests that a rule has acted on: "METHOD target".
sub hits
{
	my ($self) = @_;
	open(my $in, '<', "$self->{directory}/hits") or die "$!";
	return map { chomp; s/^\d+ //r } <$in>;
}

# The action for a request, counted.
sub _rule_for
{
	my ($self, $request) = @_;
	open(my $lock, '>>', "$self->{directory}/lock") or die "$!";
	flock($lock, LOCK_EX);
	open(my $rules, '<', "$self->{directory}/rules") or return;
	open(my $hits, '+<', "$self->{directory}/hits") or return;
	my %used;
	while (<$hits>) { $used{$1}++ if /^(\d+) / }
	my $number = 0;
	while (<$rules>)
	{
		$number++;
		my ($pattern, $action, $argument, $times) = split;
		next unless $request =~ /$pattern/ && ($used{$number} // 0) < $times;
		seek($hits, 0, 2);
		print $hits "$number $request\n";
		return ($action, $argument);
	}
	return ('pass', 0);
}

# Whether a name was taken under late_conditions; with a second argument: it is now, or it is free.
sub _taken
{
	my ($self, $path, $now) = @_;
	my $file = "$self->{directory}/taken-" . md5_hex($path);
	return -e $file unless defined $now;
	if ($now) { open(my $out, '>', $file) or die "$file: $!"; }
	else { unlink $file }
	return;
}

sub _reset
{
	my (@sockets) = @_;
	foreach my $socket (grep { defined } @sockets)
	{
		setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
		close $socket;
	}
	POSIX::_exit(0);
}

sub _send
{
	my ($socket, $bytes) = @_;
	while (length $bytes)
	{
		my $sent = syswrite($socket, $bytes) or POSIX::_exit(0);
		substr($bytes, 0, $sent) = '';
	}
	return;
}

# A head up to its empty line; what came behind it stays in $$rest.
sub _head
{
	my ($socket, $rest) = @_;
	while ($$rest !~ /\r\n\r\n/)
	{
		sysread($socket, $$rest, 65536, length $$rest) or return;
	}
	$$rest =~ s/^(.*?\r\n\r\n)//s;
	return $1;
}

# Calls $take->($piece) for the body that belongs to the head, as it goes over the wire.
sub _body
{
	my ($socket, $rest, $head, $take) = @_;
	if ($head =~ /^transfer-encoding:\s*chunked/mi)
	{
		while (1)
		{
			while ($$rest !~ /\r\n/) { sysread($socket, $$rest, 65536, length $$rest) or return 0 }
			my ($size) = $$rest =~ /^([0-9a-fA-F]+)/ or return 0;
			my $whole = index($$rest, "\r\n") + 2 + hex($size) + 2;
			while (length($$rest) < $whole) { sysread($socket, $$rest, 65536, length $$rest) or return 0 }
			$take->(substr($$rest, 0, $whole, ''));
			return 1 if hex($size) == 0;
		}
	}
	my ($left) = $head =~ /^content-length:\s*(\d+)/mi;
	$left //= 0;
	while ($left > 0)
	{
		if (!length $$rest) { sysread($socket, $$rest, 65536) or return 0 }
		my $piece = substr($$rest, 0, $left, '');
		$left -= length $piece;
		$take->($piece);
	}
	return 1;
}

sub _answer_here
{
	my ($client, $answer, $method) = @_;
	my ($code, $name) = split /:/, $answer;
	if ($code == 200)
	{
		_send($client, "HTTP/1.1 200 OK\r\nETag: \"told\"\r\nContent-Length: 0\r\n\r\n");
		return;
	}
	$name //= $reason{$code};
	my $body = "<?xml version=\"1.0\"?><Error><Code>$name</Code><Message>told so</Message></Error>";
	my $head = "HTTP/1.1 $code Told\r\nContent-Type: application/xml\r\nContent-Length: " . length($body) . "\r\n\r\n";
	_send($client, $method eq 'HEAD' ? $head : $head . $body);
	return;
}

sub _serve
{
	my ($self, $client) = @_;
	my ($from_client, $from_server, $server) = ('', '');
	while (defined(my $head = _head($client, \$from_client)))
	{
		my ($method, $target) = $head =~ /^(\S+) (\S+)/ or return;
		my ($action, $argument) = $self->_rule_for("$method $target");
		_reset($client, $server) if $action eq 'refuse';
		my $is_conditional = $head =~ /^if-none-match:/mi;
		if ($action eq 'status' || $action eq 'hang' || ($action eq 'no_conditions' && $is_conditional && $argument != 200))
		{
			_body($client, \$from_client, $head, sub { }) or return;
			sleep 3600 if $action eq 'hang';
			_answer_here($client, $argument, $method);
			next;
		}
		my $was_taken = $self->_taken($target);
		$self->_taken($target, 0) if $action eq 'late_conditions' && $method eq 'DELETE';
		$server //= IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{server}) or _reset($client);
		my ($size) = ($head =~ /^content-length:\s*(\d+)/mi, 0);
		my $done = 0;
		_send($server, $head);
		_body($client, \$from_client, $head, sub {
			my ($piece) = @_;
			sleep(length($piece) / $argument) if $action eq 'slow';
			my $kept = $action eq 'reset_request' ? $argument - $done : length $piece;
			_send($server, substr($piece, 0, $kept < length $piece ? $kept : length $piece));
			$done += length $piece;
			_reset($client, $server) if $action eq 'reset_request' && $done >= $argument;
			kill 'KILL', $argument if $action eq 'kill' && $done * 2 >= $size;
		}) or return;
		_reset($client, $server) if $action eq 'reset_request';
		kill 'KILL', $argument if $action eq 'kill';
		my $answer = _head($server, \$from_server) // _reset($client, $server);
		my ($code) = $answer =~ /^\S+ (\d+)/;
		if ($action eq 'late_conditions' && $is_conditional && !$was_taken)
		{
			$self->_taken($target, 1) if $code == 200;
			($action, $argument) = ('status_after', 200) if $code == 412;
		}
		$action = 'status_after' if $action eq 'no_conditions' && $is_conditional && $code == 412;
		my $quiet = $action eq 'lost_answer' || $action eq 'status_after';
		_send($client, $answer) unless $quiet;
		my $sent = 0;
		if ($method ne 'HEAD' && $code != 204 && $code != 304)
		{
			_body($server, \$from_server, $answer, sub {
				my ($piece) = @_;
				return if $quiet;
				sleep(length($piece) / $argument) if $action eq 'slow';
				if ($action =~ /^(reset|cut)_answer$/ && $sent + length $piece > $argument)
				{
					_send($client, substr($piece, 0, $argument - $sent));
					_reset($client, $server) if $action eq 'reset_answer';
					POSIX::_exit(0);
				}
				my $at = $argument - $sent;
				substr($piece, $at, 1) ^= "\x01" if $action eq 'corrupt' && $at >= 0 && $at < length $piece;
				$sent += length $piece;
				_send($client, $piece);
			}) or _reset($client, $server);
		}
		_reset($client, $server) if $action eq 'lost_answer';
		_answer_here($client, $argument, $method) if $action eq 'status_after';
	}
	return;
}

1;

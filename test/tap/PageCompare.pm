# Two data directories of clusters that stand at the same record, page by page. Left out is what wal_consistency_checking masks as well:
# hint bits, the hole between line pointers and tuples, free space and visibility maps.
package PageCompare;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use File::Find;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(relation_files differing_pages);

use constant PAGE => 8192;

# Main forks by path: base/5/16384.1. Temporary and unlogged relations are in neither.
sub relation_files
{
	my ($directory) = @_;
	my %files;
	find({ no_chdir => 1, follow => 1, wanted => sub {
		my ($path) = $File::Find::name =~ m{\A\Q$directory\E/(.+)} or return;
		return unless $path =~ m{^(base|global|pg_tblspc)/} && $path =~ m{/(\d+)(\.\d+)?$} && -f $File::Find::name;
		(my $init = $File::Find::name) =~ s/(\/\d+)(\.\d+)?$/$1_init/;
		$files{$path} = 1 unless -e $init;
	} }, $directory);
	return sort keys %files;
}

# A page without what may differ. Heap pages are known by having no special space: of their tuples the hint bits of t_infomask go
# (htup_details.h: HEAP_XMIN_COMMITTED to HEAP_XMAX_INVALID), the command number and the bytes behind them, as in heap_mask (heapam.c).
sub masked
{
	my ($page) = @_;
	return '' if $page =~ /\A\0*\z/;
	my ($lsn, undef, undef, $lower, $upper, $special) = unpack 'a8 v v v v v', $page;
	return "lsn $lsn" if $lower < 24 || $lower > $upper || $upper > $special || $special > PAGE;
	my $data = substr $page, $upper, $special - $upper;
	# Of a sequence (sequence.c: SEQ_MAGIC) replay has the value up to which numbers were logged, the server the last one it gave.
	return "sequence $lsn" if $special == PAGE - 8 && unpack('V', substr $page, $special, 4) == 0x1717;
	if ($special == PAGE)
	{
		$lsn .= substr $page, 24, $lower - 24;
		for (my $at = 24; $at < $lower; $at += 4)
		{
			my $pointer = unpack 'V', substr $page, $at, 4;
			my ($offset, $flags, $length) = ($pointer & 0x7fff, $pointer >> 15 & 3, $pointer >> 17);
			next unless $flags == 1 && $length >= 23 && $offset >= $upper && $offset + $length <= PAGE;
			my $infomask = unpack 'v', substr $data, $offset - $upper + 20, 2;
			substr $data, $offset - $upper + 20, 2, pack 'v', $infomask & ~0x0f00;
			# Replay knows no commands of a transaction, and an image of a page has zeroes where there was free space before.
			substr $data, $offset - $upper + 8, 4, "\0" x 4 unless $infomask & 0xc000;
			my $padding = -$length % 8;
			substr $data, $offset - $upper + $length, $padding, "\0" x $padding if $padding > 0 && $offset + $length + $padding <= PAGE;
		}
	}
	return "lsn $lsn$data";
}

# Pages that `other` wrote after that LSN: it was started since, and its first queries prune what they meet.
sub is_newer
{
	my ($page, $lsn) = @_;
	my ($high, $low) = unpack 'V V', $page;
	return ($high << 32 | $low) > $lsn;
}

# "path page" of each page that differs, up to ten, and was not written by `other` after $lsn (0/3000148). A file may be longer by pages of zeroes.
sub differing_pages
{
	my ($one, $other, $lsn) = @_;
	my ($high, $low) = map { hex } split m{/}, $lsn;
	my $newest = $high << 32 | $low;
	my $newer = 0;
	my %all = map { $_ => 1 } relation_files($one), relation_files($other);
	my @bad;
	foreach my $path (sort keys %all)
	{
		my @content = map { -e "$_/$path" ? slurp_file("$_/$path") : '' } $one, $other;
		next if $content[0] eq $content[1];
		my $pages = (length $content[0] > length $content[1] ? length $content[0] : length $content[1]) / PAGE;
		for (my $page = 0; $page < $pages && @bad < 10; $page++)
		{
			my @masked = map { length $_ > $page * PAGE ? masked(substr $_, $page * PAGE, PAGE) : '' } @content;
			next if $masked[0] eq $masked[1];
			next if length $content[1] > $page * PAGE && is_newer(substr($content[1], $page * PAGE, 8), $newest) && ++$newer <= 20;
			push @bad, "$path $page";
		}
	}
	return join "\n", @bad;
}

1;

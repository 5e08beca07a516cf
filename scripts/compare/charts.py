# SPDX-License-Identifier: BSD-3-Clause
"""The charts, as SVG by gnuplot. Colours differ in lightness, lines in dashes and marks, so that
they can be told apart in grey."""

import os
import subprocess

from backends import Failed

# Colour, dash, mark and its size: by kind.
STYLES = {'original': ('#888888', 2, 2, 0.8), 'ours': ('#0072b2', 1, 6, 1.1),
          'drbg': ('#000000', 1, 7, 0.5), 'limit': ('#d55e00', 3, 0, 0)}
LINE_WIDTH = 2

HEAD = '''set terminal svg size 760,460 dynamic font "sans,13" background "#ffffff"
set output "{path}"
set title "{title}"
set grid lc rgb "#dddddd" lw 1
set border lc rgb "#444444"
set key {key} spacing 1.3
'''


def plot(path, title, key, body, blocks):
    """Runs gnuplot; each block is a data set named $dN."""
    script = HEAD.format(path=path, title=title, key=key)
    for number, block in enumerate(blocks):
        rows = '\n'.join(' '.join(map(str, row)) for row in block)
        script += f'$d{number} << EOD\n{rows}\nEOD\n'
    done = subprocess.run(['gnuplot'], input=script + body, text=True, stderr=subprocess.PIPE,
                          timeout=60)
    if done.returncode:
        raise Failed(f'gnuplot: {done.stderr}')


def line(kind, dash=None):
    colour, own_dash, _, _ = STYLES[kind]
    return f'lc rgb "{colour}" lw {LINE_WIDTH} dt {dash or own_dash}'


def marks(kind):
    colour, _, mark, size = STYLES[kind]
    return f'lc rgb "{colour}" lw {LINE_WIDTH} pt {mark} ps {size}'


def rate_over_size(results, directory):
    blocks, parts = [], []
    for kind in results['kinds']:
        rows = []
        for name, found in results['figures'].items():
            if name.startswith('poll-deep-'):
                rate = found[kind['key']]['MB_per_s']
                rows.append((int(name.rpartition('-')[2]), rate['median'], rate['min'],
                             rate['max']))
        parts.append(f'$d{len(blocks)} using 1:2:3:4 with yerrorlines {marks(kind["key"])} '
                     f'dt {STYLES[kind["key"]][1]} '
                     f'title "{kind["name"]}"')
        blocks.append(sorted(rows))
    limits = results['limits']['65536']
    for limit, title in (('keystream', 'limit: AES-256 keystream on one CPU'),
                         ('source_bulk', 'limit: reading /dev/urandom on one CPU')):
        value = limits[limit]['MB_per_s']
        dash = 3 if limit == 'keystream' else 4
        parts.append(f'{value} with lines {line("limit", dash)} title "{title}"')
    sizes = ', '.join(f'"{label(row[0])}" {row[0]}' for row in blocks[0])
    body = f'''set logscale xy
set xlabel "size of a request (bytes, log scale)"
set ylabel "rate (MB/s, log scale)"
set xtics ({sizes})
set xrange [48:90000]
set yrange [1:*]
plot {', '.join(parts)}
'''
    plot(os.path.join(directory, 'rate-over-size.svg'),
         'Rate over size: 1 guest, 128 requests outstanding, one CPU for the back-end',
         'bmargin center horizontal maxcols 2', body, blocks)


def label(size):
    return f'{size // 1024} Ki' if size >= 1024 else str(size)


def distribution(histogram):
    """(1 / (1 - quantile), microseconds) of the buckets, to plot the tail."""
    total = sum(count for _, _, count in histogram)
    seen, rows = 0, []
    for lowest, highest, count in histogram:
        seen += count
        left = max(total - seen, 0.5) / total
        rows.append((1 / left, (lowest + highest) / 2 / 1000))
    return [row for row in rows if row[0] <= 1e5]


def latency(results, directory):
    blocks, parts = [], []
    for name, dash, words in (('poll-one-64', 1, 'polls'), ('block-one-64', 2, 'sleeps')):
        for kind in results['kinds']:
            parts.append(f'$d{len(blocks)} using 1:2 with lines {line(kind["key"], dash)} '
                         f'title "{kind["name"]}; guest {words}"')
            blocks.append(distribution(results['figures'][name][kind['key']]['histogram']))
    body = f'''set logscale xy
set xlabel "share of the requests that were answered in this time or less"
set ylabel "latency (µs, log scale)"
set xtics ("0 %%" 1, "50 %%" 2, "90 %%" 10, "99 %%" 100, "99.9 %%" 1000, "99.99 %%" 10000)
set xrange [1:30000]
set yrange [0.1:*]
plot {', '.join(parts)}
'''
    plot(os.path.join(directory, 'latency.svg'),
         'Latency of 64 bytes: 1 guest, 1 request outstanding',
         'bmargin center horizontal maxcols 2', body, blocks)


def fairness(results, directory):
    blocks, parts = [], []
    for kind in results['kinds']:
        rates = results['figures']['poll-guests-64'][kind['key']]['guests_MB_per_s']
        mean = sum(rates) / len(rates)
        jain = results['figures']['poll-guests-64'][kind['key']]['jain']
        parts.append(f'$d{len(blocks)} using 1:2 with points {marks(kind["key"])} '
                     f'title "{kind["name"]}: {mean * len(rates):.1f} MB/s, Jain {jain:.4f}"')
        blocks.append([(number, rate / mean * 100 if mean else 0)
                       for number, rate in enumerate(sorted(rates, reverse=True), 1)])
    body = f'''set xlabel "guest, in the order of what it was given"
set ylabel "share (% of the mean)"
set xrange [0:65]
set yrange [0:*]
plot {', '.join(parts)}, 100 with lines lc rgb "#444444" dt 3 title "equal shares"
'''
    plot(os.path.join(directory, 'fairness.svg'),
         'Fairness: 64 guests that ask for 64 bytes, 16 requests outstanding each',
         'bmargin center vertical', body, blocks)


def write(results, directory):
    rate_over_size(results, directory)
    latency(results, directory)
    fairness(results, directory)

# SPDX-License-Identifier: BSD-3-Clause
"""What the daemon tells, as metrics of Prometheus. Names by the conventions of OpenMetrics: base
units, _total for what only goes up.

A snapshot is a dictionary: "guests", "lcores", "sources", each a list, "budget", "mode", and
"histograms": [(kind, number or name, histogram)].
"""

import time

from prometheus_client.core import (CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily,
                                    InfoMetricFamily)

from .protocol import Failure

STATES = ('busy', 'spinning', 'pausing', 'sleeping', 'blocked')
NS = 1e-9

# (key of its counters, name, help, factor)
GUEST_COUNTERS = (
    ('requests', 'requests', 'Requests completed', 1),
    ('bytes', 'delivered_bytes', 'Random bytes delivered', 1),
    ('short', 'short_requests', 'Requests completed with less than they had room for', 1),
    ('calls', 'calls', 'Notifications sent to the driver', 1),
    ('kicks', 'kicks', 'Notifications of the driver that woke the lcore', 1),
    ('throttled', 'throttled', 'Times that it came to wait for its allowance', 1),
    ('throttled_ns', 'throttled_seconds', 'Time that it waited for its allowance', NS),
    ('starved', 'starved', 'Times that it found no random bytes', 1),
    ('starved_ns', 'starved_seconds', 'Time that it waited for random bytes', NS),
    ('broken', 'broken_rings', 'Rings found to lie', 1),
)
LCORE_COUNTERS = (
    ('reseeds', 'reseeds', 'Times that its DRBG was seeded', 1),
    ('drawn', 'drawn_bytes', 'Bytes drawn from the kernel by the lcore itself', 1),
    ('sleeps', 'sleeps', 'Times that it slept for a time', 1),
    ('blocks', 'blocks', 'Times that it slept until it is woken', 1),
    ('wakes', 'wakes', 'Times that others in the daemon woke it', 1),
)
SOURCE_COUNTERS = (
    ('bytes', 'read_bytes', 'Bytes read and given on', 1),
    ('unwell', 'health_test_failures', 'Health tests failed', 1),
    ('errors', 'read_errors', 'Reads failed', 1),
)
HISTOGRAMS = {
    'service': ('guest_service_seconds', 'How long a guest waited for its turn and its bytes',
                'guest'),
    'wake': ('lcore_wake_delay_seconds', 'How late an lcore that was woken ran', 'lcore'),
    'timer': ('lcore_timer_delay_seconds', 'How late an lcore that slept for a time ran', 'lcore'),
}


def plain(answer):
    """Keys with '_', as telemetry has them."""
    return {key.replace('-', '_'): value for key, value in answer.items()}


def from_telemetry(telemetry, guest_histograms):
    """Ask for all. A guest that goes while others are asked for is left out."""
    names = telemetry.guests()
    guests = [guest for guest in (telemetry.ask('guest', name) for name in names) if guest]
    lcores = telemetry.lcores()
    source = telemetry.ask('source') or {}
    wanted = [('service', name) for name in names] if guest_histograms else []
    wanted += [(kind, number) for kind in ('wake', 'timer') for number in lcores]
    histograms = [(kind, who, telemetry.ask('histogram', kind, who)) for kind, who in wanted]
    return {
        'guests': guests,
        'lcores': list(lcores.values()),
        'sources': [value for value in source.values() if isinstance(value, dict)],
        'budget': telemetry.ask('budget') or {},
        'mode': source.get('mode', ''),
        'histograms': [each for each in histograms if each[2]],
    }


def from_control(client, _):
    """The same, but for the histograms, which the control socket does not tell."""
    status = client.ask('status')
    return {
        'guests': client.ask('guests')['guests'],
        'lcores': status['lcores'],
        'sources': status['sources'],
        'budget': plain(status['budget']),
        'mode': status['source-mode'],
        'histograms': [],
    }


class Family:
    """Makes families with one prefix, and adds to them what there is."""

    PREFIX = 'vhost_rng_'

    def gauge(self, name, help, labels=()):
        return GaugeMetricFamily(self.PREFIX + name, help, labels=labels)

    def counters(self, what, label, members, table):
        """A family for each counter; a member that has none of it is not in it."""
        for key, name, help, factor in table:
            family = CounterMetricFamily(f'{self.PREFIX}{what}_{name}', help, labels=[label])
            for who, values in members:
                if values.get(key) is not None:
                    family.add_metric([who], values[key] * factor)
            yield family

    def gauges(self, what, label, members, table):
        for name, help, value_of in table:
            family = self.gauge(f'{what}_{name}', help, [label])
            for who, values in members:
                value = value_of(values)
                if value is not None:
                    family.add_metric([who], value)
            yield family


families = Family()


def of_guests(guests):
    named = [(guest['name'], guest) for guest in guests]
    yield from families.counters('guest', 'guest', [(name, guest['counters'])
                                                    for name, guest in named], GUEST_COUNTERS)
    yield from families.gauges('guest', 'guest', named, (
        ('connected', 'A front-end is there', lambda guest: guest['state'] != 'alone'),
        ('served', 'Its ring runs', lambda guest: guest['state'] == 'served'),
        ('broken', 'Its ring was found to lie, and it is not served',
         lambda guest: bool(guest['broken'])),
        ('draining', 'No new front-end may come', lambda guest: guest['draining']),
        ('weight', 'Its part of the budget', lambda guest: guest['weight']),
        ('cap_bytes', 'Most bytes in a period', lambda guest: guest.get('cap')),
        ('age_seconds', 'Since it was added', lambda guest: guest['age_s']),
        ('lcore', 'The lcore that serves it', lambda guest: guest['lcore']),
    ))
    info = InfoMetricFamily(families.PREFIX + 'guest', 'Where it is', labels=['guest'])
    for name, guest in named:
        info.add_metric([name], {'socket': guest['socket'], 'mode': guest.get('mode', '')})
    yield info


def of_lcores(lcores):
    named = [(str(lcore['lcore']), lcore) for lcore in lcores]
    yield from families.counters('lcore', 'lcore', named, LCORE_COUNTERS)
    yield from families.gauges('lcore', 'lcore', named, (
        ('guests', 'Guests attached', lambda lcore: lcore['guests']),
        ('reseed_overdue', 'A reseed is due, and there is no seed',
         lambda lcore: lcore['overdue']),
        ('drbg_failed', 'The DRBG failed its self-test, and gives nothing any more',
         lambda lcore: lcore['failed']),
    ))
    times = CounterMetricFamily(families.PREFIX + 'lcore_seconds', 'What its time went to',
                                labels=['lcore', 'state'])
    for number, lcore in named:
        for state in STATES:
            if lcore.get(state + '_ns') is not None:
                times.add_metric([number, state], lcore[state + '_ns'] * NS)
    yield times


def of_sources(sources, mode):
    named = [(source['file'], source) for source in sources]
    yield from families.counters('source', 'file', named, SOURCE_COUNTERS)
    yield from families.gauges('source', 'file', named, (
        ('ok', 'It is well and gives bytes', lambda source: source['state'] == 'ok'),))
    info = InfoMetricFamily(families.PREFIX + 'source', 'What guests get of the source')
    info.add_metric([], {'mode': mode})
    yield info


def of_budget(budget):
    for key, name, help, factor in (
            ('max_bytes', 'bytes', 'What all guests together may have in a period', 1),
            ('max_requests', 'requests', 'The same, in requests', 1),
            ('period_ms', 'period_seconds', 'Length of a period', 1e-3)):
        if budget.get(key) is not None:
            family = families.gauge('budget_' + name, help)
            family.add_metric([], budget[key] * factor)
            yield family


def buckets_of(histogram):
    """Prometheus counts in each bucket those of all smaller ones, too."""
    total = 0
    buckets = []
    for bound, count in zip(histogram['le'], histogram['counts']):
        total += count
        # Divided, not multiplied: 1024 is 1.024e-06 then, without a digit of rounding.
        buckets.append((repr(bound / 1e9), total))
    return buckets + [('+Inf', total + histogram['over'])]


def of_histograms(histograms):
    for kind, (name, help, label) in HISTOGRAMS.items():
        family = HistogramMetricFamily(families.PREFIX + name, help, labels=[label])
        for each, who, histogram in histograms:
            if each == kind:
                family.add_metric([str(who)], buckets_of(histogram), histogram['sum'] * NS)
        yield family


class Collector:
    """What a registry of prometheus_client asks at each scrape."""

    def __init__(self, snapshot, complain):
        self._snapshot = snapshot
        self._complain = complain
        self._trouble = None

    def _take(self):
        """A snapshot, or None; what is wrong is said once."""
        try:
            snapshot, trouble = self._snapshot(), None
        except Failure as error:
            snapshot, trouble = None, str(error)
        except KeyError as error:
            snapshot, trouble = None, f'the daemon\'s answer lacks {error}'
        if trouble != self._trouble:
            self._complain(trouble or 'the daemon answers again')
        self._trouble = trouble
        return snapshot

    def collect(self):
        start = time.monotonic()
        snapshot = self._take()
        up = families.gauge('up', 'The daemon answers')
        up.add_metric([], snapshot is not None)
        yield up
        if snapshot is not None:
            yield from of_guests(snapshot['guests'])
            yield from of_lcores(snapshot['lcores'])
            yield from of_sources(snapshot['sources'], snapshot['mode'])
            yield from of_budget(snapshot['budget'])
            yield from of_histograms(snapshot['histograms'])
        took = families.gauge('exporter_scrape_seconds', 'How long the daemon was asked')
        took.add_metric([], time.monotonic() - start)
        yield took

# SPDX-License-Identifier: BSD-3-Clause
"""What every systemd unit must say, wherever it was installed or packaged."""

ROOT = ('root', '0', '')


def settings(text):
    """Each setting of a unit: (section, name) -> its values, in their order."""
    found, section = {}, None
    for line in text.splitlines():
        line = line.strip()
        if line.startswith('['):
            section = line.strip('[]')
        elif line and line[0] not in '#;':
            name, _, value = line.partition('=')
            found.setdefault((section, name), []).append(value)
    return found


def assert_restarts(name, text):
    """A start that failed is repeated without limit; one that was refused (status 2) is not."""
    said = settings(text)
    for section, key, value in (('Unit', 'StartLimitIntervalSec', '0'),
                                ('Service', 'Restart', 'on-failure'),
                                ('Service', 'RestartPreventExitStatus', '2')):
        assert said.get((section, key)) == [value], \
            f'{name}: {key} of [{section}] is {said.get((section, key))}, not {value}'
    # Neither may a status be taken for a success, nor force what Restart= does not do.
    for key in ('SuccessExitStatus', 'RestartForceExitStatus'):
        assert ('Service', key) not in said, f'{name} has {key}'


def assert_unprivileged(name, text):
    """No command of the unit runs as root."""
    said = settings(text)
    users = said.get(('Service', 'User'), [])
    assert len(users) == 1 and users[0] not in ROOT, f'{name}: User= of [Service] is {users}'
    for (section, key), values in said.items():
        if section == 'Service' and key.startswith('Exec'):
            # Before the path, these prefixes ignore User= (systemd.service(5), "Command lines").
            for value in values:
                prefix = value[:len(value) - len(value.lstrip('@-:+!|'))]
                assert not set(prefix) & set('+!'), f'{name}: {key}={value}'

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A vhost-user back-end of few lines that can lie, for the tests of the bench.

    fake_backend.py SOCKET MANNER

Serves one front-end with one split queue and memory of one region, then ends.
Manners:

    honest      random bytes
    mute        takes the connection and says nothing
    nonsense    answers the first message with bytes that are no vhost-user
    silent      negotiates, and answers no request
    no-call     answers, and calls nobody
    leaves      answers 10 requests and closes the connection
    bad-id      answers a request that was not made
    too-long    claims a byte more than there is room
    unwritten   claims all and writes nothing
    gap         leaves 8 bytes in the middle unwritten
    last-byte   never writes the last byte
    outside     writes 8 bytes behind the buffer
    table       changes a descriptor
    empty       answers with no bytes
    repeat      gives the same bytes each time
    too-many    publishes more answers than requests
"""

import mmap
import os
import select
import socket
import struct
import sys

GET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR = 1, 5, 8, 9
SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL = 10, 11, 12, 13
GET_PROTOCOL_FEATURES, SET_VRING_ENABLE = 15, 18
REPLY, NEED_REPLY = 0x5, 0x8
FEATURES = 1 << 32 | 1 << 30
REPLY_ACK = 1 << 3


class Backend:
    def __init__(self, path, manner):
        self.manner = manner
        self.ring = {}
        self.answered = 0
        self.enabled = False
        self.call_fd = -1
        self.memory = self.user_base = self.gpa_base = None
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        self.peer, _ = listener.accept()

    def run(self):
        while True:
            busy = self.enabled and self.serve()
            if select.select([self.peer], [], [], 0 if busy else 0.001)[0]:
                if not self.message():
                    return

    def message(self):
        data, fds, _, _ = socket.recv_fds(self.peer, 12, 8)
        if len(data) < 12:
            return False
        if self.manner == 'mute':
            return True
        if self.manner == 'nonsense':
            self.peer.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
            return True
        request, flags, size = struct.unpack('III', data)
        payload = self.peer.recv(size, socket.MSG_WAITALL) if size else b''
        answer = self.handle(request, payload, fds)
        for fd in fds:
            os.close(fd)
        if answer is None and flags & NEED_REPLY:
            answer = struct.pack('Q', 0)
        if answer is not None:
            self.peer.sendall(struct.pack('III', request, REPLY, len(answer)) + answer)
        return True

    def handle(self, request, payload, fds):
        if request == GET_FEATURES:
            return struct.pack('Q', FEATURES)
        if request == GET_PROTOCOL_FEATURES:
            return struct.pack('Q', REPLY_ACK)
        if request == SET_MEM_TABLE:
            self.gpa_base, size, self.user_base, offset = struct.unpack_from('QQQQ', payload, 8)
            self.memory = mmap.mmap(fds[0], size, offset=offset)
        elif request == SET_VRING_NUM:
            self.ring['num'] = struct.unpack('II', payload)[1]
        elif request == SET_VRING_BASE:
            self.ring['next'] = struct.unpack('II', payload)[1]
        elif request == SET_VRING_ADDR:
            desc, used, avail = (address - self.user_base
                                 for address in struct.unpack_from('QQQ', payload, 8))
            self.ring.update(desc=desc, used=used, avail=avail)
        elif request == SET_VRING_CALL:
            self.call_fd = os.dup(fds[0])
        elif request == SET_VRING_ENABLE:
            self.enabled = bool(struct.unpack('II', payload)[1])
        elif request == GET_VRING_BASE:
            self.enabled = False
            return struct.pack('II', 0, self.ring['next'])
        return None

    def store(self, form, offset, *values):
        """At once: struct.pack_into() would show zeros first."""
        data = struct.pack(form, *values)
        self.memory[offset:offset + len(data)] = data

    def serve(self):
        """Answers the next request; returns whether there was one."""
        ring, memory = self.ring, self.memory
        if self.manner == 'silent':
            return False
        index = struct.unpack_from('H', memory, ring['avail'] + 2)[0]
        if index == ring['next']:
            return False
        slot = ring['next'] % ring['num']
        head = struct.unpack_from('H', memory, ring['avail'] + 4 + 2 * slot)[0]
        claimed = self.fill(head)
        identity = head
        if self.manner == 'bad-id' and self.answered > 5:
            identity = (head + ring['num'] // 2) % ring['num']  # not outstanding at depth 4
        self.store('II', ring['used'] + 4 + 8 * slot, identity, claimed)
        ring['next'] = (ring['next'] + 1) % 65536
        ahead = 100 if self.manner == 'too-many' else 0
        self.store('H', ring['used'] + 2, (ring['next'] + ahead) % 65536)
        if self.manner != 'no-call':
            os.write(self.call_fd, struct.pack('Q', 1))
        self.answered += 1
        if self.manner == 'leaves' and self.answered == 10:
            sys.exit(0)
        return True

    def fill(self, head):
        """Writes the buffers of a chain; returns how many bytes it claims to have written."""
        claimed = 0
        while True:
            at = self.ring['desc'] + 16 * head
            gpa, size, flags, following = struct.unpack_from('QIHH', self.memory, at)
            self.fill_buffer(gpa - self.gpa_base, size)
            if self.manner == 'table':
                self.store('H', at + 14, 1)
            claimed += size
            if not flags & 1:
                break
            head = following
        if self.manner == 'empty':
            return 0
        return claimed + (self.manner == 'too-long')

    def fill_buffer(self, offset, size):
        data = os.urandom(size)
        old = self.memory[offset:offset + size]
        if self.manner == 'unwritten':
            return
        if self.manner == 'repeat':
            data = bytes(range(size % 256)) or b'x' * size
        elif self.manner == 'gap':
            middle = size // 2 & ~7
            data = data[:middle] + old[middle:middle + 8] + data[middle + 8:]
        elif self.manner == 'last-byte':
            data = data[:-1] + old[-1:]
        elif self.manner == 'outside':
            data += os.urandom(8)
        self.memory[offset:offset + len(data)] = data


def main():
    path, manner = sys.argv[1:]
    try:
        Backend(path, manner).run()
    except ConnectionError:
        pass


if __name__ == '__main__':
    main()

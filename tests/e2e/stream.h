/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A source of bytes whose every byte is known: one endless stream, each test daemon's FILE
 * holding a part of it. From a handful of bytes that a guest got, the place in the stream is
 * found, so a test can say "exactly these, in order, each once".
 *
 * The value STREAM_POISON does not occur in it. Memory that is filled with it before a request
 * shows exactly which bytes were written.
 */
#ifndef E2E_STREAM_H
#define E2E_STREAM_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_POISON 0xa5

/** The bytes [from, from + len) of the stream. */
void stream_bytes(uint64_t from, uint8_t *dst, size_t len_bytes);

/** Where in the stream 'data' is. @return the offset, or -1: nowhere. Wants 24 bytes or more. */
int64_t stream_locate(const uint8_t *data, size_t len_bytes);

/** Create or extend the file 'path' with the bytes [from, from + len). Fails the test on errors. */
void stream_append(const char *path, uint64_t from, size_t len_bytes);

#endif

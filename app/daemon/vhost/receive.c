/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/receive.h"

#include "vhost/conn.h"
#include "vhost/message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEADER_BYTES	  12
#define PAYLOAD_BYTES_MAX 264 /* of a message with descriptors: a table of eight regions */
#define LOOK_NS		  200000
#define REGIONS_MAX	  8

/* A memory table, as it travels. */
struct table {
	uint32_t n, padding;
	struct region {
		uint64_t gpa, size, user_addr, offset;
	} regions[REGIONS_MAX];
};

_Static_assert(sizeof(struct table) == PAYLOAD_BYTES_MAX, "the longest message with descriptors");

/* How many descriptors came with it; the kernel gives them in one piece. */
static size_t n_rights(struct msghdr *msg)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	return (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

static int right(struct msghdr *msg, size_t i)
{
	int fd;

	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(msg)) + i * sizeof(fd), sizeof(fd));
	return fd;
}

static void close_rights(struct msghdr *msg)
{
	for (size_t i = 0; i < n_rights(msg); i++)
		close(right(msg, i));
	msg->msg_controllen = 0;
}

/* Wait until so many bytes can be read. @return > 0; 0: the peer is gone; -1 and errno */
static int wait_for(int sock, uint32_t size)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	unsigned looks = RECEIVE_WAIT_MS * 1000000 / LOOK_NS;

	for (;;) {
		/* Before the look: what the peer sent before it left is there by then. */
		bool gone = !conn_is_live(sock);
		int there;

		if (ioctl(sock, FIONREAD, &there) != 0)
			return -1;
		if (there >= 0 && (uint32_t)there >= size)
			return 1;
		if (gone)
			return 0;
		if (looks-- == 0)
			break;
		nanosleep(&pause, NULL);
	}
	errno = EAGAIN;
	return -1;
}

/* Could the library map this region, as it does it? */
static bool can_map(int fd, const struct region *r)
{
	uint64_t size = r->size + r->offset, block;
	struct stat st;
	void *at;

	if (size < r->offset || r->size == 0 || fstat(fd, &st) != 0 || st.st_blksize <= 0)
		return false;
	block = (uint64_t)st.st_blksize;
	if (size > INT64_MAX - block)
		return false;
	size = (size + block - 1) / block * block;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return false;
	munmap(at, size);
	return true;
}

static bool can_map_all(int sock, struct msghdr *msg, uint32_t size)
{
	struct table table = {0};

	if (size > sizeof(table) || recv(sock, &table, size, MSG_PEEK | MSG_DONTWAIT) != size ||
		table.n > REGIONS_MAX)
		return false;
	for (size_t i = 0; i < table.n && i < n_rights(msg); i++)
		if (!can_map(right(msg, i), &table.regions[i]))
			return false;
	return true;
}

/* Of a ring that there is: for others the library may find no memory, and ends at once. */
static bool names_ring(int sock, struct message m)
{
	uint64_t index;

	if (m.size != sizeof(index) ||
		recv(sock, &index, sizeof(index), MSG_PEEK | MSG_DONTWAIT) != sizeof(index))
		return false;
	m.index = (uint32_t)index;
	return !message_names_other_ring(&m);
}

/* May the library have the descriptors of this message, which is whole? */
static bool may_keep(int sock, struct msghdr *msg, const struct message *m)
{
	switch (m->request) {
	case MSG_SET_MEM_TABLE:
		return can_map_all(sock, msg, m->size);
	case MSG_SET_VRING_KICK:
	case MSG_SET_VRING_CALL:
	case MSG_SET_VRING_ERR:
		return names_ring(sock, *m);
	case MSG_SET_LOG_BASE:
	case MSG_SET_LOG_FD:
	case MSG_NONE:
		return true;
	default:
		/* It closes them, but not if it finds the ring's index too large before. */
		return false;
	}
}

/* A message with descriptors must be whole. */
static ssize_t judge_rights(int sock, struct msghdr *msg, const struct message *m, ssize_t n)
{
	uint32_t size = m->size;
	int whole;

	if (size > PAYLOAD_BYTES_MAX) {
		close_rights(msg);
		errno = EMSGSIZE;
		return -1;
	}
	whole = wait_for(sock, size);
	if (whole <= 0) {
		close_rights(msg);
		return whole;
	}
	/* Without them the library refuses it, or does it as if they had not come. */
	if (!may_keep(sock, msg, m))
		close_rights(msg);
	return n;
}

ssize_t receive_judge(int sock, struct msghdr *msg, ssize_t n)
{
	struct message m = {0};

	if (msg->msg_flags & MSG_CTRUNC) {
		close_rights(msg);
		errno = EPROTO;
		return -1;
	}
	/* A head in pieces: the library closes what came with the first. */
	if (n != HEADER_BYTES || msg->msg_iovlen != 1 || msg->msg_iov[0].iov_len != HEADER_BYTES)
		return n;
	memcpy(&m, msg->msg_iov[0].iov_base, HEADER_BYTES);
	if (!message_is_allowed(m.request)) {
		m.request = MSG_NONE;
		memcpy(msg->msg_iov[0].iov_base, &m, HEADER_BYTES);
	}
	return n_rights(msg) > 0 ? judge_rights(sock, msg, &m, n) : n;
}

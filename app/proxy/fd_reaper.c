/* SPDX-License-Identifier: BSD-3-Clause */
#include "fd_reaper.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct queued_fd {
	struct queued_fd *next;
	int fd;
};

struct fd_reaper {
	struct fd_closer closer;
	pthread_mutex_t lock; /* of all below */
	struct queued_fd *first, **end;
	unsigned backlog;
	bool has_thread;
	bool is_orphan; /* fd_reaper_destroy() was called: the thread frees the reaper */
};

/* Take the first descriptor. Without one the thread is over. @return NULL: the queue is empty */
static struct queued_fd *take_first(struct fd_reaper *reaper)
{
	struct queued_fd *first = reaper->first;

	if (first == NULL) {
		reaper->has_thread = false;
		return NULL;
	}
	reaper->first = first->next;
	if (reaper->first == NULL)
		reaper->end = &reaper->first;
	return first;
}

static void *close_queued(void *arg)
{
	struct fd_reaper *reaper = arg;
	struct queued_fd *queued;
	bool is_orphan;

	for (;;) {
		pthread_mutex_lock(&reaper->lock);
		queued = take_first(reaper);
		is_orphan = reaper->is_orphan;
		pthread_mutex_unlock(&reaper->lock);
		if (queued == NULL)
			break;
		close(queued->fd);
		free(queued);
		pthread_mutex_lock(&reaper->lock);
		reaper->backlog--;
		pthread_mutex_unlock(&reaper->lock);
	}
	if (is_orphan)
		free(reaper);
	return NULL;
}

/* Start the thread if there is work for one. A failure is repaired by the next call. */
static void start_thread(struct fd_reaper *reaper)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (reaper->has_thread || reaper->first == NULL || pthread_attr_init(&attr) != 0)
		return;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	reaper->has_thread = pthread_create(&thread, &attr, close_queued, reaper) == 0;
	pthread_attr_destroy(&attr);
}

static void queue_fd(void *arg, int fd)
{
	struct fd_reaper *reaper = arg;
	struct queued_fd *queued = malloc(sizeof(*queued));

	/* Without memory the descriptor stays open: closing it here could block the event loop. */
	if (queued == NULL)
		return;
	*queued = (struct queued_fd){.fd = fd};
	pthread_mutex_lock(&reaper->lock);
	*reaper->end = queued;
	reaper->end = &queued->next;
	reaper->backlog++;
	start_thread(reaper);
	pthread_mutex_unlock(&reaper->lock);
}

int fd_reaper_create(struct fd_reaper **out)
{
	struct fd_reaper *reaper = calloc(1, sizeof(*reaper));

	if (reaper == NULL)
		return -ENOMEM;
	reaper->closer = (struct fd_closer){.close = queue_fd, .arg = reaper};
	pthread_mutex_init(&reaper->lock, NULL);
	reaper->end = &reaper->first;
	*out = reaper;
	return 0;
}

void fd_reaper_destroy(struct fd_reaper *reaper)
{
	bool has_thread;

	if (reaper == NULL)
		return;
	pthread_mutex_lock(&reaper->lock);
	reaper->is_orphan = true;
	start_thread(reaper);
	has_thread = reaper->has_thread;
	pthread_mutex_unlock(&reaper->lock);
	/* Without a thread nothing is queued, or none can be started: the descriptors stay open. */
	if (has_thread)
		return;
	for (struct queued_fd *queued = reaper->first, *next; queued != NULL; queued = next) {
		next = queued->next;
		free(queued);
	}
	free(reaper);
}

const struct fd_closer *fd_reaper_closer(struct fd_reaper *reaper)
{
	return &reaper->closer;
}

unsigned fd_reaper_backlog(struct fd_reaper *reaper)
{
	unsigned backlog;

	pthread_mutex_lock(&reaper->lock);
	start_thread(reaper);
	backlog = reaper->backlog;
	pthread_mutex_unlock(&reaper->lock);
	return backlog;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "proxy_thread.h"

#include "util.h"

#include <stdio.h>

static void keep_warning(void *arg, enum proxy_log_level level, const char *text)
{
	struct proxy_thread *proxy = arg;

	if (level <= PROXY_LOG_WARNING)
		snprintf(proxy->last_warning, sizeof(proxy->last_warning), "%s", text);
}

static void *run(void *arg)
{
	struct proxy_thread *proxy = arg;

	return proxy_run(proxy->proxy) == 0 ? NULL : proxy;
}

void proxy_thread_start(
	struct proxy_thread *proxy, const char *front_path, bool is_client, const char *back_path)
{
	const struct proxy_config config = {.log = keep_warning, .log_arg = proxy};
	const struct proxy_guest_config guest = {
		.name = "0",
		.path = front_path,
		.is_client = is_client,
		.mode = 0600,
		.gid = (gid_t)-1,
		.back_path = back_path,
	};
	struct why why;

	*proxy = (struct proxy_thread){0};
	assert_int_equal(proxy_create(&config, &proxy->proxy), 0);
	if (proxy_add_guest(proxy->proxy, &guest, &why) != 0)
		fail_msg("%s", why.text);
	assert_int_equal(pthread_create(&proxy->thread, NULL, run, proxy), 0);
	proxy->running = true;
}

void proxy_thread_stop(struct proxy_thread *proxy)
{
	void *failed;

	if (!proxy->running)
		return;
	proxy_stop(proxy->proxy);
	pthread_join(proxy->thread, &failed);
	proxy->running = false;
	assert_null(failed);
}

void proxy_thread_free(struct proxy_thread *proxy)
{
	proxy_thread_stop(proxy);
	proxy_destroy(proxy->proxy);
	proxy->proxy = NULL;
}

struct proxy_stats proxy_thread_stats(const struct proxy_thread *proxy)
{
	struct proxy_stats stats;

	proxy_get_stats(proxy->proxy, &stats);
	return stats;
}

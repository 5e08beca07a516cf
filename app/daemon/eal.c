/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include "log.h"
#include "text.h"

#include <rte_config.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EAL_ARGS_MAX  16
#define EAL_LCORES_SZ 4096 /* "128@128," for each */

/*
 * rte_vhost takes 44 bytes for each of the 32768 entries that a packed ring may have, and some
 * kilobytes for each ring. No more than that, since the EAL keeps 12 bytes about each KiB.
 */
#define HEAP_KIB	   (16u * 1024)
#define HEAP_KIB_PER_GUEST 1440u
#define ROOM_TO_GROW	   64

static int first_cpu_not_in(const cpu_set_t *set, const unsigned *list, unsigned n)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		bool taken = !CPU_ISSET(cpu, set);

		for (unsigned i = 0; i < n; i++)
			taken |= list[i] == (unsigned)cpu;
		if (!taken)
			return cpu;
	}
	return -1;
}

static int last_cpu(const cpu_set_t *set)
{
	int last = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, set))
			last = cpu;
	return last;
}

/* The least number that no lcore has when each has its CPU's. */
static unsigned free_id(unsigned control, const unsigned *poll, unsigned n)
{
	unsigned id = 0;

	for (unsigned i = 0; i < n;) {
		if (id == control || id == poll[i]) {
			id++;
			i = 0;
		} else {
			i++;
		}
	}
	return id;
}

/* Can the process use that CPU, one of 'cpus' or another? The EAL would abort when it cannot. */
static bool may_run_on(unsigned cpu, const cpu_set_t *cpus)
{
	cpu_set_t one;

	if (CPU_ISSET(cpu, cpus))
		return true;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) != 0)
		return false;
	sched_setaffinity(0, sizeof(*cpus), cpus);
	return true;
}

static int check_cpu(unsigned cpu, const cpu_set_t *cpus, struct why *why)
{
	if (cpu >= RTE_MAX_LCORE)
		return why_set(why, -EINVAL,
			"CPU %u has no lcore in this DPDK (at most %d): give EAL options such as "
			"--lcores 0@0,1@%u before --",
			cpu, RTE_MAX_LCORE - 1, cpu);
	if (!may_run_on(cpu, cpus))
		return why_set(why, -EINVAL,
			"CPU %u of --lcores is not there, or not for this process: choose of those "
			"that it may use (Cpus_allowed_list in /proc/PID/status)",
			cpu);
	return 0;
}

/*
 * Write "CONTROL@CPU,POLL@CPU,..." to 'lcores'. An lcore has the number of its CPU, but for the one
 * that shares the control CPU. Those that poll are noted in 'eal'.
 */
static int place_lcores(const struct options *opt, const cpu_set_t *cpus, char *lcores,
	int *main_id, struct eal *eal, struct why *why)
{
	unsigned poll[OPTIONS_LCORES_MAX], n = opt->n_lcores;
	size_t len;
	int control, err = 0;

	memcpy(poll, opt->lcores, n * sizeof(poll[0]));
	if (n == 0)
		poll[n++] = (unsigned)last_cpu(cpus);
	control = first_cpu_not_in(cpus, poll, n);
	if (control < 0)
		control = (int)poll[0];
	for (unsigned i = 0; i <= n && err == 0; i++)
		err = check_cpu(i < n ? poll[i] : (unsigned)control, cpus, why);
	if (err != 0)
		return err;

	*main_id = control;
	len = (size_t)snprintf(lcores, EAL_LCORES_SZ, "%d@%d", control, control);
	for (unsigned i = 0; i < n; i++) {
		unsigned id = poll[i];

		if (id == (unsigned)control)
			id = free_id((unsigned)control, poll, n);
		len += (size_t)snprintf(lcores + len, EAL_LCORES_SZ - len, ",%u@%u", id, poll[i]);
		eal->polling[i] = id;
	}
	eal->n_polling = n;
	return 0;
}

static int init_eal(int argc, char **argv, struct why *why)
{
	struct why reason;
	int n;

	/* Options before -- have not been checked, unlike eal-options of the configuration file. */
	for (int i = 1; i < argc; i++)
		if (text_check(argv[i], &reason) != 0)
			return why_set(why, -EINVAL, "EAL option number %d %s", i, reason.text);
	rte_errno = 0;
	n = rte_eal_init(argc, argv);
	if (n + 1 >= argc)
		return 0;
	if (n >= 0)
		return why_set(why, -EINVAL,
			"'%s' among the EAL options is none of them, nor the value of one: take it "
			"away",
			argv[n + 1]);
	/* It does not always say. */
	if (rte_errno == 0)
		return why_set(why, -EIO, "the EAL did not start: what it wrote before says why");
	/* EINVAL stands for its options; EACCES, for one, for hugepages that are short. */
	return why_set(why, rte_errno == EINVAL ? -EINVAL : -EIO, "the EAL did not start: %s",
		strerror(rte_errno));
}

/* As the configuration file says. */
static int init_by_file(const struct options *opt, char *program, struct why *why)
{
	/* The EAL may refer to them later. */
	static char *argv[OPTIONS_EAL_WORDS_MAX + 2], *words;
	char *rest, *word;
	int argc = 0;

	words = strdup(opt->eal_options);
	if (words == NULL)
		return why_set(why, -ENOMEM, "no memory for eal-options");
	argv[argc++] = program;
	rest = words;
	while ((word = strsep(&rest, " \t")) != NULL)
		if (word[0] != '\0')
			argv[argc++] = word;
	return init_eal(argc, argv, why);
}

/*
 * How many guests the heap has room for, whatever rings they make. Where guests may come while it
 * runs that is more than there are: not as many as there may be, since the EAL keeps 12 bytes about
 * each KiB.
 */
static unsigned room_for(const struct options *opt)
{
	bool may_come = opt->control_socket != NULL || opt->config != NULL;
	unsigned n = opt->socket_count + opt->n_guests;

	return may_come && n < ROOM_TO_GROW ? ROOM_TO_GROW : n;
}

static int init_worked_out(const struct options *opt, const cpu_set_t *cpus, char *program,
	struct eal *eal, struct why *why)
{
	static char lcores[EAL_LCORES_SZ], main_lcore[16], heap_mib[16];
	char *argv[EAL_ARGS_MAX];
	int argc = 0, main_id = 0, err;

	err = place_lcores(opt, cpus, lcores, &main_id, eal, why);
	if (err != 0)
		return err;
	snprintf(main_lcore, sizeof(main_lcore), "%d", main_id);
	argv[argc++] = program;
	argv[argc++] = (char *)"--lcores";
	argv[argc++] = lcores;
	argv[argc++] = (char *)"--main-lcore";
	argv[argc++] = main_lcore;
	argv[argc++] = (char *)"--no-pci";
	argv[argc++] = (char *)(opt->telemetry ? "--telemetry" : "--no-telemetry");
	argv[argc++] = (char *)"--iova-mode=va";
	/*
	 * No hugepages: the lcores use none, and a heap that grows by them lets front-ends use up
	 * the host's, and has the EAL handle SIGBUS meanwhile, which is guard.c's. It is all there
	 * from the start, and is paid for when it is used.
	 */
	eal->room = room_for(opt);
	snprintf(heap_mib, sizeof(heap_mib), "%u",
		(HEAP_KIB + HEAP_KIB_PER_GUEST * eal->room + 1023) / 1024);
	argv[argc++] = (char *)"--no-huge";
	argv[argc++] = (char *)"--no-shconf";
	argv[argc++] = (char *)"-m";
	argv[argc++] = heap_mib;
	if (opt->log_level != RTE_LOG_DEBUG)
		argv[argc++] = (char *)"--log-level=lib.*:error";
	argv[argc] = NULL;
	return init_eal(argc, argv, why);
}

/* Which lcores poll: all but the main one, or those of them that --lcores names. */
static int choose_polling(
	const struct options *opt, bool worked_out, struct eal *eal, struct why *why)
{
	unsigned id;

	eal->n_polling = 0;
	if (worked_out || opt->n_lcores == 0) {
		RTE_LCORE_FOREACH_WORKER(id)
		if (eal->n_polling < OPTIONS_LCORES_MAX)
			eal->polling[eal->n_polling++] = id;
		if (eal->n_polling > 0)
			return 0;
		return why_set(why, -EINVAL,
			"the EAL options leave no lcore to poll: give it two or more, such as "
			"-l 0,1");
	}
	for (unsigned i = 0; i < opt->n_lcores; i++) {
		id = opt->lcores[i];
		if (!rte_lcore_is_enabled(id) || id == rte_get_main_lcore()) {
			return why_set(why, -EINVAL,
				"--lcores names %u, which the EAL options do not enable or which "
				"is the main lcore: name other ones of them",
				id);
		}
		eal->polling[eal->n_polling++] = id;
	}
	return 0;
}

static void place_helpers(const cpu_set_t *cpus, struct eal *eal)
{
	rte_cpuset_t main_cpus = rte_lcore_cpuset(rte_get_main_lcore());

	eal->helper_cpus = *cpus;
	for (unsigned i = 0; i < eal->n_polling; i++) {
		rte_cpuset_t polling = rte_lcore_cpuset(eal->polling[i]);
		cpu_set_t both;

		CPU_OR(&both, &polling, &main_cpus);
		eal->shared_cpu |= CPU_COUNT(&both) == 1;
		CPU_AND(&both, &eal->helper_cpus, &polling);
		CPU_XOR(&eal->helper_cpus, &eal->helper_cpus, &both);
	}
	if (CPU_COUNT(&eal->helper_cpus) == 0)
		eal->helper_cpus = main_cpus;
}

static bool is_worked_out(const struct options *opt, int eal_argc)
{
	return eal_argc == 0 && opt->eal_options == NULL;
}

static int find_cpus(cpu_set_t *cpus, struct why *why)
{
	CPU_ZERO(cpus);
	if (sched_getaffinity(0, sizeof(*cpus), cpus) != 0)
		return why_set(why, -errno, "the CPUs of this process are not to be found out: %s",
			strerror(errno));
	return 0;
}

int eal_check(const struct options *opt, int eal_argc, struct eal *eal, struct why *why)
{
	static char lcores[EAL_LCORES_SZ];
	cpu_set_t cpus;
	int main_id, err;

	memset(eal, 0, sizeof(*eal));
	if (!is_worked_out(opt, eal_argc))
		return 0;
	err = find_cpus(&cpus, why);
	return err != 0 ? err : place_lcores(opt, &cpus, lcores, &main_id, eal, why);
}

int eal_start(
	const struct options *opt, int eal_argc, char **eal_argv, struct eal *eal, struct why *why)
{
	bool worked_out = is_worked_out(opt, eal_argc);
	cpu_set_t cpus;
	int err;

	memset(eal, 0, sizeof(*eal));
	err = find_cpus(&cpus, why);
	if (err != 0)
		return err;
	if (worked_out)
		err = init_worked_out(opt, &cpus, eal_argv[0], eal, why);
	else if (eal_argc == 0)
		err = init_by_file(opt, eal_argv[0], why);
	else
		err = init_eal(eal_argc, eal_argv, why);
	if (err != 0)
		return err;
	log_set_level(opt->log_level);
	log_limit_libraries();
	err = choose_polling(opt, worked_out, eal, why);
	if (err == 0)
		place_helpers(&cpus, eal);
	else
		rte_eal_cleanup();
	return err;
}

void eal_stop(void)
{
	rte_eal_cleanup();
}

int eal_lcore_cpu(unsigned lcore)
{
	rte_cpuset_t set = rte_lcore_cpuset(lcore);

	if (CPU_COUNT(&set) != 1)
		return -1;
	return last_cpu(&set);
}

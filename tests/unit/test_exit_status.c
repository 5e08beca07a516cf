/* SPDX-License-Identifier: BSD-3-Clause */
/* Which errors of a start a service manager should not repeat. */
#include "exit_status.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void test_success(void **state)
{
	assert_int_equal(exit_status(0), 0);
}

static void test_refused(void **state)
{
	static const int errors[] = {EINVAL, E2BIG, ENAMETOOLONG, ENOENT, ENOTDIR, EISDIR, ELOOP,
		EEXIST, EACCES, EPERM, EROFS, ENOTSUP, ENOSYS};

	for (unsigned i = 0; i < LENGTH(errors); i++)
		assert_int_equal(exit_status(-errors[i]), 2);
}

/* A start that is repeated may find memory, descriptors, room, a free socket or the device. */
static void test_failed(void **state)
{
	static const int errors[] = {ENOMEM, EMFILE, ENFILE, ENOSPC, EDQUOT, EADDRINUSE, EBUSY,
		EAGAIN, EINTR, EIO, ENODEV, ENXIO, ETIMEDOUT, EILSEQ};

	for (unsigned i = 0; i < LENGTH(errors); i++)
		assert_int_equal(exit_status(-errors[i]), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

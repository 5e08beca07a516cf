/* SPDX-License-Identifier: BSD-3-Clause */
#include "why.h"

#include <stdarg.h>
#include <stdio.h>

int why_set(struct why *why, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why->text, sizeof(why->text), format, ap);
	va_end(ap);
	why->err = err;
	return err;
}

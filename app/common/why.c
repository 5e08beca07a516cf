/* SPDX-License-Identifier: BSD-3-Clause */
#include "why.h"

#include "text.h"

#include <stdarg.h>
#include <stdio.h>

int why_set(struct why *why, int err, const char *format, ...)
{
	char text[WHY_SIZE];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	text_escape(text, why->text, sizeof(why->text));
	why->err = err;
	return err;
}

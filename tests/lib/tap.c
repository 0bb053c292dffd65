/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static unsigned tests, failures;

__attribute__((format(printf, 2, 3))) bool
expect(bool ok, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%s %u - ", ok ? "ok" : "not ok", ++tests);
    (void)vprintf(format, args);
    printf("\n");
    va_end(args);
    (void)fflush(stdout);
    failures += !ok;
    return ok;
}

int
tap_end(void)
{
    printf("1..%u\n", tests);
    return failures == 0 ? 0 : 1;
}

void
sleep_ms(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

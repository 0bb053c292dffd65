/* SPDX-License-Identifier: Apache-2.0 */
/* tap.h - lines of the Test Anything Protocol, for tests in C that are a program of their own. */
#ifndef VARVE_TESTS_TAP_H
#define VARVE_TESTS_TAP_H

#include <stdbool.h>

/* One line; returns `ok`. */
__attribute__((format(printf, 2, 3))) bool expect(bool ok, const char *format, ...);
/* Prints the plan; what main() returns. */
int tap_end(void);
void sleep_ms(long ms);

#endif

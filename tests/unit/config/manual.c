/* SPDX-License-Identifier: Apache-2.0 */
/* A manual library is read with all that it may say, and with what holds where it says nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <varve/config.h>

static void
test_manual_library(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    struct varve_error err = {0};
    static const char text[] = "[archive]\nname = a\n[tier ssd]\npath = s\n"
                               "[library desk]\nkind = manual\n"
                               "drive = /dev/sr0\ndrive = virtual:shelf#1\nmedia = 25GB\n"
                               "ask_command = mail -s \"$VARVE_TEXT\" anna\n"
                               "ask_timeout = 2h\nlabels = D-\n";
    if (!varve_config_parse(text, strlen(text), "varve.conf", "/a", &config, &err))
        fail_msg("%s", err.text);
    const struct varve_config_library *desk = &config->libraries[0];
    assert_int_equal(desk->kind, VARVE_LIBRARY_MANUAL);
    assert_int_equal(desk->drives.count, 2);
    assert_string_equal(desk->drives.words[0], "/dev/sr0");
    assert_string_equal(desk->drives.words[1], "virtual:shelf#1");
    assert_string_equal(desk->ask_command, "mail -s \"$VARVE_TEXT\" anna");
    assert_true(desk->ask_timeout_ns == INT64_C(7200) * 1000000000);
    assert_true(desk->ask_reminder_ns == INT64_C(3600) * 1000000000);
    assert_string_equal(desk->labels, "D-");
    assert_null(desk->path);
}

static void
test_defaults(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    struct varve_error err = {0};
    static const char text[] = "[tier ssd]\npath = s\n[library desk]\nkind = manual\n"
                               "drive = serial:ABC\n";
    if (!varve_config_parse(text, strlen(text), "varve.conf", "/a", &config, &err))
        fail_msg("%s", err.text);
    const struct varve_config_library *desk = &config->libraries[0];
    assert_true(desk->ask_timeout_ns == INT64_C(86400) * 1000000000);
    assert_null(desk->ask_command);
    assert_string_equal(desk->labels, "VRV");
    assert_int_equal(desk->media_bytes, 0);
    assert_int_equal(desk->recall_drives, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manual_library),
        cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Columns line up whatever is in them, and no file name can move the cursor of a terminal. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <table.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *const titles[] = {"NAME", "-SIZE", "PATH", NULL};

static void
test_columns_line_up(void **state)
{
    (void)state;
    struct table table;
    struct varve_error err = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    table_init(&table, titles);
    table_cell(&table, "a");
    table_cell(&table, "%d", 12);
    table_cell(&table, "/x");
    table_cell(&table, "Größe");
    table_cell(&table, "%d", 123456);
    table_cell(&table, "/yy");
    assert_true(table_format(&table, &text, &err));
    assert_string_equal(varve_buffer_string(&text), "NAME     SIZE  PATH\n"
                                                    "a          12  /x\n"
                                                    "Größe  123456  /yy\n");
    table_done(&table);
}

static void
test_no_rows_no_titles(void **state)
{
    (void)state;
    struct table table;
    struct varve_error err = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    table_init(&table, titles);
    assert_true(table_format(&table, &text, &err));
    assert_int_equal(text.size, 0);
    table_done(&table);
}

static void
test_control_characters_are_spelt_out(void **state)
{
    (void)state;
    struct table table;
    struct varve_error err = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    static const char *const one[] = {"NAME", NULL};
    table_init(&table, one);
    table_cell(&table, "%s", "a\033[2J\n\x7f");
    assert_true(table_format(&table, &text, &err));
    assert_string_equal(varve_buffer_string(&text), "NAME\na\\x1b[2J\\x0a\\x7f\n");
    table_done(&table);
}

static void
test_many_rows(void **state)
{
    (void)state;
    struct table table;
    struct varve_error err = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    table_init(&table, titles);
    for (int i = 0; i < 3 * 1000; i++)
        table_cell(&table, "%d", i);
    assert_true(table_format(&table, &text, &err));
    size_t lines = 0;
    for (const char *at = varve_buffer_string(&text); *at != 0; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 1001);
    assert_non_null(strstr(varve_buffer_string(&text), "\n2997  2998  2999\n"));
    table_done(&table);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_line_up),
        cmocka_unit_test(test_no_rows_no_titles),
        cmocka_unit_test(test_control_characters_are_spelt_out),
        cmocka_unit_test(test_many_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The log of a daemon never holds more than two files of its bound, and no line is lost on the way
 * from one to the other. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <daemon.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <varve/file.h>

#include <cmocka.h>

static off_t
get_size(const char *dir, const char *name)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(dir, name);
    struct stat st;
    assert_non_null(path);
    return stat(path, &st) == 0 ? st.st_size : -1;
}

/* In a process of its own: the log takes over stdout and stderr. */
static int
write_log(const char *dir, unsigned lines)
{
    struct varve_error err = {0};
    char line[1024];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    if (!logfile_open(dir, &err))
        return 1;
    for (unsigned i = 0; i < lines; i++) {
        if (write(STDERR_FILENO, line, sizeof line) != sizeof line)
            return 2;
        if (i % 100 == 0)
            logfile_rotate(dir);
    }
    return 0;
}

static void
run_log(const char *dir, unsigned lines)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(write_log(dir, lines));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void
remove_log(const char *dir)
{
    VARVE_CLEANUP_FREE char *log = varve_file_join(dir, LOG_FILE);
    VARVE_CLEANUP_FREE char *old = varve_file_join(dir, LOG_FILE ".1");
    assert_true(log != NULL && old != NULL);
    (void)unlink(log);
    (void)unlink(old);
    assert_int_equal(rmdir(dir), 0); /* nothing else was made */
}

static void
test_it_stays_within_its_bounds(void **state)
{
    (void)state;
    char dir[] = "/tmp/varve-log.XXXXXX";
    assert_non_null(mkdtemp(dir));
    const off_t line = 1024, bound = LOG_BYTES_MAX + 100 * line;
    run_log(dir, 5000); /* less than the bound */
    assert_int_equal(get_size(dir, LOG_FILE), 5000 * line);
    assert_int_equal(get_size(dir, LOG_FILE ".1"), -1);
    run_log(dir, 5000); /* appended, and over it: begun anew once */
    assert_int_equal(get_size(dir, LOG_FILE) + get_size(dir, LOG_FILE ".1"), 10000 * line);
    run_log(dir, 50000);
    assert_true(get_size(dir, LOG_FILE) <= bound);
    assert_true(get_size(dir, LOG_FILE ".1") <= bound);
    remove_log(dir);
}

static void
test_a_folder_that_is_missing(void **state)
{
    (void)state;
    struct varve_error err = {0};
    assert_false(logfile_open("/nonexistent-for-varve", &err));
    assert_string_equal(err.text,
                        "open '/nonexistent-for-varve/varve.log': No such file or directory");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_stays_within_its_bounds),
        cmocka_unit_test(test_a_folder_that_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

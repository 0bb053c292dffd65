/* SPDX-License-Identifier: Apache-2.0 */
/* A list of mount options gives the flags it says, the last word wins, what is meant for mount(8)
 * is skipped, and an unknown word is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mount.h>
#include <varve/fuse.h>

#include "mount_options.h"

static void
test_flags(void **state)
{
    static const struct {
        const char *text;
        unsigned long flags;
    } cases[] = {
        {"", 0},
        {"rw", 0},
        {"ro", MS_RDONLY},
        {"ro,rw", 0},
        {"rw,ro", MS_RDONLY},
        {"nosuid,nodev,noexec", MS_NOSUID | MS_NODEV | MS_NOEXEC},
        {"nosuid,nodev,noexec,suid,dev,exec", 0},
        {"sync,dirsync", MS_SYNCHRONOUS | MS_DIRSYNC},
        {"sync,async", 0},
        {"noatime", MS_NOATIME},
        {"noatime,relatime", MS_RELATIME},
        {"relatime,strictatime", MS_STRICTATIME},
        {"strictatime,noatime,nodiratime", MS_NOATIME | MS_NODIRATIME},
        {"noatime,atime,nodiratime,diratime", 0},
        {",,ro,,", MS_RDONLY},
        {"defaults,noauto,user,_netdev,nofail,x-systemd.automount,X-mine=1,comment=a b", 0},
        {"rw,relatime,user_id=0,group_id=0,default_permissions,allow_other", MS_RELATIME},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mount_options options = {0};
        struct varve_error err = {0};
        assert_true(mount_options_parse(cases[i].text, false, &options, &err));
        if (options.flags != cases[i].flags)
            fail_msg("'%s' gives %lx, not %lx", cases[i].text, options.flags, cases[i].flags);
    }
}

static void
test_own_words(void **state)
{
    struct mount_options options = {0};
    struct varve_error err = {0};
    (void)state;
    assert_true(
        mount_options_parse("remount,nosubtype,max_threads=7,allow_other", false, &options, &err));
    assert_true(options.remount);
    assert_true(options.plain_type);
    assert_true(options.allow_other);
    assert_int_equal(options.threads_max, 7);
    assert_int_equal(options.named, 0);
}

/* A remount changes what was named and nothing else. */
static void
test_named(void **state)
{
    struct mount_options options = {0};
    struct varve_error err = {0};
    (void)state;
    assert_true(mount_options_parse("rw,noatime", false, &options, &err));
    assert_int_equal(options.named, MS_RDONLY | MS_NOATIME | MS_RELATIME | MS_STRICTATIME);
}

static void
test_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"rainbow", "unknown mount option 'rainbow'\nhint: mount.varve(8) lists them"},
        {"ro,noatme", "unknown mount option 'noatme'\nhint: did you mean 'noatime'?"},
        {"max_thread=3", "unknown mount option 'max_thread=3'\nhint: did you mean 'max_threads'?"},
        {"max_threads=0", "mount option max_threads: at least one thread must serve"},
        {"subtype=other", "unknown mount option 'subtype=other'\nhint: did you mean 'nosubtype'?"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mount_options options = {0};
        struct varve_error err = {0};
        assert_false(mount_options_parse(cases[i].text, false, &options, &err));
        assert_int_equal(err.kind, VARVE_ERROR_INVALID);
        assert_string_equal(err.text, cases[i].words);
    }
    struct mount_options options = {0};
    struct varve_error err = {0};
    assert_false(mount_options_parse("max_threads=many", true, &options, &err));
    assert_false(mount_options_parse("max_threads=1025", true, &options, &err));
    assert_true(mount_options_parse("rainbow,ro", true, &options, &err)); /* sloppy */
    assert_int_equal(options.flags, MS_RDONLY);
}

static void
test_text(void **state)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    (void)state;
    varve_mount_flags_text(MS_NOSUID | MS_DIRSYNC | MS_NOATIME, &text);
    assert_string_equal(varve_buffer_string(&text), "rw,nosuid,dirsync,noatime");
    varve_buffer_clear(&text);
    varve_mount_flags_text(MS_RDONLY | MS_RELATIME, &text);
    assert_string_equal(varve_buffer_string(&text), "ro,relatime");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags), cmocka_unit_test(test_own_words),
        cmocka_unit_test(test_named), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of library is read with all that it may say, with what holds where it says nothing, and
 * every mistake is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <varve/config.h>

#define SSD "[tier ssd]\npath = /s\n"
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool
parse(const char *text, struct varve_config **ret, struct varve_error *err)
{
    return varve_config_parse(text, strlen(text), "varve.conf", "/arch/film", ret, err);
}

static const struct {
    const char *text, *error;
} mistakes[] = {
    {SSD "[library a]\nkind = sg\ndevice = /dev/sg1\n",
     "varve.conf:4: [library a] kind: unknown kind 'sg'\nhint: known are 'virtual', 'scsi' and "
     "'manual'"},
    {SSD "[library a]\nkind = scsi\nchanger = /dev/sg1\n",
     "varve.conf:3: [library a]: key 'drive' is missing"},
    {SSD "[library a]\nkind = scsi\ndrive = /dev/sg1\n",
     "varve.conf:3: [library a]: key 'changer' is missing"},
    {SSD "[library a]\nkind = scsi\nchanger = sg1\n",
     "varve.conf:5: [library a] changer: this names no device\nhint: known are /dev/..., "
     "serial:TEXT and iscsi://[user[%password]@]host[:port]/target/lun"},
    {SSD "[library a]\nkind = scsi\nchanger = /dev/sg1\ndrive = /dev/sg2\ndrive = /dev/sg2\n",
     "varve.conf:7: [library a] drive: this is drive 0 too"},
    {SSD "[library a]\nkind = scsi\nchanger = /dev/sg1\nchanger = /dev/sg2\n",
     "varve.conf:6: [library a] changer: is there already, in line 5"},
    {SSD "[library a]\nkind = scsi\npath = x\n",
     "varve.conf:5: [library a] path: a SCSI library has no folder\n"
     "hint: `changer` and `drive` name its devices"},
    {SSD "[library a]\nkind = virtual\npath = l\ndrive = iscsi://u%secret@h/t/1\n",
     "varve.conf:6: [library a] drive: a virtual library has no device\n"
     "hint: `path` names its folder; `kind = scsi` is for hardware"},
    {SSD "[library a]\nkind = manual\n", "varve.conf:3: [library a]: key 'drive' is missing"},
    {SSD "[library a]\nkind = manual\ndrive = /dev/sr0\npath = l\n",
     "varve.conf:6: [library a] path: a manual library has no folder\n"
     "hint: `drive` names its drive, or drives"},
    {SSD "[library a]\nkind = manual\ndrive = sr0\n",
     "varve.conf:5: [library a] drive: this names no device\nhint: known are /dev/..., "
     "serial:TEXT, "
     "virtual:FOLDER#N and iscsi://[user[%password]@]host[:port]/target/lun"},
    {SSD "[library a]\nkind = manual\ndrive = /dev/sr0\nask_timeout = 0s\n",
     "varve.conf:6: [library a] ask_timeout: '0s' is shorter than one second"},
    {SSD "[library a]\nkind = manual\ndrive = /dev/sr0\nlabels = a b\n",
     "varve.conf:6: [library a] labels: 'a b' begins no label: 1 to 15 of A-Z a-z 0-9 _ - ."},
    {SSD "[library a]\nkind = virtual\npath = l\nask_command = mail\n",
     "varve.conf:6: [library a] ask_command: unknown key"},
    {SSD "[library a]\nkind = vritual\n",
     "varve.conf:4: [library a] kind: unknown kind 'vritual'\nhint: did you mean 'virtual'?"},
    {SSD "[library a]\nkind = cardboard\n",
     "varve.conf:4: [library a] kind: unknown kind 'cardboard'\n"
     "hint: known are 'virtual', 'scsi' and 'manual'"},
    {SSD "[library a]\nkind = virtual\n", "varve.conf:3: [library a]: key 'path' is missing"},
    {SSD "[library a]\npath = /l\n", "varve.conf:3: [library a]: key 'kind' is missing"},
    {SSD "[library a]\nkind = virtual\npath = l\ndevice = /dev/sr0\n",
     "varve.conf:6: [library a] device: a virtual library has no device\n"
     "hint: `path` names its folder; `kind = scsi` is for hardware"},
    {SSD "[library a]\nkind = virtual\npath = l\nrecall_drives = all\n",
     "varve.conf:6: [library a] recall_drives: 'all' is not a number"},
    {SSD "[library a]\nkind = virtual\npath = l\ntimeouts = move 20m, raed 1m\n",
     "varve.conf:6: [library a] timeouts: unknown time-out 'raed'\nhint: did you mean 'read'?"},
    {SSD "[library a]\nkind = virtual\npath = l\ntimeouts = move 2d\n",
     "varve.conf:6: [library a] timeouts: move: a second at least, a day at most"},
    {SSD "[library a]\nkind = virtual\npath = l\nburn = maybe\n",
     "varve.conf:6: [library a] burn: 'maybe' is neither yes nor no"},
    {SSD "[library a]\nkind = virtual\npath = l\nburn_speed = 4\n",
     "varve.conf:6: [library a] burn_speed: must be from 1MB to 1GB a second (1x of Blu-ray: "
     "4.5MB)"},
    {SSD "[library a]\nkind = virtual\npath = l\nspares = maybe\n",
     "varve.conf:6: [library a] spares: must be yes or no"},
    {SSD "[library a]\nkind = virtual\npath = l\nmedia = big\n",
     "varve.conf:6: [library a] media: 'big' is not a size\n"
     "hint: write it like 64MiB, 25GB or 4096"},
};

static void
test_each_mistake_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(mistakes); i++) {
        VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
        struct varve_error err = {0};
        assert_false(parse(mistakes[i].text, &config, &err));
        assert_string_equal(err.text, mistakes[i].error);
        assert_int_equal(err.kind, VARVE_ERROR_INVALID);
        assert_null(config);
    }
}

static void
test_speeds_and_spares(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    struct varve_error err = {0};
    assert_true(parse(SSD "[library a]\nkind = virtual\npath = l\nburn_speed = 18MB\nspares = "
                          "yes\n[library b]\nkind = virtual\npath = m\nread_speed = 1MB\n",
                      &config, &err));
    assert_int_equal(config->libraries[0].burn_speed, 18000000);
    assert_int_equal(config->libraries[0].read_speed, 0);
    assert_true(config->libraries[0].spares);
    assert_int_equal(config->libraries[1].read_speed, 1000000);
    assert_false(config->libraries[1].spares);
}

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
        cmocka_unit_test(test_each_mistake_is_named),
        cmocka_unit_test(test_speeds_and_spares),
        cmocka_unit_test(test_manual_library),
        cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Every mistake in varve.conf is refused with file, line, section and key; what is accepted means
 * what it says. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/buffer.h>
#include <varve/config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define DAY_NS (INT64_C(86400) * 1000000000)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool
parse(const char *text, struct varve_config **ret, struct varve_error *err)
{
    return varve_config_parse(text, strlen(text), "varve.conf", "/arch/film", ret, err);
}

static void
test_the_example_of_the_design(void **state)
{
    (void)state;
    static const char text[] = "; an archive\n"
                               "[archive]\r\n"
                               "name = Film & sound; all of it   ; only this is a comment\n"
                               "set = 10+2\n"
                               "seal_after = 2d\n"
                               "heat_half_life = 1w\n"
                               "policy_interval = 15min\n"
                               "udf = 2.50\n"
                               "[tier ssd]                     ; where hot data lives\n"
                               "path = /fast/varve\n"
                               "  high = 85%                     ; indented keys are keys\n"
                               "low  = 70%\n"
                               "[tier hdd]\n"
                               "path = slow\n"
                               "[tier  hdd\tb ]\n"
                               "path = /slow2\n"
                               "high = 50\n"
                               "[library shelf.1]\n"
                               "path = lib\n"
                               "kind = virtual\n"
                               "media = 25GB\n"
                               "# another\n"
                               "[rule cool]\n"
                               "from  = ssd\n"
                               "where = age(atime) > days(7) \\\n"
                               "        and path glob '/a=b:c*' \\  ; why\n"
                               "        and heat < 0.5\n"
                               "empty =\n"
                               "[rule nothing]";
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    struct varve_error err = {0};
    assert_true(parse(text, &config, &err));
    assert_string_equal(config->dir, "/arch/film");
    assert_string_equal(config->name, "Film & sound; all of it");
    assert_int_equal(config->data_discs, 10);
    assert_int_equal(config->parity_discs, 2);
    assert_int_equal(config->seal_after_ns, 2 * DAY_NS);
    assert_int_equal(config->half_life_ns, 7 * DAY_NS);
    assert_int_equal(config->policy_interval_ns, DAY_NS / 96);
    assert_int_equal(config->tier_count, 3);
    assert_int_equal(config->tiers[0].tier, VARVE_TIER_SSD);
    assert_string_equal(config->tiers[0].path, "/fast/varve");
    assert_int_equal(config->tiers[0].high_percent, 85);
    assert_int_equal(config->tiers[0].low_percent, 70);
    assert_int_equal(config->tiers[0].line, 9);
    assert_string_equal(config->tiers[1].path, "/arch/film/slow");
    assert_int_equal(config->tiers[1].high_percent, 90);
    assert_int_equal(config->tiers[1].low_percent, 80);
    assert_string_equal(config->tiers[2].section, "tier hdd b");
    assert_int_equal(config->tiers[2].tier, VARVE_TIER_HDD);
    assert_int_equal(config->tiers[2].low_percent, 40);
    assert_int_equal(config->library_count, 1);
    assert_string_equal(config->libraries[0].name, "shelf.1");
    assert_string_equal(config->libraries[0].path, "/arch/film/lib");
    assert_int_equal(config->libraries[0].media_bytes, UINT64_C(25000000000));
    assert_int_equal(config->rule_count, 2);
    const struct varve_config_rule *rule = &config->rules[0];
    assert_string_equal(rule->name, "cool");
    assert_int_equal(rule->line, 23);
    assert_int_equal(rule->key_count, 3);
    assert_string_equal(rule->keys[1].key, "where");
    assert_string_equal(rule->keys[1].value,
                        "age(atime) > days(7) and path glob '/a=b:c*' and heat < 0.5");
    assert_int_equal(rule->keys[1].line, 25);
    assert_string_equal(rule->keys[2].value, "");
    assert_int_equal(config->rules[1].key_count, 0);
}

static void
test_defaults(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    struct varve_error err = {0};
    assert_true(parse("\xEF\xBB\xBF[tier ssd]\npath=/s", &config, &err));
    assert_string_equal(config->name, "film");
    assert_int_equal(config->data_discs, 4);
    assert_int_equal(config->parity_discs, 2);
    assert_int_equal(config->seal_after_ns, 7 * DAY_NS);
    assert_int_equal(config->half_life_ns, 30 * DAY_NS);
    assert_int_equal(config->policy_interval_ns, DAY_NS / 24);
    assert_int_equal(config->udf_revision, 0x0250);
    assert_int_equal(config->head_bytes, 256 << 10);
    assert_int_equal(config->head_total, 0);
    assert_int_equal(config->recall, VARVE_CONFIG_RECALL_BLOCK);
    assert_int_equal(config->recalls_per_user, 16);
    assert_int_equal(config->recall_users.count + config->recall_groups.count, 0);
    assert_int_equal(config->scan_users.count + config->scan_commands.count, 0);
    assert_int_equal(config->library_count, 0);
    assert_int_equal(config->rule_count, 0);
}

static void
test_readers(void **state)
{
    (void)state;
    static const char text[] = "[tier ssd]\npath = /s\n[archive]\n"
                               "head = 64KiB\nhead_total = 5G\nrecall = deny\n"
                               "recall_users = alice,1000 , bob\nrecall_groups = video\n"
                               "recalls_per_user = 0\nscan_users = backup\n"
                               "scan_groups = 34, index\nscan_commands = updatedb, My Backup\n";
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    struct varve_error err = {0};
    assert_true(parse(text, &config, &err));
    assert_int_equal(config->head_bytes, 65536);
    assert_int_equal(config->head_total, UINT64_C(5) << 30);
    assert_int_equal(config->recall, VARVE_CONFIG_RECALL_DENY);
    assert_int_equal(config->recalls_per_user, 0);
    assert_int_equal(config->recall_users.count, 3);
    assert_string_equal(config->recall_users.words[0], "alice");
    assert_string_equal(config->recall_users.words[1], "1000");
    assert_string_equal(config->recall_users.words[2], "bob");
    assert_int_equal(config->recall_groups.count, 1);
    assert_int_equal(config->scan_users.count, 1);
    assert_int_equal(config->scan_groups.count, 2);
    assert_int_equal(config->scan_commands.count, 2);
    assert_string_equal(config->scan_commands.words[1], "My Backup");
}

#define SSD "[tier ssd]\npath = /s\n"
static const struct {
    const char *text, *error;
} mistakes[] = {
    {"", "varve.conf: no [tier ssd] and no [tier hdd]: files need a place\n"
         "hint: add a section [tier ssd] with a `path`"},
    {"[tier ssd]\npath = /s\nhihg = 90%\n", "varve.conf:3: [tier ssd] hihg: unknown key\n"
                                            "hint: did you mean 'high'?"},
    {SSD "colour = red\n", "varve.conf:3: [tier ssd] colour: unknown key"},
    {"[tier ssd]\nhigh = 90%\n", "varve.conf:1: [tier ssd]: key 'path' is missing"},
    {"\n[tier hdd]\n", "varve.conf:2: [tier hdd]: key 'path' is missing"},
    {"[tier ssd]\npath =\n", "varve.conf:2: [tier ssd] path: is empty"},
    {SSD "high = 101%\n", "varve.conf:3: [tier ssd] high: '101%' is more than 100%"},
    {SSD "low = much\n", "varve.conf:3: [tier ssd] low: 'much' is not a percentage"},
    {SSD "high = 50\nlow = 50\n", "varve.conf:1: [tier ssd]: low (50%) is not below high (50%)"},
    {SSD SSD, "varve.conf:3: section [tier ssd] is there already, in line 1"},
    {SSD "[tier ssd b]\npath = /s\n",
     "varve.conf:3: [tier ssd b]: path '/s' is that of [tier ssd] too"},
    {SSD "path = /t\n", "varve.conf:3: [tier ssd] path: is there already, in line 2"},
    {"[tier tape]\npath = /s\n",
     "varve.conf:1: [tier tape]: unknown section\nhint: known are [archive], [tier ssd], "
     "[tier hdd], [library NAME] and [rule NAME]"},
    {"[teir ssd]\npath = /s\n",
     "varve.conf:1: [teir ssd]: unknown section\nhint: did you mean 'tier'?"},
    {"[rule]\n", "varve.conf:1: [rule]: unknown section\nhint: known are [archive], [tier ssd], "
                 "[tier hdd], [library NAME] and [rule NAME]"},
    {"path = /s\n", "varve.conf:1: a key before the first [section]"},
    {"[tier ssd]\npath\n", "varve.conf:2: neither 'key = value' nor '[section]'"},
    {"[tier ssd]\n= /s\n", "varve.conf:2: a value without a key"},
    {"[tier ssd\npath = /s\n", "varve.conf:1: a section name ends in ']'"},
    {"[tier]ssd]\n", "varve.conf:1: a section name has no '[' or ']'"},
    {"[ ]\n", "varve.conf:1: a section without a name"},
    {"[123456789012345678901234567890123456789012345678x]\n",
     "varve.conf:1: the section name is too long, 48 bytes are possible"},
    {SSD "1234567890123456789012345678901234567890123456789 = 1\n",
     "varve.conf:3: the key is too long, 48 bytes are possible"},
    {"[tier ssd]\npath = /s\x01\n", "varve.conf:2: a control character, this is no text"},
    {SSD "[archive]\nset = 4\n", "varve.conf:4: [archive] set: '4' is no set of data+parity discs\n"
                                 "hint: write it like 4+2 or 10+2, at most 255 discs in all"},
    {SSD "[archive]\nseal_after = soon\n",
     "varve.conf:4: [archive] seal_after: 'soon' is not a duration\n"
     "hint: write it like 90s, 15min, 2h, 30d or 1y"},
    {SSD "[archive]\nheat_half_life = 0\n",
     "varve.conf:4: [archive] heat_half_life: '0' is shorter than one second"},
    {SSD "[archive]\npolicy_interval = 5ms\n",
     "varve.conf:4: [archive] policy_interval: '5ms' is shorter than one second"},
    {SSD "[archive]\nudf = 2.60\n",
     "varve.conf:4: [archive] udf: UDF '2.60' is not written by this version\nhint: 2.50 is"},
    {SSD "[archive]\nname = "
         "1234567890123456789012345678901234567890123456789012345678901234\n",
     "varve.conf:4: [archive] name: longer than 63 bytes"},
    {SSD "[archive]\nhead = 17M\n", "varve.conf:4: [archive] head: '17M' is more than 16 MiB"},
    {SSD "[archive]\nrecall = bolck\n",
     "varve.conf:4: [archive] recall: unknown word 'bolck'\nhint: did you mean 'block'?"},
    {SSD "[archive]\nrecall = never\n", "varve.conf:4: [archive] recall: unknown word 'never'\n"
                                        "hint: known are 'block', 'again' and 'deny'"},
    {SSD "[archive]\nscan_users = a,,b\n",
     "varve.conf:4: [archive] scan_users: 'a,,b': a word is missing"},
    {SSD "[archive]\nscan_users =\n", "varve.conf:4: [archive] scan_users: '': a word is missing"},
    {SSD "[archive]\nrecall_users = a\n",
     "varve.conf: [archive] recall_users and recall_groups name who may wait, but with "
     "recall = block everybody may\nhint: say `recall = again` or `recall = deny`"},
    {SSD "[rule x]\ndrive = a\ndrive = b\n",
     "varve.conf:5: [rule x] drive: is there already, in line 4"},
    {SSD "[library a b]\nkind = virtual\n",
     "varve.conf:3: [library a b]: 'a b' is no name: 1 to 47 of A-Z a-z 0-9 _ - ."},
    {SSD "[rule a/b]\n",
     "varve.conf:3: [rule a/b]: 'a/b' is no name: 1 to 47 of A-Z a-z 0-9 _ - ."},
    {SSD "[rule manual]\n", "varve.conf:3: [rule manual]: the name is taken by what users ask for"},
    {SSD "[rule x]\nwhere = a \\\n\n[tier ssd]\n",
     "varve.conf:6: section [tier ssd] is there already, in line 1"},
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
    char longest[700];
    (void)snprintf(longest, sizeof longest, "[tier ssd]\npath = /s\nhigh = %0600d\n", 7);
    VARVE_CLEANUP(varve_config_free) struct varve_config *none = NULL;
    struct varve_error long_err = {0};
    assert_false(parse(longest, &none, &long_err));
    assert_string_equal(long_err.text, "varve.conf:3: [tier ssd] high: longer than 100 bytes");
    static const char nul[] = "[tier ssd]\npath = /s\0x\n";
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    struct varve_error err = {0};
    assert_false(varve_config_parse(nul, sizeof nul - 1, "varve.conf", "/a", &config, &err));
    assert_string_equal(err.text, "varve.conf:2: a control character, this is no text");
}

/* inih takes 197 bytes at once; nobody should notice, whatever stands where a line is cut. */
static void
test_long_values_come_back_whole(void **state)
{
    (void)state;
    static const char *const fillings[] = {"x",    "x  y;;#[a] #=: z", "a ",
                                           "\\x[", "\xC3\xA4 ",        "                    "};
    for (size_t f = 0; f < COUNT(fillings); f++) {
        for (size_t length = 150; length < 1300; length += 7) {
            VARVE_CLEANUP_BUFFER struct varve_buffer value = {0}, text = {0};
            varve_buffer_text(&value, "w");
            while (value.size < length)
                varve_buffer_text(&value, fillings[f]);
            varve_buffer_text(&value, "e");
            varve_buffer_printf(&text, SSD "[rule r]\nwhere = %s ; comment\norder = heat\n",
                                varve_buffer_string(&value));
            VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
            struct varve_error err = {0};
            assert_true(parse(varve_buffer_string(&text), &config, &err));
            assert_int_equal(config->rules[0].key_count, 2);
            assert_string_equal(config->rules[0].keys[0].value, varve_buffer_string(&value));
            assert_string_equal(config->rules[0].keys[1].value, "heat");
            assert_int_equal(config->rules[0].keys[1].line, 5);
        }
    }
}

static void
test_bounds(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    struct varve_error err = {0};
    for (unsigned i = 0; i <= VARVE_CONFIG_SECTIONS_MAX; i++)
        varve_buffer_printf(&text, "[rule r%u]\n", i);
    assert_false(parse(varve_buffer_string(&text), &config, &err));
    assert_string_equal(err.text, "varve.conf:257: too many sections, 256 are possible");

    varve_buffer_clear(&text);
    varve_buffer_text(&text, "[rule r]\n");
    for (unsigned i = 0; i <= VARVE_CONFIG_KEYS_MAX; i++)
        varve_buffer_printf(&text, "k%u = 1\n", i);
    assert_false(parse(varve_buffer_string(&text), &config, &err));
    assert_string_equal(err.text, "varve.conf:66: [rule r]: too many keys, 64 are possible");

    varve_buffer_clear(&text);
    varve_buffer_zeros(&text, VARVE_CONFIG_BYTES_MAX + 1);
    assert_false(varve_config_parse(varve_buffer_string(&text), text.size, "varve.conf", "/a",
                                    &config, &err));
    assert_string_equal(err.text, "varve.conf: larger than 1048576 bytes");
}

static void
test_nearest_word(void **state)
{
    (void)state;
    static const char *const words[] = {"high", "low", "path", "keep_together"};
    static const struct {
        const char *word, *nearest;
    } cases[] = {{"hihg", "high"},
                 {"hgih", "high"},
                 {"lwo", "low"},
                 {"pat", "path"},
                 {"keeptogether", "keep_together"},
                 {"PATH", NULL},
                 {"x", NULL},
                 {"", NULL},
                 {"paths", "path"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *nearest = varve_config_nearest(cases[i].word, words, COUNT(words));
        if (cases[i].nearest == NULL)
            assert_null(nearest);
        else
            assert_string_equal(nearest, cases[i].nearest);
    }
}

static void
test_set_geometry(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        unsigned data, parity;
    } cases[] = {{"4+2", true, 4, 2},
                 {"1+0", true, 1, 0},
                 {"251+4", true, 251, 4},
                 {"255+0", true, 255, 0},
                 {"252+4", false},
                 {"0+2", false},
                 {"4", false},
                 {"4+", false},
                 {"+2", false},
                 {"4 + 2", false},
                 {"4+2x", false},
                 {"-4+2", false},
                 {"99999999999+1", false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned data = 77, parity = 77;
        struct varve_error err = {0};
        assert_int_equal(varve_config_parse_set(cases[i].text, &data, &parity, &err), cases[i].ok);
        assert_int_equal(data, cases[i].ok ? cases[i].data : 77);
        assert_int_equal(parity, cases[i].ok ? cases[i].parity : 77);
    }
}

/* --- files --- */

struct place {
    char dir[64], file[96];
};

static void
make_place(struct place *place)
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(place->dir, sizeof place->dir, "%s/varve-config-XXXXXX",
                   tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->file, sizeof place->file, "%s/varve.conf", place->dir);
}

static void
remove_place(const struct place *place)
{
    (void)unlink(place->file);
    assert_int_equal(rmdir(place->dir), 0); /* nothing else was left in it */
}

static void
test_what_init_writes_is_read_back(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    struct varve_config_init options = {.name = "films",
                                        .hdd_path = "/mnt/a b",
                                        .library_path = "library",
                                        .media_bytes = 25025314816,
                                        .data_discs = 10,
                                        .parity_discs = 3};
    struct varve_error err = {0};
    assert_true(varve_config_write(place.file, &options, &err));
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    assert_true(varve_config_load(place.dir, &config, &err));
    assert_string_equal(config->name, "films");
    assert_int_equal(config->data_discs, 10);
    assert_int_equal(config->parity_discs, 3);
    assert_int_equal(config->tier_count, 2);
    assert_int_equal(config->tiers[0].tier, VARVE_TIER_SSD);
    assert_string_equal(config->tiers[1].path, "/mnt/a b");
    assert_int_equal(config->libraries[0].media_bytes, 25025314816);
    char expected[160];
    (void)snprintf(expected, sizeof expected, "%s/ssd", config->dir);
    assert_string_equal(config->tiers[0].path, expected);
    (void)snprintf(expected, sizeof expected, "%s/library", config->dir);
    assert_string_equal(config->libraries[0].path, expected);
    assert_int_equal(config->rule_count, 0);

    assert_false(varve_config_write(place.file, &options, &err));
    assert_int_equal(err.kind, VARVE_ERROR_EXISTS);
    remove_place(&place);
}

/* Passwords and all; the drives in the order given. */
static void
test_devices_are_read_back(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    static const char *const drives[] = {"iscsi://user%pass;word@[::1]:3261/iqn.2026-01.x:y/1",
                                         "serial:KLM 123", "/dev/disk/by-id/usb-BU40N_x"};
    struct varve_config_init options = {
        .changer = "/dev/tape/by-id/scsi-X-changer", .drives = drives, .drive_count = 3};
    struct varve_error err = {0};
    assert_true(varve_config_write(place.file, &options, &err));
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    assert_true(varve_config_load(place.dir, &config, &err));
    const struct varve_config_library *library = &config->libraries[0];
    assert_int_equal(library->kind, VARVE_LIBRARY_SCSI);
    assert_string_equal(library->changer, options.changer);
    assert_int_equal(library->media_bytes, 0);
    assert_null(library->trace);
    assert_int_equal(library->drives.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(library->drives.words[i], drives[i]);
    remove_place(&place);
}

/* The rules that stand there as comments are good ones. */
static void
test_written_example_rules_parse(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    struct varve_config_init options = {.ssd_path = ""};
    struct varve_error err = {0};
    assert_true(varve_config_write(place.file, &options, &err));
    VARVE_CLEANUP_STREAM FILE *file = fopen(place.file, "r");
    assert_non_null(file);
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    char line[256];
    while (fgets(line, sizeof line, file) != NULL)
        varve_buffer_text(&text, line[0] == ';' && line[1] != ' ' ? line + 1 : line);
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    assert_true(parse(varve_buffer_string(&text), &config, &err));
    assert_int_equal(config->tier_count, 1);
    assert_int_equal(config->rule_count, 3);
    assert_int_equal(config->rules[1].key_count, 5);
    remove_place(&place);
}

static void
test_what_cannot_be_written_is_refused(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    static const char *const cut[] = {"/dev/sg ;2"};
    static const struct varve_config_init cases[] = {
        {.name = "a\nb"},
        {.name = "a ; b"},
        {.name = " a"},
        {.name = "a\\"},
        {.ssd_path = "/a ;b"},
        {.hdd_path = "/a\n[rule x]"},
        {.library_path = "x\ny"},
        {.library_path = "x "},
        {.changer = "/dev/sg1"}, /* without drives */
        {.changer = "/dev/sg1", .drives = cut, .drive_count = 1},
        {.ssd_path = "", .hdd_path = ""},
        {.data_discs = 255, .parity_discs = 2},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct varve_error err = {0};
        assert_false(varve_config_write(place.file, &cases[i], &err));
        assert_int_equal(err.kind, VARVE_ERROR_INVALID);
        assert_int_equal(access(place.file, F_OK), -1);
    }
    remove_place(&place);
}

static void
test_a_folder_without_configuration(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    VARVE_CLEANUP(varve_config_free) struct varve_config *config = NULL;
    struct varve_error err = {0};
    assert_false(varve_config_load(place.dir, &config, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "\nhint: `varve init "));
    remove_place(&place);
    assert_false(varve_config_load(place.dir, &config, &err));
    assert_int_equal(err.kind, VARVE_ERROR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_the_design),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_each_mistake_is_named),
        cmocka_unit_test(test_long_values_come_back_whole),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_nearest_word),
        cmocka_unit_test(test_set_geometry),
        cmocka_unit_test(test_what_init_writes_is_read_back),
        cmocka_unit_test(test_devices_are_read_back),
        cmocka_unit_test(test_written_example_rules_parse),
        cmocka_unit_test(test_what_cannot_be_written_is_refused),
        cmocka_unit_test(test_a_folder_without_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

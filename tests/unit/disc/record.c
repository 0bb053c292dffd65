/* A record comes back from its line unchanged whatever its bytes are, and no line that breaks a
 * rule of docs/format.md is taken. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "disc_fixture.h"
#include "encoding.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void
assert_same_line(const struct varve_record *record)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer line = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer again = {0};
    struct varve_record back = {0};
    struct varve_error err = {0};
    varve_record_encode(record, &line);
    assert_true(line.size > 1 && line.data[line.size - 1] == '\n');
    if (!varve_record_decode(varve_buffer_string(&line), line.size - 1, &back, &err))
        fail_msg("%s: %s", err.text, varve_buffer_string(&line));
    varve_record_encode(&back, &again);
    assert_string_equal(varve_buffer_string(&line), varve_buffer_string(&again));
    assert_int_equal(back.name_count, record->name_count);
    for (size_t i = 0; i < back.name_count; i++)
        assert_string_equal(back.names[i].name, record->names[i].name);
    assert_int_equal(back.xattr_count, record->xattr_count);
    for (size_t i = 0; i < back.xattr_count; i++) {
        assert_int_equal(back.xattrs[i].size, record->xattrs[i].size);
        assert_memory_equal(back.xattrs[i].value, record->xattrs[i].value, record->xattrs[i].size);
    }
    varve_record_done(&back);
}

static void
test_every_type_comes_back(void **state)
{
    (void)state;
    struct varve_error err = {0};
    for (int type = VARVE_RECORD_FILE; type <= VARVE_RECORD_DELETED; type++) {
        struct varve_record record =
            fixture_record((enum varve_record_type)type, 12, type == VARVE_RECORD_FILE ? 99 : 0);
        if (type != VARVE_RECORD_DELETED) {
            fixture_name(&record, 1, "plain");
            fixture_name(&record, 77, "a \"quoted\" \\ name");
            fixture_name(&record, 5, "\xff\xfe not UTF-8 \x01\n");
            fixture_name(&record, 6, "\xe6\x96\x87\xe4\xbb\xb6");
            assert_true(varve_record_add_xattr(&record, "user.x", "\0\1\2\3", 4, &err));
            assert_true(varve_record_add_xattr(&record, "user.\xff", "", 0, &err));
        }
        if (type == VARVE_RECORD_SYMLINK)
            record.target = strdup("../\xff/target");
        if (type == VARVE_RECORD_SPECIAL)
            record.rdev = 0x801;
        assert_same_line(&record);
        record.path = strdup("a/b");
        assert_same_line(&record);
        varve_record_done(&record);
    }
}

/* Every byte string of one and two bytes that is a file name. */
static void
test_every_short_name_comes_back(void **state)
{
    (void)state;
    for (unsigned first = 1; first < 256; first++) {
        for (unsigned second = 0; second < 256; second += second < 48 ? 1 : 5) {
            char name[] = {(char)first, (char)second, 0};
            if (strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                continue;
            struct varve_record record = fixture_record(VARVE_RECORD_FILE, 2, 0);
            fixture_name(&record, 1, name);
            assert_same_line(&record);
            varve_record_done(&record);
        }
    }
}

static void
test_length_does_not_depend_on_what_is_learned(void **state)
{
    (void)state;
    VARVE_CLEANUP_BUFFER struct varve_buffer before = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer after = {0};
    struct varve_record record = fixture_record(VARVE_RECORD_FILE, 9, 1 << 20);
    fixture_name(&record, 1, "x");
    varve_record_encode(&record, &before);
    record.lba = UINT32_MAX;
    memset(record.digest.bytes, 0xEE, sizeof record.digest.bytes);
    varve_record_encode(&record, &after);
    assert_int_equal(before.size, after.size);
    assert_string_not_equal(varve_buffer_string(&before), varve_buffer_string(&after));
    varve_record_done(&record);
}

#define HEAD "{\"ino\":2,\"type\":\"file\",\"mode\":\"100644\",\"uid\":0,\"gid\":0,\"size\":5,"
#define TIMES "\"atime\":1,\"mtime\":2,\"ctime\":3,\"btime\":4,"
#define NAMES "\"names\":[{\"parent\":1,\"name\":\"a\"}],"
#define DIGEST "\"0000000000000000000000000000000000000000000000000000000000000000\""
#define PIECE "\"content\":1,\"version\":1,\"part\":0,\"parts\":1,\"offset\":0,\"bytes\":5,"
#define TAIL "\"sha256\":" DIGEST ",\"lba\":1"

static const struct {
    const char *line, *text;
} wrong_lines[] = {
    {"", "not JSON: '[' or '{' expected near end of file"},
    {"[]", "not a JSON object"},
    {"{\"ino\":1,\"ino\":1}", "not JSON: duplicate object key near '\"ino\"'"},
    {"{}", "'ino' is missing or not a number"},
    {"{\"ino\":-1}", "'ino' is -1, out of range"},
    {"{\"ino\":\"1\"}", "'ino' is missing or not a number"},
    {"{\"ino\":9223372036854775808}", "not JSON: too big integer near '9223372036854775808'"},
    {"{\"ino\":1}", "'type' is missing or unknown"},
    {"{\"ino\":1,\"type\":\"door\"}", "'type' is missing or unknown"},
    {"{\"ino\":1,\"type\":\"deleted\"}", "'ctime' is missing or not a number"},
    {"{\"ino\":1,\"type\":\"file\",\"ctime\":0}", "'mode' is not six octal digits"},
    {"{\"ino\":1,\"type\":\"file\",\"ctime\":0,\"mode\":\"100888\"}",
     "'mode' is not six octal digits"},
    {"{\"ino\":1,\"type\":\"directory\",\"ctime\":0,\"mode\":\"040755\"}",
     "'uid' is missing or not a number"},
    {HEAD TIMES PIECE TAIL "}", "'names' is missing or not a list"},
    {HEAD TIMES "\"names\":[1]," PIECE TAIL "}", "'names' holds something else"},
    {HEAD TIMES "\"names\":[{\"parent\":1,\"name\":\"..\"}]," PIECE TAIL "}",
     "a name is no file name"},
    {HEAD TIMES "\"names\":[{\"parent\":1,\"name\":\"a/b\"}]," PIECE TAIL "}",
     "a name is no file name"},
    {HEAD TIMES "\"names\":[{\"parent\":1,\"name\":\"\"}]," PIECE TAIL "}",
     "a name is no file name"},
    {HEAD TIMES "\"names\":[{\"parent\":1,\"name_b64\":\"YQBi\"}]," PIECE TAIL "}",
     "'name' contains a NUL"},
    {HEAD TIMES "\"names\":[{\"parent\":1,\"name_b64\":\"YQ=\"}]," PIECE TAIL "}",
     "'name_b64' is not base64"},
    {HEAD TIMES "\"names\":[{\"parent\":1}]," PIECE TAIL "}", "'name' is missing"},
    {HEAD TIMES NAMES "\"xattrs\":1," PIECE TAIL "}", "'xattrs' is missing or not a list"},
    {HEAD TIMES NAMES "\"xattrs\":[{\"name\":\"\",\"value\":\"\"}]," PIECE TAIL "}",
     "an xattr has no valid name"},
    {HEAD TIMES NAMES "\"xattrs\":[{\"name\":\"u\",\"value\":\"?\"}]," PIECE TAIL "}",
     "an xattr has no value"},
    {HEAD TIMES NAMES PIECE "\"lba\":1}", "'sha256' is not 64 hex digits"},
    {HEAD TIMES NAMES PIECE "\"sha256\":" DIGEST ",\"lba\":4294967296}",
     "'lba' is 4294967296, out of range"},
    {HEAD TIMES NAMES
     "\"content\":1,\"version\":1,\"part\":1,\"parts\":1,\"offset\":0,\"bytes\":5," TAIL "}",
     "the piece does not fit the file"},
    {HEAD TIMES NAMES
     "\"content\":1,\"version\":1,\"part\":0,\"parts\":1,\"offset\":1,\"bytes\":5," TAIL "}",
     "the piece does not fit the file"},
    {HEAD TIMES NAMES PIECE TAIL ",\"path\":\"../etc\"}", "'path' leads outside the disc"},
    {HEAD TIMES NAMES PIECE TAIL ",\"path\":\"/etc\"}", "'path' leads outside the disc"},
    {HEAD TIMES NAMES PIECE TAIL ",\"path\":\"a//b\"}", "'path' leads outside the disc"},
    {HEAD TIMES NAMES PIECE TAIL ",\"path\":\"a\x7f\"}", "'path' has bytes that no disc has"},
    {HEAD TIMES NAMES PIECE TAIL "} ", NULL},
    {HEAD TIMES NAMES PIECE TAIL ",\"future\":[]}", NULL},
    {HEAD TIMES NAMES PIECE TAIL "}}", "not JSON: end of file expected near '}'"},
};

static void
test_wrong_lines_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong_lines); i++) {
        struct varve_record record = {0};
        struct varve_error err = {0};
        bool done =
            varve_record_decode(wrong_lines[i].line, strlen(wrong_lines[i].line), &record, &err);
        if (done)
            varve_record_done(&record);
        if (done != (wrong_lines[i].text == NULL))
            fail_msg("'%s': %s", wrong_lines[i].line, done ? "taken" : err.text);
        if (!done) {
            assert_string_equal(err.text, wrong_lines[i].text);
            assert_int_equal(err.kind, VARVE_ERROR_CORRUPT);
        }
    }
}

static void
test_a_line_over_one_mebibyte_is_refused(void **state)
{
    (void)state;
    size_t size = (1 << 20) + 1;
    VARVE_CLEANUP_FREE char *line = malloc(size);
    assert_non_null(line);
    memset(line, ' ', size);
    struct varve_record record = {0};
    struct varve_error err = {0};
    assert_false(varve_record_decode(line, size, &record, &err));
    assert_string_equal(err.text, "longer than 1 MiB");
}

static void
test_manifest_names_the_line(void **state)
{
    (void)state;
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *manifest = varve_manifest_new();
    VARVE_CLEANUP(varve_manifest_free) struct varve_manifest *back = NULL;
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    struct varve_error err = {0};
    for (uint64_t i = 2; i < 200; i++)
        fixture_file(manifest, i, 1, "same name", i);
    varve_manifest_encode(manifest, &text);
    assert_true(varve_manifest_decode(text.data, text.size, &back, &err));
    assert_int_equal(back->count, 198);
    assert_int_equal(back->records[197].ino, 199);
    assert_false(varve_manifest_decode(text.data, text.size - 1, &back, &err));
    assert_string_equal(err.text, "line 198: it has no end");
    text.data[0] = '[';
    assert_false(varve_manifest_decode(text.data, text.size, &back, &err));
    assert_int_equal(strncmp(err.text, "line 1: not JSON", 16), 0);
}

static void
test_base64_and_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } base64[] = {{"", true},      {"QQ==", true},      {"QUI=", true},  {"QUJD", true},
                  {"QR==", false}, {"QUJ=", false},     {"Q===", false}, {"QUJDQ", false},
                  {"Q=JD", false}, {"QQ==QQ==", false}, {"QU-_", false}};
    for (size_t i = 0; i < COUNT(base64); i++) {
        VARVE_CLEANUP_BUFFER struct varve_buffer bytes = {0};
        bool valid = varve_base64_decode(base64[i].text, strlen(base64[i].text), &bytes);
        if (valid != base64[i].valid)
            fail_msg("base64 '%s'", base64[i].text);
    }
    static const struct {
        const char *text;
        bool plain;
    } utf8[] = {{"", true},
                {"a\xc3\xa9", true},
                {"\xf0\x9f\x92\xbe", true},
                {"\xf4\x8f\xbf\xbf", true},
                {"\x7f", false},
                {"\x1f", false},
                {"\x80", false},
                {"\xc0\xaf", false},
                {"\xe0\x80\xaf", false},
                {"\xed\xa0\x80", false},
                {"\xf4\x90\x80\x80", false},
                {"\xf8\x88\x80\x80\x80", false},
                {"\xe6\x96", false}};
    for (size_t i = 0; i < COUNT(utf8); i++) {
        if (varve_utf8_plain(utf8[i].text, strlen(utf8[i].text)) != utf8[i].plain)
            fail_msg("UTF-8 case %zu", i);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_comes_back),
        cmocka_unit_test(test_every_short_name_comes_back),
        cmocka_unit_test(test_length_does_not_depend_on_what_is_learned),
        cmocka_unit_test(test_wrong_lines_are_refused),
        cmocka_unit_test(test_a_line_over_one_mebibyte_is_refused),
        cmocka_unit_test(test_manifest_names_the_line),
        cmocka_unit_test(test_base64_and_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

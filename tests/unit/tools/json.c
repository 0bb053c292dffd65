/* Each struct of the engine becomes the JSON that docs/api.md shows, for any bytes in its names. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <cli.h>
#include <json.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* cli.h wants the program's table of verbs. */
const struct verb verbs[1];
const size_t verb_count = 0;

/* Compares and frees. */
static void
expect(json_t *json, const char *text)
{
    assert_non_null(json);
    char *made = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(json);
    assert_non_null(made);
    assert_string_equal(made, text);
    free(made);
}

static void
test_bytes_come_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "/plain", "/Größe", "/a\xff\xfe/b", "\n\x01"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct varve_error err = {0};
        char *back = NULL;
        json_t *json = json_bytes(texts[i]);
        assert_true(json_bytes_get(json, "path", &back, &err));
        assert_string_equal(back, texts[i]);
        free(back);
        json_decref(json);
    }
    expect(json_bytes("/a\xff"), "{\"hex\":\"2f61ff\"}");
}

static void
test_bytes_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *json, *error;
    } cases[] = {
        {"1", "'path': a string or {\"hex\": ...} is wanted"},
        {"{\"hex\":1}", "'path': a string or {\"hex\": ...} is wanted"},
        {"{\"hex\":\"2f\",\"x\":1}", "'path': a string or {\"hex\": ...} is wanted"},
        {"{\"hex\":\"2f6\"}", "'path': '2f6' is not hexadecimal"},
        {"{\"hex\":\"2fXY\"}", "'path': '2fXY' is not hexadecimal"},
        {"{\"hex\":\"2f00\"}", "'path': '2f00' is not hexadecimal"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_error err = {0};
        char *back = NULL;
        json_t *json = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        assert_non_null(json);
        assert_false(json_bytes_get(json, "path", &back, &err));
        assert_string_equal(err.text, cases[i].error);
        json_decref(json);
    }
}

static void
test_a_job(void **state)
{
    (void)state;
    struct varve_job job = {.id = 7,
                            .kind = "burn",
                            .text = "burning disc 1 of 6",
                            .state = VARVE_JOB_FAILED,
                            .done = 5,
                            .total = UINT64_C(1) << 40,
                            .files_failed = 1,
                            .started_ns = INT64_C(1795171802) * 1000000000};
    varve_error_set(&job.error, VARVE_ERROR_OFFLINE, 0, "no blank disc");
    varve_error_hint(&job.error, "import some");
    expect(json_job(&job),
           "{\"id\":7,\"kind\":\"burn\",\"text\":\"burning disc 1 of 6\",\"state\":\"failed\","
           "\"done\":5,\"total\":1099511627776,\"files_done\":0,\"files_total\":0,"
           "\"files_failed\":1,\"started\":\"2026-11-20T10:50:02Z\",\"finished\":null,"
           "\"error\":{\"kind\":\"offline\",\"text\":\"no blank disc\",\"hint\":\"import some\"}}");
}

static void
test_a_file(void **state)
{
    (void)state;
    const struct varve_inode inode = {.ino = 9,
                                      .mode = S_IFREG | 0640,
                                      .uid = 1,
                                      .gid = 2,
                                      .nlink = 1,
                                      .size = 10,
                                      .pinned_until_ns = INT64_MAX};
    const struct varve_content content = {.version = 3, .phase = VARVE_PHASE_SEALED};
    struct json_file file = {.path = "/f",
                             .inode = &inode,
                             .content = &content,
                             .heat = 0.5,
                             .discs = json_pack("[s]", "A1"),
                             .set = 4};
    expect(
        json_file(&file),
        "{\"path\":\"/f\",\"type\":\"file\",\"ino\":9,\"mode\":\"0640\",\"uid\":1,\"gid\":2,"
        "\"links\":1,\"size\":10,\"mtime\":null,\"state\":\"migrated\",\"tier\":null,\"set\":4,"
        "\"discs\":[\"A1\"],\"version\":3,\"heat\":0.5,\"pinned_until\":\"forever\",\"eta\":null}");
}

static void
test_a_disc_without_a_set(void **state)
{
    (void)state;
    struct varve_disc_row disc = {.state = VARVE_DISC_BLANK, .capacity_clusters = 1024};
    assert_true(varve_barcode_make("VRV00001", &disc.barcode));
    expect(json_disc(&disc, NULL),
           "{\"barcode\":\"VRV00001\",\"library\":\"\",\"state\":\"blank\",\"set\":null,"
           "\"index\":null,\"uuid\":null,\"capacity_bytes\":67108864,\"bytes\":0,\"burned\":null,"
           "\"verified\":null,\"bad_clusters\":0,\"place\":\"\",\"shelf\":\"\",\"magazine\":\"\","
           "\"site\":\"\",\"who\":\"\",\"since\":null}");
}

/* Names of files get into error texts; what is not UTF-8 must not cost the answer. */
static void
test_an_error_with_any_bytes(void **state)
{
    (void)state;
    struct varve_error err = {0};
    varve_error_set(&err, VARVE_ERROR_NOT_FOUND, 0, "no file '/a\xff'");
    varve_error_hint(&err, "look into '/a'");
    expect(cli_error_json(&err), "{\"error\":{\"kind\":\"not_found\",\"text\":\"no file '/a?'\","
                                 "\"hint\":\"look into '/a'\"}}");
}

static void
test_a_status_names_every_state(void **state)
{
    (void)state;
    struct varve_engine_status status = {.name = "film", .warnings_count = 1};
    status.usage[VARVE_TIER_HDD] =
        (struct varve_tier_usage){.bytes_total = 100, .bytes_free = 40, .percent_used = 60};
    memcpy(status.warnings[0], "low on blanks", sizeof "low on blanks");
    json_t *json = json_status(&status);
    assert_non_null(json);
    assert_int_equal(json_object_size(json_object_get(json, "states")), 4);
    assert_int_equal(json_object_size(json_object_get(json, "sets")), 5);
    assert_int_equal(json_object_size(json_object_get(json, "discs")), 10);
    assert_int_equal(json_object_size(json_object_get(json, "tiers")), 1);
    json_decref(json);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_come_back),
        cmocka_unit_test(test_bytes_that_are_none),
        cmocka_unit_test(test_a_job),
        cmocka_unit_test(test_a_file),
        cmocka_unit_test(test_a_disc_without_a_set),
        cmocka_unit_test(test_an_error_with_any_bytes),
        cmocka_unit_test(test_a_status_names_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

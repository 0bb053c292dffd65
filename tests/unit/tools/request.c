/* A request that says anything that its route does not know is refused with the key's name; what
 * is accepted is exactly what the route declares. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <api.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct field fields[] = {
    {"paths", FIELD_PATHS, true},   {"now", FIELD_FLAG, false},   {"rule", FIELD_TEXT, false},
    {"count", FIELD_NUMBER, false}, {"path", FIELD_BYTES, false}, {NULL, FIELD_TEXT, false},
};

static void
test_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *body, *error; /* error NULL: accepted */
    } cases[] = {
        {"{\"paths\":[\"/a\"]}", NULL},
        {"{\"paths\":[\"/a\",{\"hex\":\"2fff\"}],\"now\":false,\"rule\":\"r\",\"count\":0}", NULL},
        {"{\"paths\":[\"/a\"],\"nwo\":true}", "'nwo': unknown key"},
        {"{}", "'paths': missing"},
        {"", "'paths': missing"},
        {"{\"paths\":[]}", "'paths': an array of at least one path is wanted"},
        {"{\"paths\":\"/a\"}", "'paths': an array of at least one path is wanted"},
        {"{\"paths\":[\"a\"]}", "'paths': 'a' does not begin with '/'"},
        {"{\"paths\":[1]}", "'paths': a string or {\"hex\": ...} is wanted"},
        {"{\"paths\":[\"/a\"],\"now\":1}", "'now': true or false is wanted"},
        {"{\"paths\":[\"/a\"],\"rule\":null}", "'rule': a string is wanted"},
        {"{\"paths\":[\"/a\"],\"count\":-1}", "'count': an integer that is not negative is wanted"},
        {"{\"paths\":[\"/a\"],\"count\":1.5}",
         "'count': an integer that is not negative is wanted"},
        {"[]", "a JSON object is wanted"},
        {"{\"paths\":[\"/a\"]", "the body is not JSON: line 1, column 15: "},
        {"{\"now\":true,\"now\":true}", "the body is not JSON: line 1, column 17: "},
        {"{\"paths\":[\"/a\"]} x", "the body is not JSON: line 1, column 18: "},
        {"{\"paths\":[\"/a\\u0000b\"]}", "the body is not JSON: line 1, column 21: "},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct varve_error err = {0};
        json_t *in = NULL;
        bool ok = body_parse(fields, cases[i].body, strlen(cases[i].body), &in, &err);
        /* What follows the column are jansson's words, which its versions change. */
        static const char lead[] = "the body is not JSON: ";
        const char *wanted = cases[i].error != NULL ? cases[i].error : "";
        if (strncmp(wanted, lead, strlen(lead)) == 0)
            err.text[strlen(wanted)] = 0;
        assert_string_equal(ok ? "" : err.text, wanted);
        assert_int_equal(ok, cases[i].error == NULL);
        json_decref(in);
    }
}

static void
test_a_path_has_a_bound(void **state)
{
    (void)state;
    char path[VARVE_PATH_BYTES_MAX + 2];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    struct varve_error err = {0};
    json_t *in = json_pack("{s:[s]}", "paths", path);
    assert_false(fields_check(fields, in, &err));
    assert_string_equal(err.text, "'paths': longer than 4096 bytes");
    json_decref(in);
}

static void
test_queries(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *error;
    } cases[] = {
        {"now", "true", NULL},
        {"now", "", NULL},
        {"now", NULL, NULL},
        {"now", "maybe", "'now': true or false is wanted"},
        {"count", "12", NULL},
        {"count", "-1", "'count': '-1' is not a number"},
        {"count", NULL, "'count': '' is not a number"},
        {"path", "/a\xff", NULL},
        {"other", "1", "'other': unknown key"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct varve_error err = {0};
        json_t *in = json_object();
        bool ok = query_add(fields, in, cases[i].key, cases[i].value, &err);
        assert_string_equal(ok ? "" : err.text, cases[i].error != NULL ? cases[i].error : "");
        if (ok) {
            assert_int_equal(json_object_size(in), 1);
            assert_false(query_add(fields, in, cases[i].key, cases[i].value, &err));
            assert_non_null(strstr(err.text, "given twice"));
        }
        json_decref(in);
    }
}

static const struct route table[] = {
    {"GET", "/v1/sets", NULL, NULL},
    {"GET", "/v1/sets/{}", NULL, NULL},
    {"POST", "/v1/sets/{}/repair", NULL, NULL},
    {NULL, NULL, NULL, NULL},
};

static void
test_routes(void **state)
{
    (void)state;
    static const struct {
        const char *method, *url;
        int route; /* -1: none */
        const char *word, *error;
    } cases[] = {
        {"GET", "/v1/sets", 0, "", NULL},
        {"GET", "/v1/sets/12", 1, "12", NULL},
        {"POST", "/v1/sets/a b/repair", 2, "a b", NULL},
        {"GET", "/v1/sets/", -1, NULL, "there is no '/v1/sets/'"},
        {"GET", "/v1/sets/1/2", -1, NULL, "there is no '/v1/sets/1/2'"},
        {"GET", "/v1/sets/1/repair", -1, NULL, "GET is no method of '/v1/sets/1/repair'"},
        {"DELETE", "/v1/sets/1", -1, NULL, "DELETE is no method of '/v1/sets/1'"},
        {"GET", "", -1, NULL, "there is no ''"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct varve_error err = {0};
        struct route_match match = {0};
        bool ok = route_find(table, cases[i].method, cases[i].url, &match, &err);
        assert_int_equal(ok, cases[i].route >= 0);
        if (ok) {
            assert_ptr_equal(match.route, &table[cases[i].route]);
            assert_string_equal(match.word, cases[i].word);
        } else {
            assert_string_equal(err.text, cases[i].error);
        }
        free(match.word);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_a_path_has_a_bound),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

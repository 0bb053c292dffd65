/* SPDX-License-Identifier: Apache-2.0 */
/* A predicate selects exactly the files it describes, and can do nothing else. */
#include "fixture.h"

#include <pwd.h>

#define DAY_NS (INT64_C(86400) * VARVE_NS_PER_SECOND)

struct found {
    struct varve_buffer paths; /* separated by spaces */
    struct varve_selected last;
    unsigned stop_after;
    bool fail;
};

static bool
note(void *context, const struct varve_selected *row, struct varve_error *row_err)
{
    struct found *found = context;
    if (found->paths.size > 0)
        varve_buffer_text(&found->paths, " ");
    varve_buffer_text(&found->paths, row->path);
    found->last = *row;
    found->last.path = NULL;
    if (found->fail)
        return varve_error_set(row_err, VARVE_ERROR_BUSY, 0, "enough of '%s'", row->path);
    return found->stop_after == 0 || --found->stop_after > 0;
}

static void
change(struct varve_catalog *catalog, uint64_t ino, void (*edit)(struct varve_inode *))
{
    struct varve_inode inode;
    MUST(varve_catalog_inode_get(catalog, ino, &inode, &err));
    edit(&inode);
    MUST(varve_catalog_inode_update(catalog, &inode, &err));
}

static void
edit_old(struct varve_inode *inode)
{
    inode->mtime_ns = inode->atime_ns = NOW_NS - 40 * DAY_NS;
    inode->uid = 4000000000u;
}

static void
edit_hot(struct varve_inode *inode)
{
    inode->heat = 8;
    inode->heat_ns = NOW_NS - 2 * DAY_NS;
    inode->opens = 9;
    inode->pinned_until_ns = INT64_MAX;
}

/* /p/old.MOV resident on ssd; /p/hot.mov on hdd; /p/q/gone.tar.gz migrated; /.hidden premigrated;
 * /p2/x planned. And what is no file: an empty one, a directory, a symlink. */
static void
fill(struct fixture *f)
{
    struct varve_catalog *catalog = f->catalog;
    uint64_t p = add_node(catalog, VARVE_ROOT_INO, "p", S_IFDIR | 0755);
    uint64_t q = add_node(catalog, p, "q", S_IFDIR | 0755);
    uint64_t p2 = add_node(catalog, VARVE_ROOT_INO, "p2", S_IFDIR | 0755);
    struct varve_content old = add_file(catalog, p, "old.MOV", 5000);
    struct varve_content hot = add_file(catalog, p, "hot.mov", 3000);
    struct varve_content gone = add_file(catalog, q, "gone.tar.gz", 2000);
    struct varve_content hidden = add_file(catalog, VARVE_ROOT_INO, ".hidden", 1000);
    struct varve_content planned = add_file(catalog, p2, "x", 4000);
    hot.place.tier = VARVE_TIER_HDD;
    gone.phase = hidden.phase = VARVE_PHASE_SEALED;
    gone.place = (struct varve_place){0};
    planned.phase = VARVE_PHASE_FROZEN;
    MUST(varve_catalog_content_update(catalog, &hot, &err));
    MUST(varve_catalog_content_update(catalog, &gone, &err));
    MUST(varve_catalog_content_update(catalog, &hidden, &err));
    MUST(varve_catalog_content_update(catalog, &planned, &err));
    change(catalog, old.ino, edit_old);
    change(catalog, hot.ino, edit_hot);
    MUST(varve_catalog_dentry_insert(catalog, p2, "linked", gone.ino, &err));
    MUST(varve_catalog_xattr_put(catalog, old.ino, "user.project", "lake", 4, &err));
    (void)add_node(catalog, p, "empty", S_IFREG);
    (void)add_node(catalog, p, "link", S_IFLNK);
    MUST(varve_catalog_sync(catalog, &err));
}

static struct varve_selection
selection_of(const char *where)
{
    return (struct varve_selection){.where = where, .now_ns = NOW_NS, .half_life_ns = DAY_NS};
}

static void
expect_paths(struct fixture *f, const struct varve_selection *selection, const char *wanted)
{
    struct found found = {0};
    if (!varve_catalog_select(f->catalog, selection, note, &found, &err))
        fail_msg("%s: %s", selection->where == NULL ? "all" : selection->where, err.text);
    if (strcmp(varve_buffer_string(&found.paths), wanted) != 0)
        fail_msg("%s: '%s' instead of '%s'", selection->where, varve_buffer_string(&found.paths),
                 wanted);
    varve_buffer_done(&found.paths);
}

#define ALL "/p/old.MOV /p/hot.mov /p/q/gone.tar.gz /.hidden /p2/x"
#define OLD "/p/old.MOV"
#define HOT "/p/hot.mov"
#define GONE "/p/q/gone.tar.gz"

static void
test_predicates(void **state)
{
    struct fixture *f = *state;
    fill(f);
    static const struct {
        const char *where;
        const char *wanted;
    } cases[] = {
        {NULL, ALL},
        {"1", ALL},
        {"0", ""},
        {"NULL", ""},
        {"age(mtime) > days(30)", OLD},
        {"age(atime) between weeks(5) and years(1)", OLD},
        {"age(atime) < minutes(1) and age(ctime) < hours(1) and size > kib(3)", "/p2/x"},
        {"size >= mib(1) or size > gib(1) or size > tib(1)", ""},
        {"round(heat, 6) = 2", HOT},
        {"heat > 0 and opens = 9 and pinned", HOT},
        {"not pinned and size < 2500", GONE " /.hidden"},
        {"tier = 'hdd'", HOT},
        {"tier = 'optical' and state = 'migrated'", GONE},
        {"state = 'premigrated'", "/.hidden"},
        {"state in ('planned', 'resident') and tier = 'ssd'", OLD " /p2/x"},
        {"ext = 'mov'", OLD " " HOT},
        {"ext = 'gz'", GONE},
        {"ext = ''", "/.hidden /p2/x"},
        {"name like '%.mov'", OLD " " HOT},
        {"name glob '*.mov'", HOT},
        {"name regexp '^[a-z]+\\.mov$'", HOT},
        {"path regexp '/(q|p2)/'", GONE " /p2/x"},
        {"name regexp 'x{1,3}'", "/p2/x"},
        {"dir = '/p'", OLD " " HOT},
        {"dir = '/'", "/.hidden"},
        {"path glob '/p/*'", OLD " " HOT " " GONE},
        {"under('/p')", OLD " " HOT " " GONE},
        {"UNDER ( '/p/q/' )", GONE},
        {"under('/')", ALL},
        {"under('/p2/x')", "/p2/x"},
        {"under('/none') or under(NULL)", ""},
        {"xattr('user.project') = 'lake'", OLD},
        {"xattr('user.project') is null and ext = 'mov'", HOT},
        {"owner = '4000000000' and uid = 4000000000", OLD},
        {"mode = 420 and nlink = 1 and version = 1 and gid = 0", ALL},
        {"date(mtime) = '2023-11-14' and date(btime) > '2023'", HOT " " GONE " /.hidden /p2/x"},
        {"\"size\" = 5000 -- the big one", OLD},
        {"/* ( */ files.size = 5000 /* ) */", OLD},
        {"name <> ')' and name <> ';' and name <> '''(' and size = 1000", "/.hidden"},
        {"size in (1000, 2000)", GONE " /.hidden"},
        {"case when size > 4000 then 1 else 0 end", OLD},
        {"0) or (1", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_selection selection = selection_of(cases[i].where);
        if (cases[i].wanted != NULL)
            expect_paths(f, &selection, cases[i].wanted);
        else
            assert_false(varve_catalog_select_check(f->catalog, &selection, &err));
    }
}

static void
test_owner_names(void **state)
{
    struct fixture *f = *state;
    fill(f);
    const struct passwd *root = getpwuid(0);
    if (root == NULL)
        skip();
    char where[128];
    (void)snprintf(where, sizeof where, "owner = '%s' and size < 1500", root->pw_name);
    struct varve_selection selection = selection_of(where);
    expect_paths(f, &selection, "/.hidden");
}

static void
test_order_and_filters(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct varve_selection selection = selection_of(NULL);
    selection.order = "-size";
    expect_paths(f, &selection, OLD " /p2/x " HOT " " GONE " /.hidden");
    selection.order = "99"; /* a number, not a column's place: then by ino */
    expect_paths(f, &selection, ALL);
    selection.order = "name";
    expect_paths(f, &selection, "/.hidden " GONE " " HOT " " OLD " /p2/x");
    selection = selection_of("size > 1000");
    selection.tier = VARVE_TIER_SSD;
    expect_paths(f, &selection, OLD " /p2/x");
    selection.tier = VARVE_TIER_NONE;
    selection.has_state = true;
    selection.state = VARVE_STATE_MIGRATED;
    expect_paths(f, &selection, GONE);
    selection.state = VARVE_STATE_RESIDENT;
    expect_paths(f, &selection, OLD " " HOT);

    struct varve_inode top;
    selection = selection_of(NULL);
    MUST(varve_catalog_resolve(f->catalog, "/p", &top, &err));
    selection.under_ino = top.ino;
    expect_paths(f, &selection, OLD " " HOT " " GONE);
    MUST(varve_catalog_resolve(f->catalog, "/p2", &top, &err));
    selection.under_ino = top.ino; /* by any of its names */
    expect_paths(f, &selection, GONE " /p2/x");
    MUST(varve_catalog_resolve(f->catalog, "/p/hot.mov", &top, &err));
    selection.under_ino = top.ino;
    expect_paths(f, &selection, HOT);
}

static void
test_row(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct found found = {0};
    struct varve_selection selection = selection_of("tier = 'hdd'");
    struct varve_inode inode;
    struct varve_content content;
    MUST(varve_catalog_select(f->catalog, &selection, note, &found, &err));
    MUST(varve_catalog_resolve(f->catalog, HOT, &inode, &err));
    MUST(varve_catalog_content_get(f->catalog, inode.content, &content, &err));
    assert_int_equal(found.last.ino, inode.ino);
    assert_int_equal(found.last.content.value, content.id.value);
    assert_int_equal(found.last.size, 3000);
    assert_int_equal(found.last.place.tier, VARVE_TIER_HDD);
    assert_int_equal(found.last.place.path_id, content.place.path_id);
    assert_int_equal(found.last.place.file, content.place.file);
    assert_int_equal(found.last.state, VARVE_STATE_RESIDENT);
    assert_true(found.last.heat > 1.99 && found.last.heat < 2.01); /* two half-lives of 8 */
    varve_buffer_done(&found.paths);
}

static void
test_stop(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct found found = {.stop_after = 2};
    struct varve_selection selection = selection_of(NULL);
    MUST(varve_catalog_select(f->catalog, &selection, note, &found, &err));
    assert_string_equal(varve_buffer_string(&found.paths), OLD " " HOT);
    found.fail = true;
    MUST_FAIL(varve_catalog_select(f->catalog, &selection, note, &found, &err), BUSY,
              "enough of '/p/old.MOV'");
    varve_buffer_done(&found.paths);
}

static void
test_time_limit(void **state)
{
    struct fixture *f = *state;
    char name[16];
    varve_catalog_begin(f->catalog);
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        (void)add_file(f->catalog, VARVE_ROOT_INO, name, 1);
    }
    MUST(varve_catalog_end(f->catalog, true, &err));
    MUST(varve_catalog_sync(f->catalog, &err));
    struct found found = {0};
    struct varve_selection selection = selection_of(
        "replace(replace(replace(path || path || path, '1', path), '/', path), '2', path) = ''");
    selection.time_max_ms = 1;
    MUST_FAIL(varve_catalog_select(f->catalog, &selection, note, &found, &err), CANCELLED,
              "the predicate ran longer than 1 ms: Connection timed out");
    assert_int_equal(found.paths.size, 0); /* a name that was not read in time selects nothing */
}

/* Each is refused with these words, whether it stands as where or as order. */
static void
test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"1); drop table inode; --", "')' without '('"},
        {"1; drop table inode", "';' is not possible in an expression"},
        {"1;", "';' is not possible in an expression"},
        {"1) or (1", "')' without '('"},
        {"(1", "'(' without ')'"},
        {"(1 /* )", "the comment /* is not closed"},
        {"(1 -- )", "'(' without ')'"},
        {"name = 'x", "' is not closed"},
        {"", "it is empty"},
        {"  -- nothing", "it is empty"},
        {"1 union select 1", "near \"union\": syntax error"},
        {"select 1", "subselects and other tables are not possible"},
        {"(select 1)", "subselects and other tables are not possible"},
        {"exists (select 1 from setting)", "subselects and other tables are not possible"},
        {"(select value from setting limit 1) is not null",
         "subselects and other tables are not possible"},
        {"ino in (select ino from inode)", "subselects and other tables are not possible"},
        {"(with x as (select 1) select * from x)", "subselects and other tables are not possible"},
        {"ino in (values (1), (2))", "subselects and other tables are not possible"},
        {"(select sql from sqlite_master)", "subselects and other tables are not possible"},
        {"1 in (select 1 from pragma_table_info('inode'))",
         "subselects and other tables are not possible"},
        {"ino in setting", "subselects and other tables are not possible"},
        {"load_extension('x')", "this function is not possible: load_extension"},
        {"randomblob(1000000000)", "this function is not possible: randomblob"},
        {"zeroblob(1000000000)", "this function is not possible: zeroblob"},
        {"printf('%1000000d', 1)", "this function is not possible: printf"},
        {"random() > 0", "this function is not possible: random"},
        {"varve_path(1) = ''", "this function is not possible: varve_path"},
        {"strftime('%s', 'now') > mtime", "this function is not possible: strftime"},
        {"json('{}')", "this function is not possible: json"},
        {"size > ?1", "parameters are not possible: '?1'"},
        {"size > :a", "parameters are not possible: ':a'"},
        {"count(*) > 1", "this function is not possible: count"},
        {"max(size)", "misuse of aggregate function max()"},
        {"sise > 1", "no such column: sise\nhint: did you mean 'size'?"},
        {"\"sise\" > 1", "no such column: sise\nhint: did you mean 'size'?"},
        {"files.mtme > 1", "no such column: files.mtme\nhint: did you mean 'mtime'?"},
        {"HEAD", "no such column: HEAD\nhint: did you mean 'heat'?"},
        {"dayz(1)", "no such function: dayz\nhint: did you mean 'days'?"},
        {"path glob \"/p/*\"",
         "no such column: /p/*\nhint: text is written in single quotes: '...'"},
        {"_content", "no such column: _content\nhint: columns are ino, name, path, dir, ext, size,"
                     " uid, gid, owner, grp, mode, nlink, atime, mtime, ctime, btime, heat, opens,"
                     " tier, state, pinned, version"},
        {"inode.ino", "no such column: inode.ino\nhint: columns are ino, name, path, dir, ext,"
                      " size, uid, gid, owner, grp, mode, nlink, atime, mtime, ctime, btime, heat,"
                      " opens, tier, state, pinned, version"},
        {"days()", "wrong number of arguments to function days()"},
        {"size >", "near \")\": syntax error"},
        {"size desc", "near \"desc\": syntax error"},
        {"1, 2", "row value misused"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char wanted[700];
        (void)snprintf(wanted, sizeof wanted, "where '%s': %s", cases[i].text, cases[i].why);
        MUST_FAIL(varve_predicate_check(cases[i].text, NULL, &err), INVALID, wanted);
        (void)snprintf(wanted, sizeof wanted, "order '%s': %s", cases[i].text, cases[i].why);
        MUST_FAIL(varve_predicate_check(NULL, cases[i].text, &err), INVALID, wanted);
    }
}

/* What only shows when it runs. */
static void
test_failing_predicates(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct found found = {0};
    struct varve_selection selection = selection_of("name regexp '('");
    MUST_FAIL(varve_catalog_select(f->catalog, &selection, note, &found, &err), INVALID,
              "the pattern of regexp is wrong: Unmatched ( or \\(");
    selection.where = "name regexp '((a{1,100}){1,100}){1,100}'";
    MUST_FAIL(varve_catalog_select(f->catalog, &selection, note, &found, &err), INVALID,
              "the pattern of regexp is too large");
    selection.where = "abs(-9223372036854775808)";
    MUST_FAIL(varve_catalog_select(f->catalog, &selection, note, &found, &err), INVALID,
              "integer overflow");
    selection.where = "date('now', 'utc')";
    MUST_FAIL(varve_catalog_select(f->catalog, &selection, note, &found, &err), INVALID,
              "date() takes one time");
    assert_int_equal(found.paths.size, 0);
}

static void
test_checks(void **state)
{
    struct fixture *f = *state;
    struct varve_selection selection = {.where = "size > kib(4)", .order = "heat"};
    MUST(varve_catalog_select_check(f->catalog, &selection, &err));
    MUST(varve_predicate_check("under('/a') and xattr('user.b') = 'c'", "age(atime)", &err));
    MUST(varve_predicate_check(NULL, NULL, &err));
    char *huge = malloc(20001);
    assert_non_null(huge);
    memset(huge, ' ', 20000);
    huge[20000] = '\0';
    assert_false(varve_predicate_check(huge, NULL, &err));
    assert_non_null(strstr(err.text, "longer than 16384 bytes"));
    free(huge);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_predicates),
        FIXTURE_TEST(test_owner_names),
        FIXTURE_TEST(test_order_and_filters),
        FIXTURE_TEST(test_row),
        FIXTURE_TEST(test_stop),
        FIXTURE_TEST(test_time_limit),
        cmocka_unit_test(test_refused),
        FIXTURE_TEST(test_failing_predicates),
        FIXTURE_TEST(test_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "select_internal.h"

#include <ctype.h>
#include <string.h>

/* Three walls keep a predicate to what it is for: the scanner (one expression: balanced, no ';'),
 * SQLite's compiler (it stands alone as a WHERE), and the authoriser (only columns of `files` and
 * these functions). Left out on purpose: whatever reads the clock (a predicate is simulated for
 * other days), makes huge values (zeroblob, printf), is random, or reaches files. */
const char *const predicate_functions[] = {
    "age",       "minutes", "hours",   "days",   "weeks",    "years",    "kib",    "mib",
    "gib",       "tib",     "under",   "xattr",  "date",     "regexp",   "glob",   "like",
    "abs",       "ceil",    "ceiling", "char",   "coalesce", "exp",      "floor",  "hex",
    "ifnull",    "iif",     "instr",   "length", "likely",   "ln",       "log",    "log10",
    "log2",      "lower",   "ltrim",   "max",    "min",      "mod",      "nullif", "pow",
    "power",     "quote",   "replace", "round",  "rtrim",    "sign",     "sqrt",   "substr",
    "substring", "trim",    "trunc",   "typeof", "unicode",  "unlikely", "upper",  NULL};

#define PREDICATE_BYTES_MAX 16384u

static bool
is_allowed(const char *function)
{
    for (size_t i = 0; predicate_functions[i] != NULL; i++) {
        if (sqlite3_stricmp(predicate_functions[i], function) == 0)
            return true;
    }
    return false;
}

static int
refuse(struct select_session *session, const char *format, const char *name)
{
    char words[128];
    (void)snprintf(words, sizeof words, "%.64s", name);
    if (session->refused.kind == VARVE_ERROR_NONE)
        (void)varve_error_set(&session->refused, VARVE_ERROR_INVALID, 0, "%s%s", format, words);
    return SQLITE_DENY;
}

/* `view`: the view whose own text is being compiled, NULL for the user's. */
static int
authorise(void *context, int action, const char *first, const char *second, const char *database,
          const char *view)
{
    static const char other_tables[] = "subselects and other tables are not possible";
    (void)database;
    struct select_session *session = context;
    if (view != NULL && strcmp(view, "files") == 0)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_SELECT:
        return ++session->selects == 1 ? SQLITE_OK : refuse(session, other_tables, "");
    case SQLITE_READ:
        /* An empty column is no reading: a table that the view brings along and nobody uses. */
        if (strcmp(first, "files") == 0 || second[0] == '\0')
            return SQLITE_OK;
        return refuse(session, other_tables, "");
    case SQLITE_FUNCTION:
        return is_allowed(second) ? SQLITE_OK
                                  : refuse(session, "this function is not possible: ", second);
    default: /* SQLite's action codes are no enum; the others are of tables a subselect brings in */
        return refuse(session, other_tables, "");
    }
}

/* --- the scanner --- */

struct scan {
    const char *at;
    struct varve_buffer *ret;
    unsigned depth;
    bool empty;
};

static void
copy(struct scan *scan, size_t count)
{
    varve_buffer_append(scan->ret, scan->at, count);
    scan->at += count;
}

/* '...', "...", `...` with doubled quotes inside, and [...]. */
static bool
scan_quoted(struct scan *scan, struct varve_error *err)
{
    char end = *scan->at == '[' ? ']' : *scan->at;
    for (size_t length = 1; scan->at[length] != '\0'; length++) {
        if (scan->at[length] != end)
            continue;
        if (end != ']' && scan->at[length + 1] == end) {
            length++;
            continue;
        }
        copy(scan, length + 1);
        return true;
    }
    return varve_error_set(err, VARVE_ERROR_INVALID, 0, "%c is not closed", *scan->at);
}

/* Comments are left out. */
static bool
scan_comment(struct scan *scan, struct varve_error *err)
{
    const char *end = scan->at[0] == '-' ? strchr(scan->at, '\n') : strstr(scan->at + 2, "*/");
    if (end == NULL && scan->at[0] == '/')
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "the comment /* is not closed");
    varve_buffer_text(scan->ret, " ");
    if (end == NULL)
        scan->at += strlen(scan->at);
    else
        scan->at = end + (scan->at[0] == '-' ? 1 : 2);
    return true;
}

static bool
is_word_byte(char byte)
{
    return isalnum((unsigned char)byte) || byte == '_' || byte == '$' || (byte & 0x80) != 0;
}

/* under('/a') and xattr('user.b') speak of the row's file, which a SQL function cannot see: it is
 * put in as their first argument. */
static void
scan_word(struct scan *scan)
{
    size_t length = 1;
    while (is_word_byte(scan->at[length]))
        length++;
    bool of_file = (length == 5 && (sqlite3_strnicmp(scan->at, "under", 5) == 0 ||
                                    sqlite3_strnicmp(scan->at, "xattr", 5) == 0));
    copy(scan, length);
    size_t space = strspn(scan->at, " \t\n\r\f");
    if (!of_file || scan->at[space] != '(')
        return;
    copy(scan, space + 1);
    scan->depth++;
    varve_buffer_text(scan->ret, "ino,");
}

static bool
scan_one(struct scan *scan, struct varve_error *err)
{
    char byte = *scan->at;
    if (strchr("'\"`[", byte) != NULL)
        return scan_quoted(scan, err);
    if ((byte == '-' && scan->at[1] == '-') || (byte == '/' && scan->at[1] == '*'))
        return scan_comment(scan, err);
    if (byte == ';')
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "';' is not possible in an expression");
    if (byte == ')' && scan->depth == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "')' without '('");
    scan->depth += byte == '(';
    scan->depth -= byte == ')';
    if (is_word_byte(byte))
        scan_word(scan);
    else
        copy(scan, 1);
    return true;
}

static bool
scan_expression(const char *text, struct varve_buffer *ret, struct varve_error *err)
{
    if (strnlen(text, PREDICATE_BYTES_MAX + 1) > PREDICATE_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "longer than %u bytes",
                               PREDICATE_BYTES_MAX);
    struct scan scan = {.at = text, .ret = ret};
    while (*scan.at != '\0') {
        if (!scan_one(&scan, err))
            return false;
    }
    if (scan.depth > 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'(' without ')'");
    if (ret->size == strspn(varve_buffer_string(ret), " \t\n\r\f"))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "it is empty");
    return varve_buffer_ok(ret, err);
}

/* --- the compiler --- */

static bool
explain_failure(struct select_session *session, int code, struct varve_error *err)
{
    if (session->refused.kind != VARVE_ERROR_NONE) {
        *err = session->refused;
        return false;
    }
    if ((code & 0xff) != SQLITE_ERROR && (code & 0xff) != SQLITE_TOOBIG)
        return catalog_sqlite_error(session->db, code, "of the predicate", err);
    char message[512];
    words_plain(sqlite3_errmsg(session->db), message, sizeof message);
    (void)varve_error_set(err, VARVE_ERROR_INVALID, 0, "%s", message);
    words_hint(message, err);
    return false;
}

/* As a WHERE: there aggregates and window functions are refused, which in ORDER BY would silently
 * turn all rows into one. */
static bool
compile_alone(struct select_session *session, const char *expression, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer sql = {0};
    varve_buffer_printf(&sql, "SELECT 1 FROM files WHERE (%s\n)", expression);
    if (!varve_buffer_ok(&sql, err))
        return false;
    VARVE_CLEANUP(catalog_finalize) sqlite3_stmt *statement = NULL;
    const char *tail = NULL;
    session->selects = 0;
    session->refused = (struct varve_error){0};
    (void)sqlite3_set_authorizer(session->db, authorise, session); /* cannot fail */
    int code = sqlite3_prepare_v2(session->db, varve_buffer_string(&sql), -1, &statement, &tail);
    (void)sqlite3_set_authorizer(session->db, NULL, NULL);
    if (code != SQLITE_OK)
        return explain_failure(session, code, err);
    if (tail[0] != '\0')
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than one expression");
    if (sqlite3_bind_parameter_count(statement) != 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "parameters are not possible: '%s'",
                               sqlite3_bind_parameter_name(statement, 1));
    return true;
}

bool
predicate_compile(struct select_session *session, const char *what, const char *text,
                  struct varve_buffer *ret, struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer expression = {0};
    if (!scan_expression(text, &expression, err) ||
        !compile_alone(session, varve_buffer_string(&expression), err))
        return varve_error_wrap(err, "%s '%.200s'", what, text);
    varve_buffer_append(ret, expression.data, expression.size);
    return varve_buffer_ok(ret, err);
}

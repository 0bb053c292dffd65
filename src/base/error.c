/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/error.h>

#include <stdarg.h>
#include <string.h>

static const struct {
    int number;
    int http;
} kinds[] = {
#define X(name, number, http, words) {number, http},
    VARVE_ERROR_KINDS(X)
#undef X
};

static void
append_errno(struct varve_error *err)
{
    if (err->sys == 0)
        return;
    char buffer[96];
    const char *words = strerror_r(err->sys, buffer, sizeof buffer);
    size_t used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", words);
}

VARVE_PRINTF(4, 0)
static bool
set_va(struct varve_error *err, enum varve_error_kind kind, int sys, const char *format,
       va_list args)
{
    err->kind = kind;
    err->sys = sys;
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    append_errno(err);
    return false;
}

bool
varve_error_set(struct varve_error *err, enum varve_error_kind kind, int sys, const char *format,
                ...)
{
    va_list args;
    va_start(args, format);
    set_va(err, kind, sys, format, args);
    va_end(args);
    return false;
}

static enum varve_error_kind
kind_of_errno(int sys)
{
    switch (sys) {
    case ENOMEM:
        return VARVE_ERROR_NOMEM;
    case ENOENT:
        return VARVE_ERROR_NOT_FOUND;
    case EEXIST:
        return VARVE_ERROR_EXISTS;
    case EBUSY:
        return VARVE_ERROR_BUSY;
    case ENOSPC:
    case EDQUOT:
        return VARVE_ERROR_NO_SPACE;
    default:
        return VARVE_ERROR_SYSTEM;
    }
}

bool
varve_error_system(struct varve_error *err, int sys, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_va(err, kind_of_errno(sys), sys, format, args);
    va_end(args);
    return false;
}

bool
varve_error_wrap(struct varve_error *err, const char *format, ...)
{
    char whole[2 * sizeof err->text];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(whole, sizeof err->text, format, args);
    va_end(args);
    size_t prefix = length < 0 ? 0 : (size_t)length;
    if (prefix >= sizeof err->text)
        prefix = sizeof err->text - 1;
    /* The cause is what an operator needs: when both do not fit, the context gives way. */
    size_t cause = strlen(err->text);
    size_t room = sizeof err->text - 1 - cause;
    if (room < 3)
        return false;
    if (prefix > room - 2)
        prefix = room - 2;
    memcpy(whole + prefix, ": ", 2);
    memcpy(whole + prefix + 2, err->text, cause + 1);
    memcpy(err->text, whole, prefix + 2 + cause + 1);
    return false;
}

bool
varve_error_hint(struct varve_error *err, const char *format, ...)
{
    static const char lead[] = "\nhint: ";
    if (strstr(err->text, lead) != NULL)
        return false;
    size_t used = strlen(err->text);
    if (sizeof err->text - used <= sizeof lead)
        return false;
    memcpy(err->text + used, lead, sizeof lead);
    used += sizeof lead - 1;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->text + used, sizeof err->text - used, format, args);
    va_end(args);
    return false;
}

int
varve_error_errno(const struct varve_error *err)
{
    if (err->sys != 0)
        return err->sys;
    int number = kinds[err->kind].number;
    return number != 0 ? number : EIO;
}

int
varve_error_http(enum varve_error_kind kind)
{
    return kinds[kind].http;
}

const char *
varve_error_kind_name(enum varve_error_kind kind)
{
    static const char *const lower[] = {
        "none",    "system",   "nomem",    "invalid",       "not_found", "exists",
        "busy",    "no_space", "wait",     "not_ready",     "offline",   "wrong_disc",
        "corrupt", "medium",   "hardware", "unrecoverable", "cancelled"};
    _Static_assert(sizeof lower / sizeof lower[0] == sizeof kinds / sizeof kinds[0],
                   "one name per kind");
    return lower[kind];
}

enum varve_error_kind
varve_error_kind_parse(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(varve_error_kind_name((enum varve_error_kind)i), name) == 0)
            return (enum varve_error_kind)i;
    }
    return VARVE_ERROR_SYSTEM;
}

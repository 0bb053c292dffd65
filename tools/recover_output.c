/* SPDX-License-Identifier: Apache-2.0 */
#include "recover_internal.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <string.h>
#include <varve/clock.h>
#include <varve/text.h>

#define PROGRESS_EVERY_NS (200 * VARVE_NS_PER_MS)

void
progress_start(struct progress *progress, const struct options *options, const char *verb,
               uint64_t total)
{
    *progress = (struct progress){.on = isatty(STDERR_FILENO) == 1 && !options->quiet,
                                  .verb = verb,
                                  .total = total,
                                  .started_ns = varve_clock_monotonic(varve_clock_system())};
    progress->shown_ns = progress->started_ns;
}

void
progress_step(struct progress *progress, uint64_t bytes)
{
    progress->done += bytes;
    if (!progress->on)
        return;
    int64_t now = varve_clock_monotonic(varve_clock_system());
    if (now - progress->shown_ns < PROGRESS_EVERY_NS)
        return;
    progress->shown_ns = now;
    enum { BAR = 24 };
    char bar[BAR + 1], done[VARVE_TEXT_BYTES], total[VARVE_TEXT_BYTES], rate[VARVE_TEXT_BYTES],
        eta[VARVE_TEXT_BYTES];
    double part = progress->total > 0 ? (double)progress->done / (double)progress->total : 0;
    part = part > 1 ? 1 : part;
    double spent = (double)(now - progress->started_ns);
    for (int i = 0; i < BAR; i++)
        bar[i] = (double)i < part * (double)BAR ? '#' : '.';
    bar[BAR] = 0;
    double left = part > 0 ? spent * (1 - part) / part : 0;
    (void)fprintf(stderr, "\r%s [%s] %3.0f%%  %s of %s  %s/s  %s left \033[K", progress->verb, bar,
                  100 * part, varve_text_bytes(progress->done, done),
                  varve_text_bytes(progress->total, total),
                  varve_text_bytes((uint64_t)((double)progress->done * 1e9 / spent), rate),
                  varve_text_duration((int64_t)left, eta));
}

void
progress_clear(const struct progress *progress)
{
    if (progress->on)
        (void)fputs("\r\033[K", stderr);
}

/* A whole line is made first, so that an error text with names in it is safe to show as well. */
void
tell(const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (isatty(STDERR_FILENO) == 1)
        (void)fputs("\r\033[K", stderr);
    (void)fputs("varve-recover: ", stderr);
    for (char *line = text; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = 0;
        print_name(stderr, line);
        (void)fputc('\n', stderr);
        line = end != NULL ? end + 1 : NULL;
    }
}

void
print_name(FILE *stream, const char *name)
{
    for (; *name != 0; name++) {
        unsigned char byte = (unsigned char)*name;
        if (byte < 0x20 || byte == 0x7F)
            (void)fprintf(stream, "\\x%02x", byte);
        else
            (void)fputc(byte, stream);
    }
}

void
json_put_text(json_t *object, const char *key, const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL) {
        (void)json_object_set_new(object, key, value);
        return;
    }
    char key_b64[64];
    size_t size = strlen(text);
    VARVE_CLEANUP_FREE unsigned char *encoded = malloc(4 * (size / 3 + 1) + 1);
    if (encoded == NULL)
        return;
    (void)EVP_EncodeBlock(encoded, (const unsigned char *)text, (int)size);
    (void)snprintf(key_b64, sizeof key_b64, "%s_b64", key);
    (void)json_object_set_new(object, key_b64, json_string((const char *)encoded));
}

void
json_print(json_t *object)
{
    VARVE_CLEANUP_FREE char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(object);
    if (text != NULL)
        (void)fputs(text, stdout);
}

void
make_label(const struct varve_disc_identity *set, uint32_t index, char ret[LABEL_BYTES])
{
    (void)snprintf(ret, LABEL_BYTES, "%s-%04" PRIu64 "-%03" PRIu32,
                   set->archive_name[0] != 0 ? set->archive_name : "varve", set->set_number, index);
    for (char *c = ret; *c != 0; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte < 0x20 || byte == 0x7F || byte == '/' || (c == ret && byte == '.'))
            *c = '_';
    }
}

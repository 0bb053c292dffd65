/* buffer.h - bytes that grow. Always NUL-terminated behind `size`, so text needs no copy.
 *
 * Zero-initialise, append, varve_buffer_done(). When memory runs out the buffer keeps what it had
 * and `failed` sticks: append all, test once with varve_buffer_ok(). One thread at a time. */
#ifndef VARVE_BUFFER_H
#define VARVE_BUFFER_H

#include <stdint.h>
#include <varve/error.h>

struct varve_buffer {
    uint8_t *data; /* NULL while empty; use varve_buffer_text() for a string */
    size_t size;
    size_t capacity;
    bool failed;
};

void varve_buffer_done(struct varve_buffer *buffer);
static inline void
varve_buffer_done_cleanup(struct varve_buffer *buffer)
{
    varve_buffer_done(buffer);
}
#define VARVE_CLEANUP_BUFFER __attribute__((cleanup(varve_buffer_done_cleanup)))

void varve_buffer_append(struct varve_buffer *buffer, const void *bytes, size_t count);
void varve_buffer_zeros(struct varve_buffer *buffer, size_t count);
void varve_buffer_text(struct varve_buffer *buffer, const char *text);
void varve_buffer_printf(struct varve_buffer *buffer, const char *format, ...) VARVE_PRINTF(2, 3);
/* The content as a string, "" while empty; valid until the next append. */
const char *varve_buffer_string(const struct varve_buffer *buffer);
/* False with NOMEM if any append failed. */
VARVE_MUST_CHECK bool varve_buffer_ok(const struct varve_buffer *buffer, struct varve_error *err);
/* Keeps the memory, forgets the bytes. */
void varve_buffer_clear(struct varve_buffer *buffer);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/buffer.h>

#include <stdarg.h>
#include <string.h>

void
varve_buffer_done(struct varve_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct varve_buffer){0};
}

static bool
reserve(struct varve_buffer *buffer, size_t more)
{
    if (buffer->failed)
        return false;
    if (more < SIZE_MAX / 4 - buffer->size && buffer->size + more + 1 <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
    while (capacity < buffer->size + more + 1) {
        if (capacity > SIZE_MAX / 4)
            return !(buffer->failed = true);
        capacity *= 2;
    }
    uint8_t *data = realloc(buffer->data, capacity);
    if (data == NULL)
        return !(buffer->failed = true);
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

static void
advance(struct varve_buffer *buffer, size_t count)
{
    buffer->size += count;
    buffer->data[buffer->size] = 0;
}

void
varve_buffer_append(struct varve_buffer *buffer, const void *bytes, size_t count)
{
    if (!reserve(buffer, count))
        return;
    if (count > 0)
        memcpy(&buffer->data[buffer->size], bytes, count);
    advance(buffer, count);
}

void
varve_buffer_zeros(struct varve_buffer *buffer, size_t count)
{
    if (!reserve(buffer, count))
        return;
    memset(&buffer->data[buffer->size], 0, count);
    advance(buffer, count);
}

void
varve_buffer_text(struct varve_buffer *buffer, const char *text)
{
    varve_buffer_append(buffer, text, strlen(text));
}

void
varve_buffer_printf(struct varve_buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0 || !reserve(buffer, (size_t)length))
        return;
    va_start(args, format);
    (void)vsnprintf((char *)&buffer->data[buffer->size], (size_t)length + 1, format, args);
    va_end(args);
    advance(buffer, (size_t)length);
}

const char *
varve_buffer_string(const struct varve_buffer *buffer)
{
    return buffer->data == NULL ? "" : (const char *)buffer->data;
}

bool
varve_buffer_ok(const struct varve_buffer *buffer, struct varve_error *err)
{
    if (!buffer->failed)
        return true;
    return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "no memory for %zu bytes",
                           buffer->capacity * 2);
}

void
varve_buffer_clear(struct varve_buffer *buffer)
{
    buffer->size = 0;
    buffer->failed = false;
    if (buffer->data != NULL)
        buffer->data[0] = 0;
}

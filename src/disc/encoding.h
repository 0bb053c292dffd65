/* encoding.h - text as the disc's tables hold it: UTF-8, base64, JSON strings. Pure, any thread. */
#ifndef VARVE_DISC_ENCODING_H
#define VARVE_DISC_ENCODING_H

#include <jansson.h>
#include <varve/buffer.h>
#include <varve/text.h>

/* Valid UTF-8 without control characters (below 20h, 7Fh). */
bool varve_utf8_plain(const char *text, size_t size);

void varve_base64_append(struct varve_buffer *buffer, const void *bytes, size_t size);
/* Strict RFC 4648 with padding; appends the bytes. False if it is not. */
bool varve_base64_decode(const char *text, size_t size, struct varve_buffer *ret);

/* Appends "key":"text", or "key_b64":"base64" when the bytes are not plain UTF-8. No comma. */
void varve_json_text(struct varve_buffer *buffer, const char *key, const char *text);

/* Members of a JSON object whose text is not trusted; `err` names the key. */
VARVE_MUST_CHECK bool varve_json_u64(const json_t *object, const char *key, uint64_t max,
                                     uint64_t *ret, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_json_u32(const json_t *object, const char *key, uint32_t *ret, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_json_i64(const json_t *object, const char *key, int64_t *ret, struct varve_error *err);
/* The string `key`, NULL if it is missing or no string. */
const char *varve_json_string(const json_t *object, const char *key);
/* Reverse of varve_json_text: at most `bytes_max` bytes, none of them NUL. *ret is to be freed. */
VARVE_MUST_CHECK bool varve_json_text_get(const json_t *object, const char *key, size_t bytes_max,
                                          char **ret, struct varve_error *err);

static inline void
varve_json_cleanup(json_t **json)
{
    json_decref(*json);
}
#define VARVE_CLEANUP_JSON __attribute__((cleanup(varve_json_cleanup)))

#endif

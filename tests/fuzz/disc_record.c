/* SPDX-License-Identifier: Apache-2.0 */
/* A line of inodes.jsonl from any bytes: refused, or its own line reads back the same. */
#include <assert.h>
#include <string.h>
#include <varve/manifest.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer line = {0};
    VARVE_CLEANUP_BUFFER struct varve_buffer again = {0};
    struct varve_record record = {0}, back = {0};
    struct varve_error err = {0};
    if (!varve_record_decode((const char *)data, size, &record, &err)) {
        assert(err.kind == VARVE_ERROR_CORRUPT || err.kind == VARVE_ERROR_NOMEM);
        return 0;
    }
    for (size_t i = 0; i < record.name_count; i++)
        assert(strchr(record.names[i].name, '/') == NULL);
    varve_record_encode(&record, &line);
    assert(varve_record_decode(varve_buffer_string(&line), line.size - 1, &back, &err));
    varve_record_encode(&back, &again);
    assert(strcmp(varve_buffer_string(&line), varve_buffer_string(&again)) == 0);
    varve_record_done(&record);
    varve_record_done(&back);
    return 0;
}

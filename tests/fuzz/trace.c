/* SPDX-License-Identifier: Apache-2.0 */
/* Any line of a trace is parsed or refused within its bounds, data decode to no more than there is
 * room for, and serial numbers are masked in answers of any shape without touching their lengths.
 */
#include "port_trace.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CDB_BYTES 12u

static void
mask(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size - CDB_BYTES + 1);
    assert(copy != NULL);
    memcpy(copy, data + CDB_BYTES, size - CDB_BYTES);
    trace_mask(1, data, copy, size - CDB_BYTES);
    if (data[0] == 0xb8 && size >= CDB_BYTES + 8)
        assert(memcmp(copy, data + CDB_BYTES, 8) == 0); /* the header is no serial number */
    free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace_exchange exchange = {0};
    uint8_t room[512];
    size_t got;
    if (size == 0)
        return 0;
    if (data[0] == 0x12 || data[0] == 0x46 || data[0] == 0xb8) {
        if (size > CDB_BYTES)
            mask(data, size);
        return 0;
    }
    const char *line = (const char *)data;
    if (data[0] == '>' && trace_parse_command(line, size, &exchange)) {
        assert(exchange.device < TRACE_DEVICES_MAX);
        assert(exchange.command.cdb_bytes > 0 &&
               exchange.command.cdb_bytes <= VARVE_SCSI_CDB_BYTES);
        assert(exchange.command.data_bytes <= TRACE_DATA_MAX);
    }
    if ((data[0] == '<' || data[0] == '!') && trace_parse_answer(line, size, &exchange)) {
        assert(exchange.device < TRACE_DEVICES_MAX);
        assert(exchange.data == NULL || exchange.data + exchange.data_size <= line + size);
    }
    if (trace_get_data(line, size, room, sizeof room, &got))
        assert(got <= sizeof room);
    return 0;
}

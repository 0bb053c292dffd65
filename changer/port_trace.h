/* port_trace.h - what recorder and replay share: lines of a trace, and masks.
 *
 * Lines: "varve trace 1" | "device N NAME" | "> N CDB none|in BYTES|out BYTES CRC" | "< N STATUS
 * SENSE|- DATA" | "! N not_ready|hardware" | "# comment". N counts devices from 0; CDB, STATUS and
 * SENSE are hexadecimal, BYTES decimal. DATA is "-", or "= BYTES CRC" if it was withheld, or
 * tokens: hexadecimal bytes, or XX*COUNT for a run of one byte. */
#ifndef VARVE_CHANGER_PORT_TRACE_H
#define VARVE_CHANGER_PORT_TRACE_H

#include <varve/buffer.h>
#include <varve/ports.h>

#define TRACE_HEADER "varve trace 1"
#define TRACE_DEVICES_MAX 256u
#define TRACE_DATA_MAX (16u << 20) /* of one command */

void trace_put_hex(struct varve_buffer *line, const uint8_t *bytes, size_t size);
void trace_put_data(struct varve_buffer *line, const uint8_t *bytes, size_t size);

/* One exchange, as parsed. */
struct trace_exchange {
    unsigned line, answer_line; /* 0: none came */
    unsigned device;
    struct varve_scsi_command command; /* without data */
    uint32_t out_crc;
    bool answered, timed_out;
    bool withheld;
    const char *data; /* tokens; NULL: none */
    size_t data_size;
};
/* The data of an answer into at most `max` bytes; false if it is no such text or more. */
bool trace_get_data(const char *text, size_t size, uint8_t *ret, size_t max, size_t *ret_size);
/* Fields of a line that begins with '>' or '<' or '!'; false: it is none. The text stays
 * referenced.
 */
bool trace_parse_command(const char *line, size_t size, struct trace_exchange *ret);
bool trace_parse_answer(const char *line, size_t size, struct trace_exchange *ret);

/* Replaces serial numbers in the `size` bytes that came as answer to `cdb`. */
void trace_mask(uint32_t key, const uint8_t *cdb, uint8_t *bytes, size_t size);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Sense data from any bytes decodes to values within their ranges, and prints. */
#include <varve/scsi.h>

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_scsi_sense sense;
    char text[VARVE_SCSI_TEXT_BYTES];
    varve_scsi_sense_decode(data, size, &sense);
    assert(sense.key <= 0x0f);
    assert(sense.valid || (!sense.deferred && !sense.has_information && !sense.has_progress));
    assert(strlen(varve_scsi_sense_text(&sense, text)) < VARVE_SCSI_TEXT_BYTES);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a changer says of its drives and the drives of themselves, no drive is given to two
 * elements, and the decoders of LUN lists and serial numbers stay inside their bytes. */
#include <varve/probe.h>

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXTS_MAX 8u

/* The next line of the data. */
static void
take_text(const uint8_t **data, size_t *size, char *ret, size_t ret_bytes)
{
    size_t used = 0;
    while (*size > 0 && **data != '\n') {
        if (used + 1 < ret_bytes && **data != 0)
            ret[used++] = (char)**data;
        ++*data;
        --*size;
    }
    ret[used] = 0;
    if (*size > 0) {
        ++*data;
        --*size;
    }
}

static void
check_match(const uint8_t *data, size_t size)
{
    struct varve_probe_element elements[TEXTS_MAX] = {{0}};
    struct varve_probe_drive drives[TEXTS_MAX] = {{0}};
    for (size_t i = 0; i < TEXTS_MAX; i++) {
        take_text(&data, &size, elements[i].id, sizeof elements[i].id);
        take_text(&data, &size, drives[i].vendor, sizeof drives[i].vendor);
        take_text(&data, &size, drives[i].product, sizeof drives[i].product);
        take_text(&data, &size, drives[i].serial, sizeof drives[i].serial);
        take_text(&data, &size, drives[i].wwid, sizeof drives[i].wwid);
    }
    varve_probe_match(elements, TEXTS_MAX, drives, TEXTS_MAX);
    for (size_t i = 0; i < TEXTS_MAX; i++) {
        int drive = elements[i].drive;
        assert(drive >= -1 && drive < (int)TEXTS_MAX);
        assert((drive < 0) == (elements[i].proof == VARVE_PROOF_NONE));
        assert(varve_proof_holds(elements[i].proof) == (elements[i].why[0] == 0));
        for (size_t k = 0; k < i; k++)
            assert(drive < 0 || elements[k].drive != drive);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint16_t luns[TEXTS_MAX];
    char serial[VARVE_DEVICE_SERIAL_BYTES];
    assert(varve_probe_decode_luns(data, size, luns, TEXTS_MAX) <= TEXTS_MAX);
    if (varve_probe_decode_serial(data, size, serial))
        assert(serial[0] != 0 && strnlen(serial, sizeof serial) < sizeof serial);
    check_match(data, size);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* READ DISC STRUCTURE (BD disc information) from any bytes: none, or short printable words. */
#include "mmc_codec.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect_printable(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    assert(length < size);
    for (size_t i = 0; i < length; i++)
        assert(text[i] > 0x20 && text[i] < 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varve_mmc_maker maker;
    if (!varve_mmc_decode_maker(data, size, &maker))
        return 0;
    assert(size >= 116 && data[4] == 'D' && data[5] == 'I');
    expect_printable(maker.type, sizeof maker.type);
    expect_printable(maker.manufacturer, sizeof maker.manufacturer);
    expect_printable(maker.media, sizeof maker.media);
    return 0;
}

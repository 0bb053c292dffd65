/* SPDX-License-Identifier: Apache-2.0 */
#include "udf_codec.h"

#include <assert.h>
#include <string.h>
#include <time.h>
#include <varve/byteorder.h>
#include <varve/clock.h>

#include "names.h"

uint16_t
varve_udf_crc(const uint8_t *bytes, size_t size)
{
    static const uint16_t nibble[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50A5,
                                        0x60C6, 0x70E7, 0x8108, 0x9129, 0xA14A, 0xB16B,
                                        0xC18C, 0xD1AD, 0xE1CE, 0xF1EF};
    uint16_t crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc = (uint16_t)(crc << 4) ^ nibble[(crc >> 12) ^ (bytes[i] >> 4)];
        crc = (uint16_t)(crc << 4) ^ nibble[(crc >> 12) ^ (bytes[i] & 15)];
    }
    return crc;
}

void
varve_udf_tag(uint8_t *descriptor, enum varve_udf_tag tag, size_t size, uint32_t location)
{
    enum { TAG_BYTES = 16, CHECKSUM = 4 };
    varve_put_le16(&descriptor[0], (uint16_t)tag);
    varve_put_le16(&descriptor[2], 3); /* NSR03 */
    descriptor[CHECKSUM] = 0;
    descriptor[5] = 0;
    varve_put_le16(&descriptor[6], 1); /* serial number: the same in all tags */
    varve_put_le16(&descriptor[8], varve_udf_crc(&descriptor[TAG_BYTES], size - TAG_BYTES));
    varve_put_le16(&descriptor[10], (uint16_t)(size - TAG_BYTES));
    varve_put_le32(&descriptor[12], location);
    uint8_t sum = 0;
    for (size_t i = 0; i < TAG_BYTES; i++)
        sum = (uint8_t)(sum + descriptor[i]);
    descriptor[CHECKSUM] = sum;
}

static void
put_text(uint8_t *ret, const char *text)
{
    memcpy(ret, text, strlen(text));
}

void
varve_udf_charspec(uint8_t *ret)
{
    put_text(&ret[1], "OSTA Compressed Unicode");
}

void
varve_udf_dstring(uint8_t *ret, size_t size, const char *text)
{
    size_t used = text[0] == 0 ? 0 : varve_cs0_encode(text, strlen(text), size - 1, ret);
    assert(used > 0 || text[0] == 0);
    ret[size - 1] = (uint8_t)used;
}

void
varve_udf_timestamp(uint8_t *ret, int64_t time_ns)
{
    int64_t seconds = time_ns / VARVE_NS_PER_SECOND, rest = time_ns % VARVE_NS_PER_SECOND;
    if (rest < 0) {
        rest += VARVE_NS_PER_SECOND;
        seconds--;
    }
    time_t when = (time_t)seconds;
    struct tm parts = {0};
    (void)gmtime_r(&when, &parts); /* cannot fail: 64-bit nanoseconds end in the year 2262 */
    uint32_t us = (uint32_t)(rest / 1000);
    varve_put_le16(&ret[0], 0x1000); /* UTC */
    varve_put_le16(&ret[2], (uint16_t)(parts.tm_year + 1900));
    ret[4] = (uint8_t)(parts.tm_mon + 1);
    ret[5] = (uint8_t)parts.tm_mday;
    ret[6] = (uint8_t)parts.tm_hour;
    ret[7] = (uint8_t)parts.tm_min;
    ret[8] = (uint8_t)parts.tm_sec;
    ret[9] = (uint8_t)(us / 10000);
    ret[10] = (uint8_t)(us / 100 % 100);
    ret[11] = (uint8_t)(us % 100);
}

enum { REGID_NAME = 1, REGID_SUFFIX = 24, OS_UNIX = 4, OS_LINUX = 5 };

void
varve_udf_domain_id(uint8_t *ret)
{
    put_text(&ret[REGID_NAME], "*OSTA UDF Compliant");
    varve_put_le16(&ret[REGID_SUFFIX], VARVE_UDF_REVISION);
    ret[REGID_SUFFIX + 2] = 3; /* hard and soft write protection */
}

void
varve_udf_udf_id(uint8_t *ret, const char *name)
{
    put_text(&ret[REGID_NAME], name);
    varve_put_le16(&ret[REGID_SUFFIX], VARVE_UDF_REVISION);
    ret[REGID_SUFFIX + 2] = OS_UNIX;
    ret[REGID_SUFFIX + 3] = OS_LINUX;
}

void
varve_udf_implementation_id(uint8_t *ret)
{
    put_text(&ret[REGID_NAME], "*varve");
    ret[REGID_SUFFIX] = OS_UNIX;
    ret[REGID_SUFFIX + 1] = OS_LINUX;
}

void
varve_udf_extent(uint8_t *ret, uint32_t bytes, uint32_t lba)
{
    varve_put_le32(&ret[0], bytes);
    varve_put_le32(&ret[4], lba);
}

void
varve_udf_long_ad(uint8_t *ret, uint32_t bytes, uint32_t block, uint16_t partition)
{
    varve_udf_extent(ret, bytes, block);
    varve_put_le16(&ret[8], partition);
}

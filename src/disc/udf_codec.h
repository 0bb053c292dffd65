/* udf_codec.h - the small types of ECMA-167 1/7 and 3/7 that all structures are made of. Pure. */
#ifndef VARVE_DISC_UDF_CODEC_H
#define VARVE_DISC_UDF_CODEC_H

#include <stddef.h>
#include <stdint.h>

enum varve_udf_tag {
    VARVE_UDF_TAG_PVD = 1,
    VARVE_UDF_TAG_AVDP = 2,
    VARVE_UDF_TAG_IUVD = 4,
    VARVE_UDF_TAG_PD = 5,
    VARVE_UDF_TAG_LVD = 6,
    VARVE_UDF_TAG_USD = 7,
    VARVE_UDF_TAG_TD = 8,
    VARVE_UDF_TAG_LVID = 9,
    VARVE_UDF_TAG_FSD = 256,
    VARVE_UDF_TAG_FID = 257,
    VARVE_UDF_TAG_AED = 258,
    VARVE_UDF_TAG_EFE = 266,
};

/* CRC of ECMA-167 7.2.6: polynomial 1021h, initial value 0, most significant bit first. */
uint16_t varve_udf_crc(const uint8_t *bytes, size_t size);
/* Descriptor tag over a descriptor of `size` bytes whose body is already there. */
void varve_udf_tag(uint8_t *descriptor, enum varve_udf_tag tag, size_t size, uint32_t location);
void varve_udf_charspec(uint8_t *ret);
void varve_udf_dstring(uint8_t *ret, size_t size, const char *text);
void varve_udf_timestamp(uint8_t *ret, int64_t time_ns);
/* The three kinds of entity identifier (UDF 2.1.5): domain, UDF and implementation. */
void varve_udf_domain_id(uint8_t *ret);
void varve_udf_udf_id(uint8_t *ret, const char *name);
void varve_udf_implementation_id(uint8_t *ret);
void varve_udf_extent(uint8_t *ret, uint32_t bytes, uint32_t lba);
void varve_udf_long_ad(uint8_t *ret, uint32_t bytes, uint32_t block, uint16_t partition);

#define VARVE_UDF_REVISION 0x0250
#define VARVE_UDF_PARTITION_PHYSICAL 0
#define VARVE_UDF_PARTITION_METADATA 1

#endif

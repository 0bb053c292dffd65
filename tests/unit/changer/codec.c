/* SPDX-License-Identifier: Apache-2.0 */
/* Commands are encoded to the bytes of the standards, and answers are decoded as far as they are
 * there and no further. */
#include "support.h"

#include "mmc_codec.h"
#include "smc_codec.h"

#include <string.h>
#include <varve/byteorder.h>

static void
expect_cdb(const struct varve_scsi_command *command, const char *hex)
{
    char text[3 * VARVE_SCSI_CDB_BYTES + 1] = "";
    for (unsigned i = 0; i < command->cdb_bytes; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", command->cdb[i]);
    assert_string_equal(text, hex);
}

static void
test_cdbs(void **state)
{
    (void)state;
    static uint8_t data[65536];
    struct varve_scsi_command c;
    varve_smc_encode_test_unit_ready(&c);
    expect_cdb(&c, "000000000000");
    assert_int_equal(c.direction, VARVE_SCSI_NO_DATA);
    varve_smc_encode_inquiry(&c, data, 252);
    expect_cdb(&c, "12000000fc00");
    varve_smc_encode_inquiry_vpd(&c, 0x80, data, 252);
    expect_cdb(&c, "12018000fc00");
    varve_smc_encode_mode_sense(&c, 0x1d, true, data, 252);
    expect_cdb(&c, "1a081d00fc00");
    varve_smc_encode_mode_sense(&c, 0x1d, false, data, 252);
    expect_cdb(&c, "1a001d00fc00");
    varve_smc_encode_initialize(&c);
    expect_cdb(&c, "070000000000");
    struct varve_smc_status_request all = {VARVE_ELEMENT_DRIVE, 0x0102, 255, true, true, true};
    varve_smc_encode_read_status(&c, &all, data, 65536);
    expect_cdb(&c, "b814010200ff030100000000");
    assert_int_equal(c.direction, VARVE_SCSI_FROM_DEVICE);
    assert_int_equal(c.data_bytes, 65536);
    varve_smc_encode_move(&c, &(struct varve_smc_move){1, 0x0400, 0x0100, false});
    expect_cdb(&c, "a50000010400010000000000");
    varve_smc_encode_prevent(&c, true);
    expect_cdb(&c, "1e0000000100");
    varve_smc_encode_prevent(&c, false);
    expect_cdb(&c, "1e0000000000");

    varve_mmc_encode_get_configuration(&c, data, 256);
    expect_cdb(&c, "46000000000000010000");
    varve_mmc_encode_disc_information(&c, data, 34);
    expect_cdb(&c, "51000000000000002200");
    varve_mmc_encode_track_information(&c, 0xff, data, 36);
    expect_cdb(&c, "5201000000ff00002400");
    varve_mmc_encode_read_capacity(&c, data);
    expect_cdb(&c, "25000000000000000000");
    /* Beyond 2^31: no sign anywhere. */
    varve_mmc_encode_read(&c, 0x80000020, 512, data);
    expect_cdb(&c, "28008000002000020000");
    assert_int_equal(c.data_bytes, 512 * 2048);
    varve_mmc_encode_write(&c, 32, 32, data);
    expect_cdb(&c, "2a000000002000002000");
    assert_int_equal(c.direction, VARVE_SCSI_TO_DEVICE);
    varve_mmc_encode_synchronize(&c, true);
    expect_cdb(&c, "35020000000000000000");
    varve_mmc_encode_close(&c, VARVE_MMC_CLOSE_TRACK, 1, true);
    expect_cdb(&c, "5b010100000100000000");
    varve_mmc_encode_close(&c, VARVE_MMC_FINALISE, 0, true);
    expect_cdb(&c, "5b010600000000000000");
    varve_mmc_encode_start_stop(&c, VARVE_MMC_EJECT);
    expect_cdb(&c, "1b0000000200");
}

static const uint8_t page_1d[24] = {23, 0,    0, 0,    0x1d, 0x12, 0, 1, 0, 1, 4, 0,
                                    0,  0x0a, 0, 0x10, 0,    2,    1, 0, 0, 3, 0, 0};

static void
test_assignment(void **state)
{
    (void)state;
    struct varve_error err = {0};
    struct varve_smc_assignment map;
    EXPECT_OK(varve_smc_decode_assignment(page_1d, sizeof page_1d, &map, &err), err);
    assert_int_equal(map.of[VARVE_ELEMENT_TRANSPORT].first, 1);
    assert_int_equal(map.of[VARVE_ELEMENT_SLOT].first, 1024);
    assert_int_equal(map.of[VARVE_ELEMENT_SLOT].count, 10);
    assert_int_equal(map.of[VARVE_ELEMENT_MAIL_SLOT].first, 16);
    assert_int_equal(map.of[VARVE_ELEMENT_DRIVE].first, 256);
    assert_int_equal(map.of[VARVE_ELEMENT_DRIVE].count, 3);
    enum varve_element_type type;
    assert_true(varve_smc_type_of(&map, 1033, &type));
    assert_int_equal(type, VARVE_ELEMENT_SLOT);
    assert_false(varve_smc_type_of(&map, 1034, &type));

    /* With a block descriptor in between. */
    uint8_t blocks[32] = {31, 0, 0, 8};
    memcpy(blocks + 12, page_1d + 4, 20);
    EXPECT_OK(varve_smc_decode_assignment(blocks, sizeof blocks, &map, &err), err);
    assert_int_equal(map.of[VARVE_ELEMENT_DRIVE].first, 256);

    for (size_t size = 0; size < 22; size++)
        assert_false(varve_smc_decode_assignment(page_1d, size, &map, &err));
    assert_string_equal(err.text, "mode page 1Dh: cut short");
    uint8_t bad[24];
    memcpy(bad, page_1d, sizeof bad);
    bad[4] = 0x1f;
    assert_false(varve_smc_decode_assignment(bad, sizeof bad, &map, &err));
    assert_string_equal(err.text, "mode page 1Dh: got page 1Fh");
    memcpy(bad, page_1d, sizeof bad);
    varve_put_be16(bad + 18, 1030); /* drives where the slots are */
    assert_false(varve_smc_decode_assignment(bad, sizeof bad, &map, &err));
    assert_string_equal(err.text,
                        "mode page 1Dh: elements of type 2 and 4 overlap at address 1030");
    memcpy(bad, page_1d, sizeof bad);
    varve_put_be16(bad + 12, 0xffff);
    assert_false(varve_smc_decode_assignment(bad, sizeof bad, &map, &err));
    assert_string_equal(err.text, "mode page 1Dh: 65535 elements of type 2 from address 1024 do "
                                  "not fit into 16 bits");
}

/* Two drives with tags and identifiers, as a strict unit sends them. */
struct answer {
    uint8_t bytes[512];
    size_t size;
};

static void
put_drive(uint8_t *d, uint16_t address, const char *tag, const char *id)
{
    varve_put_be16(d, address);
    d[2] = tag != NULL ? 0x09 : 0x08;
    d[9] = tag != NULL ? 0x80 : 0;
    varve_put_be16(d + 10, tag != NULL ? 1024 : 0);
    memset(d + 12, 0, 36);
    if (tag != NULL) {
        memset(d + 12, ' ', 32);
        memcpy(d + 12, tag, strlen(tag));
    }
    d[48] = 0x02;
    d[49] = 0x05;
    d[50] = 0;
    d[51] = 34;
    memset(d + 52, ' ', 34);
    memcpy(d + 52, id, strlen(id));
}

static struct answer
two_drives(void)
{
    struct answer answer = {.size = 8 + 8 + 2 * 86};
    uint8_t *b = answer.bytes;
    varve_put_be16(b, 0x0403); /* tgt's junk: first address */
    varve_put_be16(b + 2, 2);
    varve_put_be24(b + 5, (uint32_t)answer.size - 8);
    b[8] = 4;
    b[9] = 0x80;
    varve_put_be16(b + 10, 86);
    varve_put_be24(b + 13, 2 * 86);
    put_drive(b + 16, 256, "A00017", "LAB     DVD-DRIVE       LABDRV01");
    put_drive(b + 16 + 86, 257, NULL, "LAB     DVD-DRIVE       LABDRV02");
    return answer;
}

static size_t
decode(const struct answer *answer, size_t size, struct varve_smc_element *ret, int32_t *cut)
{
    VARVE_CLEANUP_FREE uint8_t *exact = malloc(size + 1); /* the sanitizer sees reads behind it */
    memcpy(exact, answer->bytes, size);
    uint8_t *shrunk = realloc(exact, size + (size == 0));
    exact = shrunk;
    return varve_smc_decode_elements(exact, size, VARVE_ELEMENT_DRIVE, ret, 16, cut);
}

static void
test_elements(void **state)
{
    (void)state;
    struct answer answer = two_drives();
    struct varve_smc_element e[16];
    int32_t cut;
    assert_int_equal(decode(&answer, answer.size, e, &cut), 2);
    assert_int_equal(cut, -1);
    assert_int_equal(e[0].element.address, 256);
    assert_true(e[0].element.full && e[0].access && e[0].element.has_source);
    assert_int_equal(e[0].element.source, 1024);
    assert_string_equal(e[0].element.barcode.text, "A00017");
    assert_string_equal(e[0].device_id, "LAB     DVD-DRIVE       LABDRV01");
    assert_false(e[1].element.full);
    assert_string_equal(e[1].element.barcode.text, "");
    assert_string_equal(e[1].device_id, "LAB     DVD-DRIVE       LABDRV02");
}

static void
test_cut_answers(void **state)
{
    (void)state;
    struct answer answer = two_drives();
    struct varve_smc_element e[16];
    int32_t cut;
    /* tgt: eight bytes short; the last identifier loses its end, nothing else. */
    assert_int_equal(decode(&answer, answer.size - 8, e, &cut), 2);
    assert_string_equal(e[1].device_id, "LAB     DVD-DRIVE       LA");
    for (size_t size = 0; size <= answer.size; size++) {
        size_t count = decode(&answer, size, e, &cut);
        size_t at = size < 16 ? 0 : size - 16;
        size_t whole = (at >= 44) + (at >= 86 + 44);
        assert_int_equal(count, whole);
        bool half = (at >= 12 && at < 44) || (at >= 86 + 12 && at < 86 + 44);
        assert_int_equal(cut, half ? (at < 86 ? 256 : 257) : -1);
    }
}

static void
test_lying_answers(void **state)
{
    (void)state;
    struct answer answer = two_drives();
    struct varve_smc_element e[16];
    int32_t cut;
    answer.bytes[5] = answer.bytes[6] = answer.bytes[7] = 0xff;    /* byte count of the header */
    answer.bytes[13] = answer.bytes[14] = answer.bytes[15] = 0xff; /* ... and of the page */
    assert_int_equal(decode(&answer, answer.size, e, &cut), 2);

    answer = two_drives();
    varve_put_be16(answer.bytes + 10, 0); /* ADIC: zero-length descriptors */
    assert_int_equal(decode(&answer, answer.size, e, &cut), 0);
    varve_put_be16(answer.bytes + 10, 11); /* too short for address, flags and source */
    assert_int_equal(decode(&answer, answer.size, e, &cut), 0);

    answer = two_drives();
    answer.bytes[8] = 2; /* another type: not ours */
    assert_int_equal(decode(&answer, answer.size, e, &cut), 0);

    answer = two_drives();
    memcpy(answer.bytes + 28, "A00\x01\xff", 5); /* what is not printable ends the bar code */
    assert_int_equal(decode(&answer, answer.size, e, &cut), 2);
    assert_string_equal(e[0].element.barcode.text, "A00");
    memcpy(answer.bytes + 28, "../x", 4); /* no bar code of ours: unread */
    assert_int_equal(decode(&answer, answer.size, e, &cut), 2);
    assert_string_equal(e[0].element.barcode.text, "");

    answer = two_drives();
    answer.bytes[18] = 0x04; /* EXCEPT, slot not fitted */
    answer.bytes[20] = 0x83;
    answer.bytes[21] = 0x02;
    assert_int_equal(decode(&answer, answer.size, e, &cut), 2);
    assert_true(e[0].element.exception);
    assert_int_equal(e[0].element.asc, 0x83);
    assert_int_equal(e[0].element.ascq, 0x02);
}

static void
test_inquiry_and_serial(void **state)
{
    (void)state;
    uint8_t bytes[36] = {0x05, 0x80};
    memcpy(bytes + 8, "LAB     DVD-DRIVE       1.0 ", 28);
    struct varve_inquiry inquiry;
    assert_true(varve_smc_decode_inquiry(bytes, sizeof bytes, &inquiry));
    assert_int_equal(inquiry.device_type, 5);
    assert_string_equal(inquiry.vendor, "LAB");
    assert_string_equal(inquiry.product, "DVD-DRIVE");
    assert_string_equal(inquiry.revision, "1.0");
    assert_false(varve_smc_decode_inquiry(bytes, 35, &inquiry));
    const uint8_t page[] = {0x05, 0x80, 0,   12,  ' ', ' ', ' ', ' ',
                            'L',  'A',  'B', '0', '1', 0,   0,   0};
    char serial[33];
    assert_true(varve_smc_decode_serial(page, sizeof page, serial));
    assert_string_equal(serial, "LAB01");
    assert_true(varve_smc_decode_serial(page, 10, serial));
    assert_string_equal(serial, "LA");
    assert_false(varve_smc_decode_serial(page, 3, serial));
    assert_false(varve_smc_decode_serial(page, 8, serial));
}

static void
test_disc_and_track(void **state)
{
    (void)state;
    const uint8_t blank[34] = {0, 32, 0x00, 1, 1, 1, 1, 0x20};
    const uint8_t closed[34] = {0, 32, 0x1e, 1, 2, 1, 3, 0x20, 0, 1, 0, 1};
    struct varve_mmc_disc disc;
    assert_true(varve_mmc_decode_disc(blank, sizeof blank, &disc));
    assert_int_equal(disc.status, VARVE_MMC_DISC_BLANK);
    assert_true(varve_mmc_decode_disc(closed, sizeof closed, &disc));
    assert_int_equal(disc.status, VARVE_MMC_DISC_FINALISED);
    assert_int_equal(disc.last_session, 3);
    assert_int_equal(disc.sessions, 0x102);
    assert_int_equal(disc.last_track, 0x103);
    assert_true(disc.erasable);
    assert_false(varve_mmc_decode_disc(closed, 11, &disc));

    uint8_t track[36] = {0, 34, 2, 1, 0, 0x24, 0x41, 0x03};
    varve_put_be32(track + 8, 32);
    varve_put_be32(track + 12, 0xffffff6a); /* -150, Pioneer */
    varve_put_be32(track + 16, 12219392);
    varve_put_be32(track + 24, 12219392);
    varve_put_be32(track + 28, 63);
    track[32] = 1;
    struct varve_mmc_track t;
    assert_true(varve_mmc_decode_track(track, sizeof track, &t));
    assert_true(t.damaged && t.blank && t.next_valid && t.last_valid);
    assert_int_equal(t.track, 0x102);
    assert_int_equal(t.session, 1);
    assert_int_equal(t.start, 32);
    assert_int_equal((int32_t)t.next, -150);
    assert_int_equal(t.free, 12219392);
    assert_int_equal(t.last, 63);
    assert_true(varve_mmc_decode_track(track, 28, &t));
    assert_false(t.last_valid);
    assert_false(varve_mmc_decode_track(track, 27, &t));

    uint16_t profile;
    const uint8_t configuration[8] = {0, 0, 0, 4, 0, 0, 0x00, 0x41};
    assert_true(varve_mmc_decode_profile(configuration, 8, &profile));
    assert_int_equal(profile, 0x41);
    assert_false(varve_mmc_decode_profile(configuration, 7, &profile));

    uint64_t sectors;
    uint8_t capacity[8] = {0xff, 0xff, 0xff, 0xff, 0, 0, 8, 0};
    assert_true(varve_mmc_decode_capacity(capacity, 8, &sectors));
    assert_true(sectors == UINT64_C(0x100000000));
    assert_false(varve_mmc_decode_capacity(capacity, 7, &sectors));
    capacity[6] = 2;
    assert_false(varve_mmc_decode_capacity(capacity, 8, &sectors));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cdbs),           cmocka_unit_test(test_assignment),
        cmocka_unit_test(test_elements),       cmocka_unit_test(test_cut_answers),
        cmocka_unit_test(test_lying_answers),  cmocka_unit_test(test_inquiry_and_serial),
        cmocka_unit_test(test_disc_and_track),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}

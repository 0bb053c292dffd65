/* SPDX-License-Identifier: Apache-2.0 */
/* Sense data of both formats decodes to the same facts, and junk of any length to none. */
#include "support.h"

#include <string.h>

struct vector {
    const char *name;
    uint8_t bytes[40];
    size_t size;
    struct varve_scsi_sense want;
    const char *text;
};

static const struct vector vectors[] = {
    {"fixed",
     {0x70, 0, 0x05, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3b, 0x0d, 0, 0, 0, 0},
     18,
     {.valid = true, .key = 5, .asc = 0x3b, .ascq = 0x0d},
     "destination element is full (5/3b/0d)"},
    {"fixed with information",
     {0xf0, 0, 0x03, 0, 0, 0x04, 0x00, 10, 0, 0, 0, 0, 0x11, 0x05, 0, 0, 0, 0},
     18,
     {.valid = true,
      .key = 3,
      .asc = 0x11,
      .ascq = 5,
      .has_information = true,
      .information = 1024},
     "L-EC uncorrectable error (3/11/05)"},
    {"progress",
     {0x70, 0, 0x02, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x04, 0x07, 0, 0x80, 0x40, 0x00},
     18,
     {.valid = true, .key = 2, .asc = 4, .ascq = 7, .has_progress = true, .progress = 0x4000},
     "not ready, operation in progress (2/04/07)"},
    {"field pointer is no progress",
     {0x70, 0, 0x05, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0x00, 0, 0xc0, 0x00, 0x04},
     18,
     {.valid = true, .key = 5, .asc = 0x24},
     "invalid field in CDB (5/24/00)"},
    {"deferred",
     {0x71, 0, 0x03, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x0c, 0x00, 0, 0, 0, 0},
     18,
     {.valid = true, .deferred = true, .key = 3, .asc = 0x0c},
     "earlier command: write error (3/0c/00)"},
    {"cut after the key",
     {0x70, 0, 0x06},
     3,
     {.valid = true, .key = 6},
     "unit attention (6/00/00)"},
    {"unknown code falls back to the key",
     {0x70, 0, 0x03, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x77, 0x77},
     14,
     {.valid = true, .key = 3, .asc = 0x77, .ascq = 0x77},
     "medium error (3/77/77)"},
    {"descriptors",
     {0x72, 0x02, 0x04, 0x08, 0,    0,    0,    20,   0x00, 0x0a, 0x80, 0,    0,    0,
      0,    0,    0,    0,    0x12, 0x34, 0x02, 0x06, 0,    0,    0x80, 0x80, 0x00, 0},
     28,
     {.valid = true,
      .key = 2,
      .asc = 4,
      .ascq = 8,
      .has_information = true,
      .information = 0x1234,
      .has_progress = true,
      .progress = 0x8000},
     "not ready, long write in progress (2/04/08)"},
    {"descriptor longer than the data",
     {0x73, 0x04, 0x44, 0x00, 0, 0, 0, 12, 0x00, 0xff, 0x80},
     11,
     {.valid = true, .deferred = true, .key = 4, .asc = 0x44},
     "earlier command: internal target failure (4/44/00)"},
    {"empty", {0}, 0, {0}, "no readable sense data"},
    {"one byte", {0x70}, 1, {0}, "no readable sense data"},
    {"vendor format", {0x7f, 1, 2, 3, 4, 5, 6, 7, 8}, 9, {0}, "no readable sense data"},
};

static void
test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct vector *v = &vectors[i];
        struct varve_scsi_sense sense;
        char text[VARVE_SCSI_TEXT_BYTES];
        varve_scsi_sense_decode(v->bytes, v->size, &sense);
        if (sense.valid != v->want.valid || sense.deferred != v->want.deferred ||
            sense.key != v->want.key || sense.asc != v->want.asc || sense.ascq != v->want.ascq ||
            sense.has_information != v->want.has_information ||
            sense.information != v->want.information ||
            sense.has_progress != v->want.has_progress || sense.progress != v->want.progress)
            fail_msg("%s", v->name);
        assert_string_equal(varve_scsi_sense_text(&sense, text), v->text);
    }
}

/* Every prefix of every vector is read within its bounds (the sanitizer looks on). */
static void
test_prefixes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        for (size_t size = 0; size <= vectors[i].size; size++) {
            uint8_t *exact = malloc(size + (size == 0));
            struct varve_scsi_sense sense;
            memcpy(exact, vectors[i].bytes, size);
            varve_scsi_sense_decode(exact, size, &sense);
            if (size < 3)
                assert_false(sense.valid);
            free(exact);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors),
                                       cmocka_unit_test(test_prefixes)};
    return cmocka_run_group_tests_name("sense", tests, NULL, NULL);
}

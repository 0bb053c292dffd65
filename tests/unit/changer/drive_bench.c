/* SPDX-License-Identifier: Apache-2.0 */
#include "drive_bench.h"

#include <string.h>

static bool
count_execute(struct varve_scsi_port *base, struct varve_scsi_command *command,
              struct varve_error *err)
{
    struct counter *counter = (struct counter *)base;
    counter->count[command->cdb[0]]++;
    if (command->cdb[0] == 0x1b)
        counter->last_tray = command->cdb[4];
    return counter->inner->execute(counter->inner, command, err);
}

static void
count_close(struct varve_scsi_port *base)
{
    struct counter *counter = (struct counter *)base;
    counter->inner->close(counter->inner);
}

static void
watch(struct fixture *f)
{
    f->drive = varve_library_drive(f->bench.library, 0);
    f->counter = (struct counter){.port = {.execute = count_execute,
                                           .close = count_close,
                                           .settle_ms = f->drive->device.port->settle_ms},
                                  .inner = f->drive->device.port};
    f->drive->device.port = &f->counter.port;
}

int
fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    test_bench_start(&f->bench);
    watch(f);
    test_fill(f->data, sizeof f->data, 0);
    *state = f;
    return 0;
}

int
fixture_teardown(void **state)
{
    struct fixture *f = *state;
    test_bench_done(&f->bench);
    free(f);
    return 0;
}

void
script(struct fixture *f, const char *text)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_virtual_script(f->bench.folder, text, &err), err);
}

bool
load(struct fixture *f, const char *disc, struct varve_error *err)
{
    struct varve_barcode barcode = test_barcode(disc);
    return varve_library_load(f->bench.library, &barcode, 0, err);
}

void
expect_loaded(struct fixture *f, const char *disc)
{
    struct varve_error err = {0};
    struct varve_barcode before;
    bool same =
        varve_library_drive_disc(f->bench.library, 0, &before) && strcmp(before.text, disc) == 0;
    if (!same)
        f->bench.watch.acknowledged = 0; /* of another disc */
    EXPECT_OK(load(f, disc, &err), err);
}

void
expect_text(const struct varve_error *err, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strstr(err->text, *words) == NULL)
            fail_msg("'%s' is missing in: %s", *words, err->text);
    }
}

bool
fixture_fill(void *context, uint64_t cluster, unsigned count, uint8_t *ret, struct varve_error *err)
{
    struct fixture *f = context;
    (void)err;
    memcpy(ret, f->data + cluster * VARVE_CLUSTER_BYTES, (size_t)count * VARVE_CLUSTER_BYTES);
    return true;
}

bool
burn_from(struct fixture *f, uint64_t first, struct varve_error *err)
{
    struct varve_burn burn = {
        .first_cluster = first, .clusters = CLUSTERS, .context = f, .fill = fixture_fill};
    return varve_drive_burn(f->drive, &burn, err) &&
           varve_drive_burn_close(f->drive, NULL, NULL, err);
}

void
expect_read_back(struct fixture *f, const char *disc)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_library_unload(f->bench.library, 0, &err), err);
    EXPECT_OK(load(f, disc, &err), err);
    for (unsigned at = 0; at < CLUSTERS; at += 16)
        EXPECT_OK(
            varve_drive_read(f->drive, at, 16, f->back + at * VARVE_CLUSTER_BYTES, NULL, &err),
            err);
    assert_memory_equal(f->back, f->data, sizeof f->data);
    assert_false(f->bench.watch.rewritten);
}

void
expect_whole_burn(struct fixture *f, const char *disc)
{
    struct varve_error err = {0};
    EXPECT_OK(burn_from(f, 0, &err), err);
    expect_read_back(f, disc);
}

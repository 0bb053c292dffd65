/* SPDX-License-Identifier: Apache-2.0 */
/* What a fault script lets happen to a virtual library is what a host then sees through its ports,
 * and what belongs to the folder is still so after it was opened again. */
#include "support.h"

#include "smc_codec.h"
#include "virtual_internal.h"

#include <fcntl.h>
#include <string.h>
#include <varve/byteorder.h>

struct fixture {
    char *dir;
    struct varve_clock_sim clock;
    struct varve_virtual *folder;
    struct varve_scsi_port *changer, *drive[2];
    struct test_answer answer;
    uint8_t data[65536];
};

static void
open_all(struct fixture *f)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_virtual_open(f->dir, &f->clock.clock, &f->folder, &err), err);
    EXPECT_OK(varve_virtual_changer_port(f->folder, &f->changer, &err), err);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_OK(varve_virtual_drive_port(f->folder, i, &f->drive[i], &err), err);
}

static void
close_all(struct fixture *f)
{
    f->changer->close(f->changer);
    for (unsigned i = 0; i < 2; i++)
        f->drive[i]->close(f->drive[i]);
    varve_virtual_close(f->folder);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct varve_error err = {0};
    assert_non_null(f);
    f->dir = test_dir_new();
    varve_clock_sim_init(&f->clock, 1000 * VARVE_NS_PER_SECOND);
    struct varve_virtual_options options = {
        .slots = 6, .drives = 2, .mail_slots = 2, .magazine_slots = 2, .disc_bytes = 4u << 20};
    EXPECT_OK(varve_virtual_create(f->dir, &options, &err), err);
    open_all(f);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    close_all(f);
    test_dir_done(f->dir);
    free(f);
    return 0;
}

static void
script(struct fixture *f, const char *text)
{
    struct varve_error err = {0};
    EXPECT_OK(varve_virtual_script(f->folder, text, &err), err);
}

static void
refuse(struct fixture *f, const char *text, const char *why)
{
    struct varve_error err = {0};
    assert_false(varve_virtual_script(f->folder, text, &err));
    if (strstr(err.text, why) == NULL)
        fail_msg("%s: %s", text, err.text);
}

static uint32_t
send(struct fixture *f, struct varve_scsi_port *port, const uint8_t *cdb)
{
    return test_send(port, cdb, 12, &f->answer);
}

#define CDB(...) ((const uint8_t[12]){__VA_ARGS__})
static uint32_t
ready(struct fixture *f, struct varve_scsi_port *port)
{
    return send(f, port, CDB(0x00));
}

/* Past attentions and spinning up; what then stays. */
static uint32_t
settle(struct fixture *f, struct varve_scsi_port *port)
{
    uint32_t sense = 0;
    for (unsigned i = 0; i < 20; i++) {
        sense = ready(f, port);
        if (sense >> 16 != 6 && sense != 0x020401)
            return sense;
    }
    return sense;
}

static uint32_t
move(struct fixture *f, uint16_t from, uint16_t to)
{
    return send(
        f, f->changer,
        CDB(0xa5, 0, 0, 1, (uint8_t)(from >> 8), (uint8_t)from, (uint8_t)(to >> 8), (uint8_t)to));
}

static struct varve_smc_element
look(struct fixture *f, uint16_t address, bool curdata)
{
    struct varve_smc_status_request one = {virtual_type(address), address, 1, true, curdata, false};
    struct varve_scsi_command c;
    struct varve_smc_element found[8] = {0};
    int32_t cut;
    varve_smc_encode_read_status(&c, &one, f->answer.data, sizeof f->answer.data);
    assert_int_equal(send(f, f->changer, c.cdb), 0);
    size_t count =
        varve_smc_decode_elements(f->answer.data, f->answer.received, one.type, found, 8, &cut);
    assert_true(count == 1 && found[0].element.address == address);
    return found[0];
}

static const char *
disc_at(struct fixture *f, uint16_t address)
{
    static struct varve_smc_element element;
    element = look(f, address, true);
    if (!element.element.full)
        return "(empty)";
    return element.element.barcode.text;
}

static void
test_door(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(settle(f, f->changer), 0);
    script(f, "now door-open");
    assert_int_equal(ready(f, f->changer), 0x023a02);
    assert_int_equal(move(f, 1024, 256), 0x023a02);
    script(f, "quirk door-manual");
    assert_int_equal(ready(f, f->changer), 0x020403);
    close_all(f); /* it is still open the next day */
    open_all(f);
    assert_int_equal(ready(f, f->changer), 0x062900);
    assert_int_equal(ready(f, f->changer), 0x023a02);
    script(f, "now door-close");
    assert_int_equal(ready(f, f->changer), 0x062800);
    assert_int_equal(ready(f, f->changer), 0x020401);
    assert_int_equal(move(f, 1024, 256), 0x020401);
    assert_int_equal(move(f, 1024, 256), 0);
}

static void
test_prevented_door(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(settle(f, f->changer), 0);
    assert_int_equal(send(f, f->changer, CDB(0x1e, 0, 0, 0, 1)), 0);
    refuse(f, "now door-open", "line 1: door-open: the door is locked by PREVENT ALLOW");
    script(f, "now door-force");
    assert_int_equal(ready(f, f->changer), 0x023a02);
    script(f, "now door-close");
    assert_int_equal(settle(f, f->changer), 0);
    script(f, "now power changer"); /* the lock is gone with it */
    assert_int_equal(ready(f, f->changer), 0x062901);
    script(f, "now door-open");
}

static void
test_magazines(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(settle(f, f->changer), 0);
    script(f, "now magazine-out 1");
    assert_int_equal(ready(f, f->changer), 0x063b12);
    struct varve_smc_element gone = look(f, 1026, true);
    assert_true(!gone.element.full && gone.element.exception && !gone.access);
    assert_true(gone.element.asc == 0x3b && gone.element.ascq == 0x12);
    assert_int_equal(move(f, 1026, 256), 0x053b12);
    assert_int_equal(move(f, 1024, 1027), 0x053b12);
    refuse(f, "now swap 1024 1026", "element 1026 is in a magazine that is out");
    refuse(f, "now magazine-out 3", "magazine 3 does not exist");
    close_all(f);
    open_all(f);
    assert_int_equal(settle(f, f->changer), 0);
    assert_true(look(f, 1027, true).element.exception);
    script(f, "quirk magazine-shrink");
    struct varve_scsi_command c;
    struct varve_smc_element found[16];
    struct varve_smc_status_request all = {VARVE_ELEMENT_SLOT, 0, 255, true, true, false};
    int32_t cut;
    varve_smc_encode_read_status(&c, &all, f->answer.data, sizeof f->answer.data);
    assert_int_equal(send(f, f->changer, c.cdb), 0);
    assert_int_equal(
        varve_smc_decode_elements(f->answer.data, f->answer.received, all.type, found, 16, &cut),
        4);
    script(f, "now magazine-in 1");
    assert_int_equal(ready(f, f->changer), 0x063b13);
    assert_string_equal(disc_at(f, 1026), "VRV00003");
}

static void
test_hands(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(settle(f, f->changer), 0);
    assert_int_equal(settle(f, f->drive[0]), 0x023a00);
    script(f, "now swap 1024 1025, take 1026");
    assert_string_equal(disc_at(f, 1024), "VRV00002");
    assert_string_equal(disc_at(f, 1025), "VRV00001");
    assert_string_equal(disc_at(f, 1026), "(empty)");
    assert_int_equal(ready(f, f->changer), 0); /* nobody tells */
    script(f, "now put VRV00003 17");
    assert_int_equal(ready(f, f->changer), 0x062801);
    struct varve_smc_element mail = look(f, 17, true);
    assert_true(mail.imported && mail.element.full);
    assert_int_equal(move(f, 1024, 256), 0);
    assert_int_equal(settle(f, f->drive[0]), 0);
    script(f, "now swap 256 1025"); /* also in a drive */
    assert_int_equal(ready(f, f->drive[0]), 0x062800);
    assert_string_equal(disc_at(f, 256), "VRV00001");
    script(f, "now take 256");
    assert_int_equal(settle(f, f->drive[0]), 0x023a00);
    refuse(f, "now take 256", "take: element 256 is empty");
    refuse(f, "now take 9999", "take: element 9999 does not exist");
    refuse(f, "now put VRV00004 17", "put: the disc is in element 1027 already");
    refuse(f, "now put VRV00001 17", "put: element 17 is full");
    refuse(f, "now put NOBODY 16", "NOBODY");
    refuse(f, "now label NOBODY X", "disc 'NOBODY' is not in the library");
    close_all(f);
    open_all(f);
    assert_int_equal(settle(f, f->changer), 0);
    assert_string_equal(disc_at(f, 1025), "VRV00002");
    assert_string_equal(disc_at(f, 17), "VRV00003");
}

static void
test_labels(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(settle(f, f->changer), 0);
    script(f, "now label VRV00001 none, label VRV00002 VRV00003, label VRV00004 OTHER");
    for (unsigned again = 0; again < 2; again++) {
        assert_string_equal(disc_at(f, 1024), "");
        assert_string_equal(disc_at(f, 1025), "VRV00003");
        assert_string_equal(disc_at(f, 1026), "VRV00003");
        assert_string_equal(disc_at(f, 1027), "OTHER");
        close_all(f);
        open_all(f);
        assert_int_equal(settle(f, f->changer), 0);
    }
    script(f, "now label VRV00004 VRV00004");
    assert_string_equal(disc_at(f, 1027), "VRV00004");
}

static void
test_beliefs(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(settle(f, f->changer), 0);
    script(f, "now stale 1024, take 1024, stale 1025, swap 1025 1026");
    assert_string_equal(disc_at(f, 1024), "VRV00001");
    assert_int_equal(move(f, 1024, 256), 0x053b0e);
    assert_string_equal(disc_at(f, 1025), "VRV00002");
    assert_false(look(f, 1024, false).element.full); /* it looked */
    assert_string_equal(disc_at(f, 1025), "VRV00002");
    assert_int_equal(send(f, f->changer, CDB(0x37, 2, 4, 1, 0, 0, 0, 1)), 0);
    assert_string_equal(disc_at(f, 1025), "VRV00003");
    script(f, "now stale 1024, put VRV00001 1024");
    assert_false(look(f, 1024, true).element.full);
    assert_int_equal(move(f, 1027, 1024), 0x053b0d);
    assert_int_equal(send(f, f->changer, CDB(0x07)), 0);
    assert_string_equal(disc_at(f, 1024), "VRV00001");
    script(f, "now except 1028 83/02");
    struct varve_smc_element out = look(f, 1028, true);
    assert_true(out.element.exception && out.element.asc == 0x83 && out.element.ascq == 0x02);
    assert_int_equal(move(f, 1028, 256), 0x053b18);
    script(f, "now fitted 1028");
    assert_int_equal(move(f, 1028, 256), 0);
    refuse(f, "now except 7 83/02", "element 7 does not exist");
}

static void
test_changer_states(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(settle(f, f->changer), 0);
    script(f, "now inventory 3");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ready(f, f->changer), 0x020401);
    assert_int_equal(ready(f, f->changer), 0);
    script(f, "now needs-init");
    assert_int_equal(ready(f, f->changer), 0x020402);
    assert_int_equal(move(f, 1024, 256), 0x020402);
    assert_int_equal(send(f, f->changer, CDB(0x07)), 0);
    assert_int_equal(ready(f, f->changer), 0);
    script(f, "now not-ready 2/04/12");
    assert_int_equal(ready(f, f->changer), 0x020412);
    assert_int_equal(send(f, f->changer, CDB(0x07)), 0x020412);
    assert_int_equal(send(f, f->changer, CDB(0x03, 0, 0, 0, 18)), 0);
    assert_true(f->answer.data[2] == 2 && f->answer.data[12] == 0x04 && f->answer.data[13] == 0x12);
    script(f, "now ready, attention changer 3B/14, attention drive any 3F/01");
    assert_int_equal(ready(f, f->changer), 0x063b14);
    assert_int_equal(ready(f, f->changer), 0);
    assert_int_equal(ready(f, f->drive[1]), 0x062900);
    assert_int_equal(ready(f, f->drive[1]), 0x063f01);
}

static void
test_power_loses_sources(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(settle(f, f->changer), 0);
    assert_int_equal(move(f, 1024, 256), 0);
    struct varve_smc_element there = look(f, 256, true);
    assert_true(there.element.has_source && there.element.source == 1024);
    assert_int_equal(settle(f, f->drive[0]), 0);
    assert_int_equal(send(f, f->drive[0], CDB(0x1e, 0, 0, 0, 1)), 0);
    script(f, "now power changer, power drive 0");
    assert_int_equal(ready(f, f->changer), 0x062901);
    assert_int_equal(ready(f, f->changer), 0x020401);
    assert_int_equal(settle(f, f->changer), 0);
    assert_false(look(f, 256, true).element.has_source);
    assert_int_equal(ready(f, f->drive[0]), 0x062901);
    assert_int_equal(ready(f, f->drive[0]), 0x020401);
    assert_int_equal(move(f, 256, 1024), 0); /* PREVENT is gone */
}

static void
test_drives_that_hold(void **state)
{
    struct fixture *f = *state;
    static const uint8_t eject[12] = {0x1b, 0, 0, 0, 2};
    assert_int_equal(settle(f, f->changer), 0);
    assert_int_equal(move(f, 1024, 256), 0);
    assert_int_equal(settle(f, f->drive[0]), 0);
    script(f, "now hold 0");
    assert_int_equal(move(f, 256, 1024), 0x045300);
    assert_int_equal(send(f, f->drive[0], eject), 0x045300);
    script(f, "now release 0, lock 0");
    assert_int_equal(move(f, 256, 1024), 0x055302);
    assert_int_equal(send(f, f->drive[0], eject), 0x055302);
    script(f, "now eject 0"); /* the button does nothing */
    assert_int_equal(ready(f, f->drive[0]), 0);
    assert_int_equal(send(f, f->drive[0], CDB(0x1e)), 0);
    script(f, "now eject 0");
    assert_int_equal(ready(f, f->drive[0]), 0x023a02);
    script(f, "now load 0");
    assert_int_equal(ready(f, f->drive[0]), 0x062800);
    script(f, "quirk eject-first");
    assert_int_equal(settle(f, f->drive[0]), 0);
    assert_false(look(f, 256, true).access);
    assert_int_equal(move(f, 256, 1024), 0x045300);
    assert_int_equal(send(f, f->drive[0], eject), 0);
    assert_true(look(f, 256, true).access);
    assert_int_equal(move(f, 256, 1024), 0);
    script(f, "no-quirk eject-first\nquirk load-after");
    assert_int_equal(move(f, 1024, 257), 0);
    assert_int_equal(settle(f, f->drive[1]), 0x023a02);
    assert_int_equal(send(f, f->drive[1], CDB(0x1b, 0, 0, 0, 3)), 0);
    assert_int_equal(settle(f, f->drive[1]), 0);
}

static void
test_cables(void **state)
{
    struct fixture *f = *state;
    static const uint8_t serial[12] = {0x12, 1, 0x80, 0, 64};
    char first[17], second[17];
    assert_int_equal(settle(f, f->changer), 0);
    virtual_drive_serial(f->folder, 0, first);
    virtual_drive_serial(f->folder, 1, second);
    assert_int_equal(send(f, f->drive[0], serial), 0);
    assert_memory_equal(f->answer.data + 4, first, strlen(first));
    script(f, "now cables 0 1");
    assert_int_equal(ready(f, f->drive[0]), 0x062901);
    assert_int_equal(send(f, f->drive[0], serial), 0);
    assert_memory_equal(f->answer.data + 4, second, strlen(second));
    assert_int_equal(move(f, 1024, 256), 0);
    assert_int_equal(settle(f, f->drive[0]), 0x023a00);
    assert_int_equal(settle(f, f->drive[1]), 0);
}

static void
test_troubles(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(settle(f, f->changer), 0);
    script(f, "now trouble VRV00001 dirty, trouble VRV00002 reversed, trouble VRV00003 unseen");
    assert_int_equal(move(f, 1024, 256), 0);
    assert_int_equal(settle(f, f->drive[0]), 0x020401);
    assert_int_equal(move(f, 256, 1024), 0);
    assert_int_equal(move(f, 1025, 256), 0);
    assert_int_equal(settle(f, f->drive[0]), 0x023000);
    assert_int_equal(move(f, 256, 1025), 0);
    assert_int_equal(move(f, 1026, 256), 0);
    assert_int_equal(settle(f, f->drive[0]), 0x023a00);
    assert_int_equal(move(f, 256, 1026), 0);
    assert_int_equal(move(f, 1026, 256), 0); /* now it lies well */
    assert_int_equal(settle(f, f->drive[0]), 0);
    close_all(f);
    open_all(f);
    assert_int_equal(settle(f, f->changer), 0);
    assert_int_equal(move(f, 1024, 257), 0);
    assert_int_equal(settle(f, f->drive[1]), 0x020401);
    script(f, "now trouble VRV00001 none");
    assert_int_equal(settle(f, f->drive[1]), 0);
}

static void
write_clusters(struct fixture *f, unsigned count)
{
    test_fill(f->data, sizeof f->data, 0);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(test_write(f->drive[0], i * 32, 32, f->data), 0);
}

static uint32_t
read_at(struct fixture *f, uint32_t lba, uint8_t count)
{
    uint8_t cdb[12] = {0x28};
    varve_put_be32(cdb + 2, lba);
    cdb[8] = count;
    return send(f, f->drive[0], cdb);
}

static void
test_defects(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(settle(f, f->changer), 0);
    assert_int_equal(move(f, 1024, 256), 0);
    assert_int_equal(settle(f, f->drive[0]), 0);
    write_clusters(f, 4);
    script(f, "now defect VRV00001 40..41 hard, defect VRV00001 70..70 soft, "
              "defect VRV00001 128..159 write");
    assert_int_equal(read_at(f, 0, 32), 0);
    assert_int_equal(read_at(f, 32, 32), 0x031105);
    assert_int_equal(read_at(f, 32, 8), 0);
    assert_int_equal(read_at(f, 41, 1), 0x031105);
    assert_int_equal(read_at(f, 42, 22), 0);
    assert_int_equal(read_at(f, 64, 32), 0x011800); /* with the data */
    assert_int_equal(f->answer.received, 65536);
    assert_memory_equal(f->answer.data, f->data, 65536);
    assert_int_equal(test_write(f->drive[0], 128, 32, f->data), 0x030c00);
    assert_int_equal(move(f, 256, 1024), 0);
    assert_int_equal(move(f, 1024, 256), 0);
    assert_int_equal(settle(f, f->drive[0]), 0);
    assert_int_equal(read_at(f, 40, 1), 0x031105); /* it is the disc */
    struct varve_error err = {0};
    for (unsigned i = 3; i < VIRTUAL_DEFECTS_MAX; i++)
        script(f, "now defect VRV00001 0..0 slow");
    assert_false(varve_virtual_script(f->folder, "now defect VRV00001 0..0 slow", &err));
    assert_non_null(strstr(err.text, "disc 'VRV00001' has 64 defects already"));
}

/* Two hosts at one changer: each has its own attentions, locks add up. */
static void
test_foreign_hosts(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    struct varve_scsi_port *other[3], *none;
    assert_int_equal(settle(f, f->changer), 0);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_OK(varve_virtual_foreign_port(f->folder, -1, &other[i], &err), err);
    assert_false(varve_virtual_foreign_port(f->folder, -1, &none, &err));
    assert_int_equal(err.kind, VARVE_ERROR_BUSY);
    assert_int_equal(ready(f, other[0]), 0x062900);
    script(f, "now attention changer 28/00");
    assert_int_equal(ready(f, other[0]), 0x062800);
    assert_int_equal(ready(f, f->changer), 0x062800);
    assert_int_equal(send(f, other[0], CDB(0x1e, 0, 0, 0, 1)), 0);
    assert_int_equal(send(f, f->changer, CDB(0x1e, 0, 0, 0, 0)), 0);
    refuse(f, "now door-open", "locked by PREVENT");
    other[0]->close(other[0]);
    script(f, "now door-open");
    for (unsigned i = 1; i < 3; i++)
        other[i]->close(other[i]);
    EXPECT_OK(varve_virtual_foreign_port(f->folder, 1, &other[0], &err), err);
    assert_int_equal(ready(f, other[0]), 0x062900);
    assert_int_equal(ready(f, f->drive[1]), 0x062900);
    other[0]->close(other[0]);
}

/* The folder's own script is taken at each opening; a wrong one names its line. */
static void
test_script_file(void **state)
{
    struct fixture *f = *state;
    struct varve_error err = {0};
    char path[600];
    (void)snprintf(path, sizeof path, "%s/faults.txt", f->dir);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    (void)fputs("on changer ready nth 2: busy\nnow take 1024\n", out);
    assert_int_equal(fclose(out), 0);
    for (unsigned again = 0; again < 2; again++) { /* the second time there is nothing to take */
        close_all(f);
        open_all(f);
        assert_int_equal(ready(f, f->changer), 0x062900);
        struct varve_scsi_command c = {.cdb_bytes = 6};
        assert_true(f->changer->execute(f->changer, &c, &err));
        assert_int_equal(c.status, 0x08);
        assert_string_equal(disc_at(f, 1024), "(empty)");
    }
    struct varve_virtual *none;
    close_all(f);
    out = fopen(path, "w");
    assert_non_null(out);
    (void)fputs("seed 1\nnow dance\n", out);
    assert_int_equal(fclose(out), 0);
    assert_false(varve_virtual_open(f->dir, &f->clock.clock, &none, &err));
    assert_int_equal(err.kind, VARVE_ERROR_INVALID);
    assert_non_null(strstr(err.text, "faults.txt': fault script, line 2: 'dance' stands where"));
    assert_int_equal(remove(path), 0);
    open_all(f);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_door),
        CASE(test_prevented_door),
        CASE(test_magazines),
        CASE(test_hands),
        CASE(test_labels),
        CASE(test_beliefs),
        CASE(test_changer_states),
        CASE(test_power_loses_sources),
        CASE(test_drives_that_hold),
        CASE(test_cables),
        CASE(test_troubles),
        CASE(test_defects),
        CASE(test_foreign_hosts),
        CASE(test_script_file),
    };
    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}

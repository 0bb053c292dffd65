/* SPDX-License-Identifier: Apache-2.0 */
/* The same by varve's own library and drive: all that lies between them and the peer. */
#include "peer.h"

#include <string.h>
#include <tap.h>

#define CLUSTERS 24u

static uint8_t image[CLUSTERS * VARVE_CLUSTER_BYTES], back[CLUSTERS * VARVE_CLUSTER_BYTES];

static unsigned journaled;

static bool
intend(void *context, const char *library, const struct varve_barcode *barcode, uint16_t from,
       uint16_t to, uint64_t *ret_id, struct varve_error *err)
{
    (void)context;
    (void)library;
    (void)barcode;
    (void)from;
    (void)to;
    (void)err;
    *ret_id = ++journaled;
    return true;
}

static bool
done(void *context, uint64_t id, struct varve_error *err)
{
    (void)context;
    (void)id;
    (void)err;
    return true;
}

static bool
works(bool ok, struct peer *peer, const char *what)
{
    if (!ok)
        printf("# %s\n", peer->err.text);
    peer->err = (struct varve_error){0};
    return expect(ok, "%s", what);
}

static void
check_burn(struct peer *peer, struct varve_library *library, const struct varve_barcode *disc)
{
    struct varve_drive *drive = varve_library_drive(library, 0);
    struct varve_medium medium = {0};
    struct varve_error *err = &peer->err;
    for (size_t i = 0; i < sizeof image; i++)
        image[i] = (uint8_t)(i * 5 + i / 65536 * 3);
    works(varve_library_load(library, disc, 0, err), peer, "the library loads a blank");
    works(varve_drive_medium(drive, &medium, err) && medium.state == VARVE_MEDIUM_BLANK, peer,
          "the drive says that it is one");
    bool burned = varve_drive_burn_begin(drive, 0, CLUSTERS, err);
    for (unsigned at = 0; burned && at < CLUSTERS; at += 12)
        burned = varve_drive_burn_write(drive, image + at * VARVE_CLUSTER_BYTES, 12, err);
    works(burned, peer, "it is burned");
    works(varve_drive_burn_close(drive, NULL, NULL, err), peer, "and closed");
    works(varve_library_unload(library, 0, err) && varve_library_load(library, disc, 0, err), peer,
          "and comes back");
    works(varve_drive_medium(drive, &medium, err) && medium.state == VARVE_MEDIUM_CLOSED, peer,
          "as a closed disc");
    bool equal =
        varve_drive_read(drive, 0, 16, back, NULL, err) &&
        varve_drive_read(drive, 16, CLUSTERS - 16, back + 16 * VARVE_CLUSTER_BYTES, NULL, err) &&
        memcmp(back, image, sizeof image) == 0;
    works(equal, peer, "with every byte that was written");
    expect(!varve_drive_burn_begin(drive, 0, 1, err) && err->kind == VARVE_ERROR_WRONG_DISC,
           "nobody writes to it again: %s", err->text);
    peer->err = (struct varve_error){0};
    works(varve_library_unload(library, 0, err), peer, "it goes home");
}

void
check_library(struct peer *peer)
{
    struct varve_move_journal journal = {.intend = intend, .done = done};
    struct varve_library_ports ports = {.name = "peer",
                                        .changer = peer->changer,
                                        .drives = peer->drives,
                                        .drive_count = peer->drive_count};
    struct varve_smc_element disc;
    uint16_t slot = peer_next_disc(peer);
    if (!expect(slot != 0 && peer_look(peer, VARVE_ELEMENT_SLOT, slot, &disc),
                "there is another disc"))
        return;
    VARVE_CLEANUP(varve_library_free) struct varve_library *library = NULL;
    if (!works(varve_library_new(&ports, &journal, peer->clock, &library, &peer->err), peer,
               "the library opens"))
        return;
    peer->changer = NULL; /* the library closes them */
    peer->drive_count = 0;
    check_burn(peer, library, &disc.element.barcode);
    if (!peer->lacks[LACK_MAIL_SLOT]) {
        unsigned count = 0;
        works(varve_library_export(library, &disc.element.barcode, &peer->err), peer,
              "export to the mail slot");
        works(varve_library_import(library, &count, &peer->err) && count == 1, peer,
              "and in again");
    }
    expect(journaled >= 4, "all moves were journaled (%u)", journaled);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A changer with its drives, seen through nothing but SCSI ports, keeps the promises that library
 * and burner build on; what a peer lacks is said beforehand, and that it lacks it is checked where
 * it can be.
 *
 * usage: conformance [--lacks WORD,...] [--record FILE] CHANGER DRIVE...     (places of ports.h)
 *        conformance [--lacks WORD,...] [--record FILE] --virtual DIR        (made if it is
 * missing) conformance [--lacks WORD,...] --replay FILE The first three discs are written to. TAP.
 */
#include "peer.h"

#include <string.h>
#include <sys/stat.h>
#include <tap.h>

static const struct {
    const char *word, *what;
} lacks[] = {
#define X(name, word, what) {word, what},
    LACKS(X)
#undef X
};

static bool
note_lacks(struct peer *peer, char *list)
{
    for (char *rest = list, *word; (word = strtok_r(rest, ",", &rest)) != NULL;) {
        size_t i = 0;
        while (i < LACK_COUNT && strcmp(lacks[i].word, word) != 0)
            i++;
        if (i == LACK_COUNT) {
            printf("Bail out! nothing is called '%s'\n", word);
            return false;
        }
        peer->lacks[i] = true;
        printf("# known of this peer: it %s\n", lacks[i].what);
    }
    return true;
}

static bool
open_places(struct peer *peer, int count, char **places)
{
    struct varve_port_options options = {.peer = VARVE_PORT_CHANGER};
    if (count < 2 || count - 1 > (int)PEER_DRIVES_MAX)
        return varve_error_set(&peer->err, VARVE_ERROR_INVALID, 0, "a changer and 1 to %u drives",
                               PEER_DRIVES_MAX);
    if (!varve_port_open(places[0], &options, &peer->changer, &peer->err))
        return false;
    options.peer = VARVE_PORT_DRIVE;
    for (int i = 1; i < count; i++) {
        if (!varve_port_open(places[i], &options, &peer->drives[peer->drive_count], &peer->err))
            return false;
        peer->drive_count++;
    }
    return true;
}

static bool
open_virtual(struct peer *peer, const char *dir)
{
    const struct varve_virtual_options options = {
        .slots = 6, .drives = 2, .mail_slots = 1, .disc_bytes = UINT64_C(8) << 20};
    struct stat st;
    if (stat(dir, &st) != 0 && !varve_virtual_create(dir, &options, &peer->err))
        return false;
    varve_clock_sim_init(&peer->sim, 0);
    peer->clock = &peer->sim.clock;
    if (!varve_virtual_open(dir, peer->clock, &peer->folder, &peer->err) ||
        !varve_virtual_changer_port(peer->folder, &peer->changer, &peer->err))
        return false;
    for (unsigned i = 0; i < varve_virtual_drive_count(peer->folder) && i < PEER_DRIVES_MAX; i++) {
        if (!varve_virtual_drive_port(peer->folder, i, &peer->drives[i], &peer->err))
            return false;
        peer->drive_count++;
    }
    return true;
}

static bool
open_replay(struct peer *peer, const char *path)
{
    varve_clock_sim_init(&peer->sim, 0);
    peer->clock = &peer->sim.clock;
    if (!varve_replay_open(path, &peer->replay, &peer->err) ||
        !varve_replay_port(peer->replay, 0, &peer->changer, &peer->err))
        return false;
    for (unsigned i = 0; varve_replay_name(peer->replay, i + 1) != NULL && i < PEER_DRIVES_MAX;
         i++) {
        if (!varve_replay_port(peer->replay, i + 1, &peer->drives[i], &peer->err))
            return false;
        peer->drive_count++;
    }
    return true;
}

/* Everything that is read is in it, for a replay; discs hold nothing but patterns here. */
static bool
record(struct peer *peer, const char *path)
{
    const struct varve_trace_options options = {.with_data = true};
    if (!varve_trace_new(path, &options, &peer->trace, &peer->err) ||
        !varve_trace_port(peer->trace, "changer", peer->changer, &peer->changer, &peer->err))
        return false;
    for (unsigned i = 0; i < peer->drive_count; i++) {
        if (!varve_trace_port(peer->trace, "drive", peer->drives[i], &peer->drives[i], &peer->err))
            return false;
    }
    return true;
}

struct request {
    char *lacks, *record, *dir, *replay;
    int place_count;
    char **places;
};

static bool
read_request(int argc, char **argv, struct request *ret)
{
    struct request made = {0};
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        char **value = strcmp(argv[at], "--lacks") == 0     ? &made.lacks
                       : strcmp(argv[at], "--record") == 0  ? &made.record
                       : strcmp(argv[at], "--virtual") == 0 ? &made.dir
                       : strcmp(argv[at], "--replay") == 0  ? &made.replay
                                                            : NULL;
        if (value == NULL)
            return false;
        *value = argv[at + 1];
    }
    made.place_count = argc - at;
    made.places = argv + at;
    *ret = made;
    return true;
}

static bool
open_peer(struct peer *peer, const struct request *request)
{
    peer->clock = varve_clock_system();
    if (request->lacks != NULL && !note_lacks(peer, request->lacks))
        return false;
    bool ok = request->dir != NULL      ? open_virtual(peer, request->dir)
              : request->replay != NULL ? open_replay(peer, request->replay)
                                        : open_places(peer, request->place_count, request->places);
    return ok && (request->record == NULL || record(peer, request->record));
}

static void
close_peer(struct peer *peer)
{
    if (peer->changer != NULL)
        peer->changer->close(peer->changer);
    for (unsigned i = 0; i < peer->drive_count; i++)
        peer->drives[i]->close(peer->drives[i]);
    varve_trace_free(peer->trace);
    varve_replay_free(peer->replay);
    varve_virtual_close(peer->folder);
}

int
main(int argc, char **argv)
{
    static struct peer peer;
    struct request request;
    if (!read_request(argc, argv, &request)) {
        (void)fprintf(stderr, "see the head of conformance.c\n");
        return 2;
    }
    if (!open_peer(&peer, &request)) {
        printf("Bail out! %s\n", peer.err.text);
        close_peer(&peer);
        return 1;
    }
    check_changer(&peer);
    check_drive(&peer);
    check_library(&peer);
    if (peer.replay != NULL) {
        struct varve_error err = {0};
        expect(varve_replay_is_done(peer.replay, &err), "the whole trace was asked for %s",
               err.text);
    }
    close_peer(&peer);
    return tap_end();
}

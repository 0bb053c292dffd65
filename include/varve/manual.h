/* manual.h - a library without a robot: drives, and a person who brings discs.
 *
 * It is a `struct varve_library` like any other (library.h), made by varve_library_new_manual():
 * its elements are its drives, `load` asks for the disc and waits for it, `unload` opens the tray,
 * `export` and `import` are refused. Only that a disc came can be seen here, not which one: who
 * knows the discs plugs in `look`, and every disc is shown to it before anybody gets it (INV-5).
 * What a drive held before a restart, or before its tray was open, is not known until then (INV-7).
 * Thread: as in library.h. Nothing is held while waiting for the person but the drive itself. */
#ifndef VARVE_MANUAL_H
#define VARVE_MANUAL_H

#include <varve/library.h>

/* What the disc in a drive is. */
struct varve_manual_sight {
    struct varve_barcode barcode; /* its label, as far as known; "" */
    bool fits;                    /* it is what was asked for, proven by the disc itself */
    char text[160];               /* else what it is: "it is disc 'VRV00007'" */
};

/* A drive that waits for a disc. */
struct varve_manual_request {
    unsigned drive;
    struct varve_barcode barcode;
    struct varve_barcode out; /* what the person finds in the tray, to be put away; "": nothing */
    int64_t since_ns;         /* realtime */
    char problem[200];        /* what is wrong with the disc that came last; "" */
};

enum varve_manual_advice {
    VARVE_MANUAL_GO_ON,
    VARVE_MANUAL_YIELD, /* something else is better done by this drive now */
    VARVE_MANUAL_STOP,  /* the program ends */
};
enum varve_manual_news {
    VARVE_MANUAL_ASKED,    /* once for each request, if the disc is not there already */
    VARVE_MANUAL_REMINDED, /* again after `reminder_ns` */
    VARVE_MANUAL_WRONG,    /* `problem` is new: another disc came and was given back */
    VARVE_MANUAL_CAME,     /* the right one is there */
    VARVE_MANUAL_ENDED,    /* nobody asks any more: time-out, refusal, yielded, stopped */
};

/* Called by the thread that loads, without a lock of the library. */
struct varve_manual_port {
    void *context;
    /* Looks at the medium, which is ready, and reads what it needs. `wanted` is "" when nothing was
     * asked for. False: it cannot be read; the text tells the person why. */
    bool (*look)(void *context, unsigned drive, const struct varve_barcode *wanted,
                 struct varve_manual_sight *ret, struct varve_error *err);
    /* Asked some times a second while waiting; `here` is another disc that came, not given back
     * yet, or NULL. */
    enum varve_manual_advice (*advise)(void *context, unsigned drive,
                                       const struct varve_barcode *wanted,
                                       const struct varve_barcode *here);
    void (*tell)(void *context, enum varve_manual_news news,
                 const struct varve_manual_request *request);
};
struct varve_manual_options {
    int64_t timeout_ns;  /* of one request */
    int64_t reminder_ns; /* 0: never */
};
/* `ports->changer` must be NULL. Takes the ports on success only. */
VARVE_MUST_CHECK bool
varve_library_new_manual(const struct varve_library_ports *ports,
                         const struct varve_manual_options *options,
                         const struct varve_manual_port *port, struct varve_clock *clock,
                         struct varve_library **ret, struct varve_error *err);
bool varve_library_is_manual(const struct varve_library *library);

/* varve_library_load() of such a library fails with WAIT when it yields (a disc that came instead
 * stays in the drive, and varve_library_drive_disc() names it), with NOT_READY after the time-out,
 * with CANCELLED when stopped, with OFFLINE when the person cannot find the disc. */

/* Requests at this moment, by drive. */
size_t
varve_library_requests(struct varve_library *library, struct varve_manual_request *ret, size_t max);
/* The person says that the disc lies in the tray: the drive that waits pulls it in and looks at
 * once. False: the drive waits for nothing. */
bool varve_library_inserted(struct varve_library *library, unsigned drive);
/* The person cannot bring the disc: `why` goes into the error of the load. False: no drive waits
 * for it. */
bool varve_library_refuse(struct varve_library *library, const struct varve_barcode *barcode,
                          const char *why);
/* Pulls the tray in and looks at what is there, asked for or not; only while nothing else uses the
 * drive. NOT_FOUND: there is no disc. */
VARVE_MUST_CHECK bool varve_library_look(struct varve_library *library, unsigned drive,
                                         struct varve_manual_sight *ret, struct varve_error *err);

#endif

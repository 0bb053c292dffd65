/* media.h - the kinds of disc as a table: what each needs to be formatted, written, closed and read
 * back.
 *
 * Shared by the drive and by the virtual drive, so that both mean the same disc. Pure data; any
 * thread. Sources: MMC-6, reference scsi.md sections 2.1 to 2.5; what is from memory of the drafts
 * is marked [G] in media.c as it is there. */
#ifndef VARVE_CHANGER_MEDIA_H
#define VARVE_CHANGER_MEDIA_H

#include "mmc_codec.h"

/* How bytes get onto it. */
enum varve_media_model {
    VARVE_MEDIA_READ_ONLY,  /* pressed, or recordable and shown so once closed */
    VARVE_MEDIA_SEQUENTIAL, /* once, from the next writable address up */
    VARVE_MEDIA_OVERWRITE,  /* any sector at any time; must be formatted */
    VARVE_MEDIA_REFUSED,    /* a drive may write it, varve does not */
};

#define VARVE_MEDIA_CLOSE_STEPS_MAX 2u
struct varve_media_close {
    enum varve_mmc_close what;
    uint16_t track;
};

struct varve_media {
    uint16_t profile;        /* GET CONFIGURATION, current profile */
    uint16_t closed_profile; /* what some drives call it once it is closed; 0: always `profile` */
    const char *name;        /* for messages, and "kind" of a virtual disc */
    enum varve_media_model model;
    uint8_t block_sectors; /* ECC block: a write that ends within one is filled up by the drive */
    /* FORMAT UNIT: type << 2 | subtype of a blank, 0 if it cannot be formatted. */
    uint8_t format_plain;  /* all of the disc for data */
    uint8_t format_spares; /* with the drive's usual spare areas */
    bool must_format;      /* nothing can be written before */
    /* Mode page 05h must say how it is written. */
    bool write_page;
    /* It is written in one go, of a size told by RESERVE TRACK before;
     * `reserve_unless_incremental`: only if feature 0021h (incremental streaming) is not current.
     * Cannot be gone on with after a crash. */
    bool reserve, reserve_unless_incremental;
    /* After SYNCHRONIZE CACHE, in this order; none: nothing to close. */
    unsigned close_count;
    struct varve_media_close close[VARVE_MEDIA_CLOSE_STEPS_MAX];
    uint32_t single_speed; /* kB/s at 1x */
    uint32_t sectors;      /* usual capacity, unformatted; for virtual discs, never to plan with */
    uint32_t sectors_spares; /* usual capacity with spares */
    uint8_t structure;       /* READ DISC STRUCTURE, medium type: 0 DVD, 1 BD */
};

/* NULL: no kind that varve knows (CD, HD DVD, ...). */
const struct varve_media *varve_media_of_profile(uint16_t profile);
/* By name, case and all; NULL if there is none. */
const struct varve_media *varve_media_of_name(const char *name);
/* The `index`-th row; NULL behind the last. */
const struct varve_media *varve_media_row(size_t index);

#endif

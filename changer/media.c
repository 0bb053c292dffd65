/* SPDX-License-Identifier: Apache-2.0 */
#include "media.h"

#include <string.h>

/* FORMAT UNIT types of MMC-6 table "format types" as growisofs and libburn use them (scsi.md 2.3,
 * 2.4): 30h BD-RE with spares, 31h BD-RE without, 32h BD-R. Subtype 1 of 32h is SRM without pseudo
 * overwrite, which would hide the state and block clean appends. */
#define FORMAT_BD_RE_SPARES (0x30u << 2)
#define FORMAT_BD_RE_PLAIN (0x31u << 2)
#define FORMAT_BD_R_SPARES (0x32u << 2 | 1u)

#define BD_SPEED 4496u  /* 4495.6 kB/s */
#define DVD_SPEED 1385u /* [G] */

#define CLOSE_AND_FINALISE                                                                         \
    .close_count = 2, .close = {{VARVE_MMC_CLOSE_TRACK, 1}, {VARVE_MMC_FINALISE, 0}}
/* DVD-R ends with the session (border): page 05h said that no other one follows [G]. */
#define CLOSE_TRACK_AND_BORDER                                                                     \
    .close_count = 2, .close = {{VARVE_MMC_CLOSE_TRACK, 1}, {VARVE_MMC_CLOSE_SESSION, 0}}

static const struct varve_media rows[] = {
    {
        .profile = VARVE_MMC_PROFILE_BD_R,
        .closed_profile = VARVE_MMC_PROFILE_BD_ROM, /* ASUS BW-16D1HT 3.00 */
        .name = "BD-R SRM",
        .model = VARVE_MEDIA_SEQUENTIAL,
        .block_sectors = 32,
        .format_spares = FORMAT_BD_R_SPARES,
        CLOSE_AND_FINALISE,
        .single_speed = BD_SPEED,
        .sectors = 12219392,
        .sectors_spares = 11826176,
        .structure = 1,
    },
    {
        .profile = VARVE_MMC_PROFILE_BD_RE,
        .name = "BD-RE",
        .model = VARVE_MEDIA_OVERWRITE,
        .block_sectors = 32,
        .format_plain = FORMAT_BD_RE_PLAIN,
        .format_spares = FORMAT_BD_RE_SPARES,
        .must_format = true,
        .single_speed = BD_SPEED,
        .sectors = 12219392,
        .sectors_spares = 11826176,
        .structure = 1,
    },
    {
        .profile = VARVE_MMC_PROFILE_DVD_PLUS_R,
        .closed_profile = VARVE_MMC_PROFILE_DVD_ROM,
        .name = "DVD+R",
        .model = VARVE_MEDIA_SEQUENTIAL,
        .block_sectors = 16,
        CLOSE_AND_FINALISE,
        .single_speed = DVD_SPEED,
        .sectors = 2295104,
    },
    {
        .profile = VARVE_MMC_PROFILE_DVD_PLUS_R_DL,
        .closed_profile = VARVE_MMC_PROFILE_DVD_ROM,
        .name = "DVD+R DL",
        .model = VARVE_MEDIA_SEQUENTIAL,
        .block_sectors = 16,
        CLOSE_AND_FINALISE,
        .single_speed = DVD_SPEED,
        .sectors = 4173824, /* [G] */
    },
    {
        .profile = VARVE_MMC_PROFILE_DVD_R,
        .closed_profile = VARVE_MMC_PROFILE_DVD_ROM,
        .name = "DVD-R",
        .model = VARVE_MEDIA_SEQUENTIAL,
        .block_sectors = 16,
        .write_page = true,
        .reserve_unless_incremental = true,
        CLOSE_TRACK_AND_BORDER,
        .single_speed = DVD_SPEED,
        .sectors = 2297888, /* [G] */
    },
    {
        /* The drive must know the size to place the end of the first layer [G]. */
        .profile = VARVE_MMC_PROFILE_DVD_R_DL,
        .closed_profile = VARVE_MMC_PROFILE_DVD_ROM,
        .name = "DVD-R DL",
        .model = VARVE_MEDIA_SEQUENTIAL,
        .block_sectors = 16,
        .write_page = true,
        .reserve = true,
        CLOSE_TRACK_AND_BORDER,
        .single_speed = DVD_SPEED,
        .sectors = 4171712, /* [G] */
    },
    {
        .profile = VARVE_MMC_PROFILE_BD_ROM,
        .name = "BD-ROM",
        .model = VARVE_MEDIA_READ_ONLY,
        .block_sectors = 32,
        .single_speed = BD_SPEED,
        .structure = 1,
    },
    {
        .profile = VARVE_MMC_PROFILE_DVD_ROM,
        .name = "DVD-ROM",
        .model = VARVE_MEDIA_READ_ONLY,
        .block_sectors = 16,
        .single_speed = DVD_SPEED,
    },
    /* Written by somebody else's rules, or anew at any time: not for an archive. Named, so that
     * messages can name them. */
    {.profile = 0x0008, .name = "CD-ROM", .model = VARVE_MEDIA_REFUSED, .block_sectors = 1},
    {.profile = 0x0009, .name = "CD-R", .model = VARVE_MEDIA_REFUSED, .block_sectors = 1},
    {.profile = 0x000a, .name = "CD-RW", .model = VARVE_MEDIA_REFUSED, .block_sectors = 1},
    {.profile = 0x0012, .name = "DVD-RAM", .model = VARVE_MEDIA_REFUSED, .block_sectors = 16},
    {.profile = 0x0013, .name = "DVD-RW", .model = VARVE_MEDIA_REFUSED, .block_sectors = 16},
    {.profile = 0x0014, .name = "DVD-RW", .model = VARVE_MEDIA_REFUSED, .block_sectors = 16},
    {.profile = 0x0016,
     .name = "DVD-R DL in jump mode",
     .model = VARVE_MEDIA_REFUSED,
     .block_sectors = 16},
    {.profile = 0x001a, .name = "DVD+RW", .model = VARVE_MEDIA_REFUSED, .block_sectors = 16},
    {.profile = 0x0042,
     .name = "BD-R in random recording mode",
     .model = VARVE_MEDIA_REFUSED,
     .block_sectors = 32},
};

const struct varve_media *
varve_media_row(size_t index)
{
    return index < sizeof rows / sizeof rows[0] ? &rows[index] : NULL;
}

const struct varve_media *
varve_media_of_profile(uint16_t profile)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].profile == profile)
            return &rows[i];
    }
    return NULL;
}

const struct varve_media *
varve_media_of_name(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

/* mmc_codec.h - optical drive commands and answers as bytes (MMC-6).
 *
 * Pure: encoders fill a command, decoders read what a drive sent and trust none of it (INV-9). Any
 * thread. */
#ifndef VARVE_CHANGER_MMC_CODEC_H
#define VARVE_CHANGER_MMC_CODEC_H

#include <varve/scsi.h>

#define VARVE_MMC_PROFILE_NONE 0x0000
#define VARVE_MMC_PROFILE_DVD_ROM 0x0010
#define VARVE_MMC_PROFILE_BD_ROM 0x0040
#define VARVE_MMC_PROFILE_BD_R 0x0041

enum varve_mmc_close {
    VARVE_MMC_CLOSE_TRACK = 1,
    VARVE_MMC_CLOSE_SESSION = 2,
    VARVE_MMC_FINALISE = 6
};
enum varve_mmc_tray {
    VARVE_MMC_STOP = 0,
    VARVE_MMC_START = 1,
    VARVE_MMC_EJECT = 2,
    VARVE_MMC_LOAD = 3
};

void
varve_mmc_encode_get_configuration(struct varve_scsi_command *ret, uint8_t *data, uint16_t bytes);
void
varve_mmc_encode_disc_information(struct varve_scsi_command *ret, uint8_t *data, uint16_t bytes);
/* Track `track`; 0xff is the next writable one. */
void varve_mmc_encode_track_information(struct varve_scsi_command *ret, uint32_t track,
                                        uint8_t *data, uint16_t bytes);
void varve_mmc_encode_read_capacity(struct varve_scsi_command *ret, uint8_t data[8]);
void varve_mmc_encode_read(struct varve_scsi_command *ret, uint32_t lba, uint16_t sectors,
                           uint8_t *data);
/* Takes the bytes as const: they are only sent. */
void varve_mmc_encode_write(struct varve_scsi_command *ret, uint32_t lba, uint16_t sectors,
                            const uint8_t *data);
void varve_mmc_encode_synchronize(struct varve_scsi_command *ret, bool immediate);
void varve_mmc_encode_close(struct varve_scsi_command *ret, enum varve_mmc_close what,
                            uint16_t track, bool immediate);
void varve_mmc_encode_start_stop(struct varve_scsi_command *ret, enum varve_mmc_tray what);

/* False: too short to tell. */
bool varve_mmc_decode_profile(const uint8_t *bytes, size_t size, uint16_t *ret);

enum varve_mmc_disc_status {
    VARVE_MMC_DISC_BLANK = 0,
    VARVE_MMC_DISC_APPENDABLE = 1,
    VARVE_MMC_DISC_FINALISED = 2,
    VARVE_MMC_DISC_OTHER = 3,
};
struct varve_mmc_disc {
    enum varve_mmc_disc_status status;
    uint8_t last_session; /* 0 empty, 1 incomplete, 3 complete */
    bool erasable;
    uint16_t sessions, last_track;
};
bool varve_mmc_decode_disc(const uint8_t *bytes, size_t size, struct varve_mmc_disc *ret);

struct varve_mmc_track {
    uint16_t track, session;
    bool damaged, blank, next_valid, last_valid;
    uint32_t start, next, free, size, last;
};
bool varve_mmc_decode_track(const uint8_t *bytes, size_t size, struct varve_mmc_track *ret);

/* Number of sectors from READ CAPACITY; false if too short or sectors are not 2048 bytes. */
bool varve_mmc_decode_capacity(const uint8_t *bytes, size_t size, uint64_t *ret_sectors);

#endif

/* mmc_codec.h - optical drive commands and answers as bytes (MMC-6).
 *
 * Pure: encoders fill a command, decoders read what a drive sent and trust none of it (INV-9). Any
 * thread. */
#ifndef VARVE_CHANGER_MMC_CODEC_H
#define VARVE_CHANGER_MMC_CODEC_H

#include <varve/scsi.h>

#define VARVE_MMC_PROFILE_NONE 0x0000
#define VARVE_MMC_PROFILE_DVD_ROM 0x0010
#define VARVE_MMC_PROFILE_DVD_R 0x0011
#define VARVE_MMC_PROFILE_DVD_R_DL 0x0015
#define VARVE_MMC_PROFILE_DVD_PLUS_R 0x001b
#define VARVE_MMC_PROFILE_DVD_PLUS_R_DL 0x002b
#define VARVE_MMC_PROFILE_BD_ROM 0x0040
#define VARVE_MMC_PROFILE_BD_R 0x0041 /* sequential recording mode */
#define VARVE_MMC_PROFILE_BD_RE 0x0043

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

void varve_mmc_encode_request_sense(struct varve_scsi_command *ret, uint8_t *data, uint8_t bytes);

/* False: too short to tell. */
bool varve_mmc_decode_profile(const uint8_t *bytes, size_t size, uint16_t *ret);
/* What the drive can do with the medium that is in it (features whose current bit is set), and its
 * serial number (feature 0108h, "" if it does not tell). False: too short. */
struct varve_mmc_features {
    uint16_t profile;
    bool incremental;      /* 0021h incremental streaming writable */
    bool formattable;      /* 0023h */
    bool pseudo_overwrite; /* 0038h: a BD-R that hides its state */
    bool streaming;        /* 0107h: SET STREAMING and GET PERFORMANCE */
    char serial[33];
};
bool varve_mmc_decode_features(const uint8_t *bytes, size_t size, struct varve_mmc_features *ret);

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

/* --- making a disc ready to be written (mmc_setup.c) --- */

enum varve_mmc_format_state {
    VARVE_MMC_UNFORMATTED = 1, /* the size is what a format would give at most */
    VARVE_MMC_FORMATTED = 2,
    VARVE_MMC_NO_MEDIUM = 3,
};
#define VARVE_MMC_FORMATS_MAX 32u
struct varve_mmc_format {
    uint32_t blocks;
    uint8_t type; /* type << 2 | subtype, as media.h has it */
    uint32_t parameter;
};
struct varve_mmc_formats {
    enum varve_mmc_format_state state;
    uint32_t blocks; /* now */
    unsigned count;
    struct varve_mmc_format list[VARVE_MMC_FORMATS_MAX];
};
#define VARVE_MMC_FORMATS_BYTES (4u + 8u * (VARVE_MMC_FORMATS_MAX + 1u))
void
varve_mmc_encode_format_capacities(struct varve_scsi_command *ret, uint8_t *data, uint16_t bytes);
bool varve_mmc_decode_format_capacities(const uint8_t *bytes, size_t size,
                                        struct varve_mmc_formats *ret);
/* FORMAT UNIT; returns at once (IMMED). `data` must live as long as the command. */
void varve_mmc_encode_format(struct varve_scsi_command *ret, const struct varve_mmc_format *format,
                             uint8_t data[12]);
/* Mode page 05h, write parameters: incremental, or the whole disc in one go. */
#define VARVE_MMC_WRITE_PAGE_BYTES 60u
void varve_mmc_encode_write_page(struct varve_scsi_command *ret, bool incremental,
                                 uint8_t data[VARVE_MMC_WRITE_PAGE_BYTES]);
void varve_mmc_encode_reserve(struct varve_scsi_command *ret, uint32_t sectors);
/* Speeds in kB/s; 0 leaves it to the drive. SET STREAMING covers the sectors up to `last`. */
void varve_mmc_encode_streaming(struct varve_scsi_command *ret, uint32_t last, uint32_t read,
                                uint32_t write, uint8_t data[28]);
void varve_mmc_encode_speed(struct varve_scsi_command *ret, uint32_t read, uint32_t write);

/* GET PERFORMANCE, type 03h: write speeds in kB/s for the medium that is in the drive. */
#define VARVE_MMC_SPEEDS_MAX 32u
struct varve_mmc_speeds {
    unsigned count;
    struct {
        uint32_t end, read, write;
    } list[VARVE_MMC_SPEEDS_MAX];
};
#define VARVE_MMC_SPEEDS_BYTES (8u + 16u * VARVE_MMC_SPEEDS_MAX)
void varve_mmc_encode_write_speeds(struct varve_scsi_command *ret, uint8_t *data, unsigned speeds);
bool varve_mmc_decode_write_speeds(const uint8_t *bytes, size_t size, struct varve_mmc_speeds *ret);

/* READ BUFFER CAPACITY. */
struct varve_mmc_buffer {
    uint32_t total, free;
};
void varve_mmc_encode_buffer(struct varve_scsi_command *ret, uint8_t data[12]);
bool varve_mmc_decode_buffer(const uint8_t *bytes, size_t size, struct varve_mmc_buffer *ret);

/* GET EVENT STATUS NOTIFICATION, media class, polled. The kernel reads events too, so only the
 * state is to be relied upon (scsi.md 2.2). False: no media event in the answer. */
struct varve_mmc_event {
    uint8_t code; /* 0 none, 1 eject request, 2 new medium, 3 removal, 4 changed */
    bool present, tray_open;
};
void varve_mmc_encode_event(struct varve_scsi_command *ret, uint8_t data[8]);
bool varve_mmc_decode_event(const uint8_t *bytes, size_t size, struct varve_mmc_event *ret);

/* READ DISC STRUCTURE, BD format 00h: who made the disc. False: no such structure; drives answer
 * with DVD data or zeros instead. */
struct varve_mmc_maker {
    char type[4];         /* "BDO" pressed, "BDR", "BDW" */
    char manufacturer[7]; /* "VERBAT" */
    char media[4];        /* "IMe" */
    uint8_t revision;
};
#define VARVE_MMC_STRUCTURE_BYTES 4100u
void varve_mmc_encode_structure(struct varve_scsi_command *ret, uint8_t *data, uint16_t bytes);
bool varve_mmc_decode_maker(const uint8_t *bytes, size_t size, struct varve_mmc_maker *ret);

#endif

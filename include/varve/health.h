/* health.h - what the catalog keeps of how drives and discs do: counters of each, apart, and
 * incidents that name both until it is known which of them was to blame.
 *
 * As catalog.h: any thread, rows are durable after varve_catalog_sync(). Sentences of reasons are
 * for operators. */
#ifndef VARVE_HEALTH_H
#define VARVE_HEALTH_H

#include <varve/catalog.h>

/* Counters since the drive or disc is known. */
struct varve_health_counters {
    uint64_t loads, works; /* discs brought; pieces of work done with them */
    uint64_t commands, retries, medium_errors, hardware_errors;
    uint64_t incidents; /* that were blamed on it */
};

#define VARVE_DRIVE_ID_BYTES 112
#define VARVE_REASON_BYTES 200
struct varve_drive_row {
    char id[VARVE_DRIVE_ID_BYTES]; /* "LIBRARY/SERIAL", or "LIBRARY/#NUMBER" without a serial */
    char library[64];
    uint32_t number; /* in its library, as of the last start */
    char model[32];
    enum varve_service service;
    char reason[VARVE_REASON_BYTES]; /* why it is out of service */
    int64_t since_ns;                /* it is in this state; 0: ever */
    struct varve_health_counters counters;
};
/* Inserts or replaces by id. */
VARVE_MUST_CHECK bool
varve_catalog_drive_put(struct varve_catalog *catalog, const struct varve_drive_row *drive,
                        struct varve_error *err);
/* NOT_FOUND: never seen. */
VARVE_MUST_CHECK bool varve_catalog_drive_get(struct varve_catalog *catalog, const char *id,
                                              struct varve_drive_row *ret, struct varve_error *err);

/* NOT_FOUND: nothing is known. */
VARVE_MUST_CHECK bool
varve_catalog_disc_health_get(struct varve_catalog *catalog, const struct varve_barcode *barcode,
                              struct varve_health_counters *ret, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_disc_health_put(struct varve_catalog *catalog, const struct varve_barcode *barcode,
                              const struct varve_health_counters *counters,
                              struct varve_error *err);

/* Something went wrong with a disc in a drive. */
struct varve_incident {
    uint64_t id;
    int64_t at_ns;
    char drive[VARVE_DRIVE_ID_BYTES];
    struct varve_barcode disc;
    enum varve_incident_act act;
    enum varve_verdict verdict;
    char text[VARVE_REASON_BYTES];
};
/* The last 10,000 that are judged are kept, and all that are open. */
VARVE_MUST_CHECK bool
varve_catalog_incident_add(struct varve_catalog *catalog, const struct varve_incident *incident,
                           struct varve_error *err);
/* Newest first: of a drive, of a disc, of both together or (both NULL) of all. */
VARVE_MUST_CHECK bool
varve_catalog_incidents(struct varve_catalog *catalog, const char *drive,
                        const struct varve_barcode *disc, struct varve_incident *ret, size_t max,
                        size_t *ret_count, struct varve_error *err);
VARVE_MUST_CHECK bool
varve_catalog_incident_judge(struct varve_catalog *catalog, uint64_t id, enum varve_verdict verdict,
                             struct varve_error *err);

#endif

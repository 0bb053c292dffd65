/* blame.h - the disc or the drive: pure.
 *
 * A disc that fails in two drives is to blame itself, whatever else those drives did; a drive in
 * which two discs failed, that nothing else is known against, is to blame. (Reference: what field
 * experience has, section 2.7 and faults 21, 26 of the SCSI notes.) */
#ifndef VARVE_ENGINE_BLAME_H
#define VARVE_ENGINE_BLAME_H

#include <varve/health.h>

enum blame { BLAME_OPEN, BLAME_DISC, BLAME_DRIVE };
/* How many different discs or drives prove it. */
enum { BLAME_DRIVES = 2, BLAME_DISCS = 2 };
/* A drive that does so many discs well after an incident was not to blame for it. */
enum { BLAME_GOOD_WORKS = 10 };

/* Of `incidents`, in any order and perhaps twice, those of the disc and those of the drive count:
 * of the drive only what came after `since_ns`, when it was last put into service. */
enum blame blame_judge(const struct varve_incident *incidents, size_t count, const char *drive,
                       const struct varve_barcode *disc, int64_t since_ns);
/* The second rule alone. */
bool blame_drive(const struct varve_incident *incidents, size_t count, const char *drive,
                 int64_t since_ns);

#endif

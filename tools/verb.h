/* verb.h - the functions behind the verbs of the table in verbs.c, by file. */
#ifndef VARVE_TOOLS_VERB_H
#define VARVE_TOOLS_VERB_H

#include "cli.h"

typedef bool verb_fn(struct cli *cli, const struct args *args, struct varve_error *err);

verb_fn verb_init;                                                     /* verb_init.c */
verb_fn verb_mount, verb_umount;                                       /* verb_mount.c */
verb_fn verb_status;                                                   /* verb_status.c */
verb_fn verb_check, verb_rebuild;                                      /* verb_check.c */
verb_fn verb_ls;                                                       /* verb_ls.c */
verb_fn verb_archive, verb_release, verb_recall, verb_pin, verb_unpin; /* verb_paths.c */
verb_fn verb_flush, verb_scrub, verb_jobs, verb_job;                   /* verb_jobs.c */
verb_fn verb_policy_check, verb_policy_list, verb_policy_run;          /* verb_policy.c */
verb_fn verb_set_list, verb_set_show, verb_set_repair;                 /* verb_discs.c */
verb_fn verb_disc_list, verb_disc_show, verb_disc_verify, verb_disc_retire;
verb_fn verb_disc_clear;
verb_fn verb_drive_list, verb_drive_clear, verb_drive_retire; /* verb_drives.c */
verb_fn verb_library_list, verb_library_inventory, verb_library_load, verb_library_unload,
    verb_library_import, verb_library_export, verb_library_unlock, verb_library_resume,
    verb_library_accept, verb_library_add_blanks; /* verb_library.c */
verb_fn verb_library_requests, verb_library_insert, verb_library_refuse, verb_disc_place,
    verb_disc_magazine, verb_disc_checkout, verb_disc_checkin, verb_disc_history,
    verb_magazine_list; /* verb_places.c */

verb_fn verb_virtual_create, verb_virtual_show, verb_virtual_event, verb_virtual_inject,
    verb_virtual_calm, verb_virtual_insert, verb_virtual_add; /* verb_virtual.c */

#endif

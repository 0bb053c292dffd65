/* SPDX-License-Identifier: Apache-2.0 */
/* Every verb of `varve`: what it is called, what it takes, what --help says, and who does it.
 * varve(1) describes the same; a test compares them. */
#include "verb.h"

#define OPTIONS(...) ((const struct option_spec[]){__VA_ARGS__, {NULL, NULL, NULL, 0}})
#define ARCHIVE                                                                                    \
    {                                                                                              \
        "archive", "DIR", "the archive, or a path in its mount", 0                                 \
    }
#define WAIT                                                                                       \
    {                                                                                              \
        "wait", NULL, "follow the work to its end; fail if it fails", 0                            \
    }

#define VIRTUAL                                                                                    \
    {"folder", "DIR", "the library's own folder, while no daemon has it", 0},                      \
        {"library", "NAME", "which library (default: the first)", 0}, ARCHIVE
static const char virtual_help[] =
    "Through the daemon that serves the archive; with --folder from the folder itself.";
#define WHO                                                                                        \
    {                                                                                              \
        "who", "NAME", "who does it (default: the user)", 0                                        \
    }

static const char which[] =
    "Without DIR (the archive's directory, or any path in its mount) the archive is the one that\n"
    "the current directory lies in.";

const struct verb verbs[] = {
    {"init", "DIR", 1, 1, "make a new archive",
     "Makes an archive in DIR: configuration, catalog, tier directories and, with the virtual\n"
     "library, a changer with blank discs in DIR/library.",
     OPTIONS(
         {"name", "NAME", "name of the archive (default: last part of DIR)", 0},
         {"ssd", "PATH", "directory of the ssd tier, or none (default: DIR/ssd)", 0},
         {"hdd", "PATH", "directory of the hdd tier, or none (default: DIR/hdd)", 0},
         {"library", "KIND", "virtual, scsi, or none (default: virtual)", 0},
         {"changer", "DEVICE", "changer of a scsi library: /dev/..., serial:..., iscsi://...", 0},
         {"drive", "DEVICE", "a drive of it, once for each in the changer's order", 0},
         {"media", "SIZE", "capacity of a disc: bd-r-25, -50, -100, -128 or a size", 0},
         {"slots", "K", "slots of the virtual library (default: 24)", 0},
         {"drives", "K", "drives of the virtual library (default: 2)", 0},
         {"set", "N+M", "data and parity discs of a set (default: 4+2)", 0}),
     verb_init},
    {"mount", "DIR MOUNTPOINT", 2, 2, "serve an archive at a mount point",
     "Starts the daemon of the archive in DIR and returns when the mount answers. The log is\n"
     "DIR/varve.log, the socket of the API DIR/varve.sock.",
     OPTIONS({"foreground", NULL, "stay in the foreground, log to stderr", 'f'},
             {"option", "LIST", "mount options: ro, noatime, ...: mount.varve(8)", 'o'}),
     verb_mount},
    {"umount", "MOUNTPOINT", 1, 1, "end a mount and its daemon",
     "Unmounts, and waits until the daemon has ended its work and is gone.",
     OPTIONS({"lazy", NULL, "detach it; the daemon ends when the last file is closed", 'l'},
             {"force", NULL, "cut off who has files open; for a daemon that hangs", 'f'}),
     verb_umount},
    {"status", "[DIR]", 0, 1, "what the archive holds and does", which, OPTIONS(ARCHIVE),
     verb_status},
    {"ls", "PATH...", 0, WORDS_MANY, "files with state, tier, size and discs", NULL,
     OPTIONS({"recursive", NULL, "all that lies below", 'R'},
             {"directory", NULL, "the directory itself, not what is in it", 'd'}),
     verb_ls},
    {"archive", "PATH...", 1, WORDS_MANY, "copy files to discs",
     "Puts files in line for the next set of discs. With --wait the set is closed and burned now,\n"
     "and the verb returns when it is sealed: burned, read back whole and equal.",
     OPTIONS(WAIT), verb_archive},
    {"release", "PATH...", 1, WORDS_MANY, "drop resident copies of files that are on sealed discs",
     "Returns when it is done. Files that are not on sealed discs stay and make it fail.", NULL,
     verb_release},
    {"recall", "PATH...", 1, WORDS_MANY, "bring files back from discs", NULL, OPTIONS(WAIT),
     verb_recall},
    {"pin", "PATH...", 1, WORDS_MANY, "keep files resident", NULL,
     OPTIONS({"for", "DURATION", "30d, 12h, ... (default: until unpin)", 0}), verb_pin},
    {"unpin", "PATH...", 1, WORDS_MANY, "undo pin", NULL, NULL, verb_unpin},
    {"flush", "[DIR]", 0, 1, "close the open set and burn it now", which, OPTIONS(WAIT, ARCHIVE),
     verb_flush},
    {"policy check", "[DIR|FILE]", 0, 1, "check varve.conf and its rules",
     "Reads varve.conf (of the archive DIR, or FILE) and compiles each rule. Needs no daemon.",
     NULL, verb_policy_check},
    {"policy list", "[DIR]", 0, 1, "the rules as the daemon has them", which, OPTIONS(ARCHIVE),
     verb_policy_list},
    {"policy run", "[RULE]", 0, 1, "apply the rules (or one) now", NULL,
     OPTIONS({"dry-run", NULL, "only say what would be moved", 'n'}, WAIT, ARCHIVE),
     verb_policy_run},
    {"set list", "[DIR]", 0, 1, "all sets of discs", which, OPTIONS(ARCHIVE), verb_set_list},
    {"set show", "ID", 1, 1, "a set and its discs", NULL, OPTIONS(ARCHIVE), verb_set_show},
    {"set repair", "ID", 1, 1, "rebuild lost and bad discs of a set onto blanks", NULL,
     OPTIONS(WAIT, ARCHIVE), verb_set_repair},
    {"disc list", "[DIR]", 0, 1, "all discs", which, OPTIONS(ARCHIVE), verb_disc_list},
    {"disc show", "BARCODE", 1, 1, "all that is known of a disc", NULL, OPTIONS(ARCHIVE),
     verb_disc_show},
    {"disc verify", "BARCODE", 1, 1, "read a disc whole and compare", NULL, OPTIONS(WAIT, ARCHIVE),
     verb_disc_verify},
    {"disc retire", "BARCODE", 1, 1, "never use a disc again", NULL, OPTIONS(ARCHIVE),
     verb_disc_retire},
    {"disc place", "[LABEL...] PLACE", 1, WORDS_MANY, "note the shelf or box where discs belong",
     "A lost disc of which the place is told is lost no more.",
     OPTIONS({"magazine", "NAME", "all discs of this magazine, too", 0}, WHO, ARCHIVE),
     verb_disc_place},
    {"disc magazine", "NAME [LABEL...]", 1, WORDS_MANY, "discs that go in and out together",
     "Puts discs into the magazine NAME, a group that other verbs take as a whole; - as NAME "
     "takes\n"
     "them out of theirs.",
     OPTIONS({"magazine", "NAME", "all discs of this magazine, too", 0}, WHO, ARCHIVE),
     verb_disc_magazine},
    {"disc checkout", "[LABEL...]", 0, WORDS_MANY, "discs are taken to a place elsewhere",
     "Notes where to, by whom and when. Nobody is asked for them any more; who needs one is told\n"
     "where it is. What is in a changer must be exported first.",
     OPTIONS({"to", "PLACE", "where to", 0},
             {"magazine", "NAME", "all discs of this magazine, too", 0}, WHO, ARCHIVE),
     verb_disc_checkout},
    {"disc checkin", "[LABEL...]", 0, WORDS_MANY, "discs are back",
     "They are at hand again for a manual library; a changer says itself when they are in it.",
     OPTIONS({"magazine", "NAME", "all discs of this magazine, too", 0}, WHO, ARCHIVE),
     verb_disc_checkin},
    {"disc history", "LABEL", 1, 1, "where a disc was taken, by whom and when", NULL,
     OPTIONS(ARCHIVE), verb_disc_history},
    {"magazine list", "[DIR]", 0, 1, "magazines and the discs in them", which, OPTIONS(ARCHIVE),
     verb_magazine_list},
    {"disc clear", "BARCODE", 1, 1, "forget what was held against a disc",
     "A disc that was set aside before it was burned counts as blank again, and proves it before "
     "it\n"
     "is burned. A suspect disc stays that until 'varve disc verify' found it good.",
     OPTIONS(ARCHIVE), verb_disc_clear},
    {"drive list", "[DIR]", 0, 1, "all drives, what they do and how they do", which,
     OPTIONS(ARCHIVE), verb_drive_list},
    {"drive clear", "DRIVE", 1, 1, "put a quarantined or retired drive into service again",
     "DRIVE is counted from 0 in its library, as 'varve drive list' has it.",
     OPTIONS({"library", "NAME", "which library (default: the first)", 0}, ARCHIVE),
     verb_drive_clear},
    {"drive retire", "DRIVE", 1, 1, "give a drive no more work",
     "What it does now it ends. By hand (library load, unload) it can still be used.",
     OPTIONS({"library", "NAME", "which library (default: the first)", 0},
             {"reason", "TEXT", "for 'varve drive list'", 0}, ARCHIVE),
     verb_drive_retire},
    {"library list", "[DIR]", 0, 1, "the libraries of the archive", which, OPTIONS(ARCHIVE),
     verb_library_list},
    {"library inventory", "[LIBRARY]", 0, 1, "which disc is where", NULL,
     OPTIONS({"refresh", NULL, "ask the hardware anew", 0}, ARCHIVE), verb_library_inventory},
    {"library load", "BARCODE DRIVE", 2, 2, "bring a disc to a drive (counted from 0)", NULL,
     OPTIONS({"library", "NAME", "which library (default: the first)", 0}, ARCHIVE),
     verb_library_load},
    {"library unload", "DRIVE", 1, 1, "bring the disc of a drive home", NULL,
     OPTIONS({"library", "NAME", "which library (default: the first)", 0}, ARCHIVE),
     verb_library_unload},
    {"library import", "", 0, 0, "bring discs in from the mail slots", NULL,
     OPTIONS({"library", "NAME", "which library (default: the first)", 0}, ARCHIVE),
     verb_library_import},
    {"library export", "BARCODE", 1, 1, "bring a disc to a mail slot", NULL,
     OPTIONS({"library", "NAME", "which library (default: the first)", 0}, ARCHIVE),
     verb_library_export},
    {"library probe", "[URL...]", 0, WORDS_MANY, "find changers and drives, and how they belong",
     "Shows the changers and optical drives of this machine, or of the iSCSI targets named\n"
     "(iscsi://HOST/TARGET), which drive is which element of a changer and how that was proven,\n"
     "what is missing, and the lines for varve.conf. Needs no archive. Moves nothing but with\n"
     "--load.",
     OPTIONS({"load", NULL, "where it is not proven, bring a disc to the drive and look", 0}),
     verb_library_probe},
    {"library unlock", "[LIBRARY]", 0, 1, "let the door and the mail slots be opened",
     "The move under way ends, others wait until 'varve library resume'.", OPTIONS(ARCHIVE),
     verb_library_unlock},
    {"library resume", "[LIBRARY]", 0, 1, "lock again, count the discs, and go on",
     "After 'varve library unlock', and when the library is in maintenance because its gripper\n"
     "missed its place. What people changed is told in the log. A library that is offline because\n"
     "it could not be opened is tried at once.",
     OPTIONS(ARCHIVE), verb_library_resume},
    {"library accept", "ELEMENT|all", 1, 1, "a disc that was changed by hand is right",
     "Ends the quarantine of a disc that was found where another one lay before.",
     OPTIONS({"library", "NAME", "which library (default: the first)", 0}, ARCHIVE),
     verb_library_accept},
    {"library add-blanks", "COUNT", 1, 1, "fresh blanks for a virtual or manual library",
     "Puts them into free slots of a virtual library. For a manual one it says that so many are "
     "at\n"
     "hand, and prints the labels that they will get.",
     OPTIONS({"library", "NAME", "which library (default: the first)", 0},
             {"media", "SIZE", "capacity (default: as varve.conf says)", 0},
             {"place", "PLACE", "where they lie (manual libraries)", 0}, ARCHIVE),
     verb_library_add_blanks},
    {"library virtual create", "FOLDER", 1, 1, "make a virtual library",
     "Makes a changer with drives and a blank disc in every slot, in FOLDER. An archive uses it\n"
     "through its varve.conf, tests through include/varve/virtual.h.",
     OPTIONS({"slots", "K", "slots (default: 24)", 0}, {"drives", "K", "drives (default: 2)", 0},
             {"mail-slots", "K", "mail slots (default: 2)", 0},
             {"magazine", "K", "slots of a magazine (default: none)", 0},
             {"kind", "NAME", "BD-R SRM, BD-RE, DVD+R, ... (default: BD-R SRM)", 0},
             {"media", "SIZE", "capacity of a disc (default: the usual of its kind)", 0},
             {"barcode", "PREFIX", "of the bar codes (default: VRV)", 0},
             {"two-sided", NULL, "discs of two sides, and a gripper that turns them", 0},
             {"speedup", "K", "times: 1 as hardware, 1000 faster (default: 0, none)", 0},
             {"arm", "SHAPE", "carousel or gantry (default: carousel)", 0},
             {"column", "K", "slots above each other of a gantry (default: 20)", 0},
             {"spin", "WORD", "clv, zclv or cav (default: zclv)", 0}),
     verb_virtual_create},
    {"library virtual show", "", 0, 0, "all that can be seen of a virtual library", virtual_help,
     OPTIONS(VIRTUAL), verb_virtual_show},
    {"library virtual event", "EVENT...", 1, WORDS_MANY, "let something happen to it",
     "door-open, door-close, magazine-out 1, swap 1024 1025, take 1024, hold 0, ...: all events\n"
     "of docs/virtual-library.md.",
     OPTIONS(VIRTUAL), verb_virtual_event},
    {"library virtual inject", "SCRIPT", 1, 1, "take a fault script",
     "SCRIPT is a file, or - for standard input. With --folder it is added to faults.txt, which\n"
     "is taken whenever the library is opened.",
     OPTIONS(VIRTUAL), verb_virtual_inject},
    {"library virtual calm", "", 0, 0, "forget all rules and quirks",
     "What happened already stays. With --folder it removes faults.txt.", OPTIONS(VIRTUAL),
     verb_virtual_calm},
    {"library virtual insert", "IMAGE BARCODE", 2, 2, "bring in an image as a closed disc", NULL,
     OPTIONS(VIRTUAL), verb_virtual_insert},
    {"library virtual add-blanks", "COUNT", 1, 1, "put fresh blanks into free slots", NULL,
     OPTIONS({"kind", "NAME", "kind of disc (default: as it was made)", 0},
             {"media", "SIZE", "capacity (default: the usual of its kind)", 0}, VIRTUAL),
     verb_virtual_add},
    {"library requests", "[LIBRARY]", 0, 1, "discs that a person is asked for, as one walk",
     "What manual libraries wait for, in the order of the shelves. Insert a disc: the drive finds\n"
     "out which it is.",
     OPTIONS(ARCHIVE), verb_library_requests},
    {"library insert", "DRIVE", 1, 1, "a disc lies in the tray of a drive: look at it",
     "Pulls the tray in. A drive that waits for a disc looks at once; else it is told which disc\n"
     "it is, and one that was away is back.",
     OPTIONS({"library", "NAME", "which library (default: the first manual one)", 0}, ARCHIVE),
     verb_library_insert},
    {"library refuse", "LABEL [WHY]", 1, 2, "a disc that is asked for cannot be brought",
     "It counts as lost, and the rest of its set serves.", OPTIONS(WHO, ARCHIVE),
     verb_library_refuse},
    {"scrub", "[DIR]", 0, 1, "read all sealed discs and compare", which, OPTIONS(WAIT, ARCHIVE),
     verb_scrub},
    {"check", "[DIR]", 0, 1, "cross-check catalog, tiers and libraries",
     "Works with and without a daemon; reads no disc. Fails if something is wrong and was not\n"
     "repaired.",
     OPTIONS({"repair", NULL, "remove orphans, finish what is safe to finish", 0}, ARCHIVE),
     verb_check},
    {"rebuild", "DIR [IMAGE...]", 1, WORDS_MANY, "make a new catalog from discs alone",
     "Reads the discs of the archive's libraries, or with --from the images and devices named,\n"
     "and makes DIR/catalog.sqlite. An old catalog is kept beside it. No daemon may run.",
     OPTIONS({"from", "IMAGE", "read this image or device, and those that follow", 0}),
     verb_rebuild},
    {"jobs", "[DIR]", 0, 1, "what is running, and what was", which,
     OPTIONS({"watch", NULL, "again each second, until interrupted", 'w'}, ARCHIVE), verb_jobs},
    {"job", "ID", 1, 1, "one job", NULL, OPTIONS(WAIT, ARCHIVE), verb_job},
};
const size_t verb_count = sizeof verbs / sizeof verbs[0];

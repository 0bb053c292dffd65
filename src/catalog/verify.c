/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

/* Findings told of one rule: a broken catalog must not fill the log. */
#define FINDINGS_MAX 100

/* Each row of a rule is a finding, in words. Modes: 61440 S_IFMT, 16384 directory, 32768 file,
 * 40960 symlink. Phases: 0 live, 1 frozen, 2 sealed. */
static const char *const rules[] = {
    "PRAGMA integrity_check(100)", /* one row "ok" if there is nothing to tell */
    "SELECT format('%s row %s: its %s does not exist', \"table\", coalesce(rowid, '?'), parent)"
    " FROM pragma_foreign_key_check",

    /* The namespace. */
    "SELECT format('directory %d has the name ''%s'', but does not exist', d.parent,"
    "  CAST(d.name AS TEXT)) FROM dentry d LEFT JOIN inode i ON i.ino = d.parent"
    " WHERE i.ino IS NULL",
    "SELECT format('inode %d is no directory, but has the name ''%s'' in it', d.parent,"
    "  CAST(d.name AS TEXT)) FROM dentry d JOIN inode i ON i.ino = d.parent"
    " WHERE (i.mode & 61440) <> 16384",
    "SELECT format('''%s'' in directory %d names inode %d, which does not exist',"
    "  CAST(d.name AS TEXT), d.parent, d.ino) FROM dentry d LEFT JOIN inode i ON i.ino = d.ino"
    " WHERE i.ino IS NULL",
    "SELECT format('inode %d has %d links, but %d names', ino, nlink, names) FROM (SELECT ino,"
    "  nlink, (SELECT count(*) FROM dentry d WHERE d.ino = i.ino) AS names FROM inode i"
    "  WHERE (mode & 61440) <> 16384) WHERE nlink <> names",
    "SELECT format('directory %d has %d names instead of %d', ino, names, wanted) FROM (SELECT ino,"
    "  (SELECT count(*) FROM dentry d WHERE d.ino = i.ino) AS names,"
    "  iif(ino = 1 OR nlink = 0, 0, 1) AS wanted FROM inode i WHERE (mode & 61440) = 16384)"
    " WHERE names <> wanted",
    "SELECT format('directory %d has %d links instead of %d', ino, nlink, wanted) FROM (SELECT ino,"
    "  nlink, 2 + (SELECT count(*) FROM dentry d JOIN inode c ON c.ino = d.ino"
    "    WHERE d.parent = i.ino AND (c.mode & 61440) = 16384) AS wanted FROM inode i"
    "  WHERE (mode & 61440) = 16384 AND nlink > 0) WHERE nlink <> wanted",
    "WITH RECURSIVE reached (ino) AS (SELECT 1 UNION SELECT d.ino FROM reached r"
    "  JOIN dentry d ON d.parent = r.ino JOIN inode i ON i.ino = d.ino"
    "  WHERE (i.mode & 61440) = 16384)"
    " SELECT format('directory %d cannot be reached from the root', ino) FROM inode"
    " WHERE (mode & 61440) = 16384 AND nlink > 0 AND ino NOT IN reached",
    "SELECT format('symlink %d has no target', i.ino) FROM inode i LEFT JOIN symlink s"
    " ON s.ino = i.ino WHERE (i.mode & 61440) = 40960 AND s.ino IS NULL",
    "SELECT format('inode %d has a symlink target, but is no symlink', s.ino) FROM symlink s"
    " LEFT JOIN inode i ON i.ino = s.ino WHERE coalesce(i.mode & 61440, 0) <> 40960",
    "SELECT DISTINCT format('xattrs of inode %d, which does not exist', x.ino) FROM xattr x"
    " LEFT JOIN inode i ON i.ino = x.ino WHERE i.ino IS NULL",

    /* Contents. */
    "SELECT format('inode %d names content %d, which does not exist', i.ino, i.content)"
    " FROM inode i LEFT JOIN content c ON c.id = i.content WHERE i.content <> 0 AND c.id IS NULL",
    "SELECT format('inode %d is no regular file, but has content %d', ino, content) FROM inode"
    " WHERE content <> 0 AND (mode & 61440) <> 32768",
    "SELECT format('content %d is not marked as current, but is that of inode %d', c.id, i.ino)"
    " FROM inode i JOIN content c ON c.id = i.content WHERE c.is_current = 0 OR c.ino <> i.ino",
    "SELECT format('content %d is marked as current, but not that of inode %d', c.id, c.ino)"
    " FROM content c LEFT JOIN inode i ON i.ino = c.ino"
    " WHERE c.is_current <> 0 AND (i.ino IS NULL OR i.content <> c.id)",
    "SELECT format('content %d of inode %d is on no disc and has no place', id, ino) FROM content"
    " WHERE phase < 2 AND size > 0 AND (tier = 0 OR file = 0)",
    "SELECT format('content %d lies under tier path %d, which does not exist', c.id, c.path_id)"
    " FROM content c LEFT JOIN tier_path p ON p.id = c.path_id AND p.tier = c.tier"
    " WHERE c.tier <> 0 AND c.file <> 0 AND p.id IS NULL",
    "SELECT format('backing file %d is named by %d contents', file, count(*)) FROM content"
    " WHERE tier <> 0 AND file <> 0 GROUP BY tier, path_id, file HAVING count(*) > 1",
    "SELECT format('content %d is frozen, but in no set that is being made', c.id) FROM content c"
    " WHERE phase = 1 AND size > 0 AND NOT EXISTS (SELECT 1 FROM piece p"
    "  JOIN discset s ON s.id = p.set_id WHERE p.content = c.id AND s.state <> 4)",

    /* A sealed content has all its bytes, part after part, in one set that is sealed or degraded.
     */
    "WITH laid AS (SELECT content, set_id, start, bytes, sum(bytes) OVER (PARTITION BY content,"
    "    set_id ORDER BY part ROWS UNBOUNDED PRECEDING) - bytes AS wanted FROM piece),"
    "  covered AS (SELECT l.content, sum(l.bytes) AS bytes FROM laid l"
    "    JOIN discset s ON s.id = l.set_id WHERE s.state IN (2, 3)"
    "    GROUP BY l.content, l.set_id HAVING max(l.start <> l.wanted) = 0)"
    " SELECT format('content %d of inode %d is sealed, but no sealed set has all of it', c.id,"
    "  c.ino) FROM content c WHERE phase = 2 AND size > 0"
    " AND NOT EXISTS (SELECT 1 FROM covered v WHERE v.content = c.id AND v.bytes = c.size)",
    "SELECT format('piece %d of content %d has disc index %d in set %d of %d data discs', p.part,"
    "  p.content, p.disc_index, s.id, s.data_discs) FROM piece p JOIN discset s ON s.id = p.set_id"
    " WHERE p.disc_index >= s.data_discs",
    "SELECT format('sealed set %d: part %d of content %d has no digest', s.id, p.part, p.content)"
    " FROM discset s JOIN piece p ON p.set_id = s.id WHERE s.state IN (2, 3) AND p.digest IS NULL",
    "SELECT format('disc %s has index %d in set %d of %d discs', d.barcode, d.disc_index, s.id,"
    "  s.data_discs + s.parity_discs) FROM disc d JOIN discset s ON s.id = d.set_id"
    " WHERE d.disc_index >= s.data_discs + s.parity_discs",
    "SELECT format('a place is known for disc %s, which is not known itself', l.barcode)"
    " FROM disc_place l LEFT JOIN disc d ON d.barcode = l.barcode WHERE d.barcode IS NULL",

    /* What triggers keep. */
    "SELECT format('total %d says %d files and %d bytes, but there are %d and %d', kind, t.files,"
    "  t.bytes, coalesce(n.files, 0), coalesce(n.bytes, 0)) FROM total t LEFT JOIN ("
    "  SELECT 0 AS kind, count(*) AS files, 0 AS bytes FROM inode UNION ALL"
    "  SELECT 1, count(*), 0 FROM inode WHERE (mode & 61440) = 16384 UNION ALL"
    "  SELECT 2, count(*), coalesce(sum(size), 0) FROM request r JOIN content c ON c.id = r.content"
    "  UNION ALL SELECT 3, count(*), coalesce(sum(head_bytes), 0) FROM content WHERE head_tier <> 0"
    "  UNION ALL SELECT 16 + 3 * phase + tier, count(*), sum(size) FROM content WHERE is_current"
    "    GROUP BY 1) n USING (kind)"
    " WHERE t.files <> coalesce(n.files, 0) OR t.bytes <> coalesce(n.bytes, 0)",
};

static bool
run_rule(sqlite3 *db, const char *rule, varve_catalog_finding_fn *each, void *context, int *ret)
{
    VARVE_CLEANUP(catalog_finalize) sqlite3_stmt *statement = NULL;
    *ret = sqlite3_prepare_v2(db, rule, -1, &statement, NULL);
    for (unsigned count = 0; *ret == SQLITE_OK && count < FINDINGS_MAX; count++) {
        int code = sqlite3_step(statement);
        if (code != SQLITE_ROW) {
            *ret = code == SQLITE_DONE ? SQLITE_OK : code;
            break;
        }
        const char *finding = (const char *)sqlite3_column_text(statement, 0);
        if (finding != NULL && sqlite3_stricmp(finding, "ok") != 0)
            each(context, finding);
    }
    return *ret == SQLITE_OK;
}

bool
varve_catalog_verify(struct varve_catalog *catalog, varve_catalog_finding_fn *each, void *context,
                     struct varve_error *err)
{
    VARVE_CLEANUP(catalog_disconnect) sqlite3 *db = NULL;
    if (!varve_catalog_sync(catalog, err) ||
        !catalog_connect(catalog->path, SQLITE_OPEN_READONLY, &db, err))
        return false;
    /* All rules look at one state, while writers go on. */
    int code = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    for (size_t i = 0; code == SQLITE_OK && i < sizeof rules / sizeof rules[0]; i++) {
        if (run_rule(db, rules[i], each, context, &code))
            continue;
        /* Damage that stops a rule is a finding too, and the other rules may still run. */
        if ((code & 0xff) != SQLITE_CORRUPT)
            break;
        each(context, sqlite3_errmsg(db));
        code = SQLITE_OK;
    }
    if (code != SQLITE_OK)
        return catalog_sqlite_error(db, code, catalog->path, err);
    return true;
}

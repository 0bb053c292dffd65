/* SPDX-License-Identifier: Apache-2.0 */
/* README.txt: the first thing that a stranger opens. Plain words, ASCII first, then the same in
 * Chinese. Changing a letter here changes every image: sets that are planned but not sealed must be
 * sealed first (varve_image_relearn() notices). */
#include "image_internal.h"

#include <inttypes.h>

#include "anchor.h"

static const char english[] =
    "All numbers and names below are about this disc.\n"
    "\n"
    "WHAT THIS IS\n"
    "The files of this disc lie under the folders that they had in the archive, with\n"
    "their names, owners, permissions and times. Nothing is compressed or packed:\n"
    "copy what you need. The folder 'varve' was added by the archive software:\n"
    "  README.txt    this text\n"
    "  FORMAT.txt    the format of this disc, enough to write a program that reads it\n"
    "  disc.json     identity of archive, set and disc\n"
    "  SHA256SUMS    SHA-256 of every file\n"
    "  inodes.jsonl  (data discs) one line of JSON per file, folder or link: exact\n"
    "                names, extended attributes, links, versions, and where the file\n"
    "                begins on the disc (sector of 2048 bytes)\n"
    "  parity.bin    (parity discs) what lost discs are computed from\n"
    "  crc32c.bin    checksum of every 65536 bytes of the disc\n"
    "A name that ends in .part-0001-of-0003 is the first third of a file that is\n"
    "larger than a disc; the others are on other discs of the archive. Join them in\n"
    "order: cat name.part-* > name\n"
    "Links, devices and the like are only in inodes.jsonl. Names that this file\n"
    "system cannot hold are changed; inodes.jsonl has the exact ones.\n"
    "\n"
    "HOW TO CHECK IT\n"
    "With the disc mounted, in its top folder:\n"
    "  sha256sum -c varve/SHA256SUMS\n"
    "\n"
    "IF IT CANNOT BE READ\n"
    "Mount it read-only as UDF 2.50. If Linux does not, because the first copy of\n"
    "the file entries is damaged, let it use the second copy at the end of the disc\n"
    "(SIZE: blockdev --getsz /dev/sr0, REST: SIZE - 1156):\n"
    "  printf '0 1152 linear /dev/sr0 0\\n1152 4 error\\n"
    "1156 REST linear /dev/sr0 1156\\n' |\n"
    "    dmsetup create varve -r\n"
    "  mount -t udf -o ro /dev/mapper/varve /mnt\n"
    "Without any file system: sectors 0 and 96, and the first sector of the\n"
    "ninth-to-last 64 KiB, hold a text that says where the tables are.\n"
    "\n";

static const char chinese[] =
    "\n"
    "中文说明\n"
    "\n"
    "本光盘是归档的一部分。文件按原来的目录存放，保留名称、属主、权限和时间，\n"
    "没有压缩，也没有打包：需要哪个就复制哪个。目录 varve 由归档软件添加：\n"
    "  README.txt    本说明\n"
    "  FORMAT.txt    光盘格式的完整说明，足以据此编写读取程序（英文）\n"
    "  disc.json     归档、光盘组和光盘的标识\n"
    "  SHA256SUMS    每个文件的 SHA-256 校验值\n"
    "  inodes.jsonl  （数据盘）每行一个 JSON：准确的名称、扩展属性、链接、版本、\n"
    "                文件在光盘上的起始扇区（每扇区 2048 字节）\n"
    "  parity.bin    （校验盘）用于恢复丢失的光盘\n"
    "  crc32c.bin    光盘上每 65536 字节的校验值\n"
    "名称以 .part-0001-of-0003 结尾的是大文件的一部分，其余部分在其他光盘上，\n"
    "按顺序连接即可：cat name.part-* > name\n"
    "校验：挂载光盘后，在其根目录执行 sha256sum -c varve/SHA256SUMS\n"
    "光盘无法读取时：以只读方式挂载 UDF 2.50；挂载失败时按上面英文部分的 dmsetup\n"
    "命令使用光盘末尾的第二份文件目录。扇区 0、扇区 96 以及倒数第九个 64 KiB 的\n"
    "第一个扇区写有各表的位置。\n"
    "光盘丢失或损坏时：同一组中任意 N 张光盘（数据盘或校验盘）可以算出其余所有\n"
    "光盘，方法见 FORMAT.txt；varve 软件的命令是 varve-recover rebuild。\n";

enum { FIXED_BYTES = 2048, LABEL_BYTES = 96 };

uint64_t
varve_readme_bytes_max(uint32_t discs)
{
    return sizeof english + sizeof chinese + FIXED_BYTES + (uint64_t)LABEL_BYTES * discs;
}

static void
put_members(const struct varve_disc_identity *identity, struct varve_buffer *ret)
{
    uint32_t n = identity->data_discs, m = identity->parity_discs;
    if (m == 0)
        varve_buffer_text(ret, "IF IT IS LOST\nThis set has no parity discs: what cannot be read "
                               "here cannot be computed\nfrom others.\n");
    else
        varve_buffer_printf(ret,
                            "IF IT IS LOST\n"
                            "The discs below were made together. Any %" PRIu32 " of these %" PRIu32
                            " give all others back, whole\n"
                            "discs or only damaged places: 'varve-recover rebuild', or the method "
                            "in FORMAT.txt.\n",
                            n, n + m);
    varve_buffer_text(ret, "The discs of this set, by the name that a computer shows:\n");
    for (uint32_t i = 0; i < n + m; i++) {
        char label[VARVE_LABEL_BYTES];
        varve_label_make(identity, i, label);
        varve_buffer_printf(ret, "  %s  %s%s\n", label, i < n ? "data" : "parity",
                            i == identity->index ? "  <- this disc" : "");
    }
}

void
varve_readme_make(const struct varve_disc_identity *identity, struct varve_buffer *ret)
{
    char label[VARVE_LABEL_BYTES];
    varve_label_make(identity, identity->index, label);
    bool parity = identity->index >= identity->data_discs;
    varve_buffer_printf(ret,
                        "%s\n\n%s disc %" PRIu32 " of set %" PRIu64 " of an archive made by varve: "
                        "%" PRIu32 " data and %" PRIu32 " parity discs.\n",
                        label, parity ? "Parity" : "Data", identity->index, identity->set_number,
                        identity->data_discs, identity->parity_discs);
    varve_buffer_text(ret, english);
    put_members(identity, ret);
    varve_buffer_text(ret, chinese);
}

"""Writes a file as a C array: embed.py INPUT OUTPUT NAME."""
import sys

data = open(sys.argv[1], 'rb').read()
with open(sys.argv[2], 'w') as out:
    out.write('#include <stddef.h>\n')
    out.write(f'extern const char {sys.argv[3]}[];\nextern const size_t {sys.argv[3]}_bytes;\n')
    out.write(f'const char {sys.argv[3]}[] = {{\n')
    for at in range(0, len(data), 16):
        # Through a signed char: the array is of char, and -Wconversion is on.
        out.write(''.join(f'{b if b < 128 else b - 256},' for b in data[at:at + 16]) + '\n')
    out.write(f'0}};\nconst size_t {sys.argv[3]}_bytes = {len(data)};\n')

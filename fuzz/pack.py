"""Makes an input of a fuzz target from an image: pack.py IMAGE INPUT [WORD]

The shape is in src/sparse.rs. WORD is what the target is told (0): whether
checksums stay as they are, and which edits are made.
"""

import struct
import sys

PAGE = 512


def main():
    image, to = sys.argv[1:3]
    word = int(sys.argv[3], 0) if len(sys.argv) > 3 else 0
    with open(image, "rb") as file:
        data = file.read()
    count = len(data) // PAGE
    with open(to, "wb") as out:
        out.write(struct.pack("<II", count, word))
        for number in range(count):
            page = data[number * PAGE : (number + 1) * PAGE]
            if any(page):
                out.write(struct.pack("<I", number) + page)


main()

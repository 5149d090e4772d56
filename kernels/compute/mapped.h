/* mapped.h: a file of weights, mapped: its pages are shared by all who use it, and nothing is copied.
 *
 * 64 bytes of header: "SOLW" and the version, 8 bytes; the digest of the network, 16; the checksum of what follows, 8; zeros.
 * Then the weights as kernels read them, a multiple of 64 bytes, numbers little-endian.
 */
#ifndef SOL_MAPPED_H
#define SOL_MAPPED_H

#include "system.h"

enum { SOL_HEADER = 64, SOL_DIGEST = 16, SOL_MOST_PATH = 4096 };
enum { SOL_MAPPED, SOL_NOT_OPENED, SOL_NOT_MAPPED, SOL_NO_WEIGHTS, SOL_OTHER, SOL_CUT_OFF, SOL_DAMAGED };

typedef struct {
    void *memory;
    size_t bytes;
} sol_mapped;

/* Two sums over 8 lanes of 64-bit words, the second of the first (Fletcher, "An Arithmetic Checksum for Serial
 * Transmissions", 1982): a change of any word is seen, and words that change places. */
static inline uint64_t sol_checksum(const uint8_t *bytes, int64_t count) {
    uint64_t a[8] = {0}, b[8] = {0}, sum = 0;
    for (int64_t i = 0; i + 64 <= count; i += 64) {
        uint64_t word[8];
        memcpy(word, bytes + i, 64);
        for (int k = 0; k < 8; k++) b[k] += a[k] += word[k];
    }
    for (int k = 0; k < 8; k++) sum = (sum ^ a[k]) * 0x9E3779B97F4A7C15u + b[k];
    return sum;
}

static inline void sol_unmap(sol_mapped *file) {
    if (file->memory) munmap(file->memory, file->bytes);
    file->memory = NULL;
}

/* What is wrong with a mapped file, which should have so many bytes of weights. */
static inline int sol_examine(const sol_mapped *file, const uint8_t *digest, int64_t bytes) {
    const uint8_t *const header = file->memory;
    uint64_t said;
    if (memcmp(header, "SOLW\0\0\0\1", 8)) return SOL_NO_WEIGHTS;
    if (memcmp(header + 8, digest, SOL_DIGEST)) return SOL_OTHER;
    if ((int64_t)file->bytes != SOL_HEADER + bytes) return SOL_CUT_OFF;
    memcpy(&said, header + 8 + SOL_DIGEST, sizeof said);
    return said == sol_checksum(header + SOL_HEADER, bytes) ? SOL_MAPPED : SOL_DAMAGED;
}

/* Maps a file of weights, or says what is wrong with it. */
static inline int sol_map(const char *path, const uint8_t *digest, int64_t bytes, sol_mapped *made) {
    const int file = open(path, O_RDONLY);
    if (file < 0) return SOL_NOT_OPENED;
    const int64_t has = (int64_t)lseek(file, 0, SEEK_END);
    if (has < SOL_HEADER) {
        close(file);
        return has < 0 ? SOL_NOT_OPENED : SOL_NO_WEIGHTS;
    }
    void *const memory = mmap(NULL, (size_t)has, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (memory == MAP_FAILED) return SOL_NOT_MAPPED;
    *made = (sol_mapped){memory, (size_t)has};
#ifdef MADV_HUGEPAGE
    madvise(memory, (size_t)has, MADV_HUGEPAGE); /* weights are streamed, and each page costs a look-up */
#endif
    const int wrong = sol_examine(made, digest, bytes);
    if (wrong) sol_unmap(made);
    return wrong;
}

#endif

// BLAKE2b (RFC 7693 §3) over LANES messages at once, one in each lane of a vector. Included once for each width; LANES, NAME and TARGET are set before.
// A lane whose message has ended goes on computing and is no longer looked at: so messages of any lengths stand side by side.

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)
#define VECTOR JOIN(NAME, _vector)

typedef uint64_t VECTOR __attribute__((vector_size(8 * LANES)));

#define ROTATED(x, n) (((x) >> (n)) | ((x) << (64 - (n))))

#define MIX(a, b, c, d, x, y)                                                                                          \
    do {                                                                                                               \
        v[a] += v[b] + (x);                                                                                            \
        v[d] = ROTATED(v[d] ^ v[a], 32);                                                                               \
        v[c] += v[d];                                                                                                  \
        v[b] = ROTATED(v[b] ^ v[c], 24);                                                                               \
        v[a] += v[b] + (y);                                                                                            \
        v[d] = ROTATED(v[d] ^ v[a], 16);                                                                               \
        v[c] += v[d];                                                                                                  \
        v[b] = ROTATED(v[b] ^ v[c], 63);                                                                               \
    } while (0)

#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)                                    \
    do {                                                                                                               \
        MIX(0, 4, 8, 12, m[s0], m[s1]);                                                                                \
        MIX(1, 5, 9, 13, m[s2], m[s3]);                                                                                \
        MIX(2, 6, 10, 14, m[s4], m[s5]);                                                                               \
        MIX(3, 7, 11, 15, m[s6], m[s7]);                                                                               \
        MIX(0, 5, 10, 15, m[s8], m[s9]);                                                                               \
        MIX(1, 6, 11, 12, m[s10], m[s11]);                                                                             \
        MIX(2, 7, 8, 13, m[s12], m[s13]);                                                                              \
        MIX(3, 4, 9, 14, m[s14], m[s15]);                                                                              \
    } while (0)

#define ROUNDS                                                                                                         \
    do {                                                                                                               \
        ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);                                                   \
        ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);                                                   \
        ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);                                                   \
        ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);                                                   \
        ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);                                                   \
        ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);                                                   \
        ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);                                                   \
        ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);                                                   \
        ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);                                                   \
        ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);                                                   \
        ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);                                                   \
        ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);                                                   \
    } while (0)

// The state before the first block: the parameter block says 32 bytes of digest, fan-out and depth 1, no key, no salt.
#define BEGIN(h, personal)                                                                                             \
    do {                                                                                                               \
        for (int i = 0; i < 8; i++) h[i] = initial[i] - (VECTOR){0};                                                   \
        h[0] ^= 0x01010020 - (VECTOR){0};                                                                              \
        h[6] ^= personal[0] - (VECTOR){0};                                                                             \
        h[7] ^= personal[1] - (VECTOR){0};                                                                             \
    } while (0)

// Up to LANES messages; those behind `count` are given as empty ones.
TARGET static void NAME(
    const uint64_t personal[2], const uint8_t *const messages[LANES], const size_t lengths[LANES], size_t count,
    uint8_t *out) {
    VECTOR h[8];
    BEGIN(h, personal);

    size_t blocks[LANES];
    size_t most = 1;
    for (size_t lane = 0; lane < LANES; lane++) {
        blocks[lane] = lengths[lane] == 0 ? 1 : (lengths[lane] + 127) / 128;
        if (blocks[lane] > most) most = blocks[lane];
    }
    for (size_t block = 0; block < most; block++) {
        // Words side by side: word `i` of every lane is one vector.
        uint64_t words[16][LANES] __attribute__((aligned(64))) = {{0}};
        VECTOR counter = {0};
        VECTOR last = {0};
        for (size_t lane = 0; lane < LANES; lane++) {
            size_t start = block * 128;
            size_t left = start < lengths[lane] ? lengths[lane] - start : 0;
            // Behind the end of a message that is over there may be nothing: no pointer goes there.
            const uint8_t *from = left > 0 ? messages[lane] + start : messages[lane];
            size_t whole = left >= 128 ? 16 : left / 8;
            for (size_t i = 0; i < whole; i++) {
                uint64_t word;
                memcpy(&word, from + 8 * i, 8);
                words[i][lane] = little(word);
            }
            if (left < 128 && left % 8 > 0) {
                uint64_t word = 0;
                memcpy(&word, from + 8 * whole, left % 8);
                words[whole][lane] = little(word);
            }
            counter[lane] = left >= 128 ? start + 128 : lengths[lane];
            last[lane] = block + 1 == blocks[lane] ? ~(uint64_t)0 : 0;
        }
        VECTOR m[16];
        for (int i = 0; i < 16; i++) memcpy(&m[i], words[i], sizeof m[i]);
        VECTOR v[16];
        for (int i = 0; i < 8; i++) {
            v[i] = h[i];
            v[8 + i] = initial[i] - (VECTOR){0};
        }
        v[12] ^= counter;
        v[14] ^= last;
        ROUNDS;
        for (int i = 0; i < 8; i++) h[i] ^= v[i] ^ v[8 + i];
        for (size_t lane = 0; lane < count; lane++) {
            if (block + 1 != blocks[lane]) continue;
            uint64_t digest[4] = {little(h[0][lane]), little(h[1][lane]), little(h[2][lane]), little(h[3][lane])};
            memcpy(out + 32 * lane, digest, 32);
        }
    }
}

#if LANES == 8
#define ROW(a, b, i, j, k, l, m, n, o, p) __builtin_shufflevector(a, b, i, j, k, l, m, n, o, p)
// Words 0 and 2 of each half of two rows beside one another, or words 1 and 3.
#define EVEN(a, b) ROW(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define ODD(a, b) ROW(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define LOW(a, b) ROW(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HIGH(a, b) ROW(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#endif

// LANES messages of 64 bytes, one behind the other: what a tree is made of. The second half of their only block is empty, and an addition of nothing is
// none, so they take two thirds of the time.
TARGET static void JOIN(NAME, _pairs)(const uint64_t personal[2], const uint8_t *bytes, uint8_t *out) {
    VECTOR h[8], m[16];
    BEGIN(h, personal);
    for (int i = 8; i < 16; i++) m[i] = (VECTOR){0};
#if LANES == 8
    // Only where words are little-endian. A message is a row of eight words; word `i` of every row is to be one vector.
    VECTOR even[4], odd[4];
    for (int i = 0; i < 4; i++) {
        VECTOR a, b;
        memcpy(&a, bytes + 128 * i, 64);
        memcpy(&b, bytes + 128 * i + 64, 64);
        even[i] = EVEN(a, b);
        odd[i] = ODD(a, b);
    }
    VECTOR a = ROW(even[0], even[1], 0, 1, 8, 9, 4, 5, 12, 13), b = ROW(even[2], even[3], 0, 1, 8, 9, 4, 5, 12, 13);
    m[0] = LOW(a, b);
    m[4] = HIGH(a, b);
    a = ROW(even[0], even[1], 2, 3, 10, 11, 6, 7, 14, 15), b = ROW(even[2], even[3], 2, 3, 10, 11, 6, 7, 14, 15);
    m[2] = LOW(a, b);
    m[6] = HIGH(a, b);
    a = ROW(odd[0], odd[1], 0, 1, 8, 9, 4, 5, 12, 13), b = ROW(odd[2], odd[3], 0, 1, 8, 9, 4, 5, 12, 13);
    m[1] = LOW(a, b);
    m[5] = HIGH(a, b);
    a = ROW(odd[0], odd[1], 2, 3, 10, 11, 6, 7, 14, 15), b = ROW(odd[2], odd[3], 2, 3, 10, 11, 6, 7, 14, 15);
    m[3] = LOW(a, b);
    m[7] = HIGH(a, b);
#else
    for (int i = 0; i < 8; i++) {
        for (int lane = 0; lane < LANES; lane++) {
            uint64_t word;
            memcpy(&word, bytes + 64 * lane + 8 * i, 8);
            m[i][lane] = little(word);
        }
    }
#endif
    VECTOR v[16];
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
        v[8 + i] = initial[i] - (VECTOR){0};
    }
    v[12] ^= 64 - (VECTOR){0};
    v[14] ^= ~(VECTOR){0};
    ROUNDS;
    for (int i = 0; i < 4; i++) h[i] ^= v[i] ^ v[8 + i];
#if LANES == 8
    VECTOR first = EVEN(h[0], h[1]), second = EVEN(h[2], h[3]), third = ODD(h[0], h[1]), fourth = ODD(h[2], h[3]);
    // Digests 0 and 2, 1 and 3, 4 and 6, 5 and 7.
    VECTOR x = ROW(first, second, 0, 1, 8, 9, 2, 3, 10, 11), y = ROW(third, fourth, 0, 1, 8, 9, 2, 3, 10, 11);
    VECTOR z = ROW(first, second, 4, 5, 12, 13, 6, 7, 14, 15), w = ROW(third, fourth, 4, 5, 12, 13, 6, 7, 14, 15);
    VECTOR digests[4] = {LOW(x, y), HIGH(x, y), LOW(z, w), HIGH(z, w)};
    memcpy(out, digests, 256);
#else
    for (int lane = 0; lane < LANES; lane++) {
        uint64_t digest[4] = {little(h[0][lane]), little(h[1][lane]), little(h[2][lane]), little(h[3][lane])};
        memcpy(out + 32 * lane, digest, 32);
    }
#endif
}

TARGET static void JOIN(NAME, _many)(
    const uint64_t personal[2], const uint8_t *bytes, const size_t *ends, size_t length, size_t count, uint8_t *out) {
    size_t done = 0;
    if (ends == NULL && length == 64) {
        for (; count - done >= LANES; done += LANES) JOIN(NAME, _pairs)(personal, bytes + 64 * done, out + 32 * done);
        // The rest in one more, beside messages that nobody asks for.
        uint8_t rest[64 * LANES] = {0}, digests[32 * LANES];
        if (done == count) return;
        memcpy(rest, bytes + 64 * done, 64 * (count - done));
        JOIN(NAME, _pairs)(personal, rest, digests);
        memcpy(out + 32 * done, digests, 32 * (count - done));
        return;
    }
    for (; done < count; done += LANES) {
        size_t now = count - done < LANES ? count - done : LANES;
        const uint8_t *messages[LANES];
        size_t lengths[LANES];
        for (size_t lane = 0; lane < LANES; lane++) {
            size_t i = done + lane;
            size_t start = lane >= now ? 0 : ends == NULL ? i * length : i == 0 ? 0 : ends[i - 1];
            messages[lane] = bytes + start;
            lengths[lane] = lane >= now ? 0 : ends == NULL ? length : ends[i] - start;
        }
        NAME(personal, messages, lengths, now, out + 32 * done);
    }
}

#undef PASTE
#undef JOIN
#undef VECTOR
#undef ROTATED
#undef MIX
#undef ROUND
#undef ROUNDS
#undef BEGIN
#undef ROW
#undef EVEN
#undef ODD
#undef LOW
#undef HIGH
#undef LANES
#undef NAME
#undef TARGET

/* i8 × i8 → i32, exact, written once for each width. A file that includes this sets the target and defines VW (i32 lanes of a vector), MR (rows of a
   tile), FN (a name with the variant's suffix), the type `wv`, GROUP (terms that a lane takes at once), BYTES (a lane's packed bytes for them), `lane_bytes`
   (an unsigned type of so many), `held` (how a term of the left side is kept), UNSIGNED_RIGHT (1 where the right side is packed with 128 added), and the
   operations

       LOAD_LINE(p)       a vector's lanes of a packed group
       SPREAD(p)          a group of the left side in every lane
       DOT(c, w, x)       c + the lane's products
       ADD(a, b), LOAD(p), STORE(p, x), FILL(i)   on lanes of i32

   Sums wrap, so their order is free; with at most 131,071 terms the result itself never does. */
#include <string.h>

#define NV 2
#define NP (NV * VW)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

/* Terms of a row that are brought together: a tile's rows stay in the first-level cache. */
#define DEPTH 2048
/* Packed bytes that all rows go over while they stay in the second-level cache. */
#define REACH (640 << 10)

#define GROUPS(k) (((k) + GROUP - 1) / GROUP)

int FN(panel_columns_i8)(void) { return NP; }
size_t FN(packed_column_i8)(int k) { return (size_t)GROUPS(k) * BYTES; }

/* Panels of NP columns: group by group, the columns beside one another. */
void FN(pack_i8)(int n, int k, const int8_t *b, size_t ldb, uint8_t *packed) {
    for (int j = 0; j < n; j += NP) {
        uint8_t *panel = packed + (size_t)j * FN(packed_column_i8)(k);
        for (int c = 0; c < NP; c++) {
            const int8_t *row = b + (size_t)(j + c) * ldb;
            for (int g = 0; g < GROUPS(k); g++) {
                uint8_t *lane = panel + ((size_t)g * NP + (size_t)c) * BYTES;
                for (int t = 0; t < GROUP; t++) {
                    int i = g * GROUP + t;
                    int x = j + c < n && i < k ? row[i] : 0;
                    lane[t] = (uint8_t)(x + 128 * UNSIGNED_RIGHT);
                }
            }
        }
    }
}

/* One tile of a block of terms, into c: from what is there where `adds` says so, less 128 times the rows' sums where the right side has 128 added. `columns`
   of the last vector's lanes are the matrix's own. */
INLINE void dots(const int rows, const int vectors, int groups, const held *a, size_t apart, const uint8_t *b, const int32_t *sums,
                 int adds, int columns, int32_t *c, size_t ldc) {
    wv acc[MR * NV];
    UNROLL for (int r = 0; r < rows; r++) {
        /* There when the sums are. */
        UNROLL for (int v = 0; v < vectors; v++) {
            __builtin_prefetch(c + (size_t)r * ldc + v * VW, 1);
            acc[r * vectors + v] = FILL(-128 * UNSIGNED_RIGHT * sums[r]);
        }
    }
    for (int g = 0; g < groups; g++) {
        const uint8_t *line = b + (size_t)g * NP * BYTES;
        wv w[NV];
        UNROLL for (int v = 0; v < vectors; v++) {
            w[v] = LOAD_LINE(line + v * VW * BYTES);
            __builtin_prefetch(line + 8 * NP * BYTES + v * VW * BYTES);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            wv x = SPREAD(a + (size_t)r * apart + (size_t)g * GROUP);
            UNROLL for (int v = 0; v < vectors; v++) acc[r * vectors + v] = DOT(acc[r * vectors + v], w[v], x);
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++) {
            int32_t *to = c + (size_t)r * ldc + v * VW;
            wv x = acc[r * vectors + v];
            int part = columns - v * VW;
            if (part >= VW) {
                if (adds) x = ADD(x, LOAD(to));
                STORE(to, x);
            } else {
                int32_t lanes[VW];
                STORE(lanes, x);
                for (int l = 0; l < part; l++) to[l] = (int32_t)((uint32_t)lanes[l] + (adds ? (uint32_t)to[l] : 0u));
            }
        }
}

#if MR == 12
#define EACH_HEIGHT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#else
#define EACH_HEIGHT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#endif

static void tile_of(int rows, int vectors, int groups, const held *a, size_t apart, const uint8_t *b, const int32_t *sums, int adds,
                    int columns, int32_t *c, size_t ldc) {
#define ONE_WIDE(R) case R: dots(R, 1, groups, a, apart, b, sums, adds, columns, c, ldc); break;
#define TWO_WIDE(R) case R: dots(R, 2, groups, a, apart, b, sums, adds, columns, c, ldc); break;
    if (vectors == 1) switch (rows) { EACH_HEIGHT(ONE_WIDE) }
    else switch (rows) { EACH_HEIGHT(TWO_WIDE) }
}

#if UNSIGNED_RIGHT
/* The product with ones. */
static int32_t row_sum(int n, const held *row) {
    wv total = FILL(0);
    int i = 0;
    for (; i + VW * GROUP <= n; i += VW * GROUP) total = DOT(total, FILL(0x01010101), LOAD(row + i));
    int32_t lanes[VW], sum = 0;
    STORE(lanes, total);
    for (int l = 0; l < VW; l++) sum += lanes[l];
    for (; i < n; i++) sum += row[i];
    return sum;
}
#else
#define row_sum(n, row) 0
#endif

/* Terms [start, start + count) of some rows side by side, zero from a row's extent on and up to a whole group; their sums where they are wanted. */
static void bring(int rows, int start, int count, const int *extents, int k, const int8_t *a, size_t lda, held *to, size_t apart,
                  int32_t *sums) {
    for (int r = 0; r < rows; r++) {
        int extent = extents ? extents[r] : k;
        int taken = extent - start < 0 ? 0 : extent - start < count ? extent - start : count;
        const int8_t *from = a + (size_t)r * lda + (size_t)start;
        held *row = to + (size_t)r * apart;
        for (int i = 0; i < taken; i++) row[i] = from[i];
        for (int i = taken; i < GROUPS(count) * GROUP; i++) row[i] = 0;
        sums[r] = UNSIGNED_RIGHT ? row_sum(taken, row) : 0;
    }
}

void FN(contract_i8)(int m, int n, int k, const int *extents, const int8_t *a, size_t lda, const uint8_t *packed, int32_t *c,
                     size_t ldc) {
    __attribute__((aligned(64))) held rows_held[MR * DEPTH];
    int32_t sums[MR];
    size_t column = FN(packed_column_i8)(k);
    for (int start = 0; start < k || start == 0; start += DEPTH) {
        int count = k - start < DEPTH ? k - start : DEPTH;
        int groups = GROUPS(count);
        int chunk = groups == 0 ? n : (int)(REACH / ((size_t)groups * BYTES)) / NP * NP;
        if (chunk < NP) chunk = NP;
        for (int first = 0; first < n; first += chunk) {
            int end = n - first < chunk ? n : first + chunk;
            for (int i = 0; i < m;) {
                int left = (m - i + MR - 1) / MR;
                int rows = (m - i + left - 1) / left;
                bring(rows, start, count, extents ? extents + i : 0, k, a + (size_t)i * lda, lda, rows_held, DEPTH, sums);
                for (int j = first; j < end; j += NP) {
                    int columns = n - j < NP ? n - j : NP;
                    int vectors = columns <= VW ? 1 : NV;
                    const uint8_t *b = packed + (size_t)j * column + (size_t)(start / GROUP) * NP * BYTES;
                    tile_of(rows, vectors, groups, rows_held, DEPTH, b, sums, start > 0, columns, c + (size_t)i * ldc + (size_t)j, ldc);
                }
                i += rows;
            }
        }
    }
}

/* The left side's rows with all their terms, and their sums before them. */
int FN(tile_rows_i8)(void) { return MR; }

size_t FN(held_bytes_i8)(int k) { return 64 + (size_t)MR * GROUPS(k) * GROUP * sizeof(held); }

void FN(hold_i8)(int rows, int k, const int8_t *a, size_t lda, void *to) {
    bring(rows, 0, k, 0, k, a, lda, (held *)((char *)to + 64), (size_t)GROUPS(k) * GROUP, to);
}

void FN(hold_halves)(int rows, int k, const int8_t *high, const int8_t *low, size_t lda, void *to) {
    held *first = (held *)((char *)to + 64);
    size_t apart = (size_t)GROUPS(k) * GROUP;
    bring(rows, 0, k, 0, k, high, lda, first, apart, to);
    bring(rows, 0, k, 0, k, low, lda, first + (size_t)rows * apart, apart, (int32_t *)to + rows);
}

void FN(held_i8)(int rows, int n, int k, const void *from, const uint8_t *packed, int32_t *c, size_t ldc) {
    const held *a = (const held *)((const char *)from + 64);
    for (int j = 0; j < n; j += NP) {
        int columns = n - j < NP ? n - j : NP;
        tile_of(rows, columns <= VW ? 1 : NV, GROUPS(k), a, (size_t)GROUPS(k) * GROUP, packed + (size_t)j * FN(packed_column_i8)(k), from, 0,
                columns, c + j, ldc);
    }
}

/* Some lanes of a panel's line; a lane's bytes are one term each, with 128 added where the right side has that. */
INLINE void lanes_of(const int count, const uint8_t *restrict line, int shift, int32_t *restrict out) {
    for (int l = 0; l < count; l++) {
        lane_bytes bytes;
        memcpy(&bytes, line + (size_t)l * BYTES, BYTES);
        out[l] = (((int32_t)(bytes >> shift) & 255) ^ (UNSIGNED_RIGHT ? 0 : 128)) - 128;
    }
}

void FN(column_i8)(int n, int k, int term, const uint8_t *packed, int32_t *out) {
    const int shift = 8 * (term % GROUP);
    const size_t panel = NP * FN(packed_column_i8)(k);
    const uint8_t *line = packed + (size_t)(term / GROUP) * NP * BYTES;
    int j = 0;
    for (; j + NP <= n; j += NP, line += panel) lanes_of(NP, line, shift, out + j);
    if (j < n) {
        int32_t lanes[NP];
        lanes_of(NP, line, shift, lanes);
        memcpy(out + j, lanes, (size_t)(n - j) * sizeof(int32_t));
    }
}

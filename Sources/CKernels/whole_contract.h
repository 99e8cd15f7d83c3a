/* i8 × i8 → i32, exact, written once for each width. A file that includes this sets the target and defines VW (i32 lanes of a vector), MR (rows of a
   tile), FN (a name with the variant's suffix), the type `wv`, GROUP (terms that a lane takes at once), BYTES (a lane's packed bytes for them), `held`
   (how a term of the left side is kept), UNSIGNED_RIGHT (1 where the right side is packed with 128 added), and the operations

       LOAD_LINE(p)       a vector's lanes of a packed group
       SPREAD(p)          a group of the left side in every lane
       DOT(c, w, x)       c + the lane's products
       TERM(w, t)         term t of a packed group, in every lane its own
       ADD(a, b), LOAD(p), STORE(p, x), FILL(i)   on lanes of i32
       PASS(p, x)         stores at a multiple of the vector's size, past the caches; SETTLE() before another thread may read it

   Sums wrap, so their order is free; with at most 131,071 terms the result itself never does. */
#include <string.h>

#define NV 2
#define NP (NV * VW)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

/* Groups ahead of which the right side is asked for: it comes from beyond the second-level cache when its first rows go over it. */
#define AHEAD 64

/* Terms of a row that are brought together: a tile's rows stay in the first-level cache. */
#define DEPTH 2048
/* Rows whose sums are kept. */
#define ROWS 3072
/* Packed bytes that all rows go over while they stay in the second-level cache. */
#define REACH (640 << 10)
/* Bytes of a panel that stays in the first-level cache while tiles of some rows, which are in the second-level cache, go over it. */
#define NEAR (24 << 10)
#define BAND 192
/* Results of so many numbers are more than caches hold until somebody reads them: they go past. */
#define FAR_RESULTS ((size_t)1 << 21)

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

typedef float vf __attribute__((ext_vector_type(VW)));
typedef float vfu __attribute__((ext_vector_type(VW), aligned(4)));
typedef int32_t vi __attribute__((ext_vector_type(VW)));

/* The sums of one tile, less 128 times the rows' own where the right side has 128 added. */
INLINE void products(const int rows, const int vectors, int groups, const held *a, size_t apart, const uint8_t *b, const int32_t *sums, wv *out) {
    wv acc[MR * NV];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++) acc[r * vectors + v] = FILL(-128 * UNSIGNED_RIGHT * sums[r]);
    for (int g = 0; g < groups; g++) {
        const uint8_t *line = b + (size_t)g * NP * BYTES;
        wv w[NV];
        UNROLL for (int v = 0; v < vectors; v++) {
            w[v] = LOAD_LINE(line + v * VW * BYTES);
            __builtin_prefetch(line + AHEAD * NP * BYTES + v * VW * BYTES);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            wv x = SPREAD(a + (size_t)r * apart + (size_t)g * GROUP);
            UNROLL for (int v = 0; v < vectors; v++) acc[r * vectors + v] = DOT(acc[r * vectors + v], w[v], x);
        }
    }
    UNROLL for (int t = 0; t < rows * vectors; t++) out[t] = acc[t];
}

/* What becomes of a tile's sums: they are added to what is there, or take its place, near or past the caches. */
typedef enum { REPLACES, ADDS, PASSES } ending;

/* One tile of a block of terms, into c. `columns` of the last vector's lanes are the matrix's own: all of them where the sums pass. */
INLINE void dots(const int rows, const int vectors, int groups, const held *a, size_t apart, const uint8_t *b, const int32_t *sums,
                 ending end, int columns, int32_t *c, size_t ldc) {
    wv acc[MR * NV];
    if (end == PASSES) {
        products(rows, vectors, groups, a, apart, b, sums, acc);
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < vectors; v++) PASS(c + (size_t)r * ldc + v * VW, acc[r * vectors + v]);
        return;
    }
    /* There when the sums are. */
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++) __builtin_prefetch(c + (size_t)r * ldc + v * VW, 1);
    products(rows, vectors, groups, a, apart, b, sums, acc);
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++) {
            int32_t *to = c + (size_t)r * ldc + v * VW;
            wv x = acc[r * vectors + v];
            int part = columns - v * VW;
            if (part >= VW) {
                if (end == ADDS) x = ADD(x, LOAD(to));
                STORE(to, x);
            } else {
                int32_t lanes[VW];
                STORE(lanes, x);
                for (int l = 0; l < part; l++) to[l] = (int32_t)((uint32_t)lanes[l] + (end == ADDS ? (uint32_t)to[l] : 0u));
            }
        }
}

#if MR == 12
#define EACH_HEIGHT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#else
#define EACH_HEIGHT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#endif

static void tile_of(int rows, int vectors, int groups, const held *a, size_t apart, const uint8_t *b, const int32_t *sums, ending end,
                    int columns, int32_t *c, size_t ldc) {
#define ONE_WIDE(R) case R: dots(R, 1, groups, a, apart, b, sums, end, columns, c, ldc); break;
#define TWO_WIDE(R) case R: dots(R, 2, groups, a, apart, b, sums, end, columns, c, ldc); break;
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

/* Whether a block of terms is read as it lies: all rows have it to whole groups, lines of its rows do not push one another out of the first-level cache, and
   rows are long: short ones come faster when they are brought together. */
INLINE int lies_well(int count, const int *extents, size_t lda) {
    return sizeof(held) == 1 && !extents && count % GROUP == 0 && count >= DEPTH / 2 && lda % 4096 != 0;
}

/* Whether a whole panel's sums go past the caches: where lines of the result are whole, too. */
INLINE int passes(int m, int n, const int32_t *c, size_t ldc) {
    return (size_t)m * (size_t)n >= FAR_RESULTS && (uintptr_t)c % 64 == 0 && ldc % 16 == 0;
}

/* Few terms: a tile takes so little time that panels from the second-level cache would be what it waits for. So panels stay, and rows, which are a third of
   the bytes, go over them as they lie. */
static void contract_near(int m, int n, int k, const held *a, size_t lda, const uint8_t *packed, int32_t *c, size_t ldc) {
    int32_t sums[BAND];
    int past = passes(m, n, c, ldc);
    for (int above = 0; above < m; above += BAND) {
        int below = m - above < BAND ? m : above + BAND;
        for (int i = above; i < below; i++) sums[i - above] = row_sum(k, a + (size_t)i * lda);
        for (int j = 0; j < n; j += NP) {
            int columns = n - j < NP ? n - j : NP;
            for (int i = above; i < below;) {
                int left = (below - i + MR - 1) / MR;
                int rows = (below - i + left - 1) / left;
                tile_of(rows, columns <= VW ? 1 : NV, GROUPS(k), a + (size_t)i * lda, lda, packed + (size_t)j * FN(packed_column_i8)(k),
                        sums + (i - above), past && columns == NP ? PASSES : REPLACES, columns, c + (size_t)i * ldc + (size_t)j, ldc);
                i += rows;
            }
        }
    }
    if (past) SETTLE();
}

/* Asks for a part of the rows of the next tile, `part` of `parts`: where they come from beyond the second-level cache, its first panel would else wait for them. */
static __attribute__((noinline)) void ask_rows(int rows, int count, const held *a, size_t apart, int part, int parts) {
    int lines = (count + 63) / 64, each = lines / parts + 1;
    for (int line = part * each; line < lines && line < (part + 1) * each; line++)
        for (int r = 0; r < rows; r++) __builtin_prefetch(a + (size_t)r * apart + (size_t)line * 64);
}

void FN(contract_i8)(int m, int n, int k, const int *extents, const int8_t *a, size_t lda, const uint8_t *packed, int32_t *c,
                     size_t ldc) {
    if (sizeof(held) == 1 && !extents && k > 0 && k % GROUP == 0 && FN(packed_column_i8)(k) * NP <= NEAR && lda % 4096 != 0 && m >= 2 * MR) {
        contract_near(m, n, k, (const held *)(const void *)a, lda, packed, c, ldc);
        return;
    }
    __attribute__((aligned(64))) held rows_held[MR * DEPTH];
    int32_t row_sums[ROWS], few_sums[MR];
    size_t column = FN(packed_column_i8)(k);
    int past = k <= DEPTH && passes(m, n, c, ldc);
    for (int above = 0; above < m; above += ROWS) {
        int below = m - above < ROWS ? m : above + ROWS;
        for (int start = 0; start < k || start == 0; start += DEPTH) {
            int count = k - start < DEPTH ? k - start : DEPTH;
            int groups = GROUPS(count);
            int lies = lies_well(count, extents, lda);
            int far = lies && (size_t)(below - above) * (size_t)count > REACH;
            for (int i = above; i < below && lies; i++)
                row_sums[i - above] = row_sum(count, (const held *)(const void *)(a + (size_t)i * lda + (size_t)start));
            int chunk = groups == 0 ? n : (int)(REACH / ((size_t)groups * BYTES)) / NP * NP;
            if (chunk < NP) chunk = NP;
            for (int first = 0; first < n; first += chunk) {
                int end = n - first < chunk ? n : first + chunk;
                for (int i = above; i < below;) {
                    int left = (below - i + MR - 1) / MR;
                    int rows = (below - i + left - 1) / left;
                    const held *from = rows_held;
                    const int32_t *sums = few_sums;
                    size_t apart = DEPTH;
                    if (lies) {
                        from = (const held *)(const void *)(a + (size_t)i * lda + (size_t)start);
                        sums = row_sums + (i - above);
                        apart = lda;
                    } else {
                        bring(rows, start, count, extents ? extents + i : 0, k, a + (size_t)i * lda, lda, rows_held, DEPTH, few_sums);
                    }
                    for (int j = first; j < end; j += NP) {
                        int columns = n - j < NP ? n - j : NP;
                        int vectors = columns <= VW ? 1 : NV;
                        const uint8_t *b = packed + (size_t)j * column + (size_t)(start / GROUP) * NP * BYTES;
                        if (far && i + rows < below)
                            ask_rows(below - i - rows < rows ? below - i - rows : rows, count, from + (size_t)rows * apart, apart, (j - first) / NP, (end - first + NP - 1) / NP);
                        tile_of(rows, vectors, groups, from, apart, b, sums, start > 0 ? ADDS : past && columns == NP ? PASSES : REPLACES, columns, c + (size_t)i * ldc + (size_t)j, ldc);
                    }
                    i += rows;
                }
            }
        }
    }
    if (past) SETTLE();
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
        tile_of(rows, columns <= VW ? 1 : NV, GROUPS(k), a, (size_t)GROUPS(k) * GROUP, packed + (size_t)j * FN(packed_column_i8)(k), from, REPLACES,
                columns, c + j, ldc);
    }
}

/* A tile of a whole panel as scaled numbers: f32(Σ)·scale + top·f32(b at the place), one rounding, times the column's scale, then a bias and what is added
   where there are some. A NaN's form is nobody's business before the last step. */
INLINE void scaled(const int rows, int groups, const held *a, size_t apart, const uint8_t *b, const int32_t *sums, const float *scale, const float *top,
                   const int32_t *place, const float *columns, const float *bias, const float *residual, size_t ldr, float *c, size_t ldc) {
    wv acc[MR * NV];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < NV; v++) {
            __builtin_prefetch(c + (size_t)r * ldc + v * VW, 1);
            if (residual) __builtin_prefetch(residual + (size_t)r * ldr + v * VW);
        }
    products(rows, NV, groups, a, apart, b, sums, acc);
    vf by[NV], more[NV];
    UNROLL for (int v = 0; v < NV; v++) {
        by[v] = *(const vfu *)(columns + v * VW);
        more[v] = bias ? *(const vfu *)(bias + v * VW) : (vf)(-0.0f);
    }
    UNROLL for (int r = 0; r < rows; r++) {
        const uint8_t *line = b + (size_t)(place[r] / GROUP) * NP * BYTES;
        UNROLL for (int v = 0; v < NV; v++) {
            vf alone = top[r] * __builtin_convertvector((vi)TERM(LOAD_LINE(line + v * VW * BYTES), place[r] % GROUP), vf);
            vf y = __builtin_elementwise_fma(__builtin_convertvector((vi)acc[r * NV + v], vf), (vf)scale[r], alone) * by[v];
            y += more[v];
            if (residual) y += *(const vfu *)(residual + (size_t)r * ldr + v * VW);
            *(vfu *)(c + (size_t)r * ldc + v * VW) = y == y ? y : (vf)__builtin_nanf("");
        }
    }
}

static void scaled_tile(int rows, int groups, const held *a, size_t apart, const uint8_t *b, const int32_t *sums, const float *scale, const float *top,
                        const int32_t *place, const float *columns, const float *bias, const float *residual, size_t ldr, float *c, size_t ldc) {
#define SCALED(R) case R: scaled(R, groups, a, apart, b, sums, scale, top, place, columns, bias, residual, ldr, c, ldc); break;
    switch (rows) { EACH_HEIGHT(SCALED) }
#undef SCALED
}

void FN(scaled_i8)(int rows, int n, int k, const void *from, const uint8_t *packed, const float *scale, const float *top, const int32_t *place,
                   const float *columns, const float *bias, const float *residual, size_t ldr, float *c, size_t ldc) {
    const held *a = (const held *)((const char *)from + 64);
    const int groups = GROUPS(k);
    int j = 0;
    for (; j + NP <= n; j += NP)
        scaled_tile(rows, groups, a, (size_t)groups * GROUP, packed + (size_t)j * FN(packed_column_i8)(k), from, scale, top, place, columns + j,
                    bias ? bias + j : NULL, residual ? residual + j : NULL, ldr, c + j, ldc);
    if (j == n) return;
    /* The last columns in a panel of their own. */
    float by[NP] = {0}, more[NP] = {0}, added[MR * NP] = {0}, out[MR * NP];
    size_t part = (size_t)(n - j) * sizeof(float);
    memcpy(by, columns + j, part);
    if (bias) memcpy(more, bias + j, part);
    for (int r = 0; r < rows && residual; r++) memcpy(added + r * NP, residual + (size_t)r * ldr + (size_t)j, part);
    scaled_tile(rows, groups, a, (size_t)groups * GROUP, packed + (size_t)j * FN(packed_column_i8)(k), from, scale, top, place, by,
                bias ? more : NULL, residual ? added : NULL, NP, out, NP);
    for (int r = 0; r < rows; r++) memcpy(c + (size_t)r * ldc + (size_t)j, out + r * NP, part);
}

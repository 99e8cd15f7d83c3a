/* Integer reductions, extremes with their places, sorting and the selected contraction: rule 5 and the orders of docs/numerics.md. */
#include "CKernels.h"
#include "bits.h"
#include <math.h>
#include <string.h>

static inline int64_t key_of(float x) {
    if (x != x) return INT64_MAX;
    int32_t u = (int32_t)bits_of(x);
    return u >= 0 ? u : -(int64_t)(u & 0x7FFFFFFF);
}

size_t pk_row_argmin_f32(const float *x, size_t n) {
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != x[i]) return i;
        if (key_of(x[i]) < key_of(x[best])) best = i;
    }
    return best;
}

void pk_row_prefix_argument_f32(const float *x, size_t n, size_t extent, int largest, int32_t *out) {
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (i < extent && x[best] == x[best]) {
            int nan = x[i] != x[i];
            if (nan || (largest ? key_of(x[i]) > key_of(x[best]) : key_of(x[i]) < key_of(x[best]))) best = i;
        }
        out[i] = (int32_t)best;
    }
}

void pk_row_prefix_extreme_f32(const float *x, size_t n, size_t extent, int largest, float *out) {
    float best = largest ? -INFINITY : INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (i < extent && best == best) {
            if (x[i] != x[i] || (largest ? x[i] > best : x[i] < best)) best = x[i];
        }
        out[i] = best != best ? canonical(best) : best == 0 ? 0.0f : best;
    }
}

void pk_row_prefix_sum_f32(const float *x, size_t n, size_t extent, float *out) {
    float before = 0.0f;
    for (size_t start = 0; start < n; start += 256) {
        size_t end = start + 256 < n ? start + 256 : n;
        size_t take = extent < start ? start : extent < end ? extent : end;
        /* The chunk's sum first: out may be x. */
        float lane[32] = {0};
        for (size_t i = start; i < take; i++) lane[(i - start) % 32] += x[i];
        for (int width = 16; width >= 1; width /= 2)
            for (int l = 0; l < width; l++) lane[l] += lane[l + width];
        float chain = 0.0f;
        for (size_t i = start; i < end; i++) {
            if (i < take) chain += x[i];
            out[i] = canonical((before + chain) + 0.0f);
        }
        before += lane[0];
    }
}

#define REDUCE(T, U, LEAST, MOST)                                                                                      \
    for (int64_t r = 0; r < rows; r++) {                                                                               \
        const T *row = (const T *)x + r * stride;                                                                      \
        int64_t take = extents ? extents[r] : n;                                                                       \
        U sum = 0;                                                                                                     \
        int64_t place = 0;                                                                                             \
        T best = reduction == PK_MAXIMUM || reduction == PK_ARGMAX ? LEAST : MOST;                                     \
        for (int64_t i = 0; i < (prefix ? n : take); i++) {                                                            \
            if (i < take) {                                                                                            \
                sum += (U)row[i];                                                                                      \
                int better = reduction == PK_MAXIMUM || reduction == PK_ARGMAX ? row[i] > best : row[i] < best;        \
                if (better) { best = row[i]; place = i; }                                                              \
            }                                                                                                          \
            if (!prefix) continue;                                                                                     \
            if (reduction >= PK_ARGMAX) ((int32_t *)out)[r * n + i] = (int32_t)place;                                  \
            else ((T *)out)[r * n + i] = reduction == PK_SUM ? (T)sum : best;                                          \
        }                                                                                                              \
        if (prefix) continue;                                                                                          \
        if (reduction >= PK_ARGMAX) ((int32_t *)out)[r] = (int32_t)place;                                              \
        else ((T *)out)[r] = reduction == PK_SUM ? (T)sum : best;                                                      \
    }

void pk_reduce_whole(int type, pk_reduction reduction, int prefix, int64_t rows, int64_t n, int64_t stride, const void *x,
                     const int32_t *extents, void *out) {
    if (type == PK_I32) {
        REDUCE(int32_t, uint32_t, INT32_MIN, INT32_MAX)
    } else {
        REDUCE(int64_t, uint64_t, INT64_MIN, INT64_MAX)
    }
}

typedef struct {
    int64_t key;
    int32_t index;
} sorted;

size_t pk_sort_scratch(int64_t n) { return (size_t)n * 2 * sizeof(sorted); }

/* Bottom-up merging from runs of eight, which insertion makes: stable, and n log n at the worst. Answers where the result lies. */
static sorted *merged(int64_t n, sorted *a, sorted *b) {
    for (int64_t start = 0; start < n; start += 8) {
        int64_t end = start + 8 < n ? start + 8 : n;
        for (int64_t i = start + 1; i < end; i++) {
            sorted held = a[i];
            int64_t j = i;
            for (; j > start && a[j - 1].key > held.key; j--) a[j] = a[j - 1];
            a[j] = held;
        }
    }
    for (int64_t width = 8; width < n; width *= 2) {
        for (int64_t start = 0; start < n; start += 2 * width) {
            int64_t middle = start + width < n ? start + width : n, end = start + 2 * width < n ? start + 2 * width : n;
            int64_t i = start, j = middle;
            for (int64_t k = start; k < end; k++) b[k] = i < middle && (j >= end || a[i].key <= a[j].key) ? a[i++] : a[j++];
        }
        sorted *t = a;
        a = b;
        b = t;
    }
    return a;
}

/* From the lowest byte of the keys to the highest, each stable. Of keys of 32 bits the highest says what all four above them do: the sign, and which is NaN. A byte that
   all keys share is passed over. */
static sorted *by_bytes(int64_t n, sorted *a, sorted *b, int is_narrow) {
    int64_t counts[8][256] = {{0}};
    for (int64_t i = 0; i < n; i++) {
        uint64_t key = (uint64_t)a[i].key ^ (UINT64_C(1) << 63);
        for (int byte = 0; byte < 8; byte++) counts[byte][key >> 8 * byte & 255]++;
    }
    for (int byte = 0; byte < 8; byte++) {
        int64_t *next = counts[byte], sum = 0;
        uint64_t one = (uint64_t)a[0].key ^ (UINT64_C(1) << 63);
        if (is_narrow && byte > 3 && byte < 7) continue;
        if (next[one >> 8 * byte & 255] == n) continue;
        for (int digit = 0; digit < 256; digit++) {
            int64_t count = next[digit];
            next[digit] = sum;
            sum += count;
        }
        for (int64_t i = 0; i < n; i++) {
            uint64_t key = (uint64_t)a[i].key ^ (UINT64_C(1) << 63);
            b[next[key >> 8 * byte & 255]++] = a[i];
        }
        sorted *t = a;
        a = b;
        b = t;
    }
    return a;
}

static inline __attribute__((always_inline)) int64_t sort_key(int type, int64_t i, const void *x, int descending) {
    int64_t key = type == PK_F32 ? key_of(((const float *)x)[i]) : type == PK_I32 ? ((const int32_t *)x)[i] : ((const int64_t *)x)[i];
    /* ~ turns the order round without overflow. */
    return descending ? ~key : key;
}

/* The highest eleven bits of a key: those of 32 bits where it has no more, and a NaN is with the greatest of them. */
#define DIGITS 2048
static inline __attribute__((always_inline)) int64_t first_digit(int type, int64_t key) {
    if (type == PK_I64) return (int64_t)(((uint64_t)key ^ (UINT64_C(1) << 63)) >> 53);
    int64_t near = key > INT32_MAX ? INT32_MAX : key < INT32_MIN ? INT32_MIN : key;
    return (near + (INT64_C(1) << 31)) >> 21;
}

/* Brings keys and places together, in order of the places; where fewer than all are wanted only those whose first digits may be among them. Says how many. */
static inline __attribute__((always_inline)) int64_t candidates(int type, int64_t n, int64_t limit, const void *x, int descending, sorted *a) {
    int64_t last = DIGITS;
    if (limit < n) {
        int32_t counts[DIGITS] = {0};
        for (int64_t i = 0; i < n; i++) counts[first_digit(type, sort_key(type, i, x, descending))]++;
        int64_t sum = 0;
        for (last = 0; last < DIGITS - 1; last++) {
            sum += counts[last];
            if (sum >= limit) break;
        }
    }
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t key = sort_key(type, i, x, descending);
        if (last < DIGITS && first_digit(type, key) > last) continue;
        a[count].key = key;
        a[count++].index = (int32_t)i;
    }
    return count;
}

void pk_sort_row(int type, int64_t n, int64_t limit, const void *x, int descending, int32_t *out, void *scratch) {
    sorted *a = scratch;
    if (n < 512 || limit > n / 8) limit = n;
    int64_t count;
    switch (type) {
    case PK_F32: count = descending ? candidates(PK_F32, n, limit, x, 1, a) : candidates(PK_F32, n, limit, x, 0, a); break;
    case PK_I32: count = descending ? candidates(PK_I32, n, limit, x, 1, a) : candidates(PK_I32, n, limit, x, 0, a); break;
    default: count = descending ? candidates(PK_I64, n, limit, x, 1, a) : candidates(PK_I64, n, limit, x, 0, a); break;
    }
    sorted *end = count < 512 ? merged(count, a, a + count) : by_bytes(count, a, a + count, type != PK_I64);
    for (int64_t i = 0; i < limit; i++) out[i] = end[i].index;
}

size_t pk_selected_scratch(int n) { return (size_t)n * 256 * sizeof(float) + 256 * sizeof(int32_t); }

void pk_selected_contract_f32(int m, int n, int64_t k, const int32_t *index, const float *b, int64_t row, int64_t step, float *out,
                              void *scratch) {
    float *partial = scratch;
    int32_t *named = (int32_t *)(void *)(partial + (size_t)n * 256);
    memset(out, 0, (size_t)m * (size_t)n * sizeof(float));
    for (int64_t start = 0; start < k; start += 256) {
        int64_t end = start + 256 < k ? start + 256 : k;
        int count = 0;
        for (int64_t i = start; i < end; i++) {
            if (index[i] < 0 || index[i] >= m) continue;
            int slot = 0;
            while (slot < count && named[slot] != index[i]) slot++;
            float *p = partial + (size_t)slot * (size_t)n;
            if (slot == count) {
                named[count++] = index[i];
                memset(p, 0, (size_t)n * sizeof(float));
            }
            if (row == 1) {
                for (int d = 0; d < n; d++) p[d] += b[i * step + d];
            } else {
                for (int d = 0; d < n; d++) p[d] += b[(int64_t)d * row + i * step];
            }
        }
        for (int slot = 0; slot < count; slot++) {
            float *o = out + (size_t)named[slot] * (size_t)n;
            const float *p = partial + (size_t)slot * (size_t)n;
            for (int d = 0; d < n; d++) o[d] += p[d];
        }
    }
    /* A segment in which nothing takes part would add +0: that changes no sum but −0, which ends as +0 anyway. */
    for (size_t i = 0; i < (size_t)m * (size_t)n; i++) out[i] = canonical(out[i] + 0.0f);
}

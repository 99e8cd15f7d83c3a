#pragma once
#include <stddef.h>
#include <stdint.h>

/* `gather`, sorting and reductions over rows, for the general executor. Plain C: they move memory, or are rare. */

#define PK_GATHER_RANK 12

typedef struct {
    /* ((offset + table + Σ coefficient·coordinate) ÷ quotient) mod modulus; modulus 0 for none. */
    int64_t offset;
    int64_t coefficient[PK_GATHER_RANK];
    /* An i32 tensor, read at Σ table_stride·coordinate; NULL for none. */
    const int32_t *table;
    int64_t table_stride[PK_GATHER_RANK];
    int64_t quotient, modulus;
    int32_t exact;
    /* The source's axis: its size, and elements between successive places. */
    int64_t size, stride;
} pk_coordinate;

typedef struct {
    /* A box of the result: its size on each axis, and the result's elements between successive places. Coordinates count from the result's
       corner, so `start` is added. */
    int32_t rank;
    int64_t start[PK_GATHER_RANK], count[PK_GATHER_RANK], stride[PK_GATHER_RANK];
    int32_t coordinates;
    pk_coordinate coordinate[PK_GATHER_RANK];
    /* An axis of which at most one place applies, as an exact coordinate with coefficient 1 there and a quotient of at least the axis's size says; −1
       for none. Its count is to be 1, `pinned_count` what it was; the coordinate's table may not vary along the axis, nor along the last one unless
       that is it; and no other coordinate may leave the source. */
    int32_t pinned, pinned_coordinate;
    int64_t pinned_count;
    const void *source;
    /* Bytes an element: 1, 2, 4 or 8. */
    int32_t element;
    uint64_t fill;
} pk_gather;

/* How many rows (all axes but the last) the box has. */
int64_t pk_gather_rows(const pk_gather *gather);
/* Rows [first, last) of the box; `out` is the result's first element. Where `exact` forbids, the result keeps what it has; outside the source it gets
   the fill. */
void pk_gather_run(const pk_gather *gather, int64_t first, int64_t last, void *out);

/* Fills count elements. */
void pk_fill(int element, uint64_t value, int64_t count, void *out);

typedef enum { PK_SUM = 0, PK_MAXIMUM = 1, PK_MINIMUM = 2, PK_ARGMAX = 3, PK_ARGMIN = 4 } pk_reduction;

/* Integer rows (type PK_I32 or PK_I64), n long and `stride` apart; extents clamp each row, NULL for n. Sums wrap. Argument results are i32. */
void pk_reduce_whole(int type, pk_reduction reduction, int prefix, int64_t rows, int64_t n, int64_t stride, const void *x,
                     const int32_t *extents, void *out);
/* The least by rule 5's order: NaN wins, ties to the lowest index. */
size_t pk_row_argmin_f32(const float *x, size_t n);
/* Every partial extreme of a row, or its index; beyond the extent the last is repeated. */
void pk_row_prefix_extreme_f32(const float *x, size_t n, size_t extent, int largest, float *out);
void pk_row_prefix_argument_f32(const float *x, size_t n, size_t extent, int largest, int32_t *out);
/* The prefix sum with an extent: terms from it on do not take part. */
void pk_row_prefix_sum_f32(const float *x, size_t n, size_t extent, float *out);

/* Stable argsort of one row; keys of f32 by rule 5, NaN above all. Of the places at least the first `limit` ≤ n are written. Scratch: pk_sort_scratch(n) bytes. */
size_t pk_sort_scratch(int64_t n);
void pk_sort_row(int type, int64_t n, int64_t limit, const void *x, int descending, int32_t *out, void *scratch);

/* out[index[i], :] gets b[:, i] in SEG order over i: element (d, i) of b lies at b[d·row + i·step]; out is [m, n]. Scratch: 256·n floats and 256 ints. */
size_t pk_selected_scratch(int n);
void pk_selected_contract_f32(int m, int n, int64_t k, const int32_t *index, const float *b, int64_t row, int64_t step, float *out,
                              void *scratch);

#pragma once
#include "CGather.h"
#include "CMap.h"

/* Maps and reductions that belong together row by row, in blocks of rows that go through all of them while they are in the cache. */

typedef struct {
    /* Axes over which rows are counted, row-major, and the elements between successive places; rank 0 for one row. */
    int32_t rank;
    int64_t shape[PK_MAP_RANK], stride[PK_MAP_RANK];
} pk_row_axes;

typedef struct {
    /* A map, or a reduction of rows. */
    int32_t is_map;
    /* Elements of a row of the value, and bytes of one. */
    int64_t width, size;
    /* Where row 0 lies; or NULL for one that nothing else reads: then its block lies so many bytes into the scratch. */
    void *out;
    size_t scratch;

    /* A map; the bases of its inputs are filled in. */
    pk_map map;
    /* Where its registers lie in the scratch, and whether they are its own, so that constants stay there. */
    size_t registers;
    int32_t keeps;

    /* A reduction: of `length` elements from the row's start on. */
    uint8_t type;
    int32_t prefix;
    pk_reduction reduction;
    int64_t length;
    pk_row_axes rows;
    /* Whether an i32 tensor says how many of them take part, and where it is read. */
    int32_t has_extents;
    pk_row_axes extents;

    /* What is read: inputs of a map; what is reduced and its extents. The number of a member of which nothing is in memory, or −1; the first element, or
       where it lies in elements from the member's first. */
    int32_t member[4];
    const void *base[4];
    int64_t offset[4];
} pk_row_member;

/* Rows [first, last), `block` at a time. Members are changed: each thread has its own. */
void pk_rows_run(pk_variant variant, pk_row_member *members, int32_t count, int64_t first, int64_t last, int64_t block, void *scratch);

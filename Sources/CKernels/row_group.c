/* Groups of maps and reductions over rows. */
#include "CRows.h"
#include "CKernels.h"

static int64_t place(const pk_row_axes *axes, int64_t row) {
    if (axes->rank == 1) return row * axes->stride[0];
    int64_t offset = 0;
    for (int a = axes->rank - 1; a >= 0; a--) {
        offset += row % axes->shape[a] * axes->stride[a];
        row /= axes->shape[a];
    }
    return offset;
}

/* Where row 0 of a member's value would lie: only the block's rows are touched, and those of one that has no memory start its scratch. */
static char *start(const pk_row_member *m, int64_t row, char *scratch) {
    if (m->out) return m->out;
    return (char *)((uintptr_t)(scratch + m->scratch) - (uintptr_t)(row * m->width * m->size));
}

static const char *source(const pk_row_member *members, const pk_row_member *m, int32_t number, int64_t row, char *scratch) {
    if (m->member[number] < 0) return m->base[number];
    const pk_row_member *from = &members[m->member[number]];
    return start(from, row, scratch) + m->offset[number] * from->size;
}

static void reduce_floats(pk_variant v, const pk_row_member *m, const float *x, size_t take, int64_t row, void *out) {
    size_t n = (size_t)m->length;
    float *floats = (float *)out + row * (m->prefix ? m->length : 1);
    int32_t *places = (int32_t *)(void *)floats;
    if (m->prefix) {
        switch (m->reduction) {
        case PK_SUM: pk_row_prefix_sum_f32(x, n, take, floats); return;
        case PK_MAXIMUM: pk_row_prefix_extreme_f32(x, n, take, 1, floats); return;
        case PK_MINIMUM: pk_row_prefix_extreme_f32(x, n, take, 0, floats); return;
        case PK_ARGMAX: pk_row_prefix_argument_f32(x, n, take, 1, places); return;
        case PK_ARGMIN: pk_row_prefix_argument_f32(x, n, take, 0, places); return;
        }
    }
    switch (m->reduction) {
    case PK_SUM: *floats = pk_row_sum_f32(v, x, take); return;
    case PK_MAXIMUM: *floats = pk_row_extreme_f32(v, x, take, 1); return;
    case PK_MINIMUM: *floats = pk_row_extreme_f32(v, x, take, 0); return;
    case PK_ARGMAX: *places = (int32_t)pk_row_argument_f32(v, x, take, 1); return;
    case PK_ARGMIN: *places = (int32_t)pk_row_argument_f32(v, x, take, 0); return;
    }
}

static void reduce(pk_variant v, const pk_row_member *members, const pk_row_member *m, int64_t first, int64_t last, char *scratch) {
    const char *x = source(members, m, 0, first, scratch);
    const int32_t *table = m->has_extents ? (const int32_t *)(const void *)source(members, m, 1, first, scratch) : NULL;
    char *out = start(m, first, scratch);
    int64_t input = m->type == PK_I64 ? 8 : 4;
    for (int64_t row = first; row < last; row++) {
        int64_t take = m->length;
        if (table) {
            int32_t extent = table[place(&m->extents, row)];
            if (extent < take) take = extent < 0 ? 0 : extent;
        }
        const char *from = x + place(&m->rows, row) * input;
        if (m->type == PK_F32) {
            reduce_floats(v, m, (const float *)(const void *)from, (size_t)take, row, out);
        } else {
            int32_t extent = (int32_t)take;
            pk_reduce_whole(m->type, m->reduction, m->prefix, 1, m->length, m->length, from, &extent, out + row * m->width * m->size);
        }
    }
}

void pk_rows_run(pk_variant v, pk_row_member *members, int32_t count, int64_t first, int64_t last, int64_t block, void *scratch) {
    for (int64_t row = first; row < last; row += block) {
        int64_t end = last - row < block ? last : row + block;
        for (int32_t k = 0; k < count; k++) {
            pk_row_member *m = &members[k];
            if (!m->is_map) {
                reduce(v, members, m, row, end, scratch);
                continue;
            }
            for (int32_t i = 0; i < m->map.inputs; i++) m->map.input[i].base = source(members, m, i, row, scratch);
            pk_map_run(v, &m->map, row * m->width, (end - row) * m->width, start(m, row, scratch), (char *)scratch + m->registers);
            /* The first block is the largest. */
            m->map.filled = (uint8_t)m->keeps;
        }
    }
}

#include "CGather.h"
#include <string.h>

int64_t pk_gather_rows(const pk_gather *g) {
    int64_t rows = 1;
    for (int a = 0; a < g->rank - 1; a++) rows *= g->count[a];
    return rows;
}

void pk_fill(int element, uint64_t value, int64_t count, void *out) {
    switch (element) {
    case 1: memset(out, (int)(value & 0xFF), (size_t)count); break;
    case 2: { uint16_t *o = out; for (int64_t i = 0; i < count; i++) o[i] = (uint16_t)value; } break;
    case 4: { uint32_t *o = out; for (int64_t i = 0; i < count; i++) o[i] = (uint32_t)value; } break;
    default: { uint64_t *o = out; for (int64_t i = 0; i < count; i++) o[i] = value; } break;
    }
}

/* A run of `count` elements, `from` and `to` apart by their strides. */
static void copy_run(int element, int64_t count, const char *source, int64_t from, char *out, int64_t to) {
    if (from == 1 && to == 1) {
        memcpy(out, source, (size_t)(count * element));
        return;
    }
#define COPY(T)                                                                                                        \
    {                                                                                                                  \
        const T *s = (const T *)(const void *)source;                                                                  \
        T *o = (T *)(void *)out;                                                                                       \
        if (from == 0 && to == 1) {                                                                                    \
            T x = *s;                                                                                                  \
            for (int64_t i = 0; i < count; i++) o[i] = x;                                                              \
        } else if (to == 1) {                                                                                          \
            for (int64_t i = 0; i < count; i++) o[i] = s[i * from];                                                    \
        } else {                                                                                                       \
            for (int64_t i = 0; i < count; i++) o[i * to] = s[i * from];                                               \
        }                                                                                                              \
        break;                                                                                                         \
    }
    switch (element) {
    case 1: COPY(uint8_t)
    case 2: COPY(uint16_t)
    case 4: COPY(uint32_t)
    default: COPY(uint64_t)
    }
#undef COPY
}

static void fill_run(int element, uint64_t value, int64_t count, char *out, int64_t to) {
    if (to == 1) {
        pk_fill(element, value, count, out);
        return;
    }
    for (int64_t i = 0; i < count; i++) pk_fill(element, value, 1, out + i * to * element);
}

/* The quotient toward minus infinity, so that −1 stays outside. */
static int64_t floor_divide(int64_t x, int64_t y) { return x >= 0 ? x / y : -((y - 1 - x) / y); }

typedef enum { INSIDE, OUTSIDE, SKIPPED } placed;

/* A coordinate's place in the source for a numerator. */
static placed place(const pk_coordinate *c, int64_t value, int64_t *out) {
    if (c->quotient != 1) {
        if (c->exact && value % c->quotient != 0) return SKIPPED;
        value = floor_divide(value, c->quotient);
    }
    if (c->modulus != 0) value = ((value % c->modulus) + c->modulus) % c->modulus;
    if (value < 0 || value >= c->size) return OUTSIDE;
    *out = value;
    return INSIDE;
}

/* Whether every place of the box lies in the source and in even steps: then where the box's first element lies in it, and the steps of the axes. */
static int even_steps(const pk_gather *g, int64_t *from, int64_t *step) {
    if (g->pinned >= 0 || g->rank < 1) return 0;
    *from = 0;
    for (int a = 0; a < g->rank; a++) step[a] = 0;
    for (int c = 0; c < g->coordinates; c++) {
        const pk_coordinate *k = &g->coordinate[c];
        if (k->table || k->quotient != 1 || k->modulus != 0) return 0;
        __int128 low = k->offset, high;
        for (int a = 0; a < g->rank; a++) low += (__int128)k->coefficient[a] * g->start[a];
        __int128 begin = low;
        high = low;
        for (int a = 0; a < g->rank; a++) {
            __int128 end = (__int128)k->coefficient[a] * (g->count[a] - 1);
            if (end < 0) low += end;
            else high += end;
        }
        if (low < 0 || high >= k->size) return 0;
        *from += (int64_t)begin * k->stride;
        /* The coefficient of an axis of one place says nothing and may be any number. */
        for (int a = 0; a < g->rank; a++) if (g->count[a] > 1) step[a] += k->coefficient[a] * k->stride;
    }
    return 1;
}

/* Rows of such a box: from one to the next by additions alone. */
static void gather_even(const pk_gather *g, int64_t first, int64_t last, int64_t from, const int64_t *step, char *out) {
    /* A box without rows has an axis of no places, by which nothing can be divided. */
    if (first >= last) return;
    int inner = g->rank - 1, element = g->element;
    int64_t n = g->count[inner], to = 0, at[PK_GATHER_RANK], rest = first;
    for (int a = 0; a < g->rank; a++) to += g->start[a] * g->stride[a];
    for (int a = inner - 1; a >= 0; a--) {
        at[a] = rest % g->count[a];
        rest /= g->count[a];
        from += at[a] * step[a];
        to += at[a] * g->stride[a];
    }
    for (int64_t row = first; row < last; row++) {
        const char *source = (const char *)g->source + from * element;
        char *target = out + to * element;
        if (element == 4 && n <= 64 && n % 8 == 0 && step[inner] == 1 && g->stride[inner] == 1) {
            for (int64_t i = 0; i < n; i += 8) memcpy(target + 4 * i, source + 4 * i, 32);
        } else {
            copy_run(element, n, source, step[inner], target, g->stride[inner]);
        }
        for (int a = inner - 1; a >= 0; a--) {
            from += step[a];
            to += g->stride[a];
            if (++at[a] < g->count[a]) break;
            from -= at[a] * step[a];
            to -= at[a] * g->stride[a];
            at[a] = 0;
        }
    }
}

/* So many places are written out at the most: 32 KiB of stack. */
#define PLACES 4096
/* Instead of an offset, which may be below zero: all that is not INSIDE is at most IS_SKIPPED. */
#define IS_OUTSIDE INT64_MIN
#define IS_SKIPPED (INT64_MIN + 1)

/* Each coordinate's places over the axes that it depends on, as offsets in the source. */
typedef struct {
    int64_t begin[PK_GATHER_RANK];
    /* From one place of an axis to the next; 0 where the coordinate does not depend on it. */
    int64_t step[PK_GATHER_RANK][PK_GATHER_RANK];
    int64_t offset[PLACES];
} written_places;

/* Writes them, where they are few and no more than the elements that are asked for. */
static int write_places(const pk_gather *g, int64_t elements, written_places *w) {
    int64_t used = 0;
    for (int c = 0; c < g->coordinates; c++) {
        const pk_coordinate *k = &g->coordinate[c];
        int64_t count = 1;
        for (int a = g->rank - 1; a >= 0; a--) {
            int depends = g->count[a] > 1 && (k->coefficient[a] != 0 || (k->table && k->table_stride[a] != 0));
            w->step[c][a] = depends ? count : 0;
            if (!depends) continue;
            if (g->count[a] > PLACES / count) return 0;
            count *= g->count[a];
        }
        if (count > PLACES - used || count > elements - used) return 0;
        w->begin[c] = used;
        for (int64_t i = 0; i < count; i++) {
            int64_t x = k->offset, t = 0, p = 0;
            for (int a = 0; a < g->rank; a++) {
                int64_t at = g->start[a] + (w->step[c][a] ? i / w->step[c][a] % g->count[a] : 0);
                x += k->coefficient[a] * at;
                t += k->table_stride[a] * at;
            }
            if (k->table) x += k->table[t];
            placed state = place(k, x, &p);
            w->offset[used + i] = state == INSIDE ? p * k->stride : state == OUTSIDE ? IS_OUTSIDE : IS_SKIPPED;
        }
        used += count;
    }
    return 1;
}

/* Rows by places that are written out: no division, and from row to row only the coordinates that depend on what changed are looked at. */
static void gather_written(const pk_gather *g, const written_places *w, int64_t first, int64_t last, char *result) {
    int inner = g->rank - 1, element = g->element;
    int64_t n = g->count[inner], to = g->stride[inner], target = 0, at[PK_GATHER_RANK], rest = first;
    const int64_t *place[PK_GATHER_RANK];
    int varying[PK_GATHER_RANK], varies = 0, moved[PK_GATHER_RANK][PK_GATHER_RANK], moves[PK_GATHER_RANK] = {0};
    for (int c = 0; c < g->coordinates; c++) {
        place[c] = w->offset + w->begin[c];
        if (w->step[c][inner]) varying[varies++] = c;
        for (int a = 0; a < inner; a++) if (w->step[c][a]) moved[a][moves[a]++] = c;
    }
    for (int a = 0; a < g->rank; a++) target += g->start[a] * g->stride[a];
    for (int a = inner - 1; a >= 0; a--) {
        at[a] = rest % g->count[a];
        rest /= g->count[a];
        target += at[a] * g->stride[a];
        for (int m = 0; m < moves[a]; m++) place[moved[a][m]] += at[a] * w->step[moved[a][m]][a];
    }
    /* Of the coordinates that stay along a row: the sum of those inside, and how many are not. */
    int64_t from = 0;
    int barred = 0;
#define COUNT(c, sign)                                                                                                 \
    if (!w->step[c][inner]) {                                                                                          \
        if (*place[c] > IS_SKIPPED) from += (sign) * *place[c];                                                        \
        else barred += (sign);                                                                                         \
    }
    for (int c = 0; c < g->coordinates; c++) COUNT(c, 1)
    for (int64_t row = first; row < last; row++) {
        char *out = result + target * element;
        if (barred == 0 && varies == 1) {
            const int64_t *p = place[varying[0]];
            int64_t step = w->step[varying[0]][inner];
#define ROW(T)                                                                                                         \
    {                                                                                                                  \
        const T *s = (const T *)g->source + from;                                                                      \
        T *o = (T *)(void *)out;                                                                                       \
        for (int64_t j = 0; j < n; j++) {                                                                              \
            int64_t x = p[j * step];                                                                                   \
            if (x > IS_SKIPPED) o[j * to] = s[x];                                                                      \
            else if (x == IS_OUTSIDE) o[j * to] = (T)g->fill;                                                          \
        }                                                                                                              \
        break;                                                                                                         \
    }
            switch (element) {
            case 1: ROW(uint8_t)
            case 2: ROW(uint16_t)
            case 4: ROW(uint32_t)
            default: ROW(uint64_t)
            }
#undef ROW
        } else {
            /* An earlier coordinate decides before a later one. */
            int decided = g->coordinates;
            for (int c = 0; barred && c < g->coordinates; c++) {
                if (!w->step[c][inner] && *place[c] <= IS_SKIPPED) {
                    decided = c;
                    break;
                }
            }
            for (int64_t j = 0; j < n; j++) {
                int64_t x = decided < g->coordinates ? *place[decided] : from;
                for (int v = 0; v < varies && varying[v] < decided; v++) {
                    int64_t p = place[varying[v]][j * w->step[varying[v]][inner]];
                    if (p <= IS_SKIPPED) {
                        x = p;
                        break;
                    }
                    if (decided == g->coordinates) x += p;
                }
                if (x > IS_SKIPPED) copy_run(element, 1, (const char *)g->source + x * element, 1, out + j * to * element, 1);
                else if (x == IS_OUTSIDE) fill_run(element, g->fill, 1, out + j * to * element, 1);
            }
        }
        for (int a = inner - 1; a >= 0; a--) {
            int64_t by = ++at[a] < g->count[a] ? 1 : 1 - g->count[a];
            target += by * g->stride[a];
            for (int m = 0; m < moves[a]; m++) {
                int c = moved[a][m];
                COUNT(c, -1)
                place[c] += by * w->step[c][a];
                COUNT(c, 1)
            }
            if (by == 1) break;
            at[a] = 0;
        }
    }
#undef COUNT
}

/* One row of which the source is read in even steps: the coordinates' numerators at its first element, their tables read. */
static void even_row(const pk_gather *g, const int *varies, const int64_t *value, int64_t n, char *out) {
    int inner = g->rank - 1, element = g->element;
    int64_t to = inner < 0 ? 1 : g->stride[inner];
    placed state = INSIDE;
    /* The part of the row that lies inside: [low, high). */
    int64_t low = 0, high = n, offset = 0, stride = 0;
    for (int c = 0; c < g->coordinates && state == INSIDE; c++) {
        const pk_coordinate *k = &g->coordinate[c];
        if (!varies[c]) {
            int64_t p = 0;
            state = place(k, value[c], &p);
            offset += p * k->stride;
            continue;
        }
        int64_t step = k->coefficient[inner];
        /* 0 ≤ value + step·j < size */
        int64_t lo, hi;
        if (step == 1) {
            lo = -value[c];
            hi = k->size - value[c];
        } else if (step > 0) {
            lo = value[c] >= 0 ? 0 : (-value[c] + step - 1) / step;
            hi = value[c] >= k->size ? 0 : (k->size - 1 - value[c]) / step + 1;
        } else {
            lo = value[c] < k->size ? 0 : (value[c] - k->size) / -step + 1;
            hi = value[c] < 0 ? 0 : value[c] / -step + 1;
        }
        if (lo > low) low = lo;
        if (hi < high) high = hi;
        offset += value[c] * k->stride;
        stride += step * k->stride;
    }
    if (state == OUTSIDE || high < low) high = low = n;
    if (low > 0) fill_run(element, g->fill, low, out, to);
    /* What an earlier coordinate puts outside is filled even where a later one forbids the rest. */
    if (high > low && state == INSIDE)
        copy_run(element, high - low, (const char *)g->source + (offset + low * stride) * element, stride, out + low * to * element, to);
    if (high < n) fill_run(element, g->fill, n - high, out + high * to * element, to);
}

/* Such rows one after another, by additions alone. */
static void gather_runs(const pk_gather *g, const int *varies, int64_t first, int64_t last, char *result) {
    int inner = g->rank - 1;
    int64_t at[PK_GATHER_RANK], numerator[PK_GATHER_RANK], entry[PK_GATHER_RANK], value[PK_GATHER_RANK], rest = first;
    int64_t target = g->start[inner] * g->stride[inner];
    at[inner] = g->start[inner];
    for (int a = inner - 1; a >= 0; a--) {
        at[a] = rest % g->count[a] + g->start[a];
        rest /= g->count[a];
        target += at[a] * g->stride[a];
    }
    for (int c = 0; c < g->coordinates; c++) {
        const pk_coordinate *k = &g->coordinate[c];
        numerator[c] = k->offset;
        entry[c] = 0;
        for (int a = 0; a <= inner; a++) {
            numerator[c] += k->coefficient[a] * at[a];
            entry[c] += k->table_stride[a] * at[a];
        }
    }
    for (int64_t row = first; row < last; row++) {
        for (int c = 0; c < g->coordinates; c++) {
            const pk_coordinate *k = &g->coordinate[c];
            value[c] = numerator[c] + (k->table ? k->table[entry[c]] : 0);
        }
        even_row(g, varies, value, g->count[inner], result + target * g->element);
        for (int a = inner - 1; a >= 0; a--) {
            int64_t by = ++at[a] < g->start[a] + g->count[a] ? 1 : 1 - g->count[a];
            target += by * g->stride[a];
            for (int c = 0; c < g->coordinates; c++) {
                numerator[c] += by * g->coordinate[c].coefficient[a];
                entry[c] += by * g->coordinate[c].table_stride[a];
            }
            if (by == 1) break;
            at[a] = g->start[a];
        }
    }
}

void pk_gather_run(const pk_gather *g, int64_t first, int64_t last, void *result) {
    int64_t even_from, even_step[PK_GATHER_RANK];
    if (even_steps(g, &even_from, even_step)) {
        gather_even(g, first, last, even_from, even_step, result);
        return;
    }
    int inner = g->rank - 1;
    int64_t n = inner < 0 ? 1 : g->count[inner];
    int64_t to = inner < 0 ? 1 : g->stride[inner];
    int element = g->element;
    /* Which coordinates vary along a row, and whether they do so in even steps. */
    int varies[PK_GATHER_RANK], even = 1;
    for (int c = 0; c < g->coordinates; c++) {
        const pk_coordinate *k = &g->coordinate[c];
        int table = k->table && inner >= 0 && k->table_stride[inner] != 0;
        varies[c] = table || (inner >= 0 && k->coefficient[inner] != 0);
        if (varies[c] && (table || k->quotient != 1 || k->modulus != 0)) even = 0;
    }
    /* Long even rows are copied whole, and the rest is faster without divisions. */
    if (g->pinned < 0 && inner >= 0 && first < last) {
        if (even && n >= 16) {
            gather_runs(g, varies, first, last, result);
            return;
        }
        written_places written;
        if (write_places(g, (last - first) * n, &written)) {
            gather_written(g, &written, first, last, result);
            return;
        }
    }
    for (int64_t row = first; row < last; row++) {
        int64_t at[PK_GATHER_RANK];
        int64_t rest = row, target = 0;
        for (int a = inner - 1; a >= 0; a--) {
            at[a] = rest % g->count[a] + g->start[a];
            rest /= g->count[a];
            target += at[a] * g->stride[a];
        }
        int64_t begin = inner < 0 ? 0 : g->start[inner];
        if (g->pinned >= 0) {
            /* The one place that is divided without a remainder. */
            const pk_coordinate *k = &g->coordinate[g->pinned_coordinate];
            int64_t x = k->offset, t = 0;
            for (int a = 0; a < inner; a++) t += k->table_stride[a] * at[a];
            if (k->table) x += k->table[t];
            int64_t j = ((-x % k->quotient) + k->quotient) % k->quotient;
            if (j >= g->pinned_count) continue;
            if (g->pinned == inner) {
                begin += j;
            } else {
                at[g->pinned] += j;
                target += j * g->stride[g->pinned];
            }
        }
        target += inner < 0 ? 0 : begin * to;
        char *out = (char *)result + target * element;
        /* Numerators at the row's first element, without tables that vary along it. */
        int64_t value[PK_GATHER_RANK], table_at[PK_GATHER_RANK];
        /* An earlier coordinate decides before a later one: a skip after an outside does not count. */
        for (int c = 0; c < g->coordinates; c++) {
            const pk_coordinate *k = &g->coordinate[c];
            int64_t x = k->offset, t = 0;
            for (int a = 0; a < inner; a++) {
                x += k->coefficient[a] * at[a];
                t += k->table_stride[a] * at[a];
            }
            if (inner >= 0) {
                x += k->coefficient[inner] * begin;
                t += k->table_stride[inner] * begin;
            }
            if (k->table && !(inner >= 0 && k->table_stride[inner] != 0)) x += k->table[t];
            value[c] = x;
            table_at[c] = t;
        }
        if (even) {
            even_row(g, varies, value, n, out);
            continue;
        }
        for (int64_t j = 0; j < n; j++) {
            int64_t from = 0;
            placed state = INSIDE;
            for (int c = 0; c < g->coordinates; c++) {
                const pk_coordinate *k = &g->coordinate[c];
                int64_t x = value[c] + (inner >= 0 ? k->coefficient[inner] * j : 0), p = 0;
                if (k->table && inner >= 0 && k->table_stride[inner] != 0) x += k->table[table_at[c] + k->table_stride[inner] * j];
                state = place(k, x, &p);
                if (state != INSIDE) break;
                from += p * k->stride;
            }
            if (state == INSIDE) copy_run(element, 1, (const char *)g->source + from * element, 1, out + j * to * element, 1);
            else if (state == OUTSIDE) fill_run(element, g->fill, 1, out + j * to * element, 1);
        }
    }
}

/* Prints one digest of every kernel's results for each variant that this machine has; check_neon.sh compares machines. No libm function and no
   random source is used, so the inputs are the same everywhere. */
#include "CKernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static float number(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint32_t u = (uint32_t)(state >> 32);
    if (u % 97 == 0) {
        /* Any bits at all: NaN, infinities, subnormals. */
        uint32_t any = (uint32_t)(state >> 13);
        float x;
        memcpy(&x, &any, 4);
        return x;
    }
    return ((float)(u >> 8) - 8388608.0f) * 0x1p-22f;
}

static float *numbers(size_t n) {
    float *x = malloc((n ? n : 1) * sizeof(float));
    for (size_t i = 0; i < n; i++) x[i] = number();
    return x;
}

static uint64_t digest(uint64_t h, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, x + i, 4);
        h = (h ^ u) * 0x100000001b3u;
    }
    return h;
}

/* A linear layer on whole numbers. */
static uint64_t whole_numbers(pk_variant variant, uint64_t h, int m, int n, int k, const float *a, const float *scales,
                              const pk_epilogue *e, float *c) {
    int8_t *b = malloc((size_t)n * (size_t)k + 1);
    for (size_t i = 0; i < (size_t)n * (size_t)k; i++) b[i] = (int8_t)(i * 37 % 256);
    uint8_t *packed = malloc(pk_pack_size_i8(variant, n, k) + 1);
    pk_pack_i8(variant, n, k, b, (size_t)k, packed);
    /* Rows as they come; one without terms has no greatest. */
    if (k > 0) {
        int8_t *q = malloc((size_t)m * (size_t)k);
        float *scale = malloc((size_t)m * 2 * sizeof(float)), *top = scale + m;
        int32_t *place = malloc((size_t)m * sizeof(int32_t));
        void *scratch = malloc(pk_linear_i8_scratch(variant, k));
        pk_round_rows(variant, m, k, a, (size_t)k, q, (size_t)k, scale, top, place);
        h = digest(digest(h, scale, 2 * (size_t)m), (const float *)place, (size_t)m);
        pk_linear_i8(variant, m, n, k, q, (size_t)k, scale, top, place, packed, scales, e, c, (size_t)n, scratch);
        free(q), free(scale), free(place), free(scratch);
        /* The same bytes as both halves of the right side, a power as its scale. */
        int8_t *high = malloc((size_t)m * (size_t)k * 2), *low = high + (size_t)m * (size_t)k;
        float *power = malloc((size_t)m * sizeof(float)), *powers = malloc((size_t)n * sizeof(float));
        for (int j = 0; j < n; j++) powers[j] = j % 5 == 0 ? 0x1p-140f : j % 3 == 0 ? 0x1p90f : 0x1p-20f;
        scratch = malloc(pk_linear_halves_scratch(variant, k));
        pk_halve_rows(variant, m, k, a, (size_t)k, high, low, (size_t)k, power);
        h = digest(h, power, (size_t)m);
        for (size_t i = 0; i < (size_t)m * (size_t)k * 2; i++) h = (h ^ (uint8_t)high[i]) * 0x100000001b3u;
        pk_linear_halves(variant, m, n, k, high, low, (size_t)k, power, packed, packed, powers, e, c, (size_t)n, scratch);
        h = digest(h, c, (size_t)m * (size_t)n);
        free(high), free(power), free(powers), free(scratch);
    }
    free(b), free(packed);
    return digest(h, c, (size_t)m * (size_t)n);
}

static uint64_t contractions(pk_variant variant, uint64_t h) {
    static const int depths[] = {0, 1, 5, 255, 256, 257, 600};
    static const int shapes[][2] = {{1, 1}, {2, 97}, {3, 40}, {5, 15}, {6, 16}, {8, 48}, {13, 101}};
    for (size_t d = 0; d < sizeof depths / sizeof *depths; d++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int activation = PK_NONE; activation <= PK_SILU_ACTIVATION; activation++) {
                int m = shapes[s][0], n = shapes[s][1], k = depths[d];
                size_t count = (size_t)m * (size_t)n;
                float *a = numbers((size_t)m * (size_t)k), *b = numbers((size_t)n * (size_t)k), *bias = numbers((size_t)n);
                float *residual = numbers(count), *c = numbers(count);
                float *packed = malloc(pk_pack_size(variant, n, k) * sizeof(float));
                pk_pack(variant, n, k, b, (size_t)k, packed);
                pk_epilogue e = {bias, (pk_activation)activation, residual, (size_t)n};
                pk_contract_f32(variant, m, n, k, a, (size_t)k, packed, c, (size_t)n, &e);
                h = digest(h, c, count);
                /* The left side across, and with an extent a row. */
                int extents[16];
                for (int i = 0; i < m; i++) extents[i] = i * 53 % (k + 1);
                pk_contract_strided_f32(variant, m, n, k, NULL, a, 1, (size_t)m, packed, c, (size_t)n);
                h = digest(h, c, count);
                pk_contract_strided_f32(variant, m, n, k, extents, a, 1, (size_t)m, packed, c, (size_t)n);
                h = digest(h, c, count);
                /* The right side as it lies, by rows and across: for few rows, and by segments. */
                pk_contract_few_f32(variant, m, n, k, extents, a, (size_t)k, 1, b, (size_t)k, 1, bias, c, (size_t)n);
                h = digest(h, c, count);
                pk_contract_few_f32(variant, m, n, k, NULL, a, (size_t)k, 1, b, 1, (size_t)n, NULL, c, (size_t)n);
                h = digest(h, c, count);
                float *segment = malloc(pk_outer_scratch(variant, n) * sizeof(float));
                pk_contract_outer_f32(variant, m, n, k, a, 1, (size_t)m, b, (size_t)k, 1, c, (size_t)n, segment);
                h = digest(h, c, count);
                free(segment);
                h = whole_numbers(variant, h, m, n, k, a, bias, &e, c);
                free(a), free(b), free(bias), free(residual), free(c), free(packed);
            }
    return h;
}

/* Convolutions of one image in both ways, and the greatest of its windows. */
static uint64_t convolutions(pk_variant variant, uint64_t h) {
    static const int shapes[][7] = {{3, 9, 3, 1, 1, 1, 10}, {2, 23, 7, 2, 1, 3, 13}, {40, 8, 3, 1, 2, 2, 21}, {70, 7, 2, 3, 1, 0, 50}, {300, 7, 1, 1, 1, 0, 17}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int *d = shapes[s];
        int channels = d[0], side = d[1], kernel = d[2], m = d[6], k = channels * kernel * kernel;
        int size = (side + 2 * d[5] - (kernel - 1) * d[4] - 1) / d[3] + 1, places = size * size;
        pk_windows w = {channels, side, side, (int64_t)side * side, side, {kernel, kernel}, {d[3], d[3]}, {d[4], d[4]}, {d[5], d[5]}, {size, size}};
        size_t count = (size_t)m * (size_t)places;
        float *x = numbers((size_t)(channels * side * side)), *filters = numbers((size_t)m * (size_t)k), *bias = numbers((size_t)m);
        float *residual = numbers(count), *out = numbers(count > (size_t)(channels * places) ? count : (size_t)(channels * places));
        float *packed = malloc(pk_pack_filters_size(variant, m, k) * sizeof(float)), *scratch = malloc(pk_convolution_scratch(variant, k) * sizeof(float));
        pk_convolution_epilogue e = {bias, residual, (int32_t)(s % 2), 0.5f};
        pk_pack_filters(variant, m, k, filters, (size_t)k, packed);
        pk_convolution_f32(variant, &w, x, 0, m, 0, places, packed, &e, out, (size_t)places, scratch);
        h = digest(h, out, count);
        free(packed), free(scratch);
        packed = malloc(pk_pack_size(variant, m, k) * sizeof(float));
        float *held = malloc(pk_held_size(variant, k, places) * sizeof(float));
        scratch = aligned_alloc(64, (pk_held_scratch(variant, places) * sizeof(float) + 63) / 64 * 64);
        pk_pack(variant, m, k, filters, (size_t)k, packed);
        pk_hold_windows(variant, &w, x, 0, places, held);
        pk_held_convolution_f32(variant, k, 0, m, 1, places, held, packed, &e, out, (size_t)places, 0, scratch);
        h = digest(h, out, count);
        pk_maximum_pool_f32(variant, &w, x, 0, channels, out, (size_t)places);
        h = digest(h, out, (size_t)(channels * places));
        /* Filters of one channel, and the sums of windows. */
        float *frame = malloc(pk_channel_scratch(variant, &w) * sizeof(float));
        e.relu = (int32_t)(s % 3);
        pk_channel_convolution_f32(variant, &w, x, 1, 0, channels < m ? channels : m, filters, &e, out, (size_t)places, frame);
        h = digest(h, out, (size_t)((channels < m ? channels : m) * places));
        pk_window_sum_f32(variant, &w, x, 0, channels, out, (size_t)places, frame);
        h = digest(h, out, (size_t)(channels * places));
        free(frame);
        free(x), free(filters), free(bias), free(residual), free(out), free(packed), free(scratch), free(held);
    }
    return h;
}

static uint64_t rows(pk_variant variant, uint64_t h) {
    static const int lengths[] = {1, 3, 4, 7, 8, 15, 16, 31, 33, 64, 100, 255, 256, 257, 600};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int n = lengths[i];
        size_t count = 3 * (size_t)n;
        float *x = numbers(count), *gain = numbers((size_t)n), *bias = numbers((size_t)n), *y = numbers(count);
        float sum = pk_row_sum_f32(variant, x, (size_t)n);
        h = digest(h, &sum, 1);
        pk_column_row_sum_f32(variant, n, 3, x, 3, y);
        h = digest(h, y, 3);
        pk_layer_norm_f32(variant, 3, n, x, (size_t)n, gain, bias, 1e-12f, y, (size_t)n);
        h = digest(h, y, count);
        int extents[3] = {n, n / 2, 0};
        pk_softmax_f32(variant, 3, n, extents, x, (size_t)n, 0.3f, y, (size_t)n);
        h = digest(h, y, count);
        int width = 1 + n % 41, extent = n;
        size_t size = (size_t)extent * (size_t)width;
        float *k = numbers(size), *v = numbers(size), *q = numbers(5 * (size_t)width), *out = numbers(5 * (size_t)width);
        float *scratch = malloc(pk_attention_scratch(5, extent, width) * sizeof(float));
        size_t w = (size_t)width;
        pk_attention_f32(variant, 5, extent, width, q, w, k, w, v, w, 0.25f, out, w, scratch);
        h = digest(h, out, 5 * w);
        free(x), free(gain), free(bias), free(y), free(k), free(v), free(q), free(out), free(scratch);
    }
    return h;
}

static uint64_t digest_bytes(uint64_t h, const void *x, size_t n) {
    for (size_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)x)[i]) * 0x100000001b3u;
    return h;
}

enum { LINES = 7, LINE = 173, ELEMENTS = LINES * LINE };

static size_t width_of(int type) { return type == PK_I64 ? 8 : type == PK_F32 || type == PK_I32 ? 4 : type == PK_BF16 || type == PK_F16 ? 2 : 1; }

/* A map of LINES × LINE elements, from a first one that is no block's. */
static uint64_t mapped(pk_variant variant, uint64_t h, pk_map *map, const pk_map_step *steps, int count) {
    map->step = steps, map->steps = count;
    map->rank = 2, map->shape[0] = LINES, map->shape[1] = LINE;
    map->registers = 8, map->filled = 0;
    uint8_t *out = calloc(ELEMENTS, 8);
    void *scratch = aligned_alloc(64, (pk_map_scratch(map->registers) + 63) / 64 * 64);
    pk_map_run(variant, map, 0, 5, out, scratch);
    pk_map_run(variant, map, 5, ELEMENTS - 5, out, scratch);
    h = digest_bytes(h, out, ELEMENTS * width_of(map->type));
    free(out), free(scratch);
    return h;
}

/* Every operation on every type that it takes: of tensors that lie as the result does, along its rows and along its columns. */
static uint64_t maps(pk_variant variant, uint64_t h) {
    float *floats = numbers(ELEMENTS);
    int64_t *wide = malloc(ELEMENTS * sizeof(int64_t));
    int32_t *narrow = malloc(ELEMENTS * sizeof(int32_t));
    uint8_t *bools = malloc(ELEMENTS);
    for (int i = 0; i < ELEMENTS; i++) {
        number();
        wide[i] = i % 5 == 0 ? (int64_t)(state >> 62) - 1 : (int64_t)state;
        narrow[i] = (int32_t)wide[i];
        bools[i] = (uint8_t)(state >> 40 & 1);
    }
    static const uint8_t types[] = {PK_F32, PK_I32, PK_I64, PK_BOOL, PK_U8, PK_I8};
    for (size_t t = 0; t < sizeof types; t++)
        for (int code = 0; code <= 34; code++) {
            uint8_t type = types[t];
            int is_float = type == PK_F32, is_bool = type == PK_BOOL, is_cast = code >= 29;
            if (!is_cast && (type == PK_U8 || type == PK_I8)) continue;
            if (is_float ? code > 22 && code < 29 : code == 4 || (code >= 7 && code < 18)) continue;
            if (is_bool && (code < 18 || (code > 25 && code < 29) || code == 32 || code == 33)) continue;
            static const uint8_t casts[] = {PK_F32, PK_I32, PK_I64, PK_I8, PK_U8, PK_BOOL};
            uint8_t result = is_cast ? casts[code - 29] : code >= 18 && code <= 21 ? PK_BOOL : type;
            const void *x = is_float ? (const void *)floats : type == PK_I64 ? (const void *)wide : type == PK_I32 ? (const void *)narrow : (const void *)bools;
            pk_map map = {.inputs = 4, .type = result};
            map.input[0] = (pk_map_input){x, type, 1, {LINE, 1}};
            map.input[1] = (pk_map_input){x, type, 0, {0, 3}};
            map.input[2] = (pk_map_input){x, type, 0, {2, 0}};
            map.input[3] = (pk_map_input){bools, PK_BOOL, 1, {LINE, 1}};
            if (is_cast || is_bool) map.input[1] = (pk_map_input){x, type, 0, {1, 5}};
            pk_map_step steps[] = {{.code = PK_MAP_INPUT, .type = type, .result = type, .out = 0, .a = 0},
                                   {.code = PK_MAP_INPUT, .type = type, .result = type, .out = 1, .a = 1},
                                   {.code = PK_MAP_INPUT, .type = type, .result = type, .out = 2, .a = 2},
                                   {.code = PK_MAP_INPUT, .type = PK_BOOL, .result = PK_BOOL, .out = 3, .a = 3},
                                   {.code = (uint8_t)code, .type = type, .result = result, .out = 4, .a = 0, .b = 1, .c = 2}};
            if (code == 22) steps[4].a = 3, steps[4].b = 0, steps[4].c = 1;
            /* The strided ones reach no further than what there is: 172 · 5 + 6. */
            h = mapped(variant, h, &map, steps, 5);
        }
    /* Leaves: coordinates, random words, the step's number, constants, marks; once a row and spread; stored in half a float's bits, and as i8. */
    pk_map map = {.inputs = 2, .type = PK_I64, .seed = 0x123456789ABCDEFu, .operation = 5, .number = 9};
    int32_t extents[LINES] = {0, 1, 40, 173, -3, 200, 172};
    map.input[0] = (pk_map_input){extents, PK_I32, 0, {1, 0}};
    map.input[1] = (pk_map_input){floats, PK_F32, 0, {1, 0}};
    pk_map_step leaves[] = {{.code = PK_MAP_INDEX, .result = PK_I64, .out = 0, .number = LINE, .other = LINES},
                            {.code = PK_MAP_INDEX, .result = PK_I64, .out = 1, .number = 1, .other = LINE},
                            {.code = PK_MAP_RANDOM, .result = PK_I64, .out = 2, .number = 3},
                            {.code = PK_MAP_STEP, .result = PK_I64, .out = 3},
                            {.code = 2, .type = PK_I64, .result = PK_I64, .out = 4, .a = 0, .b = 2},
                            {.code = 0, .type = PK_I64, .result = PK_I64, .out = 5, .a = 4, .b = 1},
                            {.code = 25, .type = PK_I64, .result = PK_I64, .out = 6, .a = 5, .b = 3}};
    h = mapped(variant, h, &map, leaves, 7);
    map.type = PK_BOOL;
    pk_map_step marks[] = {{.code = PK_MAP_WITHIN, .result = PK_BOOL, .out = 0, .a = 0},
                           {.code = PK_MAP_AT, .result = PK_BOOL, .out = 1, .a = 0},
                           {.code = 25, .type = PK_BOOL, .result = PK_BOOL, .out = 2, .a = 0, .b = 1}};
    h = mapped(variant, h, &map, marks, 3);
    static const uint8_t stored[] = {PK_F32, PK_BF16, PK_F16, PK_I8};
    for (int i = 0; i < 4; i++) {
        map.type = stored[i], map.narrows = stored[i] == PK_I8;
        map.input[0] = (pk_map_input){floats, PK_F32, 1, {LINE, 1}};
        pk_map_step spread[] = {{.code = PK_MAP_INPUT, .type = PK_F32, .result = PK_F32, .out = 0, .a = 1, .once = 1},
                                {.code = 8, .type = PK_F32, .result = PK_F32, .out = 1, .a = 0, .once = 1},
                                {.code = PK_MAP_SPREAD, .type = PK_F32, .result = PK_F32, .out = 2, .a = 1},
                                {.code = PK_MAP_INPUT, .type = PK_F32, .result = PK_F32, .out = 3, .a = 0},
                                {.code = PK_MAP_CONSTANT, .type = PK_F32, .result = PK_F32, .out = 4, .number = 0x40490FDB},
                                {.code = 4, .type = PK_F32, .result = PK_F32, .out = 5, .a = 3, .b = 4, .c = 2}};
        h = mapped(variant, h, &map, spread, 6);
    }
    free(floats), free(wide), free(narrow), free(bools);
    return h;
}

/* Squares, their sums, and the squares over their sums, in blocks of two rows; then every reduction, with and without its prefixes. */
static uint64_t row_groups(pk_variant variant, uint64_t h) {
    float *x = numbers(ELEMENTS), *sums = numbers(LINES), *out = numbers(ELEMENTS);
    int32_t extents[LINES] = {0, 1, 40, 173, -3, 200, 172};
    size_t registers = 2 * LINE * sizeof(float) + 64;
    void *scratch = aligned_alloc(64, (registers + pk_map_scratch(3) + 127) / 64 * 64);
    pk_map_step squares[] = {{.code = PK_MAP_INPUT, .type = PK_F32, .result = PK_F32, .out = 0, .a = 0},
                             {.code = 2, .type = PK_F32, .result = PK_F32, .out = 1, .a = 0, .b = 0}};
    pk_map_step shares[] = {{.code = PK_MAP_INPUT, .type = PK_F32, .result = PK_F32, .out = 0, .a = 0},
                            {.code = PK_MAP_INPUT, .type = PK_F32, .result = PK_F32, .out = 1, .a = 1},
                            {.code = 3, .type = PK_F32, .result = PK_F32, .out = 2, .a = 0, .b = 1}};
    pk_map map = {.rank = 2, .registers = 3, .type = PK_F32, .shape = {LINES, LINE}};
    pk_row_member square = {.is_map = 1, .width = LINE, .size = 4, .registers = registers, .map = map, .member = {-1}, .base = {x}};
    square.map.step = squares, square.map.steps = 2, square.map.inputs = 1;
    square.map.input[0] = (pk_map_input){NULL, PK_F32, 1, {LINE, 1}};
    pk_row_member sum = {.width = 1, .size = 4, .out = sums, .type = PK_F32, .reduction = PK_SUM, .length = LINE, .member = {0}};
    sum.rows = (pk_row_axes){1, {LINES}, {LINE}};
    /* A member of which nothing is in memory is read from the block's first row on. */
    pk_row_member share = {.is_map = 1, .width = LINE, .size = 4, .out = out, .registers = registers, .map = map, .member = {0, 1}};
    share.map.step = shares, share.map.steps = 3, share.map.inputs = 2;
    share.map.input[0] = (pk_map_input){NULL, PK_F32, 1, {LINE, 1}};
    share.map.input[1] = (pk_map_input){NULL, PK_F32, 0, {1, 0}};
    pk_row_member members[] = {square, sum, share};
    pk_rows_run(variant, members, 3, 0, LINES, 2, scratch);
    h = digest(digest(h, sums, LINES), out, ELEMENTS);
    for (int reduction = PK_SUM; reduction <= PK_ARGMIN; reduction++)
        for (int prefix = 0; prefix < 2; prefix++)
            for (int type = PK_F32; type <= PK_I64; type += PK_I32 - PK_F32) {
                if (type != PK_F32 && type != PK_I32) continue;
                pk_row_member m = {.width = prefix ? LINE : 1, .size = 4, .out = out, .type = (uint8_t)type, .prefix = prefix, .reduction = (pk_reduction)reduction,
                                   .length = LINE, .has_extents = 1, .member = {-1, -1}, .base = {x, extents}};
                m.rows = (pk_row_axes){1, {LINES}, {LINE}}, m.extents = (pk_row_axes){1, {LINES}, {1}};
                pk_rows_run(variant, &m, 1, 0, LINES, 3, scratch);
                h = digest(h, out, prefix ? ELEMENTS : LINES);
            }
    free(x), free(sums), free(out), free(scratch);
    return h;
}

/* A stride through all bit patterns. */
static uint64_t functions(pk_variant variant, uint64_t h) {
    enum { BLOCK = 1000 };
    float x[BLOCK], y[BLOCK];
    for (int f = PK_EXP; f <= PK_RELU; f++) {
        uint64_t bits = 0;
        while (bits < (uint64_t)1 << 32) {
            int n = 0;
            for (; n < BLOCK && bits < (uint64_t)1 << 32; n++, bits += 65537 / 4) {
                uint32_t u = (uint32_t)bits;
                memcpy(x + n, &u, 4);
            }
            pk_unary_f32(variant, (pk_function)f, (size_t)n, x, y);
            h = digest(h, y, (size_t)n);
        }
    }
    return h;
}

int main(void) {
    if (!pk_check_float_environment()) return 2;
    for (int v = PK_SCALAR; v <= PK_NEON; v++) {
        pk_variant variant = (pk_variant)v;
        if (!pk_variant_supported(variant)) continue;
        state = 1;
        uint64_t h = 0xcbf29ce484222325u;
        uint64_t contracted = convolutions(variant, contractions(variant, h)), summed = rows(variant, h), computed = functions(variant, h);
        uint64_t grouped = row_groups(variant, maps(variant, h));
        printf("%016llx %016llx %016llx %016llx %s\n", (unsigned long long)contracted, (unsigned long long)summed,
               (unsigned long long)computed, (unsigned long long)grouped, pk_variant_name(variant));
    }
    return 0;
}

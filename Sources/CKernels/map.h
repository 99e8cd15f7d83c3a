/* pk_map_run of one variant: included with FN, and UNARY(function, n, x, y) for functions over arrays. */
/* Where a loop has only integers of eight bytes a narrow machine may find nothing to gain. */
#pragma clang diagnostic ignored "-Wpass-failed"
#define EACH _Pragma("clang loop vectorize(assume_safety) interleave(enable)") for (int i = 0; i < n; i++)

/* One function for each kind of step: put into one, what all their loops need is computed anew for every block, and takes longer than the steps. */
#define APART_FROM_OTHERS __attribute__((noinline))

/* Copies a run of an input into a register, widened: f32 to float, integers to int64, bool to int32. */
#define FILL(from, to, expression)                                                                                     \
    {                                                                                                                  \
        const from *p = (const from *)base + offset;                                                                   \
        to *r = (to *)out + at;                                                                                        \
        if (stride == 1) {                                                                                             \
            EACH { from x = p[i]; r[i] = expression; }                                                                 \
        } else if (stride == 0) {                                                                                      \
            from x = *p;                                                                                               \
            to y = expression;                                                                                         \
            EACH r[i] = y;                                                                                             \
        } else {                                                                                                       \
            for (int i = 0; i < n; i++) { from x = p[(int64_t)i * stride]; r[i] = expression; }                        \
        }                                                                                                              \
        break;                                                                                                         \
    }

APART_FROM_OTHERS static void FN(map_fill)(uint8_t type, const void *base, int64_t offset, int64_t stride, int n, void *out, int at) {
    switch (type) {
    case PK_F32: FILL(float, float, x)
    case PK_I8: FILL(int8_t, int64_t, x)
    case PK_U8: FILL(uint8_t, int64_t, x)
    case PK_I32: FILL(int32_t, int64_t, x)
    case PK_I64: FILL(int64_t, int64_t, x)
    case PK_BOOL: FILL(uint8_t, int32_t, x != 0)
    case PK_BF16: FILL(uint16_t, float, pk_bf16_to_f32(x))
    case PK_F16: FILL(uint16_t, float, pk_f16_to_f32(x))
    case PK_MAP_INPUT_FLOAT: FILL(int32_t, float, (float)x)
    }
}
#undef FILL

/* Elements of an input over the first `rank` axes. `type`: the input's, or how it is to be read otherwise. */
APART_FROM_OTHERS static void FN(map_load)(const pk_map *map, const pk_map_input *input, uint8_t type, int rank, int64_t first, int count,
                                           void *out) {
    if (input->direct) {
        FN(map_fill)(type, input->base, first, 1, count, out, 0);
        return;
    }
    int64_t at[PK_MAP_RANK];
    int64_t rest = first, offset = 0;
    int last = rank - 1;
    for (int a = last; a >= 0; a--) {
        at[a] = rest % map->shape[a];
        rest /= map->shape[a];
        offset += at[a] * input->stride[a];
    }
    if (last < 0) {
        FN(map_fill)(type, input->base, 0, 0, count, out, 0);
        return;
    }
    for (int done = 0; done < count;) {
        int64_t run = map->shape[last] - at[last];
        if (run > count - done) run = count - done;
        FN(map_fill)(type, input->base, offset, input->stride[last], (int)run, out, done);
        done += (int)run;
        at[last] += run;
        offset += run * input->stride[last];
        for (int a = last; a > 0 && at[a] == map->shape[a]; a--) {
            offset -= at[a] * input->stride[a];
            at[a] = 0;
            at[a - 1] += 1;
            offset += input->stride[a - 1];
        }
    }
}

/* Gives each row's element to all of its places, the first row from its place `inside` on. */
#define SPREAD(T)                                                                                                      \
    {                                                                                                                  \
        const T *p = from;                                                                                             \
        T *q = out;                                                                                                    \
        int64_t begin = inside;                                                                                        \
        for (int64_t done = 0; done < count; done += line - begin, begin = 0, p++) {                                   \
            int n = (int)(line - begin < count - done ? line - begin : count - done);                                  \
            T x = *p;                                                                                                  \
            T *r = q + done;                                                                                           \
            EACH r[i] = x;                                                                                             \
        }                                                                                                              \
    }
APART_FROM_OTHERS static void FN(map_spread)(uint8_t type, int64_t line, int64_t inside, int count, const void *from, void *out) {
    if (type == PK_F32 || type == PK_BOOL || type == PK_BF16 || type == PK_F16) SPREAD(uint32_t)
    else SPREAD(uint64_t)
}
#undef SPREAD

/* Marks places on the last axis: those below the tensor's number, or the one that it names. */
APART_FROM_OTHERS static void FN(map_mark)(const pk_map *map, const pk_map_input *input, uint8_t code, int64_t first, int count, int32_t *out) {
    int64_t at[PK_MAP_RANK];
    int64_t rest = first, offset = 0;
    int last = map->rank - 1;
    for (int a = last; a >= 0; a--) {
        at[a] = rest % map->shape[a];
        rest /= map->shape[a];
        offset += at[a] * input->stride[a];
    }
    for (int done = 0; done < count;) {
        int64_t whole = map->shape[last] - at[last];
        int n = whole < count - done ? (int)whole : count - done;
        /* An axis has less than 2^31 places. */
        int32_t number = ((const int32_t *)input->base)[offset], begin = (int32_t)at[last];
        int32_t *o = out + done;
        if (code == PK_MAP_AT) { EACH o[i] = begin + i == number; }
        else { EACH o[i] = begin + i < number; }
        done += n;
        at[last] += n;
        for (int a = last; a > 0 && at[a] == map->shape[a]; a--) {
            /* Its stride on the last axis is 0. */
            offset -= at[a] * input->stride[a];
            at[a] = 0;
            at[a - 1] += 1;
            offset += input->stride[a - 1];
        }
    }
}

/* Coordinates on an axis: (element / later) mod size. */
APART_FROM_OTHERS static void FN(map_index)(int64_t first, int n, uint64_t later, uint64_t size, int64_t *out) {
    uint64_t quotient = (uint64_t)first / later;
    uint64_t inside = (uint64_t)first % later;
    uint64_t value = quotient % size;
    for (int i = 0; i < n; i++) {
        out[i] = (int64_t)value;
        if (++inside == later) {
            inside = 0;
            if (++value == size) value = 0;
        }
    }
}

APART_FROM_OTHERS static void FN(map_random)(const pk_map *map, uint8_t draw, int64_t first, int n, int64_t *out) {
    uint32_t words[4];
    uint64_t held = ~(uint64_t)0;
    for (int i = 0; i < n; i++) {
        uint64_t element = (uint64_t)first + (uint64_t)i;
        if (element / 4 != held) {
            held = element / 4;
            pk_philox(map->seed, held, map->operation, draw, map->number, words);
        }
        out[i] = words[element % 4];
    }
}

static inline float FN(map_canonical)(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    u = (u & 0x7FFFFFFFu) > 0x7F800000u ? 0x7FC00000u : u;
    memcpy(&x, &u, sizeof u);
    return x;
}

#define WRAP(type, x) ((type) == PK_I32 ? (int64_t)(int32_t)(uint32_t)(uint64_t)(x) : (int64_t)(x))
#define F(r) ((float *)(r))
#define I(r) ((int64_t *)(r))
#define B(r) ((int32_t *)(r))
/* The last step of an f32 map stores its result itself, by rule 3. */
#define FLOATS(expression)                                                                                             \
    {                                                                                                                  \
        float *o = F(out);                                                                                             \
        const float *x = F(a), *y = F(b), *z = F(c);                                                                   \
        (void)y;                                                                                                       \
        (void)z;                                                                                                       \
        if (stores) { EACH { float value = (expression); o[i] = FN(map_canonical)(value); } }                          \
        else { EACH o[i] = (expression); }                                                                             \
    }                                                                                                                  \
    break
#define WHOLES(expression) { int64_t *o = I(out); const int64_t *x = I(a), *y = I(b); (void)y; EACH o[i] = (expression); } break
#define COMPARE(operator)                                                                                              \
    {                                                                                                                  \
        int32_t *o = B(out);                                                                                           \
        if (s->type == PK_F32) { const float *x = F(a), *y = F(b); EACH o[i] = x[i] operator y[i]; }                   \
        else if (s->type == PK_BOOL) { const int32_t *x = B(a), *y = B(b); EACH o[i] = x[i] operator y[i]; }           \
        else { const int64_t *x = I(a), *y = I(b); EACH o[i] = x[i] operator y[i]; }                                   \
    }                                                                                                                  \
    break
#define LOGIC(operator)                                                                                                \
    {                                                                                                                  \
        if (s->type == PK_BOOL) { int32_t *o = B(out); const int32_t *x = B(a), *y = B(b); EACH o[i] = x[i] operator y[i]; } \
        else { int64_t *o = I(out); const int64_t *x = I(a), *y = I(b); EACH o[i] = x[i] operator y[i]; }              \
    }                                                                                                                  \
    break

/* Rule 6, as conversions.c has it: NaN to 0, clamp, round to nearest even. */
static inline float FN(map_nearest)(float x, float least, float most) {
    x = x == x ? x : 0.0f;
    x = x < least ? least : x;
    x = x > most ? most : x;
    return __builtin_rintf(x);
}

static inline int64_t FN(map_divide)(uint8_t type, int64_t x, int64_t y) {
    if (y == 0) return 0;
    if (y == -1) return WRAP(type, 0 - (uint64_t)x);
    return x / y;
}

/* Float arguments. `stores`: out is the result's memory. */
APART_FROM_OTHERS static void FN(map_float)(const pk_map_step *s, int n, void *out, void *a, void *b, void *c, int stores) {
    switch (s->code) {
    case 0: FLOATS(x[i] + y[i]);
    case 1: FLOATS(x[i] - y[i]);
    case 2: FLOATS(x[i] * y[i]);
    case 3: FLOATS(x[i] / y[i]);
    case 4: FLOATS(__builtin_fmaf(x[i], y[i], z[i]));
    case 5: FLOATS(x[i] != x[i] || y[i] != y[i] ? x[i] + y[i] : (y[i] < x[i] ? y[i] : x[i]) == 0 ? 0.0f : y[i] < x[i] ? y[i] : x[i]);
    case 6: FLOATS(x[i] != x[i] || y[i] != y[i] ? x[i] + y[i] : (x[i] < y[i] ? y[i] : x[i]) == 0 ? 0.0f : x[i] < y[i] ? y[i] : x[i]);
    case 7: UNARY(PK_SQRT, (size_t)n, F(a), F(out)); break;
    case 8: UNARY(PK_EXP, (size_t)n, F(a), F(out)); break;
    case 9: UNARY(PK_LOG, (size_t)n, F(a), F(out)); break;
    case 10: UNARY(PK_TANH, (size_t)n, F(a), F(out)); break;
    case 11: UNARY(PK_ERF, (size_t)n, F(a), F(out)); break;
    case 12: UNARY(PK_SIN, (size_t)n, F(a), F(out)); break;
    case 13: UNARY(PK_COS, (size_t)n, F(a), F(out)); break;
    case 14: FLOATS(__builtin_floorf(x[i]));
    case 15: FLOATS(__builtin_ceilf(x[i]));
    case 16: FLOATS(__builtin_truncf(x[i]));
    case 17: FLOATS(__builtin_rintf(x[i]));
    case 18: COMPARE(==);
    case 19: COMPARE(!=);
    case 20: COMPARE(<);
    case 21: COMPARE(<=);
    case 29: if (out != a) memmove(out, a, (size_t)n * sizeof(float)); break;
    case 30: { int64_t *o = I(out); const float *x = F(a); for (int i = 0; i < n; i++) o[i] = (int32_t)FN(map_nearest)(x[i], -2147483648.0f, 2147483520.0f); } break;
    case 31: { int64_t *o = I(out); const float *x = F(a); for (int i = 0; i < n; i++) o[i] = (int64_t)FN(map_nearest)(x[i], -0x1p63f, 0x1.fffffep62f); } break;
    case 32: { int64_t *o = I(out); const float *x = F(a); for (int i = 0; i < n; i++) o[i] = (int32_t)FN(map_nearest)(x[i], -128.0f, 127.0f); } break;
    case 33: { int64_t *o = I(out); const float *x = F(a); for (int i = 0; i < n; i++) o[i] = (int32_t)FN(map_nearest)(x[i], 0.0f, 255.0f); } break;
    case 34: { int32_t *o = B(out); const float *x = F(a); EACH o[i] = x[i] != 0; } break;
    }
}

/* Integer arguments. */
APART_FROM_OTHERS static void FN(map_whole)(const pk_map_step *s, int n, void *out, void *a, void *b) {
    uint8_t t = s->type;
    int64_t bits = t == PK_I32 ? 31 : 63;
    switch (s->code) {
    case 0: WHOLES(WRAP(t, (uint64_t)x[i] + (uint64_t)y[i]));
    case 1: WHOLES(WRAP(t, (uint64_t)x[i] - (uint64_t)y[i]));
    case 2: WHOLES(WRAP(t, (uint64_t)x[i] * (uint64_t)y[i]));
    case 3: { int64_t *o = I(out); const int64_t *x = I(a), *y = I(b); for (int i = 0; i < n; i++) o[i] = FN(map_divide)(t, x[i], y[i]); } break;
    case 5: WHOLES(x[i] < y[i] ? x[i] : y[i]);
    case 6: WHOLES(x[i] > y[i] ? x[i] : y[i]);
    case 18: COMPARE(==);
    case 19: COMPARE(!=);
    case 20: COMPARE(<);
    case 21: COMPARE(<=);
    case 23: LOGIC(&);
    case 24: LOGIC(|);
    case 25: LOGIC(^);
    case 26: WHOLES(WRAP(t, (uint64_t)x[i] << (y[i] & bits)));
    case 27: WHOLES(x[i] >> (y[i] & bits));
    case 28: { int64_t *o = I(out); const int64_t *x = I(a), *y = I(b);
               for (int i = 0; i < n; i++) o[i] = t == PK_I32 ? (x[i] * y[i]) >> 32 : (int64_t)(((__int128)x[i] * y[i]) >> 64); } break;
    case 29: { float *o = F(out); const int64_t *x = I(a); for (int i = 0; i < n; i++) o[i] = (float)x[i]; } break;
    case 30: WHOLES((int64_t)(int32_t)(uint32_t)(uint64_t)x[i]);
    case 31: if (out != a) memmove(out, a, (size_t)n * sizeof(int64_t)); break;
    case 32: WHOLES((int64_t)(int8_t)(uint8_t)(uint64_t)x[i]);
    case 33: WHOLES((int64_t)(uint8_t)(uint64_t)x[i]);
    case 34: { int32_t *o = B(out); const int64_t *x = I(a); for (int i = 0; i < n; i++) o[i] = x[i] != 0; } break;
    }
}

/* Bool arguments. */
APART_FROM_OTHERS static void FN(map_bool)(const pk_map_step *s, int n, void *out, void *a, void *b) {
    const int32_t *p = B(a);
    switch (s->code) {
    case 18: COMPARE(==);
    case 19: COMPARE(!=);
    case 20: COMPARE(<);
    case 21: COMPARE(<=);
    case 23: LOGIC(&);
    case 24: LOGIC(|);
    case 25: LOGIC(^);
    case 29: { float *o = F(out); EACH o[i] = (float)p[i]; } break;
    case 34: if (out != a) memmove(out, a, (size_t)n * sizeof(int32_t)); break;
    /* A bool and an integer do not fit one register: the plan never gives both one. */
    default: { int64_t *o = I(out); for (int i = 0; i < n; i++) o[i] = p[i]; } break;
    }
}

/* By masks: of `m ? x[i] : y[i]` a compiler may make a choice between addresses, and then a gather. */
APART_FROM_OTHERS static void FN(map_select)(uint8_t type, int n, void *out, const int32_t *m, void *a, void *b, int stores) {
    if (type == PK_F32 || type == PK_BOOL) {
        int32_t *o = B(out);
        const int32_t *x = B(a), *y = B(b);
        if (stores) {
            EACH {
                int32_t mask = m[i] ? -1 : 0, u = (x[i] & mask) | (y[i] & ~mask);
                o[i] = (u & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC00000 : u;
            }
        } else {
            EACH {
                int32_t mask = m[i] ? -1 : 0;
                o[i] = (x[i] & mask) | (y[i] & ~mask);
            }
        }
    } else {
        int64_t *o = I(out);
        const int64_t *x = I(a), *y = I(b);
        EACH {
            int64_t mask = m[i] ? -1 : 0;
            o[i] = (x[i] & mask) | (y[i] & ~mask);
        }
    }
}

/* Rule 6: NaN to 0, clamp, round to nearest even. */
APART_FROM_OTHERS static void FN(map_narrow)(int n, const float *x, int8_t *out) {
    EACH {
        float y = x[i] < -128.0f ? -128.0f : x[i] > 127.0f ? 127.0f : x[i];
        y = x[i] != x[i] ? 0.0f : y;
        out[i] = (int8_t)(int32_t)__builtin_rintf(y);
    }
}

/* The last register into the result's memory; rule 3 is kept here. */
APART_FROM_OTHERS static void FN(map_store)(uint8_t type, int n, const void *r, void *out, int64_t first) {
    switch (type) {
    case PK_F32: {
        float *o = (float *)out + first;
        const uint32_t *x = (const uint32_t *)r;
        uint32_t *u = (uint32_t *)(void *)o;
        EACH u[i] = (x[i] & 0x7FFFFFFFu) > 0x7F800000u ? 0x7FC00000u : x[i];
    } break;
    case PK_I8: { int8_t *o = (int8_t *)out + first; const int64_t *x = r; EACH o[i] = (int8_t)x[i]; } break;
    case PK_U8: { uint8_t *o = (uint8_t *)out + first; const int64_t *x = r; EACH o[i] = (uint8_t)x[i]; } break;
    case PK_I32: { int32_t *o = (int32_t *)out + first; const int64_t *x = r; EACH o[i] = (int32_t)x[i]; } break;
    case PK_I64: memcpy((int64_t *)out + first, r, (size_t)n * 8); break;
    case PK_BOOL: { uint8_t *o = (uint8_t *)out + first; const int32_t *x = r; EACH o[i] = x[i] != 0; } break;
    case PK_BF16: pk_narrow_bf16((size_t)n, r, (uint16_t *)out + first); break;
    case PK_F16: pk_narrow_f16((size_t)n, r, (uint16_t *)out + first); break;
    }
}

/* Whether the step that ends an f32 map may write the result itself: it gives floats of floats, and is more than a copy. */
static inline int FN(map_stores)(const pk_map *map) {
    const pk_map_step *s = &map->step[map->steps - 1];
    if (map->type != PK_F32 || s->result != PK_F32) return 0;
    return s->code == 22 || (s->code <= 17 && s->type == PK_F32);
}

void FN(map_run)(const pk_map *map, int64_t first, int64_t count, void *out, void *scratch) {
    void *reg[256];
    for (int r = 0; r < map->registers; r++) reg[r] = (char *)scratch + (size_t)r * PK_MAP_REGISTER;
    for (int k = 0; k < map->steps && !map->filled; k++) {
        const pk_map_step *s = &map->step[k];
        if (s->code != PK_MAP_CONSTANT) continue;
        int n = count < PK_MAP_BLOCK ? (int)count : PK_MAP_BLOCK;
        if (s->result == PK_F32) { uint32_t *o = reg[s->out]; EACH o[i] = (uint32_t)s->number; }
        else if (s->result == PK_BOOL) { int32_t *o = reg[s->out]; EACH o[i] = s->number != 0; }
        else { int64_t *o = reg[s->out]; EACH o[i] = (int64_t)s->number; }
    }
    int stores = FN(map_stores)(map);
    for (int64_t start = first; start < first + count; start += PK_MAP_BLOCK) {
        int n = first + count - start < PK_MAP_BLOCK ? (int)(first + count - start) : PK_MAP_BLOCK;
        int last = 0;
        /* Rows that the block touches, and its first place in the first of them. */
        int64_t line = map->rank > 0 ? map->shape[map->rank - 1] : 1, row = start / line, inside = start % line;
        int lines = (int)((inside + n - 1) / line) + 1, elements = n;
        for (int k = 0; k < map->steps; k++) {
            const pk_map_step *s = &map->step[k];
            int n = s->once ? lines : elements;
            int ends = stores && k == map->steps - 1;
            void *o = ends ? (void *)((float *)out + start) : reg[s->out];
            last = s->out;
            switch (s->code) {
            case PK_MAP_CONSTANT: break;
            case PK_MAP_INPUT: {
                const pk_map_input *input = &map->input[s->a];
                /* The register becomes the memory itself where nothing is to be converted; the plan never writes to an input's register. */
                if (input->direct && input->type == PK_F32) reg[s->out] = (void *)((const float *)input->base + start);
                else if (s->once) FN(map_load)(map, input, input->type, map->rank - 1, row, n, o);
                else FN(map_load)(map, input, input->type, map->rank, start, n, o);
            } break;
            case PK_MAP_SPREAD: FN(map_spread)(s->type, line, inside, n, reg[s->a], o); break;
            case PK_MAP_INPUT_FLOAT: FN(map_load)(map, &map->input[s->a], PK_MAP_INPUT_FLOAT, map->rank, start, n, o); break;
            case PK_MAP_INDEX: FN(map_index)(start, n, s->number, s->other, o); break;
            case PK_MAP_WITHIN:
            case PK_MAP_AT: FN(map_mark)(map, &map->input[s->a], s->code, start, n, o); break;
            case PK_MAP_STEP: { int64_t *w = o; EACH w[i] = (int64_t)map->number; } break;
            case PK_MAP_RANDOM: FN(map_random)(map, (uint8_t)s->number, start, n, o); break;
            case 22: FN(map_select)(s->type, n, o, reg[s->a], reg[s->b], reg[s->c], ends); break;
            default:
                if (s->type == PK_F32) FN(map_float)(s, n, o, reg[s->a], reg[s->b], reg[s->c], ends);
                else if (s->type == PK_BOOL) FN(map_bool)(s, n, o, reg[s->a], reg[s->b]);
                else FN(map_whole)(s, n, o, reg[s->a], reg[s->b]);
            }
        }
        if (stores) continue;
        if (map->narrows) FN(map_narrow)(n, reg[last], (int8_t *)out + start);
        else FN(map_store)(map->type, n, reg[last], out, start);
    }
}
#undef F
#undef I
#undef B
#undef EACH
#undef APART_FROM_OTHERS

#pragma once
#include "CKernels.h"

/* `map` over a run of elements: an expression as a list of steps over registers that hold a block of elements each. The meaning is MapInterpreter's (and
   docs/numerics.md's); this is the fast form. Element types are numbered as in the program's format. */

typedef enum { PK_F32 = 1, PK_I8 = 2, PK_U8 = 3, PK_I32 = 4, PK_I64 = 5, PK_BOOL = 6, PK_BF16 = 7, PK_F16 = 8 } pk_type;

/* Elements of a block: its registers stay in the first-level cache. */
#define PK_MAP_BLOCK 512
/* Bytes of a register: some more than it holds, so that the same element of all registers is not in the same few lines of the cache. */
#define PK_MAP_REGISTER (PK_MAP_BLOCK * 8 + 320)
#define PK_MAP_RANK 12

/* Steps: scalar operations by their number in the format, and these. */
enum {
    PK_MAP_INPUT = 64,    /* a: which tensor */
    PK_MAP_CONSTANT = 65, /* number: its bits */
    PK_MAP_INDEX = 66,    /* number: product of the later axes; other: the axis's size */
    PK_MAP_RANDOM = 67,   /* number: the draw */
    PK_MAP_STEP = 68,     /* the step's number */
    /* a: a tensor of i32 that is the same along the last axis of the shape below. Whether the place on that axis is less than its number; or is it. */
    PK_MAP_WITHIN = 69,
    PK_MAP_AT = 70,
    PK_MAP_INPUT_FLOAT = 71, /* a: which tensor, of i32, as f32 */
    PK_MAP_SPREAD = 72       /* a: a register with an element for each row of the shape below, which all of its elements get */
};

typedef struct {
    uint8_t code;
    /* The type of the arguments (of the first where they differ: of the second for a select) and of the result. */
    uint8_t type, result;
    /* Registers. */
    uint8_t out, a, b, c;
    /* Whether it is done once for each row of the shape below: what it reads is the same along its last axis. */
    uint8_t once;
    uint64_t number, other;
} pk_map_step;

typedef struct {
    /* Element 0 of the result reads base; strides are in elements, one for each axis of the shape below. */
    const void *base;
    uint8_t type;
    /* Whether the strides are those of the result itself: element i reads base[i]. */
    uint8_t direct;
    int64_t stride[PK_MAP_RANK];
} pk_map_input;

typedef struct {
    int32_t steps, inputs, rank, registers;
    const pk_map_step *step;
    pk_map_input input[4];
    int64_t shape[PK_MAP_RANK];
    uint8_t type;
    /* Whether the last register holds f32 that becomes i8 where it is stored (rule 6). */
    uint8_t narrows;
    /* Whether the constants are in the registers already, from a run over as many elements or more. */
    uint8_t filled;
    /* For random words, and the step's number. */
    uint64_t seed;
    uint32_t operation, number;
} pk_map;

/* Bytes of scratch for `registers` registers. */
size_t pk_map_scratch(int registers);

/* Elements [first, first + count) of the result; `out` is where element 0 would lie. It may be a direct input's memory. */
void pk_map_run(pk_variant variant, const pk_map *map, int64_t first, int64_t count, void *out, void *scratch);

void pk_philox(uint64_t seed, uint64_t number, uint32_t operation, uint8_t draw, uint32_t step, uint32_t words[4]);

#include "CRows.h"

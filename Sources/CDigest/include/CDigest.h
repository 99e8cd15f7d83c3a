#ifndef PLASMA_CDIGEST_H
#define PLASMA_CDIGEST_H

#include <stddef.h>
#include <stdint.h>

/// BLAKE2b-256 (RFC 7693) of many messages at once: four or eight side by side in the processor's vector registers. Every digest is the one that
/// libsodium gives for the message alone (the tests compare them), unkeyed and without salt, with `personal` as 16 bytes of personalisation.
///
/// Message `i` ends at `ends[i]` and begins where the one before ended, the first at 0; where `ends` is null each has `length` bytes.
/// 32 bytes a message go to `out`.
void plasma_digest_many(
    const uint64_t personal[2], const uint8_t *bytes, const size_t *ends, size_t length, size_t count, uint8_t *out);

/// How many messages this processor digests side by side: 4 or 8.
size_t plasma_digest_lanes(void);

/// The same as `plasma_digest_many`, by the code for processors without wide registers.
void plasma_digest_many_portable(
    const uint64_t personal[2], const uint8_t *bytes, const size_t *ends, size_t length, size_t count, uint8_t *out);

#endif

// The internet checksum (RFC 1071): sums of 16-bit words in network order, kept as whatever the machine
// adds fastest and folded at the end. Byte order does not matter to the sum, so words are taken as they
// lie in memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlay {

// Adds `size` bytes to `sum`. Only the last part of a sum may have an odd size.
uint64_t addChecksum(uint64_t sum, const uint8_t* bytes, size_t size);
// The same while copying. The two places do not overlap.
uint64_t copyAndAddChecksum(uint64_t sum, uint8_t* to, const uint8_t* from, size_t size);
// Adds the pseudo-header: addresses, protocol and length of what is summed. `addresses`: source and
// destination, side by side as both IP headers have them; `addressBytes`: of both, 8 or 32.
uint64_t addPseudoHeader(uint64_t sum, const uint8_t* addresses, size_t addressBytes, uint8_t protocol, size_t size);

// 16 bits of the sum, as they go into memory without regard to byte order. Complement it for a header.
uint16_t foldChecksum(uint64_t sum);

}  // namespace overlay

#include "bits.h"

#define FNV_PRIME 0x00000100000001b3u

union float_bits {
    uint32_t bits;
    float value;
};

union action_bits {
    uint32_t bits;
    policy_action value;
};

uint32_t bits_of_float(float value)
{
    union float_bits both;
    both.value = value;
    return both.bits;
}

float float_of_bits(uint32_t bits)
{
    union float_bits both;
    both.bits = bits;
    return both.value;
}

uint32_t bits_of_action(policy_action value)
{
    union action_bits both;
    both.value = value;
    return both.bits;
}

policy_action action_of_bits(uint32_t bits)
{
    union action_bits both;
    both.bits = bits;
    return both.value;
}

void hash_byte(uint64_t *hash, unsigned int byte)
{
    *hash = (*hash ^ (uint64_t)(byte & 0xffu)) * FNV_PRIME;
}

void hash_bits(uint64_t *hash, uint32_t bits)
{
    unsigned int shift;
    for (shift = 0; shift < 32; shift += 8) {
        hash_byte(hash, (unsigned int)(bits >> shift));
    }
}

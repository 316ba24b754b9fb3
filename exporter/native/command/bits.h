/* Numbers as bits: to compare them exactly, and to hash them. Needs no C library. */
#ifndef POLICY_BITS_H
#define POLICY_BITS_H

#include <stdint.h>

#include "policy_bindings.h"

/* FNV-1a with 64 bits; collisions are a matter of chance, not of an attacker. */
#define HASH_START 0xcbf29ce484222325u

uint32_t bits_of_float(float value);
float float_of_bits(uint32_t bits);
uint32_t bits_of_action(policy_action value);
policy_action action_of_bits(uint32_t bits);

void hash_byte(uint64_t *hash, unsigned int byte);
void hash_bits(uint64_t *hash, uint32_t bits); /* least significant byte first */

#endif

/* How deep the stack really was, seen from what it overwrote. */
#ifndef BOARD_STACK_USE_H
#define BOARD_STACK_USE_H

#include <stdint.h>

/* Bytes of stack that *run* used, its return address included. */
uint32_t stack_use(void (*run)(void));

#endif

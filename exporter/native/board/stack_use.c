#include "stack_use.h"

#define PAINT 0x5aa55aa5u
#define BELOW_THIS_CALL 64 /* words that are left alone: this function's own */

extern uint32_t board_stack_bottom[];

static void nothing(void)
{
}

/* The lowest word of the stack that *run* changed. */
__attribute__((noinline)) static uint32_t *lowest(void (*volatile run)(void))
{
    uint32_t *top = (uint32_t *)__builtin_frame_address(0) - BELOW_THIS_CALL;
    volatile uint32_t *word;
    for (word = board_stack_bottom; word < top; word++) {
        *word = PAINT;
    }
    run();
    word = board_stack_bottom;
    while (word < top && *word == PAINT) {
        word++;
    }
    return (uint32_t *)word;
}

/* A function that does nothing leaves the paint untouched up to BELOW_THIS_CALL; one that needs
   less than that cannot be told from it, and counts as that much. */
uint32_t stack_use(void (*run)(void))
{
    uint32_t *unused = lowest(nothing);
    uint32_t *used = lowest(run);
    return (uint32_t)((unused - used) + BELOW_THIS_CALL) * (uint32_t)sizeof(uint32_t);
}

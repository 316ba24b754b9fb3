/* From reset to main, for a Cortex-M with a floating-point unit. */
#include <stddef.h>
#include <stdint.h>

#include "semihosting.h"

#define COPROCESSOR_ACCESS ((volatile uint32_t *)0xe000ed88u) /* CPACR, ARMv7-M B3.2.20 */
#define FULL_ACCESS_TO_FPU (0xfu << 20)
#define HANDLERS 15 /* reset, and the system exceptions up to SysTick */

/* Addresses from the linker script. */
extern uint32_t board_stack_top[];
extern uint32_t board_data[];
extern uint32_t board_data_end[];
extern const uint32_t board_data_in_flash[];
extern uint32_t board_bss[];
extern uint32_t board_bss_end[];

int main(void);
void board_reset(void);

static void fault(void)
{
    semihosting_write("fault: the processor stopped on an exception\n");
    semihosting_exit(3);
}

struct vectors {
    uint32_t *stack_top;
    void (*handlers[HANDLERS])(void);
};

/* The processor takes its stack and its first instruction from here. */
__attribute__((section(".vectors"), used)) const struct vectors board_vectors = {
    board_stack_top,
    {board_reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
     fault, fault, fault},
};

/* Off after reset: the first floating-point instruction would fault. */
static void enable_fpu(void)
{
    *COPROCESSOR_ACCESS |= FULL_ACCESS_TO_FPU;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

void board_reset(void)
{
    const uint32_t *from = board_data_in_flash;
    uint32_t *to;

    enable_fpu();
    for (to = board_data; to != board_data_end; to++, from++) {
        *to = *from;
    }
    for (to = board_bss; to != board_bss_end; to++) {
        *to = 0;
    }
    semihosting_exit(main());
}

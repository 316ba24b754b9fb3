#include "semihosting.h"

#include <stdint.h>

#define SYS_WRITE0 0x04u
#define SYS_EXIT_EXTENDED 0x20u
#define APPLICATION_EXIT 0x20026u /* ADP_Stopped_ApplicationExit */

static void semihosting_call(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void semihosting_write(const char *text)
{
    semihosting_call(SYS_WRITE0, text);
}

void semihosting_exit(int code)
{
    const uint32_t block[2] = {APPLICATION_EXIT, (uint32_t)code};
    semihosting_call(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

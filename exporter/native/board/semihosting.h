/* Output and exit through the debugger or emulator (Arm semihosting 2.0). */
#ifndef BOARD_SEMIHOSTING_H
#define BOARD_SEMIHOSTING_H

void semihosting_write(const char *text);

/* Ends the program with this exit code. */
__attribute__((noreturn)) void semihosting_exit(int code);

#endif

/* process.h - what a process has cost so far, as /proc tells it. */
#ifndef LOAD_PROCESS_H
#define LOAD_PROCESS_H

#include <stdint.h>

/* The time that its threads have run: to the nanosecond where the kernel counts that
 * (/proc/<pid>/task/<tid>/schedstat), else in clock ticks. 0 if there is no such process. */
uint64_t process_cpu_ns(int pid);

/* Its resident memory in bytes; 0 if there is no such process. */
uint64_t process_memory(int pid);

#endif

/* report.h - the results: names and values in the order in which they were found, printed as one
 * JSON object for programs and as a table for people. */
#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include <stdint.h>
#include <stdio.h>

#include "load/histogram.h"

enum {
    REPORT_ENTRIES_MAX = 128,
    REPORT_NAME_SIZE = 64,
    REPORT_VALUE_SIZE = 256
};

struct report {
    struct {
        char name[REPORT_NAME_SIZE];
        char value[REPORT_VALUE_SIZE]; /* as JSON */
    } entries[REPORT_ENTRIES_MAX];
    int n_entries;
};

void report_text(struct report *report, const char *name, const char *text);
void report_count(struct report *report, const char *name, uint64_t value);
void report_real(struct report *report, const char *name, double value);

/* <name>_p50_us, p90, p99, p99_9, max and mean, of values in nanoseconds. Nothing if there are
 * none. */
void report_latency(struct report *report, const char *name, const struct histogram *histogram);

void report_write_json(const struct report *report, FILE *file);
void report_write_table(const struct report *report, FILE *file);

#endif

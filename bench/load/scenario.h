/* scenario.h - the situations that the tool can make. Each connects, lets its parties talk, and
 * adds what it has found to the report. */
#ifndef LOAD_SCENARIO_H
#define LOAD_SCENARIO_H

#include "load/report.h"
#include "load/target.h"
#include "load/traffic.h"

struct settings {
    struct target target;
    struct traffic_options traffic;
    uint32_t connections; /* 0: what the scenario has by default */
    uint32_t senders;
    uint32_t devices;
    double warm_s;
    double seconds;
};

struct scenario {
    const char *name;
    const char *what; /* for --help */
    uint32_t connections;
    bool talks_once; /* so that a number of messages can end it */
    void (*run)(const struct settings *settings, struct report *report);
};

/* NULL if there is none of that name. */
const struct scenario *scenario_find(const char *name);

/* The first of them; the last one has no name. */
const struct scenario *scenario_all(void);

/* connect: in storm.c, since its clients never sign. */
void storm_run(const struct settings *settings, struct report *report);

#endif

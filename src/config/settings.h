/* settings.h - the one table of settings: flags, environment, file, --help and error messages
 * are made from it. config.h has the struct that it fills. */
#ifndef CHAT_CONFIG_SETTINGS_H
#define CHAT_CONFIG_SETTINGS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "chat/config.h"
#include "chat/err.h"

enum {
    N_SETTINGS = 27,
    SETTING_NAME_SIZE_MAX = 48,     /* of a name, CHATD_ and terminator included */
    SETTING_PROBLEM_SIZE_MAX = 1536 /* of a problem, terminator included */
};

struct setting_type;

struct setting {
    const char *group;   /* heading in --help, at the first of its settings; else NULL */
    const char *name;    /* --name VALUE, "name = value" in the file */
    const char *metavar; /* VALUE */
    const char *help;    /* one or more whole sentences */
    const struct setting_type *type;
    const char *default_value; /* as it would be given; NULL: 'default_help' says what happens */
    const char *default_help;
    size_t offset; /* its place in struct config, if it is a number or yes or no */
    uint32_t min;  /* a number's range, and what it counts */
    uint32_t max;
    const char *unit;
};

extern const struct setting settings[N_SETTINGS];

/* The setting of that name, or NULL. */
const struct setting *setting_find(const char *name);

/* The setting whose name is so close to 'name' that it was probably meant, or NULL. */
const struct setting *setting_nearest(const char *name);

/* CHATD_NAME, for the environment. 'out' has room for SETTING_NAME_SIZE_MAX bytes. */
void setting_environment_name(const struct setting *setting, char *out);

/* Read 'value' into 'config'. ERR_INVALID: 'config' is untouched, and 'problem', of
 * SETTING_PROBLEM_SIZE_MAX bytes, says what was given (unless it may hold a password) and what is
 * allowed; terminated. */
MUST_CHECK enum err setting_parse(const struct setting *setting, const char *value,
                                  struct config *config, char *problem);

/* One line as it would stand in the file, without any password; a comment if there is no value. */
void setting_print(const struct setting *setting, const struct config *config, FILE *out);

/* What --help says of it. */
void setting_help(const struct setting *setting, FILE *out);

/* A node's name: the end of 'host_name' and the port, cut to NODE_NAME_SIZE_MAX, with '-' for
 * what no name may have. 'out' has room for one byte more; terminated. */
void node_name_make(const char *host_name, uint16_t port, char *out);

#endif

#include "load/report.h"

#include <inttypes.h>

#include "load/base.h"

static char *new_value(struct report *report, const char *name)
{
    if (report->n_entries == REPORT_ENTRIES_MAX) {
        die(EXIT_UNMEASURED, "too many results");
    }
    int i = report->n_entries++;
    snprintf(report->entries[i].name, REPORT_NAME_SIZE, "%s", name);
    return report->entries[i].value;
}

void report_text(struct report *report, const char *name, const char *text)
{
    char *to = new_value(report, name);
    const char *end = to + REPORT_VALUE_SIZE - 4;
    *to++ = '"';
    for (; *text != '\0' && to < end; text++) {
        if (*text == '"' || *text == '\\') {
            *to++ = '\\';
        }
        *to++ = (unsigned char)*text < ' ' ? ' ' : *text;
    }
    *to++ = '"';
    *to = '\0';
}

void report_count(struct report *report, const char *name, uint64_t value)
{
    snprintf(new_value(report, name), REPORT_VALUE_SIZE, "%" PRIu64, value);
}

void report_real(struct report *report, const char *name, double value)
{
    snprintf(new_value(report, name), REPORT_VALUE_SIZE, "%.*f", value < 100 ? 3 : 0, value);
}

void report_latency(struct report *report, const char *name, const struct histogram *histogram)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}, {"max", 1}};
    char full[REPORT_NAME_SIZE];
    if (histogram->count == 0) {
        return;
    }
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        snprintf(full, sizeof(full), "%s_%s_us", name, quantiles[i].name);
        report_real(report, full, (double)histogram_quantile(histogram, quantiles[i].share) / 1e3);
    }
    snprintf(full, sizeof(full), "%s_mean_us", name);
    report_real(report, full, histogram_mean(histogram) / 1e3);
}

void report_write_json(const struct report *report, FILE *file)
{
    for (int i = 0; i < report->n_entries; i++) {
        fprintf(file, "%s\"%s\": %s", i == 0 ? "{" : ", ", report->entries[i].name,
                report->entries[i].value);
    }
    fputs("}\n", file);
}

void report_write_table(const struct report *report, FILE *file)
{
    for (int i = 0; i < report->n_entries; i++) {
        fprintf(file, "%-36s %s\n", report->entries[i].name, report->entries[i].value);
    }
}
